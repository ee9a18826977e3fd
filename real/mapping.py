"""Which topic carries which feature of a contract: the one file a new robot needs, read from real/robots/*.yaml."""

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeGuard

import numpy as np
import yaml
from numpy.typing import NDArray

from ashore.datasets.contract import Contract, Difference, Feature
from ashore.datasets.errors import ContractMismatch, UnknownName, UnreadableFile, closest, quoted
from ashore.datasets.plain_yaml import parse_yaml, settings_text
from ashore.real.errors import InvalidMapping, InvalidMessage, RobotMismatch
from ashore.real.messages import MESSAGES, UNSTAMPED, Field, new_message
from ashore.sim.robot import RobotCard

Array = NDArray[Any]
SCALES = (1e-6, 1e6)
"""What the guard let pass is divided by the scale: a tiny one would make anything of it."""
ROBOTS_DIR = Path(__file__).resolve().parent / "robots"
CHANNEL_KEYS = ("type", "frame_id", "rate_hz", "reach_s", "features")
BINDING_KEYS = ("field", "names", "scale")
KEYS = ("robot", "observations", "commands")
SUFFIXES = (".yaml", ".yml")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
TOPIC = re.compile(r"/?[A-Za-z_][A-Za-z0-9_]*(/[A-Za-z_][A-Za-z0-9_]*)*")
"""What ROS 2 takes as a topic's name; `~` and substitutions depend on the node and are left out."""


@dataclass(frozen=True)
class Binding:
    """One feature's place in a message."""

    feature: str
    field: str
    names: tuple[str, ...] = ()
    """Joint names in the order of the feature's elements, where the field holds one value a joint."""
    scale: float = 1.0
    """The feature's value for a message's 1: a unit's conversion, or 2 where one finger tells the gripper's width."""

    def width(self, field: Field) -> int:
        """Elements that this binding reads or writes."""
        return len(self.names) if field.width is None else field.width


@dataclass(frozen=True)
class Channel:
    """A topic with its message type and the features in it."""

    topic: str
    type: str
    bindings: tuple[Binding, ...]
    frame_id: str = ""
    """The frame that its header must name; empty where any will do."""
    rate_hz: float | None = None
    """How often it is sent, by the twin too; None for every command period."""
    reach_s: float = 0.0
    """Time a trajectory gives the robot to reach its one point."""

    @property
    def fields(self) -> Mapping[str, Field]:
        """The message type's fields."""
        return MESSAGES[self.type]

    def read(self, message: Any) -> dict[str, Array]:
        """Take the features out of a message: {feature: (width,)} float64, quaternions wxyz.

        Raises:
            InvalidMessage: another frame, missing joints, no unit quaternion.
        """
        if self.frame_id and message.header.frame_id != self.frame_id:
            problem = f"its frame is {message.header.frame_id!r}"
            raise InvalidMessage(repr(self.topic), problem, f"frame {self.frame_id!r}")
        return {
            binding.feature: binding.scale * np.asarray(self.fields[binding.field].read(message, binding.names))
            for binding in self.bindings
        }

    def write(self, values: Mapping[str, Array], stamp: Any = None) -> Any:
        """Make the message that holds these features: {feature: (width,)}; stamp is a builtin_interfaces/Time."""
        message = new_message(self.type, self.reach_s)
        order = list(self.fields)
        for binding in sorted(self.bindings, key=lambda each: order.index(each.field)):
            numbers = (np.asarray(values[binding.feature], dtype=np.float64).ravel() / binding.scale).tolist()
            self.fields[binding.field].write(message, numbers, binding.names)
        if self.type not in UNSTAMPED:
            message.header.frame_id = self.frame_id
            if stamp is not None:
                message.header.stamp = stamp
        return message


