"""Read frozen config dataclasses back from the JSON that `dataclasses.asdict` gives, refusing what they do not know."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from types import UnionType
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from ashore.datasets.errors import closest, quoted
from ashore.policies.errors import InvalidConfig

C = TypeVar("C")


def read_config(kind: type[C], raw: Mapping[str, Any]) -> C:
    """Build a config, nested ones included; lists become tuples and missing fields keep their defaults.

    Where a field takes one of several configs, their `kind` tells which.

    Raises:
        InvalidConfig: a key or a kind is unknown, or a value of another type, here or in a nested config.
    """
    hints = get_type_hints(kind)
    known = [field.name for field in fields(cast(Any, kind))]
    faults = [f"{key}: unknown; valid: {quoted(known)}.{closest(key, known)}" for key in raw if key not in known]
    if faults:
        raise InvalidConfig(kind.__name__, faults)
    values = {key: _value(hints[key], value) for key, value in raw.items()}
    wrong = [
        f"{key}: {raw[key]!r}; expected {_expected(hints[key])}" for key in raw if not _fits(hints[key], values[key])
    ]
    if wrong:
        raise InvalidConfig(kind.__name__, wrong)
    return kind(**values)


def _value(hint: Any, value: Any) -> Any:
    if isinstance(value, Mapping):
        if get_origin(hint) in (Union, UnionType):
            hint = _chosen([choice for choice in get_args(hint) if is_dataclass(choice)], value)
        if is_dataclass(hint):
            return read_config(cast(type[Any], hint), value)
    return tuple(_value(None, item) for item in value) if isinstance(value, list | tuple) else value


def _chosen(choices: list[Any], value: Mapping[str, Any]) -> Any:
    kinds = {choice.kind: choice for choice in choices}
    kind = value.get("kind")
    if kind not in kinds:
        raise InvalidConfig("a config", [f"kind: {kind!r}; valid: {quoted(kinds)}.{closest(str(kind), list(kinds))}"])
    return kinds[kind]


def _fits(hint: Any, value: Any) -> bool:
    """Tell whether a value is of a plain type; what is no plain type is left to the config itself."""
    if get_origin(hint) in (Union, UnionType):
        return any(_fits(choice, value) for choice in get_args(hint))
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    if hint is type(None):
        return value is None
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint in (str, bool) or is_dataclass(hint):
        return isinstance(value, cast(type[Any], hint))
    return True


def _expected(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return quoted([str(choice) for choice in get_args(hint)])
    return getattr(hint, "__name__", str(hint))
