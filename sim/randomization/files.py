"""Randomization as one YAML file that serves collecting, training, ranking and replaying alike; docs/randomization.md.

task: arm/pick-place        may be left out; with it any other task is refused
base: wide                  none, narrow or wide: what of the task's own table stays; start states always do
parameters:                 replaces those of the table that have the same name, and adds others
  object_mass:
    group: dynamics
    distribution: {kind: log_uniform, low: 0.5, high: 2.5}
    how: scale
    targets: [{field: body_mass, names: [object]}, {field: body_inertia, names: [object]}]
remove: [pad_friction]      of the table
correlated: [{names: [servo_stiffness, servo_damping], rho: 0.6}]
"""

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, get_args

import yaml

from ashore.datasets.errors import UnreadableFile, closest, quoted
from ashore.datasets.plain_yaml import parse_yaml, settings_text
from ashore.sim.errors import InvalidRandomization
from ashore.sim.randomization import LEVELS, Correlated, Group, How, Parameter, Randomization, Target
from ashore.sim.randomization.distributions import DISTRIBUTIONS
from ashore.sim.task import Task

SUFFIXES = (".yaml", ".yml")
KEYS = ("task", "base", "parameters", "remove", "correlated")


def randomization_of(task: Task, level: str) -> Randomization:
    """The randomization of a task at one of its levels, or of a file whose path stands in the level's place.

    Raises:
        UnknownName: neither none, narrow, wide nor a path that ends in .yaml.
        UnreadableFile, InvalidRandomization: see load_randomization.
    """
    return load_randomization(Path(level), task) if level.endswith(SUFFIXES) else task.randomization(level)


def load_randomization(path: Path, task: Task) -> Randomization:
    """Read a file for a task.

    Raises:
        UnreadableFile: there is no such file, or it is no YAML mapping.
        InvalidRandomization: lists every key, name and number that does not fit.
    """
    expected = "a randomization: a YAML mapping of names to values"
    try:
        raw = parse_yaml(settings_text(path))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UnreadableFile(path, expected, str(error), "Correct the path, or the YAML there.") from error
    if not isinstance(raw, dict):
        raise UnreadableFile(path, expected, f"it holds a {type(raw).__name__}", "See docs/randomization.md.")
    reader = _Reader(task)
    made = reader.read(raw)
    if reader.faults or made is None:
        raise InvalidRandomization(f"the randomization {path}", reader.faults)
    return made


def to_yaml(randomization: Randomization, task_name: str) -> str:
    """Write a randomization down as a file that load_randomization reads back."""
    raw = {
        "task": task_name,
        "base": "none",
        "parameters": {parameter.name: _parameter_to_plain(parameter) for parameter in randomization.parameters},
        "correlated": [{"names": list(group.names), "rho": _plain(group.rho)} for group in randomization.correlated],
    }
    return str(yaml.safe_dump(raw, sort_keys=False, default_flow_style=None, width=120))


