"""The Panda-class arm: what it is told, within which limits, and what it measures of itself."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.contract import Feature
from ashore.sim.engine import Engine
from ashore.sim.kinematics import chain_from_mjcf
from ashore.sim.robot import CommandLimits, Robot, RobotCard

Array = NDArray[Any]
NAME = "panda"
COMMAND_HZ = 50.0
MJCF_PATH = Path(__file__).with_name("panda.xml")
BASE_BODY, TOOL_SITE = "panda_base", "panda_tcp"
JOINTS = tuple(f"panda_joint{number}" for number in range(1, 8))
FINGERS = ("panda_finger_joint1", "panda_finger_joint2")
HOME_RAD = (0.0, -0.1848, 0.0, -2.4967, 0.0, 2.3119, 0.7854)
"""The tool 0.25 m above the table, 0.45 m in front of the base, pointing down."""
SERVO_TIME_S = 0.1
"""kv / kp of the joint servos in panda.xml, the time constant of their first-order lag."""

# Franka Emika Panda, frankaemika/docs control_parameters.rst.
POSITION_LOW_RAD = (-2.8973, -1.7628, -2.8973, -3.0718, -2.8973, -0.0175, -2.8973)
POSITION_HIGH_RAD = (2.8973, 1.7628, 2.8973, -0.0698, 2.8973, 3.7525, 2.8973)
VELOCITY_RAD_S = (2.175, 2.175, 2.175, 2.175, 2.61, 2.61, 2.61)
TOOL_TURN_RAD_S = 2.5
GRIPPER_M = 0.08
"""Largest width of the gripper; Franka Hand data sheet."""

# Choices of ours.
MARGIN_RAD = 0.05
"""Joint targets stay this far inside the joint limits."""
SET_POINT_RAD_S = 12.0
"""A set-point is not a position: its step of s moves the joint at s / SERVO_TIME_S at first. So it may jump from
one end of its lead to the other in about two periods, while max_lead bounds the joint's speed to the maker's rows."""
GRIPPER_M_S = 10.0
"""The gripper's set-point may jump from open to closed in one period; its own speed is bounded in the gripper."""
WORKSPACE_LOW_M, WORKSPACE_HIGH_M = (0.25, -0.45, 0.0), (0.75, 0.45, 0.6)


class JointServo:
    """The joint servos run in the actuators themselves: a command is their set-point."""

    period_s = 1.0 / COMMAND_HZ

    def control(self, command: Array, engine: Engine) -> Array:
        """Pass joint targets rad and gripper width m on (N, 8)."""
        return command


def _joint_feature(name: str, unit: str, low: tuple[float, ...] | None, high: tuple[float, ...] | None) -> Feature:
    return Feature(name, (len(JOINTS),), unit, "joint", JOINTS, low=low, high=high)


def _vector(name: str, unit: str, frame: str, axes: str = "xyz", **rest: Any) -> Feature:
    return Feature(name, (len(axes),), unit, frame, tuple(f"{name}.{axis}" for axis in axes), **rest)


def commands() -> tuple[Feature, ...]:
    """What the arm is told: joint targets and the gripper's width."""
    return (
        _joint_feature("joint_target_rad", "rad", POSITION_LOW_RAD, POSITION_HIGH_RAD),
        Feature("gripper_command_m", (1,), "m", "none", ("gripper_width",), low=(0.0,), high=(GRIPPER_M,)),
    )


def observations() -> tuple[Feature, ...]:
    """What the arm measures of itself, derived features last."""
    return (
        _joint_feature("joint_pos_rad", "rad", POSITION_LOW_RAD, POSITION_HIGH_RAD),
        _joint_feature("joint_vel_rad_s", "rad/s", None, None),
        Feature("gripper_width_m", (1,), "m", "none", ("gripper_width",)),
        _vector("tcp_pos_base_m", "m", "base"),
        _vector("tcp_quat_base_wxyz", "1", "base", "wxyz"),
    )


def actions() -> tuple[Feature, ...]:
    """What a policy tells the arm through the tool_space interface."""
    turn = (TOOL_TURN_RAD_S,) * 3
    return (
        _vector(
            "tool_pos_base_m",
            "m",
            "base",
            low=WORKSPACE_LOW_M,
            high=WORKSPACE_HIGH_M,
            relative_to="tcp_pos_base_m",
        ),
        _vector(
            "tool_angvel_base_rad_s", "rad/s", "base", low=tuple(-rate for rate in turn), high=turn, kind="velocity"
        ),
        Feature("gripper_target_m", (1,), "m", "none", ("gripper_target",), low=(0.0,), high=(GRIPPER_M,)),
    )


def _limits() -> CommandLimits:
    n = len(JOINTS)
    return CommandLimits(
        low=(*(low + MARGIN_RAD for low in POSITION_LOW_RAD), 0.0),
        high=(*(high - MARGIN_RAD for high in POSITION_HIGH_RAD), GRIPPER_M),
        max_rate=(*(SET_POINT_RAD_S,) * n, GRIPPER_M_S),
        max_lead=(*(SERVO_TIME_S * velocity for velocity in VELOCITY_RAD_S), None),
        lead_of=(*(("joint_pos_rad", joint) for joint in range(n)), None),
        observed_low={
            "joint_pos_rad": POSITION_LOW_RAD,
            "joint_vel_rad_s": tuple(-velocity for velocity in VELOCITY_RAD_S),
            "tcp_pos_base_m": (0.2, -0.6, -0.02),
        },
        observed_high={
            "joint_pos_rad": POSITION_HIGH_RAD,
            "joint_vel_rad_s": VELOCITY_RAD_S,
            "tcp_pos_base_m": (0.85, 0.6, 0.9),
        },
    )


def _interface(limits: CommandLimits) -> dict[str, Any]:
    lead = [0.9 * value for value in limits.max_lead if value is not None]
    return {
        "kind": "tool_space",
        "chain": chain_from_mjcf(MJCF_PATH, BASE_BODY, TOOL_SITE).to_mapping(),
        "joints": "joint_pos_rad",
        "gripper": "gripper_width_m",
        "tool_pos": "tcp_pos_base_m",
        "tool_quat": "tcp_quat_base_wxyz",
        "target_pos": "tool_pos_base_m",
        "target_angvel": "tool_angvel_base_rad_s",
        "target_gripper": "gripper_target_m",
        "servo_time_s": SERVO_TIME_S,
        "posture_rad": list(HOME_RAD),
        "low": list(limits.low),
        "high": list(limits.high),
        "max_step_rad": lead,
        "tool_down_wxyz": [0.0, 1.0, 0.0, 0.0],
    }


@cache
def make() -> Robot:
    """Make the arm: card, MJCF, servo and proprioception."""
    limits = _limits()
    card = RobotCard(NAME, COMMAND_HZ, commands(), limits, _interface(limits))
    return Robot(card, MJCF_PATH, JointServo(), observations())


def gripper_width(fingers_m: Array) -> Array:
    """Width between the finger tips (N, 1) from both fingers' positions (N, 2)."""
    return np.asarray(np.sum(fingers_m, axis=1, keepdims=True))
