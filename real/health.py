"""What a node says of itself once a second, as diagnostic_msgs on /diagnostics, and who listens to it."""

from __future__ import annotations

import importlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from rclpy.node import Node

TOPIC, HZ = "/diagnostics", 1.0
Level = Literal["ok", "warning", "error", "stale"]
LEVELS: tuple[Level, ...] = ("ok", "warning", "error", "stale")
"""In the order of diagnostic_msgs/DiagnosticStatus."""
STALE_S = 3.0
"""Silence after which a node's last word counts no more."""


@dataclass(frozen=True)
class Health:
    """How a node is."""

    level: Level
    text: str
    """One line."""
    facts: Mapping[str, Any]
    """Figures with units in their names."""


@dataclass(frozen=True)
class Heard:
    """What a node said, and when."""

    health: Health
    received_s: float

    def now(self, now_s: float) -> Health:
        """Give its health, stale where it has gone silent."""
        silent_s = now_s - self.received_s
        if silent_s <= STALE_S:
            return self.health
        return Health("stale", f"silent for {silent_s:.0f} s; before: {self.health.text}", self.health.facts)


class Teller:
    """Publishes a node's health."""

    def __init__(self, node: Node) -> None:
        self._messages = importlib.import_module("diagnostic_msgs.msg")
        self._node = node
        self._clock = importlib.import_module("rclpy.clock").Clock()
        """The system's: how a node is concerns people, whatever time the node keeps."""
        self._publisher = node.create_publisher(self._messages.DiagnosticArray, TOPIC, 10)

    def tell(self, health: Health) -> None:
        """Publish it now."""
        messages, node = self._messages, self._node
        status = messages.DiagnosticStatus(
            name=node.get_fully_qualified_name().lstrip("/"),
            hardware_id=node.get_namespace().strip("/"),
            level=bytes([LEVELS.index(health.level)]),
            message=health.text,
            values=[messages.KeyValue(key=name, value=_text(value)) for name, value in health.facts.items()],
        )
        array = messages.DiagnosticArray(status=[status])
        array.header.stamp = self._clock.now().to_msg()
        self._publisher.publish(array)


class Listener:
    """Keeps the newest word of every node of a domain."""

    def __init__(self, node: Node) -> None:
        messages = importlib.import_module("diagnostic_msgs.msg")
        self.heard: dict[str, Heard] = {}
        node.create_subscription(messages.DiagnosticArray, TOPIC, self._take, 10)

    def _take(self, message: Any) -> None:
        for name, health in told_health(message).items():
            self.heard[name] = Heard(health, time.monotonic())


def told_health(message: Any) -> dict[str, Health]:
    """Give how each node is that a diagnostic_msgs/DiagnosticArray tells of, its facts as text."""
    return {
        status.name: Health(
            LEVELS[min(status.level[0], len(LEVELS) - 1)],
            status.message,
            {value.key: value.value for value in status.values},
        )
        for status in message.status
    }


def worse(one: Level, other: Level) -> Level:
    """Give the worse of two."""
    return max(one, other, key=LEVELS.index)


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
