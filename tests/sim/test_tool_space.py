"""Tool targets become joint targets that bring the tool there, within limits; stopping holds, without a simulator."""

import subprocess
import sys

import numpy as np

from ashore.datasets.rotations import matrix_from_quat
from ashore.sim.interfaces import make_interface
from ashore.sim.robot import RobotCard
from ashore.sim.robots import make_arm, make_robot

CARD = make_robot("panda").card
HOME_RAD = make_arm("panda").spec.home_rad
INTERFACE = make_interface(CARD.interface)


def _observed(joints: np.ndarray) -> dict[str, np.ndarray]:
    n = len(joints)
    return INTERFACE.derive({"joint_pos_rad": joints, "gripper_width_m": np.full((n, 1), 0.08)})


def _action(pos: np.ndarray, angvel: np.ndarray) -> dict[str, np.ndarray]:
    width = np.full((len(pos), 1), 0.03)
    return {"tool_pos_base_m": pos, "tool_angvel_base_rad_s": angvel, "gripper_target_m": width}


def test_the_card_survives_json() -> None:
    assert RobotCard.from_json(CARD.to_json()) == CARD


def test_a_servo_that_follows_brings_the_tool_to_a_standing_target() -> None:
    rng = np.random.default_rng(0)
    joints = np.array(HOME_RAD) + rng.uniform(-0.1, 0.1, (16, 7))
    target = _observed(joints)["tcp_pos_base_m"] + rng.uniform(-0.1, 0.1, (16, 3))
    for _ in range(200):
        observed = _observed(joints)
        command = INTERFACE.decode(_action(target, np.zeros((16, 3))), observed)
        joints = joints + 0.2 * (command[:, :7] - joints)
    np.testing.assert_allclose(_observed(joints)["tcp_pos_base_m"], target, atol=1e-4)
    np.testing.assert_array_equal(command[:, 7], 0.03)


def test_an_angular_velocity_turns_the_tool_at_that_rate() -> None:
    joints = np.array([HOME_RAD])
    observed = _observed(joints)
    spin = np.array([[0.1, -0.2, 0.3]])
    command = INTERFACE.decode(_action(observed["tcp_pos_base_m"], spin), observed)
    small = 1e-3
    after = _observed(joints + small * (command[:, :7] - joints) / CARD.interface["servo_time_s"])
    turned = matrix_from_quat(after["tcp_quat_base_wxyz"][0]) @ matrix_from_quat(observed["tcp_quat_base_wxyz"][0]).T
    found = np.array([turned[2, 1], turned[0, 2], turned[1, 0]]) / small
    np.testing.assert_allclose(found, spin[0], atol=0.01)


def test_a_far_target_is_approached_within_the_lead_and_in_its_direction() -> None:
    joints = np.array([HOME_RAD])
    observed = _observed(joints)
    offset = np.array([[0.0, 0.6, 0.0]])
    near = INTERFACE.decode(_action(observed["tcp_pos_base_m"] + 0.01 * offset, np.zeros((1, 3))), observed)
    far = INTERFACE.decode(_action(observed["tcp_pos_base_m"] + offset, np.zeros((1, 3))), observed)
    lead = np.abs(far[:, :7] - joints)
    assert np.all(lead < [value for value in CARD.limits.max_lead if value is not None])
    assert np.argmax(lead) == np.argmax(np.abs(near[:, :7] - joints))


def test_commands_stay_within_the_card_wherever_the_arm_is() -> None:
    limits = CARD.limits
    rng = np.random.default_rng(2)
    joints = rng.uniform(limits.low[:7], limits.high[:7], (200, 7))
    pos = rng.uniform(-1, 1, (200, 3))
    command = INTERFACE.decode(_action(pos, rng.uniform(-2, 2, (200, 3))), _observed(joints))
    assert np.all(np.isfinite(command))
    assert np.all(command >= limits.low) and np.all(command <= limits.high)


def test_the_tool_quaternion_does_not_jump_where_the_tool_points_down() -> None:
    joints = np.array(HOME_RAD) + np.random.default_rng(3).normal(0, 0.01, (100, 7))
    quat = _observed(joints)["tcp_quat_base_wxyz"]
    assert np.all(quat[:, 1] > 0.9)


def test_stopping_holds_the_last_command_or_what_is_measured() -> None:
    observed = _observed(np.array([HOME_RAD, HOME_RAD]))
    last = np.array([[*np.array(HOME_RAD) + 0.05, 0.02], [np.nan] * 8])
    held = INTERFACE.stop(observed, last)
    np.testing.assert_array_equal(held[0], last[0])
    np.testing.assert_allclose(held[1], [*HOME_RAD, 0.08])


def test_the_robots_path_imports_no_simulator() -> None:
    code = (
        "import sys, ashore.sim.interfaces, ashore.sim.kinematics, ashore.sim.robot, ashore.datasets.contract; "
        "print([m for m in ('mujoco', 'pybullet', 'torch', 'zarr', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
