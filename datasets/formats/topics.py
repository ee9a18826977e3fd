"""The mapping file of recordings with sources of many rates: which topic or log variable becomes which feature.

robot: franka/panda               # needed for bags, as are task, control_hz and features
task: arm/pick-place
control_hz: 20                    # steps a second
source: real                      # simulation, twin, real or human
operator: Ada
instruction: lift the block
start: /episode/start             # a message here begins an episode; without it a bag is one episode
stop: /episode/stop               # a message here ends it
features:
  joint_pos_rad:
    topic: /joint_states
    field: position[panda_joint1, panda_joint2]
    unit: rad
    frame: joint
  tcp_quat_base_wxyz: {topic: /tcp, field: pose.orientation, unit: "1", frame: base}
  front: {role: image, topic: /camera/color, frame: front_optical, align: drop, max_age_s: 0.1}
  joint_target_rad: {role: action, topic: /command, field: data, unit: rad, frame: joint, components: [j1, j2]}
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

from ashore.datasets.contract import Contract
from ashore.datasets.episode import SOURCES, Source
from ashore.datasets.errors import InvalidContract, UnreadableFile, closest, quoted
from ashore.datasets.features import CHANNELS, CODECS, DTYPES, KINDS, RULES, Align, Feature, ImageFeature
from ashore.datasets.formats import UNKNOWN
from ashore.datasets.plain_yaml import parse_yaml

Role = Literal["observation", "action", "image", "commands"]
ROLES: tuple[Role, ...] = get_args(Role)
EXPECTED = "a YAML mapping file with features"
WAY_OUT = "Correct it; docs/data.md shows one."
_TEXTS = ("robot", "task", "operator", "instruction", "start", "stop", "steps")
_NEEDED = ("robot", "task", "control_hz", "features")
_TOP = ("robot", "task", "control_hz", "source", "operator", "instruction", "features")
_ALIGN = ("role", "align", "max_age_s")
_NUMERIC_WORDS = (
    "unit",
    "frame",
    "components",
    "dtype",
    "shape",
    "rate_hz",
    "low",
    "high",
    "kind",
    "relative_to",
    "optional",
)
_IMAGE_WORDS = ("frame", "shape", "colour", "codec", "dtype", "unit", "quality", "invalid", "rate_hz", "optional")


@dataclass(frozen=True)
class Entry:
    """One feature: where it is found, and what its recording does not say of it."""

    name: str
    role: Role
    place: Mapping[str, Any]
    """Where it is, in the format's own keys, such as topic and field, or variables."""
    words: Mapping[str, Any] = field(default_factory=dict)
    """Fields of Feature or ImageFeature."""
    align: Align | None = field(default_factory=Align)
    """None where there is exactly one sample a step; actions and commands are held otherwise."""

    @property
    def is_optional(self) -> bool:
        """Whether an episode may lack it."""
        return bool(self.words.get("optional", False))

    def feature(self, shape: tuple[int, ...], dtype: str) -> Feature:
        """Make the contract's entry; what the mapping says wins over what the recording shows."""
        words = {"shape": shape, "dtype": dtype, "unit": UNKNOWN, "frame": UNKNOWN} | dict(self.words)
        return Feature(self.name, align=self.align if self.role == "observation" else None, **words)

    def image(self, shown: Mapping[str, Any]) -> ImageFeature:
        """Make the contract's entry of a camera from what a first frame shows and the mapping says."""
        words = {"frame": UNKNOWN} | dict(shown) | dict(self.words)
        if words.get("colour") != "depth":
            words = {key: value for key, value in words.items() if key not in ("unit", "invalid")} | {
                key: self.words[key] for key in ("unit", "invalid") if key in self.words
            }
        return ImageFeature(self.name, align=self.align, **words)


@dataclass(frozen=True)
class TopicMapping:
    """What a mapping file says."""

    path: Path | None = None
    robot: str = UNKNOWN
    task: str = UNKNOWN
    control_hz: float = 100.0
    source: Source = "real"
    operator: str = UNKNOWN
    instruction: str = ""
    start: str = ""
    stop: str = ""
    steps: str = ""
    """Topic of std_msgs/Float64 with the time of each step in s; empty for steps at control_hz."""
    entries: tuple[Entry, ...] = ()

    def contract(self, features: Sequence[Feature | ImageFeature]) -> Contract:
        """Put features, one an entry in order, into a contract.

        Raises:
            UnreadableFile: they contradict each other; lists every fault.
        """
        pairs = list(zip(features, self.entries, strict=True))
        observations = tuple(f for f, e in pairs if isinstance(f, Feature) and e.role == "observation")
        actions = tuple(f for f, e in pairs if isinstance(f, Feature) and e.role == "action")
        images = tuple(f for f, _ in pairs if isinstance(f, ImageFeature))
        try:
            return Contract(self.robot, self.task, observations, actions, float(self.control_hz), images)
        except InvalidContract as error:
            problem = "; ".join(line.strip() for line in str(error).splitlines()[1:-1])
            raise UnreadableFile(self.path or "the features", EXPECTED, problem, WAY_OUT) from error


