"""A deployment's events.jsonl: what happened, a line an event, from how it was started to how it ended."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from queue import Full, Queue
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Self

from ashore.policies.bundle import Bundle
from ashore.real.events import Event, Fact, Level, listen
from ashore.real.nodes.worker import Worker
from ashore.real.recording import told_versions
from ashore.real.supervision import undisturbed

if TYPE_CHECKING:
    from rclpy.node import Node

NAME = "events.jsonl"
QUIET_S, LAST_WORDS_S = 0.15, 1.0
"""The end waits until nothing was heard for so long, and at most so long in all."""
MOST_WAITING = 10_000
"""Events that may wait for the disk."""
HUNG_S = 3.0
"""How long a disk that hangs keeps the end waiting."""
_log = logging.getLogger(__name__)


def what_runs(bundle: Bundle, robot: str, domain_id: int | None, **facts: Fact) -> dict[str, Fact]:
    """Give the facts that a deployment's first event holds, and whatever else is told."""
    place = str(bundle.path.resolve())
    return {"robot": robot, "domain": domain_id, "bundle": place, **facts, **told_versions(bundle)}


class EventLog:
    """A block in which what a node of ours hears is written on a thread of its own: no disk keeps the node waiting.

    Each line is handed to the system whole and at once, so that a kill loses nothing that was heard. A disk that
    refuses ends the writing, with one warning, and nothing else.
    """

    def __init__(self, node: Node, folder: Path, facts: Mapping[str, Fact]) -> None:
        """Take what it says first.

        Args:
            node: in the robot's namespace, and there before the processes start. It must be the one that drives them:
                whom it has found, it hears, while another node may still be looking.
            folder: where events.jsonl goes; one of an earlier deployment is replaced, as the logs are.
            facts: what runs, and where.
        """
        self.path = folder / NAME
        self._node, self._facts = node, facts
        self._events: Queue[Event] = Queue(MOST_WAITING)
        self._is_over = False
        self._last: Event | None = None
        self._writing = Worker("events", self._write, HUNG_S)
        self._heard_s = 0.0

    def __enter__(self) -> Self:
        self.tell("started", self._facts)
        self._writing.start()
        listen(self._node, self._take)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        with undisturbed():
            began_s = self._heard_s = time.monotonic()
            while time.monotonic() < min(self._heard_s + QUIET_S, began_s + LAST_WORDS_S):
                time.sleep(QUIET_S / 5)
            self._last = self._end(fault)
            self._take(self._last)
            if not self._writing.stop():
                self._give_up("the disk hangs")

    def tell(self, text: str, facts: Mapping[str, Fact]) -> None:
        """Write down what the deployment itself does; facts hold no number that is not finite."""
        self._take(self._own("info", text, facts))

    def _own(self, level: Level, text: str, facts: Mapping[str, Fact]) -> Event:
        return Event(time.time_ns(), self._node.get_namespace().strip("/"), "deployment", level, text, facts)

    def _end(self, fault: BaseException | None) -> Event:
        """Tell a clean end, an error, or what a person or a signal asked for."""
        if fault is None:
            return self._own("info", "ended", {})
        text = f"{type(fault).__name__}: {fault}" if str(fault) else type(fault).__name__
        return self._own("error" if isinstance(fault, Exception) else "warning", text, {})

    def _take(self, event: Event) -> None:
        self._heard_s = time.monotonic()
        if self._is_over:
            return
        try:
            self._events.put_nowait(event)
        except Full:
            self._give_up(f"the disk has not taken {MOST_WAITING} events")

    def _write(self, ended: threading.Event) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("wb", buffering=0) as file:
                self._write_all(file)
        except OSError as fault:
            self._give_up(fault.strerror or str(fault))

    def _give_up(self, problem: str) -> None:
        if self._is_over:
            return
        self._is_over = True
        _log.warning("%s is not written any further: %s. The deployment goes on without it.", self.path, problem)

    def _write_all(self, file: BinaryIO) -> None:
        """Write up to the deployment's end, and nothing that is heard of others after it."""
        while not self._is_over:
            event = self._events.get()
            line = f"{event.line()}\n".encode("ascii")
            n_written = file.write(line)
            if n_written != len(line):
                raise OSError(f"only {n_written} of a line's {len(line)} bytes were taken")
            if event is self._last:
                return
