"""Drawer: the verdict, a cabinet that stands where it was drawn in both engines, and an expert that opens it."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.arm_experts import (
    require_labels_of_state_alone,
    require_shows_itself,
    require_within_limits,
    run_expert,
    succeeds_in_twin,
)

from ashore.datasets.rotations import matrix_from_quat
from ashore.sim.arms.task import upright
from ashore.sim.engine import Engine
from ashore.sim.experts.grasping import CARRY, REACH
from ashore.sim.interfaces import make_interface
from ashore.sim.randomization import draw_episodes
from ashore.sim.robots import make_arm
from ashore.sim.simulation import make_simulation
from ashore.sim.tasks import make_task
from ashore.sim.tasks.drawer import PULL_M, DrawerJudge, DrawerRules
from ashore.sim.twin.engine import TwinEngine
from ashore.sim.twin.profile import load_profile
from ashore.sim.world import World

Array = NDArray[Any]
TASK, ARM = "arm/drawer", make_arm("panda")


def _truth(opening_m: list[float], yaw_rad: float = 0.3) -> dict[str, Array]:
    closed = upright(np.tile([0.55, 0.1, 0.095], (len(opening_m), 1)), np.full(len(opening_m), yaw_rad))
    out = matrix_from_quat(closed[:, 3:])[:, :, 0]
    return {
        "handle_pos_base_m": closed[:, :3] - np.array(opening_m)[:, None] * out,
        "handle_quat_base_wxyz": closed[:, 3:],
        "goal_pos_base_m": closed[:, :3] - PULL_M * out,
        "joint_pos_rad": np.tile(ARM.spec.home_rad, (len(opening_m), 1)),
    }


def _judge(n: int, rules: DrawerRules | None = None) -> DrawerJudge:
    return DrawerJudge(n, rules or DrawerRules(), make_interface(ARM.card.interface))


def test_open_means_far_enough_out() -> None:
    judge = _judge(4)
    judge.update(_truth([0.0, 0.119, 0.121, 0.16]), 0.0)
    np.testing.assert_array_equal(judge.success(), [False, False, True, True])
    np.testing.assert_allclose(judge.metrics()["opening_m"], [0.0, 0.119, 0.121, 0.16], atol=1e-12)
    assert 0.0 < judge.progress()[0] < 0.3 and judge.progress()[1] == pytest.approx(0.9 * 0.119 / 0.12)
    np.testing.assert_array_equal(judge.progress()[2:], 1.0)


def test_an_episode_ends_once_it_has_been_open_for_long_enough() -> None:
    judge = _judge(2, DrawerRules(stay_s=0.3))
    for tick in range(18):
        judge.update(_truth([0.13, 0.1 if tick == 10 else 0.13]), 0.02 * tick)
    np.testing.assert_array_equal(judge.terminated(), [True, False])
    assert judge.metrics()["time_s"][0] == pytest.approx(0.3)


def test_what_is_not_finite_is_no_success() -> None:
    judge = _judge(1)
    judge.update(_truth([np.nan]), 0.0)
    assert not judge.success().any() and judge.progress()[0] == 0.0


@pytest.mark.parametrize("make", [World, TwinEngine])
def test_the_drawer_slides_out_of_its_cabinet_wherever_that_stands(make: type[Any]) -> None:
    engine: Engine = make(make_task(TASK).scene(), 2)
    pose = upright(np.array([[0.68, 0.0, 0.0], [0.72, 0.1, 0.0]]), np.array([0.3, -0.2]))
    engine.place_body(np.arange(2), "cabinet", pose)
    engine.place_joints(np.arange(2), ("drawer",), np.array([[0.05], [0.1]]))
    axes = matrix_from_quat(pose[:, 3:])
    expected = pose[:, :3] + np.einsum("nij,nj->ni", axes, [[-0.2, 0.0, 0.095], [-0.25, 0.0, 0.095]])
    np.testing.assert_allclose(engine.body_pose("handle")[:, :3], expected, atol=1e-6)
    np.testing.assert_allclose(engine.body_pose("handle")[:, 3:], pose[:, 3:], atol=1e-6)
    engine.advance(50)
    np.testing.assert_allclose(engine.body_pose("handle")[:, :3], expected, atol=1e-3)


def test_the_expert_solves_wide_draws_within_the_robots_limits() -> None:
    run = run_expert(TASK, 24, noise=False)
    assert run.judge.success().all()
    assert np.all(np.diff(run.progress) > -0.02)
    require_within_limits(TASK, run.log)


@pytest.mark.parametrize("task", [TASK, f"{TASK}@ur5e"])
def test_the_expert_comes_back_from_pushes(task: str) -> None:
    assert run_expert(task, 24, noise=True).judge.success().mean() > 0.9


def test_the_expert_takes_a_handle_again_that_it_lost() -> None:
    simulation = make_simulation(TASK, 2, "none", 1)
    task, interface = simulation.task, make_interface(simulation.task.robot.card.interface)
    simulation.reset(draw_episodes(simulation.randomization, 1, range(2)), [0, 1])
    expert = task.expert(2, np.random.default_rng(0))
    lost, phases = False, set()
    for tick in range(simulation.n_ticks):
        truth = interface.derive(simulation.truth())
        if tick % 2 == 0:
            action = task.contract.split_action(expert.act(truth, simulation.time_s))
        if not lost and np.all(expert.phase == CARRY) and np.all(simulation.judge.metrics()["opening_m"] > 0.06):
            lost = True
            simulation.engine.place_joints(np.arange(2), ("drawer",), np.zeros((2, 1)))
        phases |= set(expert.phase.tolist()) if lost else set()
        simulation.step(interface.decode(action, truth))
    assert lost and REACH in phases
    assert simulation.judge.success().all()


def test_labels_are_functions_of_state_and_phase() -> None:
    require_labels_of_state_alone(TASK)


def test_an_observation_shows_itself() -> None:
    require_shows_itself(TASK, ("cabinet", "handle", "panda_hand"), n_ticks=110)


def test_the_expert_succeeds_in_the_other_engine() -> None:
    assert succeeds_in_twin(TASK, 2, load_profile("arm_mild")).all()
