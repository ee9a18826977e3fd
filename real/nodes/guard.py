"""The guard's process: the only one whose messages reach the robot, on its own clock, with its own watchdog."""

import argparse
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.contract import Feature
from ashore.policies.bundle import read_bundle
from ashore.policies.execution.guard import STOPS, Guard, Verdict
from ashore.real.errors import NoOperator, StopPressed
from ashore.real.health import Health
from ashore.real.mapping import RobotMapping
from ashore.real.nodes.base import Work, run_node
from ashore.real.nodes.link import Answer, Link, Setting, packed
from ashore.real.nodes.operation import ALIVE_TOPIC, ALIVE_TYPE, STOP_TOPIC, STOP_TYPE
from ashore.real.nodes.proposals import Proposals
from ashore.real.nodes.senses import Senses
from ashore.real.nodes.told import BundleFile, add_bundle, bundle_file
from ashore.real.rate import Loop, PhaseLock, Samples, ask_for_realtime, first_tick_s, wait_until
from ashore.real.vector import VECTOR_TYPE
from ashore.sim.interfaces import make_interface

Array = NDArray[Any]
ROBOT = np.array([0])
"""The one robot of this guard."""
BRAKE_S = 2.0
"""How long a guard that is deactivated may go on braking; from full speed an arm needs a third of a second."""
COUNTED = ("ticks", "interventions", "stops")
DEADMAN = Setting(0.0, 0.0, 10.0, "Stop when no operator was heard of for so many seconds; 0 needs no operator.")
SPEED = Setting(1.0, 0.01, 1.0, "Share of an arm's speed that passes; read when the node is configured.")
LAG_S = 0.003
"""How long after a proposal the guard's tick comes: after most late ones, before the robot's next period."""
PREPARE_S = 0.002
"""How long after its tick the guard sends: filtering is done by then, and its uneven duration moves no command."""


