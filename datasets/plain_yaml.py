"""YAML as people write settings in: safe, each key once, no aliases, no more than a few levels deep."""

from typing import Any

import yaml
from yaml.composer import ComposerError
from yaml.constructor import ConstructorError

DEEPEST = 32
"""Levels of nesting; no file of ours has ten."""


def parse_yaml(text: str | bytes) -> Any:
    """Read plain YAML.

    Raises:
        yaml.YAMLError: it is no YAML, has a key twice, an alias, or nests too deep.
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
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise ConstructorError(None, None, f"the key {key.value!r} stands there twice", key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)
