"""`ashore status`: how the nodes of a running deployment are, as a table or as events."""

import select
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

    from ashore.real.events import Event
    from ashore.real.health import Health
    from ashore.real.station import Station

FIRST_S, MOST_S = 3.0, 10.0
"""How long first words are waited for; the latter while a node that is there was not heard. All speak once a second."""
LOOK_S = 0.2
"""How often it is looked whether somebody still reads."""
COLORS = {"ok": "green", "warning": "yellow", "error": "red", "stale": "magenta"}


@dataclass(frozen=True)
class Status:
    """Show how the nodes of a running deployment are, renewed twice a second until Ctrl-C.

    Exit code 1 where a node is not ok, or nothing was heard. For example:

      ashore status
      ashore status --once
      ashore status --domain 7
      ashore status --json >> events.jsonl
      ashore status --json --once
    """

    domain: int | None = None
    """ROS domain; that of the one deployment on this host where not given."""
    once: bool = False
    """Show it once and end."""
    json: bool = False
    """Write what happens, one JSON event a line: log messages, changes of health; with --once, how each node is."""

    def run(self) -> int:
        """Listen, and show what is heard."""
        from ashore.real.network import applied, environment
        from ashore.real.station import Station, find_domain

        domain_id = find_domain(self.domain)
        with applied(environment("loopback", domain_id)), Station(domain_id) as station:
            if self.json and not self.once:
                tell_events(station)
            else:
                self._show(domain_id, station)
            health = station.health()
        return 0 if health and all(each.level == "ok" for each in health.values()) else 1

    def _show(self, domain_id: int, station: "Station") -> None:
        """Show how the nodes are: as events, as a table, or as one that is renewed until Ctrl-C."""
        from rich.live import Live

        from ashore.cli.console import wide_console

        until_s, at_last_s = time.monotonic() + FIRST_S, time.monotonic() + MOST_S
        while time.monotonic() < (until_s if station.all_heard() else at_last_s):
            if station.health() and not self.once:
                break
            time.sleep(0.05)
        if self.json:
            tell_health(station)
        elif self.once:
            wide_console().print(table_of(domain_id, station.health()))
        else:
            with Live(table_of(domain_id, station.health()), refresh_per_second=2) as live, suppress(KeyboardInterrupt):
                while True:
                    time.sleep(0.5)
                    live.update(table_of(domain_id, station.health()))


def tell_health(station: "Station") -> None:
    """Write how every node is now, one event a line."""
    from ashore.real.events import health_event

    for name, health in station.health().items():
        _write(health_event(name, health, time.time_ns()))


def tell_events(station: "Station") -> None:
    """Write what happens, one event a line, until Ctrl-C.

    Raises:
        BrokenPipeError: nobody reads on.
    """
    events: SimpleQueue[Event] = SimpleQueue()
    station.follow(events.put)
    with suppress(KeyboardInterrupt):
        while True:
            try:
                _write(events.get(timeout=LOOK_S))
            except Empty:
                _check_reader()


def _write(event: "Event") -> None:
    sys.stdout.write(f"{event.line()}\n")
    sys.stdout.flush()


def _check_reader() -> None:
    """Notice in a quiet graph too that the other end of a pipe is gone."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    if any(told & (select.POLLERR | select.POLLHUP) for _, told in poll.poll(0)):
        raise BrokenPipeError


def table_of(domain_id: int, health: Mapping[str, "Health"]) -> "Table":
    """Lay it out, one line a node."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=f"ROS domain {domain_id}", title_justify="left")
    for heading in ("node", "state", "", "says", "figures"):
        table.add_column(heading, overflow="fold")
    for name, each in health.items():
        facts = dict(each.facts)
        state = str(facts.pop("state", ""))
        figures = ", ".join(f"{key} {value}" for key, value in facts.items())
        table.add_row(name, state, Text(each.level, COLORS[each.level]), Text(each.text), Text(figures))
    if not health:
        table.add_row("", "", Text("stale", COLORS["stale"]), "nobody speaks", "")
    return table
