"""`ashore status`: how the nodes of a running deployment are."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

    from ashore.real.health import Health

FIRST_S = 3.0
"""How long the first words are waited for; nodes speak once a second."""
COLORS = {"ok": "green", "warning": "yellow", "error": "red", "stale": "magenta"}


@dataclass(frozen=True)
class Status:
    """Show how the nodes of a running deployment are, renewed twice a second until Ctrl-C.

    Exit code 1 where a node is not ok, or nothing was heard. For example:

      ashore status
      ashore status --once
      ashore status --domain 7
    """

    domain: int | None = None
    """ROS domain; that of the one deployment on this host where not given."""
    once: bool = False
    """Show it once and end."""

    def run(self) -> int:
        """Listen, and show what is heard."""
        from rich.live import Live

        from ashore.cli.console import wide_console
        from ashore.real.network import applied, environment
        from ashore.real.station import Station, find_domain

        domain_id = find_domain(self.domain)
        with applied(environment("loopback", domain_id)), Station(domain_id) as station:
            until_s = time.monotonic() + FIRST_S
            while time.monotonic() < until_s and not (station.health() and not self.once):
                time.sleep(0.05)
            if self.once:
                wide_console().print(table_of(domain_id, station.health()))
            else:
                with Live(table_of(domain_id, station.health()), refresh_per_second=2) as live:
                    try:
                        while True:
                            time.sleep(0.5)
                            live.update(table_of(domain_id, station.health()))
                    except KeyboardInterrupt:
                        pass
            health = station.health()
        return 0 if health and all(each.level == "ok" for each in health.values()) else 1


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