def load_topics(
    path: Path, places: Mapping[str, Callable[[Any], bool]], top: Sequence[str] = (), *, whole: bool
) -> TopicMapping:
    """Read a mapping file.

    Args:
        path: the file.
        places: {key that says where a feature is: whether a value will do}; the first one is needed.
        top: keys of the file besides the common ones.
        whole: whether robot, task, control_hz and features are needed.

    Raises:
        UnreadableFile: not such a file; lists every fault.
    """
    try:
        raw = parse_yaml(path.read_bytes())
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UnreadableFile(path, EXPECTED, " ".join(str(error).split()), WAY_OUT) from error
    if not isinstance(raw, dict):
        raise UnreadableFile(path, EXPECTED, f"it holds {type(raw).__name__}, no keys", WAY_OUT)
    faults = _key_faults(raw, (*_TOP, *top), "")
    faults += [f"{key}: missing" for key in _NEEDED if whole and key not in raw]
    faults += [f"{key}: {raw[key]!r}, expected text" for key in _TEXTS if not isinstance(raw.get(key, ""), str)]
    faults += _value_faults({key: raw[key] for key in ("source", "control_hz") if key in raw}, "")
    features = raw.get("features", {})
    if not isinstance(features, dict) or (whole and "features" in raw and not features):
        faults.append("features: expected {name: keys}, at least one")
        features = {}
    for name, item in features.items():
        faults += _entry_faults(f"features.{name}", item, places)
    if faults:
        raise UnreadableFile(path, EXPECTED, "; ".join(faults), WAY_OUT)
    entries = tuple(_entry(str(name), item, places) for name, item in features.items())
    if sum(entry.role == "commands" for entry in entries) > 1:
        raise UnreadableFile(path, EXPECTED, "features: more than one with role 'commands'", WAY_OUT)
    told = {key: value for key, value in raw.items() if key != "features"}
    return TopicMapping(path, **told, entries=entries)


def _entry(name: str, item: Mapping[str, Any], places: Mapping[str, Any]) -> Entry:
    rule = item.get("align", "hold")
    return Entry(
        name=name,
        role=item.get("role", "observation"),
        place={key: value for key, value in item.items() if key in places},
        words={
            key: tuple(value) if isinstance(value, list) else value
            for key, value in item.items()
            if key not in places and key not in _ALIGN
        },
        align=None if rule == "none" else Align(rule, item.get("max_age_s")),
    )


def _entry_faults(where: str, item: Any, places: Mapping[str, Callable[[Any], bool]]) -> list[str]:
    words = _IMAGE_WORDS if isinstance(item, dict) and item.get("role") == "image" else _NUMERIC_WORDS
    valid = (*places, *_ALIGN, *words)
    if not isinstance(item, dict):
        return [f"{where}: {item!r}, expected a map with {quoted(valid)}"]
    needed = next(iter(places))
    found = _key_faults(item, valid, f"{where}.")
    found += [f"{where}.{needed}: missing"] if needed not in item else []
    found += [
        f"{where}.{key}: {item[key]!r} will not do"
        for key, will_do in places.items()
        if key in item and not will_do(item[key])
    ]
    if item.get("role") in ("action", "commands") and item.get("align", "hold") not in ("hold", "none"):
        found.append(f"{where}.align: actions and commands are held; leave it out")
    return found + _value_faults({key: value for key, value in item.items() if key not in places}, f"{where}.")


def _key_faults(raw: Mapping[Any, Any], valid: Sequence[str], where: str) -> list[str]:
    return [
        f"{where}{key}: unknown key; valid: {quoted(valid)}.{closest(str(key), valid)}"
        for key in raw
        if key not in valid
    ]


def _value_faults(raw: Mapping[Any, Any], where: str) -> list[str]:
    choices: dict[str, Sequence[str]] = {
        "source": SOURCES, "role": ROLES, "align": (*RULES, "none"), "dtype": DTYPES,
        "kind": KINDS, "colour": tuple(CHANNELS), "codec": CODECS,
    }  # fmt: skip
    found = []
    for key, value in raw.items():
        if key in choices and value not in choices[key]:
            found.append(f"{where}{key}: {value!r}; valid: {quoted(choices[key])}")
        elif key in _SORTS and not _SORTS[key][0](value):
            found.append(f"{where}{key}: {value!r}, expected {_SORTS[key][1]}")
    return found


def is_text(value: Any) -> bool:
    """Whether it is text that says something."""
    return isinstance(value, str) and bool(value)


def is_texts(value: Any) -> bool:
    """Whether it is a list of such texts."""
    return isinstance(value, list) and bool(value) and all(map(is_text, value))


def is_number(value: Any) -> bool:
    """Whether it is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf")


def _is_positive(value: Any) -> bool:
    return is_number(value) and value > 0


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _are(will_do: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(map(will_do, value))


_SORTS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "unit": (is_text, 'text, such as m or "1"'),
    "frame": (is_text, "text, such as base"),
    "relative_to": (is_text, "an observation's name"),
    "components": (_are(is_text), "a list of names"),
    "shape": (_are(_is_count), "a list of positive whole numbers"),
    "low": (_are(is_number), "a list of numbers"),
    "high": (_are(is_number), "a list of numbers"),
    "rate_hz": (_is_positive, "a positive number"),
    "control_hz": (_is_positive, "a positive number"),
    "max_age_s": (_is_positive, "a positive number"),
    "invalid": (is_number, "a number"),
    "quality": (_is_count, "1 to 100"),
    "optional": (lambda value: isinstance(value, bool), "true or false"),
}
