"""The standard ROS messages as named fields of plain numbers; the one place where wxyz meets xyzw.

A field reads and writes part of a message. Joint fields hold one value a joint name and are matched by name, never
by index; the others have a fixed width. Message classes are loaded when first asked for.
"""

import importlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ashore.real.errors import InvalidMessage, MissingRos

Read = Callable[[Any, Sequence[str]], list[float]]
Write = Callable[[Any, Sequence[float], Sequence[str]], None]
NORM_TOLERANCE = 0.02
"""How far a quaternion's norm may lie from 1 before its message is refused."""


@dataclass(frozen=True)
class Field:
    """A part of a message: how to read and write it as numbers."""

    width: int | None
    """Numbers in the field; None where it holds one a name."""
    read: Read
    write: Write


def message_class(type_name: str) -> Any:
    """Load a message class such as sensor_msgs/JointState.

    Raises:
        MissingRos: its package is not installed.
    """
    package, name = type_name.split("/")
    try:
        return getattr(importlib.import_module(f"{package}.msg"), name)
    except ImportError as error:
        raise MissingRos(package, str(error)) from error


def _vector(path: str) -> Field:
    """Make a field of x, y, z at this path of attributes."""

    def read(message: Any, names: Sequence[str]) -> list[float]:
        part = _at(message, path)
        return [part.x, part.y, part.z]

    def write(message: Any, values: Sequence[float], names: Sequence[str]) -> None:
        part = _at(message, path)
        part.x, part.y, part.z = values

    return Field(3, read, write)


def _scalar(path: str) -> Field:
    """Make a field of one number at this path of attributes."""
    parent, _, leaf = path.rpartition(".")

    def read(message: Any, names: Sequence[str]) -> list[float]:
        return [getattr(_at(message, parent), leaf)]

    def write(message: Any, values: Sequence[float], names: Sequence[str]) -> None:
        setattr(_at(message, parent), leaf, values[0])

    return Field(1, read, write)


def _quaternion(path: str) -> Field:
    """Make a field of a quaternion, wxyz on our side and xyzw in the message."""

    def read(message: Any, names: Sequence[str]) -> list[float]:
        return _read_wxyz(_at(message, path))

    def write(message: Any, values: Sequence[float], names: Sequence[str]) -> None:
        part = _at(message, path)
        part.w, part.x, part.y, part.z = values

    return Field(4, read, write)


def _joints(names_at: str, values_at: str) -> Field:
    """Make a field of joint values that go with the message's own list of names."""

    def read(message: Any, names: Sequence[str]) -> list[float]:
        given, values = list(_at(message, names_at)), _at(message, values_at)
        if len(given) != len(values):
            problem = f"{len(values)} numbers in {values_at!r} for {len(given)} names"
            raise InvalidMessage("a topic of joints", problem, "one number a name")
        if len(set(given)) != len(given):
            raise InvalidMessage("a topic of joints", f"a joint is named twice in {given}", "each name once")
        found = dict(zip(given, values, strict=True))
        missing = [name for name in names if name not in found]
        if missing:
            raise InvalidMessage("a topic of joints", f"joints {missing} are missing", f"at least {list(names)}")
        return [found[name] for name in names]

    def write(message: Any, values: Sequence[float], names: Sequence[str]) -> None:
        listed = list(_at(message, names_at))
        listed += [name for name in names if name not in listed]
        found = dict(zip(listed, _at(message, values_at), strict=False))
        found.update(zip(names, values, strict=True))
        _set(message, names_at, listed)
        _set(message, values_at, [float(found.get(name, math.nan)) for name in listed])

    return Field(None, read, write)


def _array() -> Field:
    """Make the field of a bare array, whose order is that of the mapping's names because the message has none."""

    def read(message: Any, names: Sequence[str]) -> list[float]:
        if len(message.data) != len(names):
            raise InvalidMessage("a topic of numbers", f"{len(message.data)} numbers", f"{len(names)}: {list(names)}")
        return list(message.data)

    def write(message: Any, values: Sequence[float], names: Sequence[str]) -> None:
        message.data = [float(value) for value in values]

    return Field(None, read, write)


