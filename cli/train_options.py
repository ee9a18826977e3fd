"""Options of `ashore train` as a file: shown before it starts, stored with the run, and read as --config."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

from ashore.cli.errors import BadOptions
from ashore.datasets.errors import UnreadableFile, closest
from ashore.datasets.plain_yaml import parse_yaml, settings_text

if TYPE_CHECKING:
    from ashore.cli.train import Train
    from ashore.policies.training import Prospect

FLAG = "--config"


def with_config(cls: "type[Train]", arguments: Sequence[str]) -> "Train | None":
    """Read the options of a --config file as the defaults of a command line; None where it names no file.

    Raises:
        UnreadableFile: the file is not there, or no YAML.
        BadOptions: it has an option that does not exist, or a value of another type.
    """
    path = _config_path(arguments)
    if path is None:
        return None
    import yaml

    try:
        raw = parse_yaml(settings_text(path))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UnreadableFile(path, "options of `ashore train`", str(error), "Give RUN/options.yaml.") from error
    hints = get_type_hints(cls)
    known = {f.name: hints[f.name] for f in fields(cls) if f.name != "config"}
    if not isinstance(raw, dict):
        raise BadOptions(path, ["expected `option: value` lines"], list(known))
    faults = [f"{key}: unknown.{closest(str(key), list(known))}" for key in raw if key not in known]
    values = {key: _value(known[key], value) for key, value in raw.items() if key in known}
    faults += [f"{key}: {raw[key]!r}; expected {_kind(known[key])}" for key, value in values.items() if value is None]
    if faults:
        raise BadOptions(path, faults, list(known))
    return cls(**values, config=path)


def store_options(options: "Train", run: Path) -> None:
    """Write RUN/options.yaml, which --config reads."""
    import yaml

    plain = {f.name: _plain(getattr(options, f.name)) for f in fields(options) if f.name not in ("config", "out")}
    plain = {name: value for name, value in plain.items() if value is not None}
    (run / "options.yaml").write_text(yaml.safe_dump(plain, sort_keys=False))


def show_options(options: "Train") -> None:
    """Show all options, as they are resolved."""
    from ashore.cli.console import show_table

    rows = [(f.name, _text(getattr(options, f.name))) for f in fields(options) if f.name != "config"]
    show_table(f"train {options.policy}", ("option", "value"), rows)


def show_prospect(prospect: "Prospect") -> None:
    """Show what is going to be trained: data, parameters, memory, and what is of no use."""
    from ashore.cli.console import say

    memory = prospect.memory
    say(f"Data: {prospect.n_windows} windows of {prospect.n_episodes} episodes.")
    say(f"Network: {prospect.n_parameters / 1e6:.2f} M parameters.")
    say(f"Memory: about {memory.total / 1e6:.0f} MB ({', '.join(memory.lines())}).")
    if prospect.constants:
        say(f"The same in every step, so nothing is learnt of it: {', '.join(prospect.constants)}.")


def _config_path(arguments: Sequence[str]) -> Path | None:
    for i, argument in enumerate(arguments):
        if argument == FLAG and i + 1 < len(arguments):
            return Path(arguments[i + 1])
        if argument.startswith(f"{FLAG}="):
            return Path(argument.removeprefix(f"{FLAG}="))
    return None


def _value(hint: Any, value: Any) -> Any:
    """Turn a value of YAML into an option's of this type; None where it does not fit."""
    if get_origin(hint) is tuple:
        items = [_value(get_args(hint)[0], item) for item in (value if isinstance(value, list) else [value])]
        return None if None in items else tuple(items)
    if get_origin(hint) is Literal:
        return value if value in get_args(hint) else None
    if get_origin(hint) is UnionType:
        return _value(get_args(hint)[0], value)
    if hint in (str, Path):
        return hint(value) if isinstance(value, str) else None
    if hint is bool or isinstance(value, bool):
        return value if hint is bool and isinstance(value, bool) else None
    if not isinstance(value, int | float):
        return None
    if hint is float:
        return float(value)
    return value if isinstance(value, int) else None


def _kind(hint: Any) -> str:
    if get_origin(hint) is tuple:
        return "a list of texts"
    if get_origin(hint) is Literal:
        return " or ".join(map(str, get_args(hint)))
    if hint is bool:
        return "true or false"
    if hint in (str, Path):
        return "a text"
    return "a number" if hint is float else "a whole number"


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return " ".join(str(item) for item in value)
    return "" if value is None else str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value
