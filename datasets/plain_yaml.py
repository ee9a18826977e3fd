"""YAML as people write settings in: safe, each key once, no aliases, no more than a few levels deep."""

import errno
import math
import stat
import sys
from pathlib import Path
from typing import Any

import yaml
from yaml.composer import ComposerError
from yaml.constructor import ConstructorError

DEEPEST = 32
"""Levels of nesting; no file of ours has ten."""
LARGEST = 256 * 1024
"""Bytes of a file of settings; none of ours has a tenth of it."""


def settings_text(path: Path) -> str:
    """Read a small file of settings.

    Raises:
        OSError: it cannot be read, is no plain file, or is too large.
        UnicodeDecodeError: it is no UTF-8.
    """
    facts = path.stat()
    if not stat.S_ISREG(facts.st_mode):  # A pipe or a device would never end.
        raise OSError(errno.EINVAL, "it is not a plain file", str(path))
    if facts.st_size > LARGEST:
        raise OSError(errno.EFBIG, f"{facts.st_size} bytes, more than {LARGEST}", str(path))
    return path.read_text(encoding="utf-8")


def parse_yaml(text: str | bytes) -> Any:
    """Read plain YAML.

    Raises:
        yaml.YAMLError: it is no YAML, has a key twice, an alias, a merge, or nests too deep.
    """
    try:
        return _PlainLoader(text).get_single_data()
    except ValueError as error:  # A date such as 2026-99-99.
        raise yaml.YAMLError(str(error)) from error


class _PlainLoader(yaml.SafeLoader):
    """Refuses a key that stands twice, which else the last one wins, and what can nest or grow without end."""

    def __init__(self, stream: str | bytes) -> None:
        super().__init__(stream)
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Refuse an alias and deep nesting; the base class's hook."""
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        mark = event.start_mark
        if isinstance(event, yaml.AliasEvent):
            raise ComposerError(None, None, f"the alias *{event.anchor}; write its value out", mark)
        if self._depth >= DEEPEST:
            raise ComposerError(None, None, f"more than {DEEPEST} levels of nesting", mark)
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Refuse a key that stands twice; the base class's hook."""
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                raise ConstructorError(None, None, "the merge <<; write its keys out", key.start_mark)
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise ConstructorError(None, None, f"the key {key.value!r} stands there twice", key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def _whole_number(loader: _PlainLoader, node: yaml.ScalarNode) -> float:
    """Read a whole number beyond all floats as infinite, as 1.0e+400 is, so that no reader computes with it."""
    value: int = loader.construct_yaml_int(node)
    if abs(value) <= sys.float_info.max:
        return value
    return math.inf if value > 0 else -math.inf


_PlainLoader.add_constructor("tag:yaml.org,2002:int", _whole_number)
