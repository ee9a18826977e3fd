"""Arms from one small file beside a model: which joints, which tool, which gripper, which limits; any arm will do.

The file is YAML (`sim/robots/panda/robot.yaml` is an example); joint ranges, servos and masses are the model's.
In a scene, and so in contracts and randomizations, every name of the model is told with the arm's before it: joint1 of
the panda is panda_joint1.
Frames: the base body stands at the world's origin; the tool's z axis points out of the hand, the fingers close along y.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, get_args, get_origin

import mujoco
import numpy as np
import yaml
from numpy.typing import NDArray

from ashore.datasets.contract import Feature
from ashore.datasets.errors import UnreadableFile, closest, quoted
from ashore.sim.engine import Engine
from ashore.sim.errors import InvalidRobotFile
from ashore.sim.kinematics import chain_from_model
from ashore.sim.robot import CommandLimits, Robot, RobotCard
from ashore.sim.scene import load_spec, stand_in

Array = NDArray[Any]
COMMAND_HZ = 50.0
MARGIN_RAD = 0.05
"""Joint targets stay this far inside the joint limits."""
SET_POINT_RAD_S = 12.0
"""A set-point is not a position: its step of s moves the joint at s / servo_time_s at first. So it may jump from one
end of its lead to the other in about two periods, while max_lead bounds the joint's speed to the maker's rows."""
GRIPPER_M_S = 10.0
"""The gripper's set-point may jump from open to closed in one period; its own speed is bounded in the gripper."""


@dataclass(frozen=True)
class Box:
    """A box in the base's frame, m."""

    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True)
class GripperSpec:
    """A parallel gripper: its width is the sum of its fingers' positions."""

    fingers: tuple[str, ...]
    """Its slide joints, in the model."""
    actuator: str
    """The position servo, on a joint or tendon, whose control is the width in m."""
    pads: tuple[str, ...]
    """The geoms that touch what is held."""
    width_m: float
    """Width when open."""


@dataclass(frozen=True)
class ArmSpec:
    """What an arm's file says; once it is loaded, with names as they are in a scene."""

    name: str
    model: str
    """MJCF or URDF, relative to the file."""
    base: str
    """Body in whose frame poses are told."""
    tool: str
    """Site between the finger tips."""
    joints: tuple[str, ...]
    """Hinges from base to tool (J)."""
    home_rad: tuple[float, ...]
    """Where episodes start (J,), the tool pointing down."""
    velocity_rad_s: tuple[float, ...]
    """Largest joint speeds (J,), the maker's."""
    servo_time_s: float
    """kv / kp of the joint servos: the time constant of their first-order lag."""
    gripper: GripperSpec
    workspace_m: Box
    """Where a policy may send the tool."""
    stop_outside_m: Box
    """A tool outside of it is a fault that ends in a stop."""
    tool_turn_rad_s: float = 2.5
    """Largest turn of the tool that a policy may ask for, about each axis."""


class JointServo:
    """The joint servos run in the actuators themselves: a command is their set-point."""

    period_s = 1.0 / COMMAND_HZ

    def control(self, command: Array, engine: Engine) -> Array:
        """Pass joint targets rad and gripper width m on (N, J + 1)."""
        return command


@dataclass(frozen=True)
class Arm(Robot):
    """An arm in simulation."""

    spec: ArmSpec
    reference: str
    """What names it after the @ of a task: a shipped name, or the path of its file."""

    def stand_in(self, surroundings: mujoco.MjSpec) -> mujoco.MjSpec:
        """Put the arm into a scene that is described without it, and return that."""
        return stand_in(surroundings, load_spec(self.mjcf_path), _prefix(self.spec))

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
        by_joint = {int(model.actuator_trnid[a, 0]): model.actuator(a).name for a in joint_servos(model)}
        return tuple(by_joint[int(model.joint(name).id)] for name in self.spec.joints)

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
    written = _read(path)
    model_path = path.parent / written.model
    faults = list(_faults(written, load_spec(model_path).compile()))
    if faults:
        raise InvalidRobotFile(path, faults)
    spec = _in_scene(written)
    model = stand_in(mujoco.MjSpec(), load_spec(model_path), _prefix(spec)).compile()
    limits = _limits(spec, model)
    card = RobotCard(spec.name, COMMAND_HZ, _commands(spec, model), limits, _interface(spec, model, limits))
    return Arm(card, model_path, JointServo(), _observations(spec, model), spec, reference or str(path))


def vector(name: str, unit: str, axes: str = "xyz", frame: str = "base", **rest: Any) -> Feature:
    """Make a vector feature with its components named by axes."""
    return Feature(name, (len(axes),), unit, frame, tuple(f"{name}.{axis}" for axis in axes), **rest)


def joint_servos(model: mujoco.MjModel) -> list[int]:
    """The actuators that are position servos of a single joint."""
    on_joint, affine = int(mujoco.mjtTrn.mjTRN_JOINT), int(mujoco.mjtBias.mjBIAS_AFFINE)
    return [
        a
        for a in range(model.nu)
        if int(model.actuator_trntype[a]) == on_joint and int(model.actuator_biastype[a]) == affine
    ]


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
        actuator=prefix + gripper.actuator,
        pads=several(gripper.pads),
    )
    return replace(spec, base=prefix + spec.base, tool=prefix + spec.tool, joints=several(spec.joints), gripper=placed)


