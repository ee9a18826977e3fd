"""The twin's physics beside MuJoCo's, on the same MJCF."""

from collections.abc import Iterator
from pathlib import Path

import mujoco
import numpy as np
import pytest

from ashore.datasets.errors import UnknownName
from ashore.sim.twin.engine import TwinEngine
from ashore.sim.twin.settings import TwinSettings

ONE = np.array([0])
JOINTS = ["turn", "raise", "bend", "left", "right"]
HOME = np.array([0.2, -0.3, 0.3, 0.04, 0.04])
CUBE_AWAY = np.array([[0.1, 0.3, 0.02, 1.0, 0.0, 0.0, 0.0]])


@pytest.fixture
def engine(arm_path: Path) -> Iterator[TwinEngine]:
    """One twin of the small arm, at home."""
    with TwinEngine(arm_path, 1) as twin:
        twin.place_joints(ONE, JOINTS, HOME[None])
        twin.place_body(ONE, "cube", CUBE_AWAY)
        yield twin


@pytest.fixture
def mujoco_arm(arm_path: Path) -> tuple[mujoco.MjModel, mujoco.MjData]:
    """MuJoCo's own small arm, at home."""
    model = mujoco.MjModel.from_xml_path(str(arm_path))
    data = mujoco.MjData(model)
    data.qpos[:5], data.qpos[5:12], data.ctrl[:] = HOME, CUBE_AWAY[0], HOME[:4]
    mujoco.mj_forward(model, data)
    return model, data


def test_every_body_stands_where_mujoco_puts_it(
    engine: TwinEngine, mujoco_arm: tuple[mujoco.MjModel, mujoco.MjData]
) -> None:
    _, data = mujoco_arm
    for name in ("column", "boom", "hand", "left_finger", "right_finger", "cube"):
        expected = np.concatenate((data.body(name).xpos, data.body(name).xquat))
        pose = engine.body_pose(name)[0]
        pose[3:] *= np.sign(pose[3:] @ expected[3:])
        np.testing.assert_allclose(pose, expected, atol=1e-6)


def test_joints_follow_targets_as_mujocos_do(
    engine: TwinEngine, mujoco_arm: tuple[mujoco.MjModel, mujoco.MjData]
) -> None:
    model, data = mujoco_arm
    rng = np.random.default_rng(0)
    errors = []
    for _ in range(8):
        target = HOME[:4] + np.append(rng.uniform(-0.4, 0.4, 3), rng.uniform(-0.03, 0.0))
        target[1] = min(target[1], 0.0)
        engine.actuate(target[None])
        data.ctrl[:] = target
        for _ in range(15):
            engine.advance(10)
            mujoco.mj_step(model, data, 10)
            errors.append(engine.joint_pos(JOINTS)[0] - data.qpos[:5])
    rms = np.sqrt(np.mean(np.square(errors), axis=0))
    assert np.all(rms[:3] < 2e-3)
    assert np.all(rms[3:] < 2e-3)


def test_velocities_have_the_axes_of_the_engines_face(
    engine: TwinEngine, mujoco_arm: tuple[mujoco.MjModel, mujoco.MjData]
) -> None:
    model, data = mujoco_arm
    target = HOME[:4] + np.array([0.3, -0.2, 0.3, 0.0])
    engine.actuate(target[None])
    data.ctrl[:] = target
    engine.advance(40)
    mujoco.mj_step(model, data, 40)
    mujoco.mj_forward(model, data)
    world, local = np.zeros(6), np.zeros(6)
    kind, body = mujoco.mjtObj.mjOBJ_XBODY, model.body("hand").id
    mujoco.mj_objectVelocity(model, data, kind, body, world, 0)
    mujoco.mj_objectVelocity(model, data, kind, body, local, 1)
    np.testing.assert_allclose(engine.body_velocity("hand")[0], np.append(world[3:], local[:3]), atol=5e-3)


def test_the_arm_holds_until_controls_come(engine: TwinEngine) -> None:
    engine.advance(250)
    np.testing.assert_allclose(engine.joint_pos(JOINTS)[0], HOME, atol=1e-4)


def test_a_grasped_cube_comes_along(arm_path: Path) -> None:
    with TwinEngine(arm_path, 1) as twin:
        pose = np.array([0.0, -0.2, 0.2, 0.022, 0.022])
        twin.place_joints(ONE, JOINTS, pose[None])
        twin.place_body(ONE, "cube", np.array([[0.0, 0.4, 0.02, 1.0, 0.0, 0.0, 0.0]]))
        hand = twin.body_pose("left_finger")[0]
        between = 0.5 * (hand[:3] + twin.body_pose("right_finger")[0][:3])
        twin.place_body(ONE, "cube", np.array([[*between, *hand[3:]]]))
        closed = np.array([[0.0, -0.2, 0.2, 0.0]])
        twin.actuate(closed)
        twin.advance(100)
        assert twin.contact("cube")[0]
        closed[0, 0] = 0.8
        twin.actuate(closed)
        twin.advance(400)
        fingers = 0.5 * (twin.body_pose("left_finger")[0][:3] + twin.body_pose("right_finger")[0][:3])
        assert np.linalg.norm(twin.body_pose("cube")[0][:3] - fingers) < 5e-3


