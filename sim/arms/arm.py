"""Arms from one small file beside a model: which joints, which tool, which gripper, which limits; any arm will do.

The file is YAML (`sim/robots/panda/robot.yaml` is an example, `spec.py` has every key); joint ranges and masses are the
model's, and so are servos where it has them. In a scene, and so in contracts and randomizations, every name of
the model is told with the arm's before it: joint1 of the panda is panda_joint1.
Frames: the base body stands at the world's origin; the tool's z axis points out of the hand, the fingers close along y.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from ashore.datasets.contract import Feature
from ashore.sim.arms.model import MARGIN_RAD, complete, fitting_faults, joint_servos, servo_torques
from ashore.sim.arms.spec import ArmSpec, read_arm_spec
from ashore.sim.engine import Engine
from ashore.sim.errors import InvalidRobotFile
from ashore.sim.kinematics import chain_from_model
from ashore.sim.robot import CommandLimits, Robot, RobotCard
from ashore.sim.scene import compiled, load_spec, stand_in

Array = NDArray[Any]
COMMAND_HZ = 50.0
GRIPPER_M_S = 10.0
"""The gripper's set-point may jump from open to closed in one period; its own speed is bounded in the gripper."""


class JointServo:
    """The joint servos run in the actuators themselves: a command is their set-point."""

    period_s = 1.0 / COMMAND_HZ

    def __init__(self, actuators: Sequence[int], n_actuators: int) -> None:
        """Take the numbers of the joints' actuators, then of the gripper's (J + 1), and how many there are in all."""
        self._actuators, self._n_actuators = np.array(actuators), n_actuators

    def control(self, command: Array, engine: Engine) -> Array:
        """Pass joint targets rad and gripper width m (N, J + 1) on to their actuators (N, Nu)."""
        controls = np.zeros((len(command), self._n_actuators))
        controls[:, self._actuators] = command
        return controls


@dataclass(frozen=True)
class Arm(Robot):
    """An arm in simulation."""

    spec: ArmSpec
    """Its file, with names as they are in a scene."""
    written: ArmSpec
    """Its file, with the names of its own model."""
    reference: str
    """What names it after the @ of a task: a shipped name, or the path of its file."""

    def stand_in(self, surroundings: mujoco.MjSpec) -> mujoco.MjSpec:
        """Put the arm into a scene that is described without it, and return that."""
        model = load_spec(self.mjcf_path)
        complete(self.written, model)
        return stand_in(surroundings, model, _prefix(self.spec))

    def alone(self) -> mujoco.MjModel:
        """The arm in an empty world."""
        return self.stand_in(mujoco.MjSpec()).compile()

    def actions(self) -> tuple[Feature, ...]:
        """What a policy tells an arm through the tool_space interface."""
        spec, turn = self.spec, (self.spec.tool_turn_rad_s,) * 3
        reach, open_m = spec.workspace_m, spec.gripper.width_m
        return (
            vector("tool_pos_base_m", "m", low=reach.low, high=reach.high, relative_to="tcp_pos_base_m"),
            vector("tool_angvel_base_rad_s", "rad/s", low=tuple(-t for t in turn), high=turn, kind="velocity"),
            Feature("gripper_target_m", (1,), "m", "none", ("gripper_target",), low=(0.0,), high=(open_m,)),
        )

    @cached_property
    def servos(self) -> tuple[str, ...]:
        """The actuators of the joints, in their order (J)."""
        model = self.alone()
        return tuple(model.actuator(number).name for number in _actuators(self.spec, model)[:-1])

    def place(self, engine: Engine, ids: Array, joint_pos_rad: Array, width_m: Array) -> None:
        """Set joints (K, J) and the gripper's width (K, 1) of the simulations ids (K,), at rest."""
        fingers = self.spec.gripper.fingers
        engine.place_joints(ids, self.spec.joints, joint_pos_rad)
        engine.place_joints(ids, fingers, np.repeat(width_m / len(fingers), len(fingers), axis=1))

    def measure(self, engine: Engine) -> dict[str, Array]:
        """The truth of the arm's own sensors: joint_pos_rad and joint_vel_rad_s (N, J), gripper_width_m (N, 1)."""
        width = np.sum(engine.joint_pos(self.spec.gripper.fingers), axis=1, keepdims=True)
        joints = self.spec.joints
        return {
            "joint_pos_rad": engine.joint_pos(joints),
            "joint_vel_rad_s": engine.joint_vel(joints),
            "gripper_width_m": width,
        }


def load_arm(path: Path, reference: str = "") -> Arm:
    """Read an arm's file and its model.

    Raises:
        UnreadableFile: the file or the model cannot be read.
        InvalidRobotFile: lists every key, name and limit that does not fit.
    """
    written = read_arm_spec(path)
    model_path = path.parent / written.model
    robot = load_spec(model_path)
    faults = list(fitting_faults(written, compiled(robot, model_path)))
    if faults:
        raise InvalidRobotFile(path, faults)
    spec = _in_scene(complete(written, robot))
    model = compiled(stand_in(mujoco.MjSpec(), robot, _prefix(spec)), model_path)
    limits = _limits(spec, model)
    card = RobotCard(
        spec.name, COMMAND_HZ, _commands(spec, model), limits, _interface(spec, model, limits), _space(spec)
    )
    drive = JointServo(_actuators(spec, model), int(model.nu))
    return Arm(card, model_path, drive, _observations(spec, model), spec, written, reference or str(path))


