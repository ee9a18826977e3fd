"""The batched world: exact, independent of N and threads, randomized from nominal values, clear about unknown names."""

from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import pytest
from numpy.typing import NDArray

from ashore.sim.errors import InvalidRandomization, UnknownModelName
from ashore.sim.randomization import Parameter, Randomization, Target, draw_episodes
from ashore.sim.randomization.distributions import Uniform
from ashore.sim.tasks import make_task
from ashore.sim.world import World

TASK = make_task("arm/pick-place")
WIDE = TASK.randomization("wide")
ALL = np.arange(4)


def _world(n: int = 4, n_threads: int = 1) -> World:
    return World(TASK.scene(), n, n_threads)


def _start(world: World, numbers: list[int]) -> None:
    draws = draw_episodes(WIDE, 0, numbers)
    ids = np.arange(world.n)
    world.reset(ids)
    world.randomize(ids, draws, WIDE)
    TASK.reset(world, ids, draws)


def _controls(tick: int, n: int) -> NDArray[Any]:
    home = np.array([0.0, -0.18, 0.0, -2.5, 0.0, 2.31, 0.785, 0.0])
    return np.tile(home + 0.3 * np.sin(0.1 * tick), (n, 1)).clip([-2] * 3 + [-3] + [-2] * 3 + [0], 3.7)


def _play(world: World, n_ticks: int) -> NDArray[Any]:
    poses = []
    for tick in range(n_ticks):
        world.actuate(_controls(tick, world.n))
        world.advance(10)
        poses.append(np.concatenate([world.body_pose("object"), world.body_pose("panda_hand")], axis=1))
    return np.stack(poses)


def test_one_randomized_simulation_equals_its_model_stepped_alone() -> None:
    world = _world()
    _start(world, [0, 1, 2, 3])
    model, data = world.view(2)
    for tick in range(50):
        world.actuate(_controls(tick, 4))
        data.ctrl[:] = _controls(tick, 1)[0]
        world.advance(10)
        for _ in range(10):
            mujoco.mj_step(model, data)
    np.testing.assert_array_equal(world.view(2)[1].qpos, data.qpos)
    np.testing.assert_array_equal(world.view(2)[1].qvel, data.qvel)
    assert model.body("object").mass[0] != world.view(1)[0].body("object").mass[0]


@pytest.mark.parametrize(("n", "n_threads"), [(1, 1), (3, 2), (7, 2)])
def test_an_episode_is_the_same_whatever_n_or_the_threads(n: int, n_threads: int) -> None:
    whole = _world(4)
    _start(whole, [0, 1, 2, 3])
    other = _world(n, n_threads)
    _start(other, [2] * n)
    np.testing.assert_array_equal(_play(whole, 20)[:, 2], _play(other, 20)[:, n - 1])


def test_a_second_reset_repeats_the_first_whatever_happened_between() -> None:
    world = _world()
    _start(world, [0, 1, 2, 3])
    first = _play(world, 15)
    _start(world, [9, 8, 7, 6])
    assert not np.array_equal(_play(world, 15), first)
    _start(world, [0, 1, 2, 3])
    np.testing.assert_array_equal(_play(world, 15), first)


def test_values_do_not_drift_over_many_randomizations() -> None:
    world = _world(2)
    mass = Parameter("m", Uniform(0.5, 2.0), "dynamics", (Target("body_mass", ("object",)),), "scale")
    shift = Parameter("s", Uniform(-0.1, 0.1), "dynamics", (Target("geom_friction", ("table",), (0,)),), "shift")
    randomization = Randomization((mass, shift))
    rng = np.random.default_rng(0)
    for _ in range(300):
        draws = [randomization.draw(rng) for _ in range(2)]
        world.randomize(np.arange(2), draws, randomization)
    model = world.view(1)[0]
    assert model.body("object").mass[0] == pytest.approx(0.05 * draws[1]["m"])
    assert model.geom("table").friction[0] == pytest.approx(0.6 + draws[1]["s"])
    world.randomize(np.arange(2), [randomization.nominal()] * 2, Randomization(()))
    assert world.model.body("object").mass[0] == 0.05