def test_a_cube_falls_freely_and_comes_to_rest_on_the_table(engine: TwinEngine) -> None:
    start = np.array([[0.1, 0.3, 0.52, 1.0, 0.0, 0.0, 0.0]])
    engine.place_body(ONE, "cube", start)
    engine.advance(100)
    assert engine.body_velocity("cube")[0, 2] == pytest.approx(-9.81 * 0.2, rel=1e-3)
    assert not engine.contact("cube")[0]
    engine.advance(500)
    assert engine.contact("cube")[0]
    assert engine.body_pose("cube")[0, 2] == pytest.approx(0.02, abs=1e-3)


@pytest.mark.parametrize("friction_scale", [0.4, 1.0])
def test_a_sliding_cube_stops_where_friction_says(arm_path: Path, friction_scale: float) -> None:
    with TwinEngine(arm_path, 1, TwinSettings(friction_scale=0.5 * friction_scale)) as twin:
        speed = np.array([[0.0, -0.8, 0.0, 0.0, 0.0, 0.0]])
        twin.place_body(ONE, "cube", np.array([[0.2, 0.3, 0.02, 1.0, 0.0, 0.0, 0.0]]), speed)
        twin.advance(400)
        slid = 0.3 - twin.body_pose("cube")[0, 1]
    # The table's coefficient is 1 and wins over the cube's.
    assert slid == pytest.approx(0.8**2 / (2 * 9.81 * 0.5 * friction_scale), rel=0.05)


def test_a_heavier_arm_sags_since_it_compensates_its_nominal_mass(arm_path: Path) -> None:
    with TwinEngine(arm_path, 1, TwinSettings(body_mass_scale={"boom": 1.5})) as twin:
        twin.place_joints(ONE, JOINTS, HOME[None])
        twin.actuate(HOME[None, :4])
        twin.advance(1000)
        sag = twin.joint_pos(["raise"])[0, 0] - HOME[1]
    torque = 0.5 * 3.0 * 9.81 * 0.15 * np.cos(HOME[1])
    assert sag == pytest.approx(torque / 450.0, rel=0.05)


def test_simulations_are_apart_and_alike(arm_path: Path) -> None:
    with TwinEngine(arm_path, 2) as twin:
        both = np.array([0, 1])
        twin.place_joints(both, JOINTS, np.tile(HOME, (2, 1)))
        twin.place_body(both, "cube", np.repeat(CUBE_AWAY, 2, axis=0))
        controls = np.tile(HOME[:4], (2, 1))
        controls[1, 0] += 0.5
        twin.actuate(controls)
        twin.advance(50)
        first, second = twin.joint_pos(JOINTS)
        assert second[0] - first[0] > 0.1
        twin.place_joints(np.array([1]), JOINTS, HOME[None])
        assert twin.time_s.tolist() == pytest.approx([0.1, 0.0])
        twin.actuate(np.tile(HOME[:4] + np.array([0.2, 0.0, 0.0, 0.0]), (2, 1)))
        twin.advance(50)
        again = twin.joint_pos(JOINTS)[1]
        twin.place_joints(np.array([0]), JOINTS, HOME[None])
        twin.actuate(np.tile(HOME[:4] + np.array([0.2, 0.0, 0.0, 0.0]), (2, 1)))
        twin.advance(50)
        np.testing.assert_allclose(twin.joint_pos(JOINTS)[0], again, atol=1e-6)


def test_a_simulation_that_blew_up_says_so_until_it_is_placed(engine: TwinEngine) -> None:
    wild = CUBE_AWAY + np.array([0.0, 0.0, 1e6, 0.0, 0.0, 0.0, 0.0])
    engine.place_body(ONE, "cube", wild)
    engine.advance(1)
    assert engine.diverged()[0]
    engine.place_body(ONE, "cube", CUBE_AWAY)
    engine.advance(1)
    assert not engine.diverged()[0]


def test_a_wrong_name_is_told_with_the_closest(engine: TwinEngine) -> None:
    with pytest.raises(UnknownName, match="Did you mean 'cube'"):
        engine.body_pose("cub")
    with pytest.raises(UnknownName, match="there is no joint 'trun'"):
        engine.joint_pos(["trun"])
    with pytest.raises(UnknownName, match="there is no free body 'hand'"):
        engine.place_body(ONE, "hand", CUBE_AWAY)