def vector(name: str, unit: str, axes: str = "xyz", frame: str = "base", **rest: Any) -> Feature:
    """Make a vector feature with its components named by axes."""
    return Feature(name, (len(axes),), unit, frame, tuple(f"{name}.{axis}" for axis in axes), **rest)


def _actuators(spec: ArmSpec, model: mujoco.MjModel) -> list[int]:
    """Numbers of the actuators of the joints, then of the gripper's (J + 1)."""
    servos = joint_servos(model)
    joints = [servos[int(model.joint(name).id)] for name in spec.joints]
    return [*joints, int(model.actuator(spec.gripper.actuator).id)]


def _prefix(spec: ArmSpec) -> str:
    return f"{spec.name}_"


def _in_scene(spec: ArmSpec) -> ArmSpec:
    """The file's names as they are in a scene."""
    prefix, gripper = _prefix(spec), spec.gripper

    def several(names: Sequence[str]) -> tuple[str, ...]:
        return tuple(prefix + name for name in names)

    placed = replace(
        gripper,
        fingers=several(gripper.fingers),
        actuator=f"{prefix}{gripper.actuator}",
        pads=several(gripper.pads),
    )
    return replace(spec, base=prefix + spec.base, tool=prefix + spec.tool, joints=several(spec.joints), gripper=placed)


def _ranges(spec: ArmSpec, model: mujoco.MjModel) -> tuple[tuple[float, ...], tuple[float, ...]]:
    rows = [model.joint(name).range.tolist() for name in spec.joints]
    return tuple(row[0] for row in rows), tuple(row[1] for row in rows)


def _commands(spec: ArmSpec, model: mujoco.MjModel) -> tuple[Feature, ...]:
    low, high = _ranges(spec, model)
    return (
        Feature("joint_target_rad", (len(spec.joints),), "rad", "joint", spec.joints, low=low, high=high),
        Feature("gripper_command_m", (1,), "m", "none", ("gripper_width",), low=(0.0,), high=(spec.gripper.width_m,)),
    )


def _observations(spec: ArmSpec, model: mujoco.MjModel) -> tuple[Feature, ...]:
    """What an arm measures of itself, derived features last."""
    low, high = _ranges(spec, model)
    return (
        Feature("joint_pos_rad", (len(spec.joints),), "rad", "joint", spec.joints, low=low, high=high),
        Feature("joint_vel_rad_s", (len(spec.joints),), "rad/s", "joint", spec.joints),
        Feature("gripper_width_m", (1,), "m", "none", ("gripper_width",)),
        vector("tcp_pos_base_m", "m"),
        vector("tcp_quat_base_wxyz", "1", "wxyz"),
    )


def _limits(spec: ArmSpec, model: mujoco.MjModel) -> CommandLimits:
    n, (low, high), speed = len(spec.joints), _ranges(spec, model), spec.velocity_rad_s
    torques = _torques(spec, model)
    return CommandLimits(
        low=(*(value + MARGIN_RAD for value in low), 0.0),
        high=(*(value - MARGIN_RAD for value in high), spec.gripper.width_m),
        max_rate=(*speed, GRIPPER_M_S),
        max_lead=(*(spec.servo_time_s * value for value in speed), None),
        lead_of=(*(("joint_pos_rad", joint) for joint in range(n)), None),
        observed_low={
            "joint_pos_rad": low,
            "joint_vel_rad_s": tuple(-value for value in speed),
            "tcp_pos_base_m": spec.stop_outside_m.low,
        },
        observed_high={"joint_pos_rad": high, "joint_vel_rad_s": speed, "tcp_pos_base_m": spec.stop_outside_m.high},
        max_acceleration=() if spec.acceleration_rad_s2 is None else (*spec.acceleration_rad_s2, None),
        max_jerk=() if spec.jerk_rad_s3 is None else (*spec.jerk_rad_s3, None),
        measured_high={} if torques is None else {"joint_torque_n_m": torques},
    )


def _torques(spec: ArmSpec, model: mujoco.MjModel) -> tuple[float, ...] | None:
    """Give the largest torque of each joint; None where the model does not know them all."""
    joints = [int(model.joint(name).id) for name in spec.joints]
    found = servo_torques(model, joints, _actuators(spec, model)[:-1])
    return tuple(found.tolist()) if np.all(np.isfinite(found)) else None


def _space(spec: ArmSpec) -> dict[str, Any]:
    if spec.link_radius_m is None:
        return {}
    boxes = [{"low": list(box.low), "high": list(box.high)} for box in spec.keep_out_m or ()]
    return {"link_radius_m": list(spec.link_radius_m), "keep_out_m": boxes}


def _interface(spec: ArmSpec, model: mujoco.MjModel, limits: CommandLimits) -> dict[str, Any]:
    lead = [0.9 * value for value in limits.max_lead if value is not None]
    return {
        "kind": "tool_space",
        "chain": chain_from_model(model, spec.base, spec.tool).to_mapping(),
        "joints": "joint_pos_rad",
        "gripper": "gripper_width_m",
        "tool_pos": "tcp_pos_base_m",
        "tool_quat": "tcp_quat_base_wxyz",
        "target_pos": "tool_pos_base_m",
        "target_angvel": "tool_angvel_base_rad_s",
        "target_gripper": "gripper_target_m",
        "servo_time_s": spec.servo_time_s,
        "posture_rad": list(spec.home_rad),
        "low": list(limits.low),
        "high": list(limits.high),
        "max_step_rad": lead,
        "tool_down_wxyz": [0.0, 1.0, 0.0, 0.0],
    }