def test_placed_bodies_are_seen_at_once_and_move_no_other_simulation() -> None:
    world = _world()
    _start(world, [0, 1, 2, 3])
    before = world.body_pose("object")
    pose = np.array([[0.4, 0.1, 0.3, 1.0, 0.0, 0.0, 0.0]])
    velocity = np.array([[0.1, 0.2, 0.3, 1.0, 2.0, 3.0]])
    world.place_body(np.array([2]), "object", pose, velocity)
    np.testing.assert_allclose(world.body_pose("object")[2], pose[0])
    np.testing.assert_allclose(world.body_velocity("object")[2], velocity[0])
    np.testing.assert_array_equal(world.body_pose("object")[[0, 1, 3]], before[[0, 1, 3]])


def test_a_links_velocity_is_the_derivative_of_its_pose() -> None:
    world = _world()
    _start(world, [0, 1, 2, 3])
    _play(world, 10)
    before = world.body_pose("panda_hand")
    velocity = world.body_velocity("panda_hand")
    world.advance(1)
    moved = (world.body_pose("panda_hand") - before)[:, :3] / world.timestep_s
    np.testing.assert_allclose(moved, velocity[:, :3], atol=0.02)
    assert np.abs(velocity[:, :3]).max() > 0.05


def test_contact_is_told_for_what_touches() -> None:
    world = _world()
    _start(world, [0, 1, 2, 3])
    _play(world, 5)
    lifted = np.array([[0.5, 0.0, 0.5, 1.0, 0.0, 0.0, 0.0]])
    world.place_body(np.array([1]), "object", lifted)
    np.testing.assert_array_equal(world.contact("object"), [True, False, True, True])
    with pytest.raises(UnknownModelName, match="colliding geoms 'panda_link1'"):
        world.contact("panda_link1")


def test_a_frozen_simulation_stands_still_until_its_reset() -> None:
    world = _world()
    _start(world, [0, 1, 2, 3])
    world.freeze(np.array([False, True, False, False]))
    poses = _play(world, 5)
    assert np.all(poses[0, 1] == poses[-1, 1]) and np.any(poses[0, 0] != poses[-1, 0])
    _start(world, [0, 1, 2, 3])
    assert np.any(np.ptp(_play(world, 5)[:, 1], axis=0) > 0)


def test_a_simulation_that_explodes_is_reported_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # MuJoCo writes its warnings into the working folder.
    world = _world()
    _start(world, [0, 1, 2, 3])
    wild = np.array([[0.5, 0.0, 0.5, 1.0, 0.0, 0.0, 0.0]])
    world.place_body(np.array([3]), "object", wild, np.array([[np.nan, 0, 0, 0, 0, 0]]))
    world.advance(5)
    np.testing.assert_array_equal(world.diverged(), [False, False, False, True])
    _start(world, [0, 1, 2, 3])
    assert not world.diverged().any()


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (Target("body_mass", ("objekt",)), "no body 'objekt'.*Did you mean 'object'"),
        (Target("body_masses", ("object",)), "no model field 'body_masses'.*Did you mean 'body_mass'"),
        (Target("dof_damping", ("panda_joint8",)), "no dof 'panda_joint8'"),
    ],
)
def test_unknown_targets_are_refused(target: Target, words: str) -> None:
    randomization = Randomization((Parameter("p", Uniform(1.0, 2.0), "dynamics", (target,)),))
    with pytest.raises(InvalidRandomization, match=words):
        _world(1).check(randomization)


def test_unknown_joints_and_bodies_are_refused() -> None:
    world = _world(1)
    with pytest.raises(UnknownModelName, match="no jnt 'panda_joint0'"):
        world.joint_pos(["panda_joint0"])
    with pytest.raises(UnknownModelName, match=r"no free body 'panda_hand'. Valid: 'object'"):
        world.place_body(np.array([0]), "panda_hand", np.zeros((1, 7)))
