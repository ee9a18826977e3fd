"""Which topic carries which feature of a contract: the one file a new robot needs, read from real/robots/*.yaml."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import yaml
from numpy.typing import NDArray

from ashore.datasets.contract import Contract, Difference, Feature
from ashore.datasets.errors import ContractMismatch, UnknownName, UnreadableFile, closest, quoted
from ashore.datasets.plain_yaml import parse_yaml
from ashore.real.errors import InvalidMapping, InvalidMessage, RobotMismatch
from ashore.real.messages import MESSAGES, UNSTAMPED, Field, new_message
from ashore.sim.robot import RobotCard

Array = NDArray[Any]
ROBOTS_DIR = Path(__file__).resolve().parent / "robots"
CHANNEL_KEYS = ("type", "frame_id", "rate_hz", "reach_s", "features")
BINDING_KEYS = ("field", "names", "scale")
KEYS = ("robot", "observations", "commands")


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
    """How often the twin sends it; None for every command period."""
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
    def named(cls, name: str) -> Self:
        """Load the shipped mapping of this name.

        Raises:
            UnknownName: there is none; lists those that exist.
        """
        choices = mapping_names()
        if name not in choices:
            raise UnknownName("robot mapping", name, choices)
        return cls.load(ROBOTS_DIR / f"{name}.yaml")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a mapping file.

        Raises:
            UnreadableFile: it is missing or no YAML.
            InvalidMapping: unknown keys, types or fields; lists every fault.
        """
        try:
            raw = parse_yaml(path.read_text(encoding="utf-8"))
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
        measured = [feature for feature in contract.observations if feature.name not in derived]
        found = _gaps("observations", measured, self.observations) + _gaps("commands", card.commands, self.commands)
        if found:
            raise ContractMismatch("the bundle", f"the mapping of robot {self.robot!r}", found)

    def observing(self, features: Sequence[str]) -> tuple[Channel, ...]:
        """The observation channels that carry any of these features."""
        wanted = set(features)
        return tuple(c for c in self.observations if wanted & {binding.feature for binding in c.bindings})


def mapping_names() -> list[str]:
    """List the robots that have a mapping file."""
    return sorted(path.stem for path in ROBOTS_DIR.glob("*.yaml"))


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
    if not isinstance(raw.get("robot"), str):
        found.append("robot: expected a name")
    for side in KEYS[1:]:
        channels = raw.get(side)
        if not isinstance(channels, dict) or not channels:
            found.append(f"{side}: expected topics with their types and features")
            continue
        named: list[str] = []
        for topic, channel in channels.items():
            found += _channel_faults(f"{side}.{topic}", channel)
            named += list(channel.get("features") or ()) if isinstance(channel, dict) else []
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
    rate_hz, reach_s = raw.get("rate_hz"), raw.get("reach_s", 0.0)
    if rate_hz is not None and not (_is_number(rate_hz) and rate_hz > 0):
        found.append(f"{where}.rate_hz: {rate_hz!r}; expected a positive number")
    if not (_is_number(reach_s) and reach_s >= 0):
        found.append(f"{where}.reach_s: {reach_s!r}; expected seconds")
    if raw.get("frame_id") and kind in UNSTAMPED:
        found.append(f"{where}.frame_id: {kind} carries no frame; remove it")
    features = raw.get("features")
    if not isinstance(features, dict) or not features:
        return [*found, f"{where}.features: expected at least one feature"]
    for feature, item in features.items():
        found += _binding_faults(f"{where}.{feature}", item, MESSAGES[kind])
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
    if not (_is_number(scale) and scale != 0):
        found.append(f"{where}.scale: {scale!r}; expected a number other than 0")
    return found


def _key_faults(where: str, raw: Mapping[Any, Any], valid: Sequence[str], needed: Sequence[str]) -> list[str]:
    found = [
        f"{where}: unknown key {key!r}; valid: {quoted(valid)}.{closest(str(key), valid)}"
        for key in raw
        if key not in valid
    ]
    return found + [f"{where}: key {key!r} is missing" for key in needed if key not in raw]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