def _turned(path: str) -> Field:
    """Make a field of an Odometry's twist, kept in the child frame by the message and in the parent's on our side."""
    vector = _vector(path)

    def read(message: Any, names: Sequence[str]) -> list[float]:
        return _rotate(_read_wxyz(message.pose.pose.orientation), vector.read(message, names))

    def write(message: Any, values: Sequence[float], names: Sequence[str]) -> None:
        w, x, y, z = _read_wxyz(message.pose.pose.orientation)
        vector.write(message, _rotate([w, -x, -y, -z], values), names)

    return Field(3, read, write)


POSE = {"position": _vector("pose.position"), "orientation": _quaternion("pose.orientation")}


def _twist(path: str) -> dict[str, Field]:
    """Make the fields of a twist at this path of attributes: both vectors, and each axis by itself."""
    parts = ("linear", "angular")
    axes = {f"{part}.{axis}": _scalar(f"{path}{part}.{axis}") for part in parts for axis in "xyz"}
    return {part: _vector(f"{path}{part}") for part in parts} | axes


MESSAGES: Mapping[str, Mapping[str, Field]] = {
    "sensor_msgs/JointState": {part: _joints("name", part) for part in ("position", "velocity", "effort")},
    "geometry_msgs/PoseStamped": POSE,
    "geometry_msgs/PointStamped": {"point": _vector("point")},
    "geometry_msgs/TwistStamped": _twist("twist."),
    "geometry_msgs/Twist": _twist(""),
    # Written in this order: a twist can only be turned into the child frame once the orientation is there.
    "nav_msgs/Odometry": {
        "position": _vector("pose.pose.position"),
        "orientation": _quaternion("pose.pose.orientation"),
        "linear_child": _vector("twist.twist.linear"),
        "angular_child": _vector("twist.twist.angular"),
        "linear_parent": _turned("twist.twist.linear"),
        "angular_parent": _turned("twist.twist.angular"),
    },
    "trajectory_msgs/JointTrajectory": {
        "positions": _joints("joint_names", "points.0.positions"),
        "velocities": _joints("joint_names", "points.0.velocities"),
    },
    "std_msgs/Float64MultiArray": {"data": _array()},
}
"""What can be mapped: {message type: {field: how to read and write it}}."""
UNSTAMPED = ("geometry_msgs/Twist", "std_msgs/Float64MultiArray", "trajectory_msgs/JointTrajectory")
"""Types whose header is absent or must stay empty: a trajectory without a stamp starts on arrival."""


def new_message(type_name: str, reach_s: float) -> Any:
    """Make an empty message; a trajectory gets its one point, to be reached in reach_s."""
    message = message_class(type_name)()
    if type_name == "trajectory_msgs/JointTrajectory":
        point = message_class("trajectory_msgs/JointTrajectoryPoint")()
        point.time_from_start.sec = int(reach_s)
        point.time_from_start.nanosec = int(1e9 * (reach_s % 1.0))
        message.points = [point]
    return message


def _at(message: Any, path: str) -> Any:
    for name in path.split(".") if path else ():
        if name.isdigit():
            if len(message) <= int(name):
                raise InvalidMessage("a topic of trajectories", "it holds no point", "one point")
            message = message[int(name)]
        else:
            message = getattr(message, name)
    return message


def _set(message: Any, path: str, value: Any) -> None:
    parent, _, leaf = path.rpartition(".")
    setattr(_at(message, parent), leaf, value)


def _read_wxyz(part: Any) -> list[float]:
    values = [part.w, part.x, part.y, part.z]
    norm = math.sqrt(sum(value * value for value in values))
    if not abs(norm - 1.0) <= NORM_TOLERANCE:
        raise InvalidMessage("a topic of poses", f"its quaternion has norm {norm:.4g}", "norm 1")
    return values


def _rotate(quat_wxyz: Sequence[float], vector: Sequence[float]) -> list[float]:
    """Turn a vector by a quaternion: v + 2 w (u x v) + 2 u x (u x v)."""
    w, x, y, z = quat_wxyz
    a, b, c = vector
    tx, ty, tz = 2 * (y * c - z * b), 2 * (z * a - x * c), 2 * (x * b - y * a)
    return [a + w * tx + y * tz - z * ty, b + w * ty + z * tx - x * tz, c + w * tz + x * ty - y * tx]