def _read(path: Path) -> ArmSpec:
    expected = "an arm's file: a YAML mapping of names to values"
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValueError) as error:
        raise UnreadableFile(path, expected, str(error), "Correct the path, or the YAML there.") from error
    faults: list[str] = []
    spec: ArmSpec | None = _parsed(ArmSpec, raw, "", faults)
    if spec is None or faults:
        raise InvalidRobotFile(path, faults)
    return spec


def _parsed(kind: type[Any], raw: Any, where: str, faults: list[str]) -> Any:
    """Make one of the file's dataclasses from its mapping, noting every fault; None where there are some."""
    if not isinstance(raw, Mapping):
        faults.append(f"{where.rstrip('.') or 'the file'}: expected a mapping of names to values, given {raw!r}")
        return None
    before, known = len(faults), {item.name: item for item in fields(kind)}
    unknown = [str(key) for key in raw if key not in known]
    faults += [f"{where}{key}: no such key; valid: {quoted(known)}.{closest(key, list(known))}" for key in unknown]
    faults += [f"{where}{name}: missing" for name, item in known.items() if name not in raw and item.default is MISSING]
    values = {name: _value(known[name].type, raw[name], where + name, faults) for name in known if name in raw}
    return None if len(faults) > before else kind(**values)


def _value(kind: Any, value: Any, where: str, faults: list[str]) -> Any:
    if is_dataclass(kind):
        return _parsed(kind, value, f"{where}.", faults)  # type: ignore[arg-type]
    several = get_origin(kind) is tuple
    item = get_args(kind)[0] if several else kind
    items = value if several and isinstance(value, list) else [value]
    if several != isinstance(value, list) or not all(_is(item, each) for each in items):
        wanted = {str: "text", float: "finite numbers" if several else "a finite number"}[item]
        faults.append(f"{where}: expected {'a list of ' if several else ''}{wanted}, given {value!r}")
        return None
    return tuple(item(each) for each in items) if several else item(value)


def _is(kind: type, value: Any) -> bool:
    if kind is str:
        return isinstance(value, str)
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _faults(spec: ArmSpec, model: mujoco.MjModel) -> Iterator[str]:
    """Yield what of the file does not fit the model, or itself."""
    named = (
        ("base", [spec.base], [model.body(i).name for i in range(model.nbody)]),
        ("tool", [spec.tool], [model.site(i).name for i in range(model.nsite)]),
        ("joints", spec.joints, [model.joint(i).name for i in range(model.njnt)]),
        ("gripper.fingers", spec.gripper.fingers, [model.joint(i).name for i in range(model.njnt)]),
        ("gripper.actuator", [spec.gripper.actuator], [model.actuator(i).name for i in range(model.nu)]),
        ("gripper.pads", spec.gripper.pads, [model.geom(i).name for i in range(model.ngeom)]),
    )
    missing = [(key, name, known) for key, names, known in named for name in names if name not in known]
    for key, name, known in missing:
        yield f"{key}: the model has no {name!r}; valid: {quoted(n for n in known if n)}.{closest(name, known)}"
    n = len(spec.joints)
    for key in ("home_rad", "velocity_rad_s"):
        if len(getattr(spec, key)) != n:
            yield f"{key}: {len(getattr(spec, key))} numbers for {n} joints"
    for key in ("workspace_m", "stop_outside_m"):
        box = getattr(spec, key)
        if not (len(box.low) == len(box.high) == 3 and np.all(np.array(box.low) < np.array(box.high))):
            yield f"{key}: expected three numbers each, low below high"
    if not missing:
        yield from _joint_faults(spec, model)


def _joint_faults(spec: ArmSpec, model: mujoco.MjModel) -> Iterator[str]:
    driven = {int(model.actuator_trnid[a, 0]) for a in joint_servos(model)}
    for name, home in zip(spec.joints, spec.home_rad, strict=False):
        joint = model.joint(name)
        low, high = joint.range
        if int(joint.type[0]) != int(mujoco.mjtJoint.mjJNT_HINGE):
            yield f"joints: {name!r} is no hinge"
        elif not model.jnt_limited[joint.id]:
            yield f"joints: {name!r} has no limits; give it a range in the model (limits are what the guard keeps)"
        elif not low + MARGIN_RAD <= home <= high - MARGIN_RAD:
            yield f"home_rad: {name!r} at {home:g} is not {MARGIN_RAD:g} inside its range of {low:g} to {high:g}"
        if joint.id not in driven:
            yield f"joints: {name!r} has no position servo; add <position joint=...> to the model's actuators"


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
    return CommandLimits(
        low=(*(value + MARGIN_RAD for value in low), 0.0),
        high=(*(value - MARGIN_RAD for value in high), spec.gripper.width_m),
        max_rate=(*(SET_POINT_RAD_S,) * n, GRIPPER_M_S),
        max_lead=(*(spec.servo_time_s * value for value in speed), None),
        lead_of=(*(("joint_pos_rad", joint) for joint in range(n)), None),
        observed_low={
            "joint_pos_rad": low,
            "joint_vel_rad_s": tuple(-value for value in speed),
            "tcp_pos_base_m": spec.stop_outside_m.low,
        },
        observed_high={"joint_pos_rad": high, "joint_vel_rad_s": speed, "tcp_pos_base_m": spec.stop_outside_m.high},
    )


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