class GuardWork(Work):
    """Filters the newest proposal every command period and sends what is safe, or the robot's stop.

    Silent until the first proposal after activate; from then on it sends in every period, whatever the policy does.
    """

    def __init__(self, bundle: BundleFile, mapping: RobotMapping) -> None:
        self._bundle_file = bundle
        self._mapping = mapping
        self._loop: Loop | None = None
        self._active = False
        self._sending = threading.Lock()

    def configure(self, link: Link) -> None:
        """Read contract and card, compare them with the mapping, connect."""
        bundle = read_bundle(*self._bundle_file)
        contract, card, self._bundle_mark = bundle.contract, bundle.card, bundle.mark
        self._link, self._card = link, card
        self._interface = make_interface(card.interface)
        self._mapping.check(contract, card, self._interface.derived)
        measured = [feature for feature in contract.observations if feature.name not in self._interface.derived]
        measured += self._beside(link)
        self._now_s = link.clock.now_s
        self._senses = Senses(measured, self._mapping.observing([feature.name for feature in measured]), self._now_s)
        self._guard = Guard(card, 1, float(link.parameter("speed", SPEED)))
        self._proposals = Proposals(card.commands, self._now_s)
        self._period_s = 1.0 / card.command_hz
        self._lock = PhaseLock(self._period_s, LAG_S)
        self._sent = Samples()
        self._counts: Counter[str] = Counter()
        self._reported: Counter[str] = Counter()
        self._last_command: Array | None = None
        self._publish = [(c, link.publisher(c.topic, c.type, "order")) for c in self._mapping.commands]
        self._deadman_s = float(link.parameter("deadman_s", DEADMAN))
        self._is_pressed, self._operator_s = False, -np.inf
        link.subscribe("proposal", VECTOR_TYPE, "order", self._take)
        link.subscribe(STOP_TOPIC, STOP_TYPE, "notice", self._take_stop)
        link.subscribe(ALIVE_TOPIC, ALIVE_TYPE, "stream", self._take_alive)
        link.serve("guard/stop", self._stop)
        link.serve("guard/pressed", lambda: Answer(True, {"pressed": self._is_pressed}))
        link.serve("guard/report", self._report)
        self._senses.connect(link)
        link.clock.on_return(self._senses.outdate)
        link.clock.on_return(self._proposals.outdate)
        self._loop = Loop("guard", self._period_s, self.tick, link.clock)

    def _beside(self, link: Link) -> list[Feature]:
        """List what has limits, is no observation of the policy, and has a topic here; say what has none."""
        found = []
        for name, high in self._card.limits.measured_high.items():
            if self._mapping.observing([name]):
                found.append(Feature(name, (len(high),), "1", "none"))
            else:
                link.info(f"{name} has no topic in the mapping: its limits are the robot's own alone")
        self._mapping.require(found)
        return found

    def activate(self) -> None:
        """Start with no proposal and no latch.

        Raises:
            StopPressed: the operator's stop is pressed.
            NoOperator: there must be one, and none was heard of.
        """
        if self._is_pressed:
            raise StopPressed()
        silent_s = time.monotonic() - self._operator_s
        if 0 < self._deadman_s < silent_s:
            raise NoOperator(silent_s, self._deadman_s)
        self._guard.reset(ROBOT)
        self._senses.forget()
        self._proposals.forget()
        self._last_command = None
        self._stopped_because = ""
        with self._sending:
            self._active = True

    def deactivate(self) -> None:
        """Send the robot's stop until it is reached and rests, then nothing; a period is a real one here."""
        if self._loop is None or not self._active:
            return
        self._loop.stop()
        self._sent.lift()  # The last commands are no ticks: the first one goes out at once.
        now_s, due_s = self._now_s(), time.monotonic()
        until_s = due_s + BRAKE_S
        while self._last_command is not None:
            # Before the last tick's period is over, the guard would only repeat its command.
            now_s, due_s = now_s + self._period_s, due_s + self._period_s
            wait_until(due_s)
            stop = self._filter(now_s, np.inf)
            if stop is None:
                break
            self._send(self._messages(stop.command[0]), stop.command[0])
            is_on_its_way = self._guard.is_moving()[0] or dict(stop.reasons)["motion"][0]
            if not is_on_its_way or time.monotonic() > until_s:
                break
        with self._sending:
            self._active = False
        self._sent.lift()

    def tick(self, now_s: float) -> None:
        """Do one command period: filter the newest proposal, send the verdict's command."""
        newest = self._proposals.newest
        if newest is None or self._loop is None:
            return
        since_s = now_s - newest.received_s
        if since_s < self._period_s:
            self._loop.pacer.shift(self._lock.shift_s(since_s))
        if self._proposals.contested:
            self._guard.latch("two_commanders", ROBOT)
        if self._deadman_s > 0 and time.monotonic() - self._operator_s > self._deadman_s:
            self._guard.latch("operator_gone", ROBOT)
        verdict, at_s = self._judge(now_s), self._loop.pacer.due_s + PREPARE_S
        if verdict is None:
            return
        messages = self._messages(verdict.command[0])
        self._loop.wait_until(at_s)
        late_s = self._now_s()
        if late_s - at_s > self._period_s:  # Frozen meanwhile: what was judged before that is not for now.
            verdict = self._judge(late_s) or verdict
            messages = self._messages(verdict.command[0])
        self._send(messages, verdict.command[0])
        self._count(verdict)

    def _judge(self, now_s: float) -> Verdict | None:
        """Filter the newest proposal as old as it is, or as what is observed is."""
        newest = self._proposals.newest
        return None if newest is None else self._filter(now_s, max(newest.age_s(now_s), self._senses.age_s(now_s)))

    def _filter(self, now_s: float, age_s: float) -> Verdict | None:
        """Filter the newest proposal as one of this age."""
        measured, newest = self._senses.measured(), self._proposals.newest
        if newest is None or measured is None:
            return None
        observed = self._interface.derive(measured)
        return self._guard.filter(newest.command[None], observed, now_s, np.array([age_s]))

    def _take(self, message: Any) -> None:
        """Take in a proposal; the first one after activate starts the loop."""
        if not self._active:
            return
        is_first = self._proposals.newest is None
        self._proposals.take(message)
        newest = self._proposals.newest
        if is_first and newest is not None and self._loop is not None:
            self._loop.start(first_tick_s(newest.received_s, 0.0, self._period_s, LAG_S))

    def _take_stop(self, message: Any) -> None:
        """Hear that the operator's stop is pressed, or let go: that alone starts nothing."""
        self._is_pressed = bool(message.data)
        if self._is_pressed:
            self._guard.latch("operator_stop", ROBOT)
            self._link.info("the operator's stop is pressed")

    def _take_alive(self, message: Any) -> None:
        self._operator_s = time.monotonic()

    def _stop(self) -> Answer:
        """Stop until the next activation."""
        self._guard.latch("operator_stop", ROBOT)
        return Answer(True, {})

    def _messages(self, command: Array) -> list[tuple[Callable[[Any], None], bytes]]:
        """Make what tells a command (Dc,) on the robot's topics: who publishes, and what, ready to travel."""
        values, at = {}, 0
        for feature in self._card.commands:
            values[feature.name] = command[at : at + feature.size]
            at += feature.size
        stamp = self._link.stamp()
        return [(publish, packed(channel.write(values, stamp))) for channel, publish in self._publish]

    def _send(self, messages: list[tuple[Callable[[Any], None], bytes]], command: Array) -> None:
        """Publish them, if active at this very moment; as soon as can be after the moment that was waited for."""
        with self._sending:
            if not self._active:
                return
            self._sent.mark(self._now_s())
            for publish, message in messages:
                publish(message)
        self._last_command = command

    def _count(self, verdict: Verdict) -> None:
        named = [name for name, hit in verdict.reasons if hit[0]]
        because = ", ".join(name for name in named if name in STOPS)
        is_new = bool(because) and not self._stopped_because
        self._counts.update(ticks=1, interventions=int(verdict.intervened[0]), stops=int(is_new))
        self._counts.update(f"reason {name}" for name in named)
        if because != self._stopped_because:
            self._link.info(f"stop: {because}" if because else "the stop is over")
        self._stopped_because = because

    def health(self) -> Health:
        """Say whether it stops the robot, and why."""
        facts = {"bundle": self._bundle_mark, **{name: self._counts[name] for name in COUNTED}}
        if self._stopped_because:
            return Health("error", f"stopped: {self._stopped_because}", facts)
        if self._proposals.newest is None:
            return Health("ok", "no proposal yet; nothing is sent", facts)
        return Health("ok", "commands pass", facts)

    def _report(self) -> Answer:
        total, loop = self._counts.copy(), self._loop
        counts, self._reported = total - self._reported, total
        facts = {
            "period_ms": self._sent.take_ms(),
            "misses": loop.pacer.take_missed() if loop else 0,
            "refused": self._link.take_refused(),
            **{name: counts[name] for name in COUNTED},
            "reasons": {name[7:]: n for name, n in counts.items() if name.startswith("reason ")},
        }
        return Answer(True, facts)


def make(argv: Sequence[str]) -> tuple[GuardWork, str]:
    """Read the command line of the guard's process."""
    parser = argparse.ArgumentParser(prog="ashore-guard", description="Let only safe commands reach the robot.")
    add_bundle(parser, "whose limits hold")
    parser.add_argument("--mapping", required=True, help="name of the robot's mapping")
    parser.add_argument("--namespace", default="", help="the robot's ROS namespace")
    given = parser.parse_args(argv)
    return GuardWork(bundle_file(given), RobotMapping.named(given.mapping)), given.namespace


def main(argv: Sequence[str] | None = None) -> int:
    """Run the guard's process; returns its exit code."""
    ask_for_realtime()
    return run_node("guard", make, argv)


if __name__ == "__main__":
    sys.exit(main())
