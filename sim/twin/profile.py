"""How the twin differs from the simulation that a policy was trained in: one documented YAML file, read here alone.

    robot: panda                    the robot card's name, or a list of several; any other robot is refused
    description: one sentence
    body_mass_scale: {object: 1.2}  factor on a body's mass and inertia
    friction_scale: 0.8             factor on every friction coefficient
    position_gain_scale: 0.9        factor on kp of every position servo
    velocity_gain_scale: 1.0        factor on kv of every position servo
    joint_damping_n_m_s_rad: 0.5    added to the damping of every hinge
    thrust_scale: 0.95              factor on the force and torque of every motor at a site
    motor_lag_scale: 1.3            factor on those motors' time constants
    command_delay_s: 0.02           a command acts this much later (sim/command_path.py)
    command_jitter_s: 0.005         and by this much more, half-normal, another time for each
    command_backlash: 0.002         play between command and joint, in the command's unit
    dropped_commands: 0.02          probability that a command is lost and the one before it stays
    observation_noise: {object_pos: 0.002}    standard deviation, in the observation's unit
    observation_bias: {object_pos: 0.001}     one number for every element, or one an element
    observation_delay_s: {object_pos: 0.04}

Every field but robot may be left out, and then changes nothing. Names of bodies and observations may be shell patterns,
such as "*_pos_base_m": a profile serves all tasks of its robots, so that a pattern may match nothing in one of them. A
name that matches nothing is an error.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Self

import yaml

from ashore.datasets.errors import UnknownName, UnreadableFile, closest, quoted
from ashore.datasets.plain_yaml import parse_yaml, settings_text
from ashore.sim.errors import InvalidProfile

PROFILE_FOLDER = Path(__file__).parent / "profiles"
Bias = float | tuple[float, ...]


@dataclass(frozen=True)
class RealityProfile:
    """One reality: what of the robot, the scene and the messages differs from the nominal model."""

    robot: str | tuple[str, ...]
    """Names of the robot cards that it was made for."""
    description: str = ""
    body_mass_scale: Mapping[str, float] = field(default_factory=dict)
    friction_scale: float = 1.0
    position_gain_scale: float = 1.0
    velocity_gain_scale: float = 1.0
    joint_damping_n_m_s_rad: float = 0.0
    thrust_scale: float = 1.0
    motor_lag_scale: float = 1.0
    command_delay_s: float = 0.0
    command_jitter_s: float = 0.0
    command_backlash: float = 0.0
    dropped_commands: float = 0.0
    observation_noise: Mapping[str, float] = field(default_factory=dict)
    observation_bias: Mapping[str, Bias] = field(default_factory=dict)
    observation_delay_s: Mapping[str, float] = field(default_factory=dict)

    @property
    def robots(self) -> tuple[str, ...]:
        """The robot cards that it was made for."""
        return (self.robot,) if isinstance(self.robot, str) else self.robot

    def __post_init__(self) -> None:
        faults = _faults({item.name: getattr(self, item.name) for item in fields(self)})
        if faults:
            raise InvalidProfile(f"for {quoted(self.robots)}", faults)

    def require_names(self, robot: str, bodies: tuple[str, ...], observations: tuple[str, ...]) -> None:
        """Check that the profile is for this robot and names only bodies and observations that exist.

        Raises:
            InvalidProfile: lists every name that does not fit, with the closest that does.
        """
        if robot not in self.robots:
            fitting = [name for name in profile_names() if robot in load_profile(name).robots]
            ships = f"of those that ship {quoted(fitting)} fit" if fitting else "none that ships fits; write one"
            fault = f"robot: made for {quoted(self.robots)}, given {robot!r}; {ships}"
            raise InvalidProfile(f"for {quoted(self.robots)}", [fault])
        faults = _unknown("body_mass_scale", self.body_mass_scale, bodies)
        for name in ("observation_noise", "observation_bias", "observation_delay_s"):
            faults += _unknown(name, getattr(self, name), observations)
        if faults:
            raise InvalidProfile(f"for {quoted(self.robots)}", faults)

    def to_yaml(self) -> str:
        """Write the profile as YAML that load_profile reads."""
        raw = {item.name: _plain(getattr(self, item.name)) for item in fields(self)}
        return str(yaml.safe_dump(raw, sort_keys=False))

    @classmethod
    def from_yaml(cls, text: str, where: Path | str = "profile") -> Self:
        """Read a profile.

        Raises:
            UnreadableFile: the text is not a YAML mapping.
            InvalidProfile: unknown keys, or values of the wrong type or out of range; lists all of them.
        """
        expected = "a reality profile: a YAML mapping of names to values"
        try:
            raw = parse_yaml(text)
        except yaml.YAMLError as error:
            raise UnreadableFile(where, expected, str(error), "Correct the YAML there.") from error
        if not isinstance(raw, dict):
            problem = f"it holds a {type(raw).__name__}"
            raise UnreadableFile(where, expected, problem, "Start from a profile in sim/twin/profiles.")
        names = [item.name for item in fields(cls)]
        faults = [_unknown_key(str(key), names) for key in raw if key not in names]
        faults += [] if "robot" in raw else ["robot: missing; give the name of the robot card"]
        values = {key: _frozen(value) for key, value in raw.items() if key in names}
        faults += _faults(values)
        if faults:
            raise InvalidProfile(where, faults)
        return cls(**values)


def matched(table: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """What a table of a profile says of each name (those it says nothing of left out); a name goes before patterns."""
    found = {}
    for name in names:
        keys = [name] if name in table else [key for key in table if fnmatchcase(name, key)]
        if keys:
            found[name] = table[keys[0]]
    return found


def profile_names() -> tuple[str, ...]:
    """Names of the profiles that ship, such as arm_mild; of each robot from mild to harsh."""
    kinds = ("mild", "worn", "stuttering", "hard", "harsh")
    names = (path.stem for path in PROFILE_FOLDER.glob("*.yaml"))
    return tuple(sorted(names, key=lambda name: (name.split("_")[0], kinds.index(name.split("_")[1]))))


def load_profile(name_or_path: str | Path) -> RealityProfile:
    """Load a profile that ships by its name, or any other by its path.

    Raises:
        UnknownName: neither a file nor a shipped name; gives the closest.
        UnreadableFile, InvalidProfile: see RealityProfile.from_yaml.
    """
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml"):
        if str(name_or_path) not in profile_names():
            raise UnknownName("reality profile", str(name_or_path), profile_names())
        path = PROFILE_FOLDER / f"{name_or_path}.yaml"
    try:
        text = settings_text(path)
    except (OSError, UnicodeDecodeError) as error:
        way_out = f"Give a path that exists, or one of {quoted(profile_names())}."
        raise UnreadableFile(path, "a reality profile", str(error), way_out) from error
    return RealityProfile.from_yaml(text, path)


_TEXTS = ("description",)
_FACTORS = ("friction_scale", "position_gain_scale", "velocity_gain_scale", "thrust_scale", "motor_lag_scale")
_AMOUNTS = ("joint_damping_n_m_s_rad", "command_delay_s", "command_jitter_s", "command_backlash")
_TABLES = ("body_mass_scale", "observation_noise", "observation_delay_s")


def _faults(values: Mapping[str, Any]) -> list[str]:
    faults = []
    for name, value in values.items():
        if name in _TEXTS and not isinstance(value, str):
            faults.append(f"{name}: expected text, given {value!r}")
        elif name == "robot" and not (value and all(isinstance(item, str) for item in _listed(value))):
            faults.append(f"{name}: expected a robot card's name or a list of them, given {value!r}")
        elif name in (*_FACTORS, *_AMOUNTS, "dropped_commands"):
            faults += _number_faults(name, value, name in _FACTORS)
        elif name in _TABLES or name == "observation_bias":
            faults += _table_faults(name, value)
    if _is_number(values.get("dropped_commands")) and values["dropped_commands"] > 1.0:
        faults.append(f"dropped_commands: {values['dropped_commands']} is no probability; give 0 to 1")
    return faults


def _table_faults(name: str, table: Any) -> list[str]:
    if not isinstance(table, Mapping):
        return [f"{name}: expected a mapping of names to numbers, given {table!r}"]
    faults = [f"{name}: the key {key!r} is no name" for key in table if not isinstance(key, str)]
    for key, value in table.items():
        where = f"{name}.{key}"
        if name != "observation_bias":
            faults += _number_faults(where, value, positive=name == "body_mass_scale")
        elif not all(_is_number(item) for item in (value if isinstance(value, tuple) else (value,))):
            faults.append(f"{where}: expected a finite number or a list of them, given {value!r}")
    return faults


def _number_faults(where: str, value: Any, positive: bool) -> list[str]:
    bound = "above 0" if positive else "of at least 0"
    if not _is_number(value):
        hint = "; YAML reads 1e-3 as text, write 0.001" if isinstance(value, str) else ""
        return [f"{where}: expected a finite number {bound}, given {value!r}{hint}"]
    if value < 0 or (positive and value == 0):
        return [f"{where}: expected a finite number {bound}, given {value!r}"]
    return []


def _listed(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _unknown_key(key: str, names: list[str]) -> str:
    return f"{key}: no such field; valid: {quoted(names)}.{closest(key, names)}"


def _unknown(where: str, table: Mapping[str, Any], names: tuple[str, ...]) -> list[str]:
    return [
        f"{where}.{key}: no such name; valid: {quoted(names)}.{closest(key, names)}"
        for key in table
        if key not in names and not set(key) & set("*?[")
    ]


def _frozen(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _frozen(item) for key, item in value.items()}
    return tuple(value) if isinstance(value, list) else value


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return list(value) if isinstance(value, tuple) else value