@dataclass
class _Reader:
    """Reads one file and notes every fault on the way."""

    task: Task
    faults: list[str] = field(default_factory=list)

    def read(self, raw: Mapping[Any, Any]) -> Randomization | None:
        """Put the table together; None where it cannot be."""
        self._refuse_unknown("", raw, KEYS)
        named, base = raw.get("task", self.task.name), raw.get("base", "wide")
        if named != self.task.name:
            self.faults.append(f"task: made for {named!r}, used with {self.task.name!r}")
        if base not in LEVELS:
            self.faults.append(f"base: {base!r}; valid: {quoted(LEVELS)}")
            return None
        own = {parameter.name: parameter for parameter in self.task.randomization(base).parameters}
        removed = self._removed(raw.get("remove", []), own)
        given = dict(self._parameters(raw.get("parameters", {})))
        correlated = tuple(self._correlated(raw.get("correlated", [])))
        if self.faults:
            return None
        kept = {name: given.pop(name, parameter) for name, parameter in own.items() if name not in removed}
        try:
            return Randomization((*kept.values(), *given.values()), correlated)
        except InvalidRandomization as error:
            self.faults += error.faults
            return None

    def _removed(self, names: Any, own: Mapping[str, Parameter]) -> list[str]:
        if not isinstance(names, list):
            self.faults.append(f"remove: expected a list of names, given {names!r}")
            return []
        movable = [name for name, parameter in own.items() if parameter.group != "start"]
        for name in [name for name in names if name not in movable]:
            is_start = isinstance(name, str) and name in own
            why = "a start state, which always stays" if is_start else "not in the table"
            self.faults.append(f"remove: {name!r} is {why}; valid: {quoted(movable)}.{closest(str(name), movable)}")
        return names

    def _parameters(self, table: Any) -> Iterator[tuple[str, Parameter]]:
        if not isinstance(table, dict):
            self.faults.append(f"parameters: expected a mapping of names, given {table!r}")
            return
        for name, raw in table.items():
            where = f"parameters.{name}."
            if not isinstance(raw, dict) or not isinstance(name, str):
                self.faults.append(f"{where[:-1]}: expected a name, and a mapping of group and distribution")
                continue
            self._refuse_unknown(where, raw, ("group", "distribution", "targets", "how"))
            self._choice(f"{where}group", raw.get("group"), get_args(Group))
            self._choice(f"{where}how", raw.get("how", "set"), get_args(How))
            distribution = self._distribution(f"{where}distribution", raw.get("distribution"))
            targets = tuple(self._targets(f"{where}targets", raw.get("targets", [])))
            if distribution is not None and not self.faults:
                yield name, Parameter(name, distribution, raw["group"], targets, raw.get("how", "set"))

    def _distribution(self, where: str, raw: Any) -> Any:
        kind = raw.get("kind") if isinstance(raw, dict) else raw
        if not isinstance(raw, dict) or not isinstance(kind, str) or kind not in DISTRIBUTIONS:
            self.faults.append(
                f"{where}: kind {kind!r}; valid: {quoted(DISTRIBUTIONS)}.{closest(str(kind), list(DISTRIBUTIONS))}"
            )
            return None
        made = DISTRIBUTIONS[kind]
        known = {item.name: item for item in fields(made)}
        self._refuse_unknown(f"{where}.", raw, ("kind", *known))
        lacking = [name for name, item in known.items() if item.default is MISSING and name not in raw]
        self.faults += [f"{where}.{name}: missing" for name in lacking]
        values = {name: _frozen(raw[name]) for name in known if name in raw}
        odd = [name for name, value in values.items() if not _is_value(value, texts=name == "values")]
        self.faults += [f"{where}.{name}: expected a number or a list of them, given {raw[name]!r}" for name in odd]
        if odd or lacking or set(raw) - {"kind", *known}:
            return None
        distribution = made(**values)
        self.faults += [f"{where}.{fault}" for fault in distribution.faults()]
        return distribution

    def _targets(self, where: str, raw: Any) -> Iterator[Target]:
        for number, item in enumerate(raw if isinstance(raw, list) else [raw]):
            at = f"{where}[{number}]"
            if not isinstance(item, dict) or not isinstance(item.get("field"), str):
                self.faults.append(f"{at}: expected a mapping of field, names and columns, given {item!r}")
                continue
            self._refuse_unknown(f"{at}.", item, ("field", "names", "columns"))
            names, columns = item.get("names", []), item.get("columns", [])
            good = isinstance(names, list) and all(isinstance(name, str) for name in names)
            if not good or not isinstance(columns, list) or not all(isinstance(column, int) for column in columns):
                self.faults.append(f"{at}: names is a list of names, columns a list of whole numbers; given {item!r}")
                continue
            yield Target(item["field"], tuple(names), tuple(columns))

    def _correlated(self, raw: Any) -> Iterator[Correlated]:
        for number, item in enumerate(raw if isinstance(raw, list) else [raw]):
            at = f"correlated[{number}]"
            if not isinstance(item, dict) or not isinstance(item.get("names"), list) or "rho" not in item:
                self.faults.append(f"{at}: expected a mapping of names and rho, given {item!r}")
                continue
            self._refuse_unknown(f"{at}.", item, ("names", "rho"))
            rho = _frozen(item["rho"])
            rows = rho if isinstance(rho, tuple) else ((rho,),)
            if not all(isinstance(row, tuple) and _is_value(row) for row in rows):
                self.faults.append(f"{at}.rho: expected a number or a matrix of them, given {item['rho']!r}")
                continue
            yield Correlated(tuple(map(str, item["names"])), rho)

    def _refuse_unknown(self, where: str, raw: Mapping[Any, Any], known: tuple[str, ...]) -> None:
        unknown = [str(key) for key in raw if key not in known]
        self.faults += [f"{where}{key}: no such key; valid: {quoted(known)}.{closest(key, known)}" for key in unknown]

    def _choice(self, where: str, value: Any, known: tuple[str, ...]) -> None:
        if value not in known:
            self.faults.append(f"{where}: {value!r}; valid: {quoted(known)}.{closest(str(value), known)}")


def _is_value(value: Any, texts: bool = False) -> bool:
    if isinstance(value, tuple):
        return all(_is_value(item, texts) for item in value)
    return (isinstance(value, int | float) and not isinstance(value, bool)) or (texts and isinstance(value, str))


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _parameter_to_plain(parameter: Parameter) -> dict[str, Any]:
    distribution: Any = parameter.distribution
    numbers = {item.name: getattr(distribution, item.name) for item in fields(distribution)}
    given = {name: _plain(value) for name, value in numbers.items() if value is not None and value != ()}
    raw: dict[str, Any] = {"group": parameter.group, "distribution": {"kind": distribution.kind, **given}}
    if parameter.targets:
        raw["how"] = parameter.how
        raw["targets"] = [_target_to_plain(target) for target in parameter.targets]
    return raw


def _target_to_plain(target: Target) -> dict[str, Any]:
    raw: dict[str, Any] = {"field": target.field}
    if target.names:
        raw["names"] = list(target.names)
    if target.columns:
        raw["columns"] = list(target.columns)
    return raw
