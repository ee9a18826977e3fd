"""What happens in a running deployment, as events of one form: log messages, and every change of a node's health."""

from __future__ import annotations

import importlib
import json
import math
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from ashore.real.health import HZ, TOPIC, Health, Heard, told_health

if TYPE_CHECKING:
    from rclpy.node import Node

Kind = Literal["log", "health", "deployment"]
Level = Literal["ok", "stale", "debug", "info", "warning", "error", "fatal"]
"""ok, warning, error or stale of a health; debug to fatal of all else."""
Fact = str | int | float | bool | None
LOG_TOPIC = "/rosout"
LOG_LEVELS: dict[int, Level] = {10: "debug", 20: "info", 30: "warning", 40: "error", 50: "fatal"}
"""By the numbers of rcl_interfaces/Log."""
N_KEPT = 100
"""Messages on /diagnostics that may wait for us."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
WHOLE = re.compile(r"-?(0|[1-9][0-9]{0,14})")
"""Up to 15 digits, which every reader of JSON keeps; a longer one is a serial number rather than a figure."""
REAL = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+([eE][+-]?[0-9]+)?|[eE][+-]?[0-9]+)")
NOT_FINITE = re.compile(r"-?(nan|inf|infinity)", re.IGNORECASE)
TRUTHS = {"True": True, "true": True, "False": False, "false": False}


@dataclass(frozen=True)
class Event:
    """One thing that happened."""

    time_ns: int
    """Since 1970, UTC."""
    node: str
    """Such as panda/guard; the robot's namespace where it is of the whole deployment."""
    kind: Kind
    level: Level
    text: str
    facts: Mapping[str, Fact]
    """Figures with units in their names; no number that is not finite."""

    def line(self) -> str:
        """Give it as one line of strict JSON in ASCII, without the line's end."""
        moment = EPOCH + timedelta(microseconds=self.time_ns // 1000)
        told = {
            "time": moment.isoformat(timespec="microseconds"),
            "node": self.node,
            "kind": self.kind,
            "level": self.level,
            "text": self.text,
            "facts": dict(self.facts),
        }
        return json.dumps(told, allow_nan=False)


def listen(node: Node, take: Callable[[Event], None]) -> None:
    """Call take for everything that happens in the node's domain, on the thread that serves the node.

    Of the log, what was told in the ten seconds before is heard too.
    """
    qos = importlib.import_module("rclpy.qos")
    logs, diagnostics = map(importlib.import_module, ("rcl_interfaces.msg", "diagnostic_msgs.msg"))
    changes = Changes()

    def take_health(message: Any) -> None:
        for event in changes.told(message):
            take(event)

    def look() -> None:
        for event in changes.silent(time.monotonic()):
            take(event)

    node.create_subscription(logs.Log, LOG_TOPIC, lambda m: take(log_event(m)), qos.qos_profile_rosout_default)
    node.create_subscription(diagnostics.DiagnosticArray, TOPIC, take_health, N_KEPT)
    node.create_timer(1.0 / HZ, look)


def log_event(message: Any) -> Event:
    """Make the event of a rcl_interfaces/Log."""
    level = LOG_LEVELS[max((number for number in LOG_LEVELS if number <= message.level), default=min(LOG_LEVELS))]
    return Event(_time_ns(message.stamp), message.name.replace(".", "/"), "log", level, message.msg, {})


def health_event(node: str, health: Health, time_ns: int) -> Event:
    """Make the event of how a node is, with figures as numbers again."""
    facts = {name: fact(str(value)) for name, value in health.facts.items()}
    return Event(time_ns, node, "health", health.level, health.text, facts)


def fact(text: str) -> Fact:
    """Give a figure as a number and None where it is not finite, True and False as such, all else as it is."""
    if WHOLE.fullmatch(text):
        return int(text)
    if REAL.fullmatch(text):
        number = float(text)
        return number if math.isfinite(number) else None
    return None if NOT_FINITE.fullmatch(text) else TRUTHS.get(text, text)


class Changes:
    """Tells a change of a node's level, text or lifecycle state from the repetition once a second."""

    def __init__(self) -> None:
        self._heard: dict[str, Heard] = {}
        self._silent: set[str] = set()

    def told(self, message: Any) -> Iterator[Event]:
        """Take in a diagnostic_msgs/DiagnosticArray and give what is new in it."""
        for name, health in told_health(message).items():
            before = self._heard.get(name)
            self._heard[name] = Heard(health, time.monotonic())
            is_back = name in self._silent
            self._silent.discard(name)
            if before is None or is_back or _essence(health) != _essence(before.health):
                yield health_event(name, health, _time_ns(message.header.stamp))

    def silent(self, now_s: float) -> Iterator[Event]:
        """Give who has fallen silent; each once, until it speaks again."""
        for name, heard in self._heard.items():
            health = heard.now(now_s)
            if health is not heard.health and name not in self._silent:
                self._silent.add(name)
                yield health_event(name, health, time.time_ns())


def _essence(health: Health) -> tuple[str, str, Any]:
    return health.level, health.text, health.facts.get("state")


def _time_ns(stamp: Any) -> int:
    """Give a message's time, and that of its arrival where it tells none."""
    return int(stamp.sec * 10**9 + stamp.nanosec) or time.time_ns()
