"""What an arm's file says: a small YAML beside any model, read strictly; docs/own_robot.md explains every key."""

import math
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_origin

import yaml

from ashore.datasets.errors import UnreadableFile, closest, quoted
from ashore.datasets.plain_yaml import parse_yaml, settings_text
from ashore.sim.errors import InvalidRobotFile


@dataclass(frozen=True)
class Box:
    """A box in the base's frame, m."""

    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True)
class Offset:
    """A frame in another one."""

    pos_m: tuple[float, ...] = (0.0, 0.0, 0.0)
    quat_wxyz: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class GripperSpec:
    """A parallel gripper: its width is the sum of its fingers' positions."""

    fingers: tuple[str, ...]
    """Its slide joints, in the model."""
    pads: tuple[str, ...]
    """What touches the things that are held: geoms, or bodies (links) for all of theirs that collide."""
    width_m: float
    """Width when open."""
    actuator: str | None = None
    """Position servo, on a joint or tendon, whose control is the width in m; where the model has none, one is made."""
    force_n: float = 40.0
    """Strength of a servo that is made."""


@dataclass(frozen=True)
class ArmSpec:
    """What an arm's file says."""

    name: str
    model: str
    """MJCF or URDF, relative to the file."""
    base: str
    """Body in whose frame poses are told."""
    tool: str
    """Site or body (link) between the finger tips: z out of the hand, the fingers close along y."""
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
    acceleration_rad_s2: tuple[float, ...] | None = None
    """Largest accelerations of the joints' set-points (J,), the maker's; without limit where not given."""
    jerk_rad_s3: tuple[float, ...] | None = None
    """Largest jerks of the joints' set-points (J,), the maker's; without limit where not given."""
    link_radius_m: tuple[float, ...] | None = None
    """Radii of capsules around the links (J,), each from its joint to the next, the last to the tool: what the guard
    keeps apart from one another and from keep_out_m; not looked at where not given."""
    keep_out_m: tuple[Box, ...] | None = None
    """Boxes that the links must not enter."""
    tool_turn_rad_s: float = 2.5
    """Largest turn of the tool that a policy may ask for, about each axis."""
    tool_offset: Offset | None = None
    """Where the tool's frame lies in that site or body, if elsewhere."""
    torque_n_m: tuple[float, ...] | None = None
    """Largest torques (J,) of servos that are made; otherwise the model's (a URDF's effort)."""
    servo_kp_n_m_rad: tuple[float, ...] | None = None
    """Stiffness (J,) of servos that are made; otherwise it follows from the inertia at home and servo_time_s."""
    gravity_compensation: bool = False
    """Whether the arm's own controller carries its weight, where the model does not say so itself (gravcomp)."""


def read_arm_spec(path: Path) -> ArmSpec:
    """Read an arm's file; whether it fits its model is not looked at.

    Raises:
        UnreadableFile: it cannot be read, or is no YAML.
        InvalidRobotFile: lists every key that is unknown, missing or of another type.
    """
    expected = "an arm's file: a YAML mapping of names to values"
    try:
        raw = parse_yaml(settings_text(path))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
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
    if NoneType in get_args(kind):
        kind = next(each for each in get_args(kind) if each is not NoneType)
    if is_dataclass(kind):
        return _parsed(kind, value, f"{where}.", faults)  # type: ignore[arg-type]
    several = get_origin(kind) is tuple
    item = get_args(kind)[0] if several else kind
    if several and is_dataclass(item) and isinstance(value, list):
        parts = [_parsed(item, each, f"{where}[{i}].", faults) for i, each in enumerate(value)]  # type: ignore[arg-type]
        return None if None in parts else tuple(parts)
    items = value if several and isinstance(value, list) else [value]
    if several != isinstance(value, list) or not all(_is(item, each) for each in items):
        numbers = "finite numbers" if several else "a finite number"
        wanted = {str: "text", bool: "true or false", float: numbers}.get(item, "mappings")
        faults.append(f"{where}: expected {'a list of ' if several else ''}{wanted}, given {value!r}")
        return None
    return tuple(item(each) for each in items) if several else item(value)


def _is(kind: type, value: Any) -> bool:
    if kind is not float:
        return isinstance(value, kind)
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