@dataclass(frozen=True)
class RobotMapping:
    """A robot's topics: what it observes and what commands it takes."""

    robot: str
    """Name on the robot's card."""
    observations: tuple[Channel, ...]
    commands: tuple[Channel, ...]

    @classmethod
    def named(cls, name_or_path: str) -> Self:
        """Load the shipped mapping of this name, or any other by its path, which ends in .yaml.

        Raises:
            UnknownName: neither a shipped name nor a .yaml file; lists the names that exist.
            UnreadableFile, InvalidMapping: see load.
        """
        if is_mapping_path(name_or_path):
            return cls.load(Path(name_or_path))
        choices = mapping_names()
        if name_or_path not in choices:
            raise UnknownName("robot mapping (or a path that ends in .yaml)", name_or_path, choices)
        return cls.load(ROBOTS_DIR / f"{name_or_path}.yaml")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a mapping file.

        Raises:
            UnreadableFile: it is missing or no YAML.
            InvalidMapping: unknown keys, types or fields; lists every fault.
        """
        try:
            raw = parse_yaml(settings_text(path))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise UnreadableFile(
                path, "a robot's mapping in YAML", str(error), "See real/robots/ for examples."
            ) from error
        faults = _faults(raw)
        if faults:
            raise InvalidMapping(path, faults)
        return cls(raw["robot"], *(tuple(_channel(*item) for item in raw[side].items()) for side in KEYS[1:]))

    def check(self, contract: Contract, card: RobotCard, derived: Sequence[str]) -> None:
        """Check that every observation that is measured and every command has its place, in the right width.

        Raises:
            RobotMismatch: bundle and mapping are of different robots.
            ContractMismatch: lists every feature without a place, and every place of another width.
        """
        if self.robot != card.name:
            raise RobotMismatch(card.name, self.robot)
        found = self.gaps(contract, card, derived)
        if found:
            raise ContractMismatch("the bundle", f"the mapping of robot {self.robot!r}", found)

    def gaps(self, contract: Contract, card: RobotCard, derived: Sequence[str]) -> list[Difference]:
        """List every measured observation and every command that has no place here, or one of another width."""
        measured = [feature for feature in contract.observations if feature.name not in derived]
        return _gaps("observations", measured, self.observations) + _gaps("commands", card.commands, self.commands)

    def require(self, measured: Sequence[Feature]) -> None:
        """Check that these observations have their places, in the right width.

        Raises:
            ContractMismatch: lists those that have not.
        """
        found = _gaps("observations", measured, self.observations)
        if found:
            raise ContractMismatch("the robot's card", f"the mapping of robot {self.robot!r}", found)

    def observing(self, features: Sequence[str]) -> tuple[Channel, ...]:
        """The observation channels that carry any of these features."""
        wanted = set(features)
        return tuple(c for c in self.observations if wanted & {binding.feature for binding in c.bindings})


def mapping_names() -> list[str]:
    """List the mappings that ship."""
    return sorted(path.stem for path in ROBOTS_DIR.glob("*.yaml"))


def is_mapping_path(name_or_path: str) -> bool:
    """Tell whether this is the path of a mapping rather than the name of one that ships."""
    return name_or_path.endswith(SUFFIXES)


def _gaps(side: str, features: Sequence[Feature], channels: Sequence[Channel]) -> list[Difference]:
    widths = {b.feature: b.width(c.fields[b.field]) for c in channels for b in c.bindings}
    found = []
    for feature in features:
        width = widths.get(feature.name)
        if width is None:
            found.append(Difference(f"{side}.{feature.name}", "present", "no topic", "add it to the mapping"))
        elif width != feature.size:
            advice = "name one joint an element" if width else "set `names` in the mapping"
            found.append(Difference(f"{side}.{feature.name}", f"{feature.size} elements", f"{width}", advice))
    return found


def _channel(topic: str, raw: Mapping[str, Any]) -> Channel:
    bindings = tuple(
        Binding(feature, item["field"], tuple(item.get("names", ())), float(item.get("scale", 1.0)))
        for feature, item in raw["features"].items()
    )
    rest = {key: raw[key] for key in ("frame_id", "rate_hz", "reach_s") if key in raw}
    return Channel(topic, raw["type"], bindings, **rest)


def _faults(raw: Any) -> list[str]:
    if not isinstance(raw, dict):
        return [f"holds {type(raw).__name__}; expected the keys {quoted(KEYS)}"]
    found = _key_faults("mapping", raw, KEYS, KEYS)
    robot = raw.get("robot")
    if "robot" in raw and not (isinstance(robot, str) and NAME.fullmatch(robot)):
        found.append(f"robot: {robot!r}; expected a name of letters, digits and _")
    for side in KEYS[1:]:
        channels = raw.get(side)
        if not isinstance(channels, dict) or not channels:
            found.append(f"{side}: expected topics with their types and features")
            continue
        named: list[str] = []
        for topic, channel in channels.items():
            found += _channel_faults(f"{side}.{topic}", channel)
            if not (isinstance(topic, str) and TOPIC.fullmatch(topic)):
                found.append(f"{side}.{topic}: no topic's name; expected one such as arm/joint_states")
            features = channel.get("features") if isinstance(channel, dict) else None
            if isinstance(features, dict):
                named += [str(name) for name in features]
                found += _overlaps(f"{side}.{topic}", features) if side == "commands" else []
        found += [
            f"{side}: feature {name!r} is on two topics" for name in sorted({n for n in named if named.count(n) > 1})
        ]
    return found


def _channel_faults(where: str, raw: Any) -> list[str]:
    if not isinstance(raw, dict):
        return [f"{where}: expected the keys {quoted(CHANNEL_KEYS)}"]
    found = _key_faults(where, raw, CHANNEL_KEYS, ("type", "features"))
    kind = str(raw.get("type"))
    if kind not in MESSAGES:
        return [*found, f"{where}.type: {kind!r}; valid: {quoted(MESSAGES)}.{closest(kind, MESSAGES)}"]
    found += _setting_faults(where, kind, raw)
    features = raw.get("features")
    if not isinstance(features, dict) or not features:
        return [*found, f"{where}.features: expected at least one feature"]
    for feature, item in features.items():
        found += _binding_faults(f"{where}.{feature}", item, MESSAGES[kind])
        if not isinstance(feature, str):
            found.append(f"{where}.{feature}: expected a feature's name, as the contract tells it")
    return found


def _setting_faults(where: str, kind: str, raw: Mapping[Any, Any]) -> list[str]:
    """Find what is wrong with frame_id, rate_hz and reach_s."""
    found = []
    frame_id, rate_hz, reach_s = raw.get("frame_id", ""), raw.get("rate_hz"), raw.get("reach_s", 0.0)
    if "rate_hz" in raw and not (_is_number(rate_hz) and rate_hz > 0):
        found.append(f"{where}.rate_hz: {rate_hz!r}; expected a positive number")
    if not (_is_number(reach_s) and reach_s >= 0):
        found.append(f"{where}.reach_s: {reach_s!r}; expected seconds")
    if not isinstance(frame_id, str):
        found.append(f"{where}.frame_id: {frame_id!r}; expected a frame's name")
    elif frame_id and kind in UNSTAMPED:
        found.append(f"{where}.frame_id: {kind} carries no frame; remove it")
    return found


def _overlaps(where: str, features: Mapping[Any, Any]) -> list[str]:
    """Find features that share a place in the message, such as linear and linear.z, or one joint of one field."""
    found, taken = [], dict[tuple[str, str], Any]()
    for feature, item in features.items():
        field, names = (item.get("field"), item.get("names")) if isinstance(item, dict) else (None, None)
        listed = names if isinstance(names, list) else []
        vector, _, axis = str(field).partition(".")
        parts = [axis] if axis else list("xyz")
        # A bare array has no names of its own: it holds one feature.
        places = [(vector, str(name)) for name in (listed if listed and field != "data" else parts)]
        shared = sorted({str(taken[place]) for place in places if place in taken} - {str(feature)})
        found += [f"{where}: features {other!r} and {feature!r} share {field!r}" for other in shared]
        taken.update(dict.fromkeys(places, feature))
    return found


def _binding_faults(where: str, raw: Any, fields: Mapping[str, Field]) -> list[str]:
    if not isinstance(raw, dict):
        return [f"{where}: expected the keys {quoted(BINDING_KEYS)}"]
    found = _key_faults(where, raw, BINDING_KEYS, ("field",))
    field, names, scale = str(raw.get("field")), raw.get("names", []), raw.get("scale", 1.0)
    if field not in fields:
        return [*found, f"{where}.field: {field!r}; valid: {quoted(fields)}.{closest(field, fields)}"]
    if not isinstance(names, list) or any(not isinstance(name, str) for name in names):
        found.append(f"{where}.names: expected a list of names")
    elif len(set(names)) != len(names):
        found.append(f"{where}.names: a name stands there twice")
    elif bool(names) != (fields[field].width is None):
        found.append(
            f"{where}.names: " + ("not for this field; remove it" if names else "missing; one name an element")
        )
    if not (_is_number(scale) and SCALES[0] <= abs(scale) <= SCALES[1]):
        expected = f"expected a number other than 0, of a size from {SCALES[0]:g} to {SCALES[1]:g}"
        found.append(f"{where}.scale: {scale!r}; {expected}")
    return found


def _key_faults(where: str, raw: Mapping[Any, Any], valid: Sequence[str], needed: Sequence[str]) -> list[str]:
    found = [
        f"{where}: unknown key {key!r}; valid: {quoted(valid)}.{closest(str(key), valid)}"
        for key in raw
        if key not in valid
    ]
    return found + [f"{where}: key {key!r} is missing" for key in needed if key not in raw]


def _is_number(value: Any) -> TypeGuard[float]:
    # A comparison, since YAML's whole numbers can be too large for a float; it is false for NaN and infinity.
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
