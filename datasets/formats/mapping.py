"""The file that tells what a foreign format does not: robot, task, rate, and units, frames and names of its keys.

robot: so100                      # all keys are optional, unknown ones are refused
task: lift the block
control_hz: 30
source: human                     # simulation, twin, real or human
operator: Ada
features:
  observation.state:              # the format's own key
    name: joint_pos_rad           # Ashore's name for it
    unit: rad
    frame: joint
    components: [pan, lift, elbow]
    group: observations           # or actions, or none to leave it out
  observation.images.front:
    frame: front_optical
    codec: jpeg                   # how decoded video is stored: png (as decoded) or jpeg
    quality: 90
"""

from collections.abc import Iterable
from collections.abc import Mapping as AnyMapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

from ashore.datasets.episode import SOURCES, Source
from ashore.datasets.errors import UnreadableFile, closest, quoted
from ashore.datasets.features import CODECS, Codec
from ashore.datasets.formats import UNKNOWN
from ashore.datasets.plain_yaml import parse_yaml, settings_text

Group = Literal["observations", "actions", "none"]
GROUPS: tuple[Group, ...] = get_args(Group)
_EXPECTED = "a YAML mapping file"
_WAY_OUT = "Correct it; docs/data.md shows one."


@dataclass(frozen=True)
class FeatureWords:
    """What is known of one key of a foreign format."""

    name: str
    """Ashore's name for it; the key itself where nothing else is said."""
    unit: str = UNKNOWN
    frame: str = UNKNOWN
    components: tuple[str, ...] = ()
    group: Group | None = None
    """Where it belongs; None leaves it to the format."""
    codec: Codec = "png"
    """How frames that must be encoded anew are stored."""
    quality: int | None = None
    """Of jpeg, 1 to 100."""


@dataclass(frozen=True)
class Mapping:
    """What a mapping file says; all unknown where there is none."""

    robot: str = UNKNOWN
    task: str = UNKNOWN
    control_hz: float | None = None
    source: Source | None = None
    operator: str = UNKNOWN
    features: AnyMapping[str, FeatureWords] = field(default_factory=dict)
    """{the format's key: words}."""
    path: Path | None = None
    """The file it was read from."""

    def feature(self, key: str) -> FeatureWords:
        """Tell what is known of a key."""
        return self.features.get(key, FeatureWords(key))

    def require_keys(self, keys: Iterable[str]) -> None:
        """Check that every feature of the file is one of the data set's keys.

        Raises:
            UnreadableFile: one is not; lists the valid ones.
        """
        valid = tuple(keys)
        for key in self.features:
            if key not in valid and self.path is not None:
                problem = f"features: the data set has no key {key!r}; valid: {quoted(valid)}.{closest(key, valid)}"
                raise UnreadableFile(self.path, _EXPECTED, problem, _WAY_OUT)


def load_mapping(path: Path | None) -> Mapping:
    """Read a mapping file, or give an empty mapping.

    Raises:
        UnreadableFile: not such a file; lists every fault.
    """
    if path is None:
        return Mapping()
    try:
        raw = parse_yaml(settings_text(path))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UnreadableFile(path, _EXPECTED, " ".join(str(error).split()), _WAY_OUT) from error
    raw = {} if raw is None else raw
    entries, faults = _checked(raw, Mapping, ("path",), "")
    words = {}
    if isinstance(entries.get("features"), dict):
        for key, item in entries["features"].items():
            said, wrong = _checked(item, FeatureWords, (), f"features.{key}.")
            words[str(key)] = {"name": str(key)} | said
            faults += wrong
    if faults:
        raise UnreadableFile(path, _EXPECTED, "; ".join(faults), _WAY_OUT)
    features = {key: FeatureWords(**item) for key, item in words.items()}
    return Mapping(**(entries | {"features": features, "path": path}))


def _checked(raw: Any, kind: type, hidden: tuple[str, ...], where: str) -> tuple[dict[str, Any], list[str]]:
    """Take the known keys of a YAML map, and list what is wrong with it."""
    valid = tuple(entry.name for entry in fields(kind) if entry.name not in hidden)
    if not isinstance(raw, dict):
        return {}, [f"{where or 'the file'}: {type(raw).__name__}, expected a map with {quoted(valid)}"]
    faults = [
        f"{where}{key}: unknown key; valid: {quoted(valid)}.{closest(str(key), valid)}"
        for key in raw
        if key not in valid
    ]
    entries = {str(key): value for key, value in raw.items() if key in valid and value is not None}
    for key, value in entries.items():
        expected = _expectation(key, value)
        if expected:
            faults.append(f"{where}{key}: {value!r}, expected {expected}")
        elif key == "components":
            entries[key] = tuple(value)
        elif key == "control_hz":
            entries[key] = float(value)
    if "codec" in valid and not faults and (entries.get("codec") == "jpeg") != ("quality" in entries):
        faults.append(f"{where}quality: expected with codec 'jpeg', and only with it")
    return entries, faults


def _expectation(key: str, value: Any) -> str:
    """Say what a value should be, or nothing where it is right."""
    choices: dict[str, tuple[str, ...]] = {"source": SOURCES, "group": GROUPS, "codec": CODECS}
    if key in choices:
        return "" if value in choices[key] else f"one of {quoted(choices[key])}"
    if key == "control_hz":
        is_rate = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < float("inf")
        return "" if is_rate else "a positive number"
    if key == "quality":
        return "" if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 100 else "1 to 100"
    if key == "components":
        is_names = isinstance(value, list) and all(isinstance(item, str) for item in value)
        return "" if is_names else "a list of names"
    if key == "features":
        return "" if isinstance(value, dict) else "a map of keys"
    return "" if isinstance(value, str) and value else "text"
