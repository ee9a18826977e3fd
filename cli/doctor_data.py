"""`ashore doctor data`: what is suspicious in a store's data, and what to do about it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional

N_SHOWN = 10
"""Findings of each kind that are listed unless all are asked for."""


@dataclass(frozen=True)
class Data:
    """Look for what is suspicious in a store's data; exit code 1 where something is.

    Duplicate and frozen episodes, gaps in time, stale samples, saturated actions, idle stretches, episodes broken off,
    values out of limits, frames that repeat. Damage of the files is found by `ashore datasets verify`.

    For example:

      ashore doctor data out/arm
    """

    store: Annotated[Path, Positional]
    """Folder of the store."""
    all: bool = False
    """List every finding, not only the first ones of each kind."""
    json: bool = False
    """Print JSON, all findings."""

    def run(self) -> int:
        """Examine, and list the findings by kind."""
        import json
        from dataclasses import asdict

        from ashore.cli.console import say
        from ashore.cli.progress import shown
        from ashore.datasets.examination import examine
        from ashore.datasets.store import EpisodeStore

        store = EpisodeStore.open(self.store, readonly=True)
        with shown("examine") as progress:
            examination = examine(store, progress)
        code = 1 if examination.findings else 0
        if self.json:
            say(
                json.dumps([asdict(finding) | {"advice": finding.advice} for finding in examination.findings], indent=2)
            )
            return code
        for kind, count in examination.counts().items():
            found = [finding for finding in examination.findings if finding.kind == kind]
            say(f"{kind}: {count} finding(s) -> {found[0].advice}")
            shown_now = found if self.all else found[:N_SHOWN]
            for finding in shown_now:
                say(f"  {finding.place}: {finding.subject}")
            if len(shown_now) < count:
                say(f"  and {count - len(shown_now)} more; --all lists them")
        say(f"{self.store}: {len(store)} episodes examined, {len(examination.findings)} finding(s).")
        return code
