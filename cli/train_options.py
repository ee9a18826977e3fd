"""Options of `ashore train` as a file: shown before it starts, stored with the run, and read as --config."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ashore.cli.errors import BadOptions
from ashore.datasets.errors import UnreadableFile, closest
from ashore.datasets.plain_yaml import parse_yaml

if TYPE_CHECKING:
    from ashore.cli.train import Train
    from ashore.policies.policy import PolicyConfig

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
        raw = parse_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UnreadableFile(path, "options of `ashore train`", str(error), "Give RUN/options.yaml.") from error
    known = {f.name: f.default for f in fields(cls) if f.name != "config"}
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


def show_plan(options: "Train", shape: "PolicyConfig") -> None:
    """Show what is going to be trained, all options resolved."""
    from ashore.cli.console import show_table

    rows = [(f.name, str(_plain(getattr(options, f.name)))) for f in fields(options) if f.name != "config"]
    show_table(f"train {options.policy}", ("option", "value"), rows)


def _config_path(arguments: Sequence[str]) -> Path | None:
    for i, argument in enumerate(arguments):
        if argument == FLAG and i + 1 < len(arguments):
            return Path(arguments[i + 1])
        if argument.startswith(f"{FLAG}="):
            return Path(argument.removeprefix(f"{FLAG}="))
    return None


def _value(default: Any, value: Any) -> Any:
    """Turn a value of YAML into an option's; None where it does not fit."""
    if isinstance(default, tuple):
        items = value if isinstance(value, list) else [value]
        return tuple(items) if all(isinstance(item, str) for item in items) else None
    if isinstance(default, Path):
        return Path(value) if isinstance(value, str) else None
    if isinstance(default, str):
        return value if isinstance(value, str) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(default, float):
        return float(value)
    return value if isinstance(value, int) else None


def _kind(default: Any) -> str:
    if isinstance(default, tuple):
        return "a list of texts"
    if isinstance(default, str | Path):
        return "a text"
    return "a number" if isinstance(default, float) else "a whole number"


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value
