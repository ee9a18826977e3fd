"""`ashore datasets`: look at, verify, recover and import episode stores."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import OmitArgPrefixes, Positional, arg, subcommand

if TYPE_CHECKING:
    from ashore.datasets.contract import Feature
    from ashore.datasets.episode import EpisodeMeta

DAMAGED = 1
"""Exit code of a verification that found damage."""


@dataclass(frozen=True)
class Info:
    """Show what a store holds: contract, episodes, where they came from.

    For example:

      ashore datasets info out/arm
    """

    store: Annotated[Path, Positional]
    """Folder of the store."""

    def run(self) -> int:
        """Show it."""
        from ashore.cli.console import say
        from ashore.datasets.store import EpisodeStore

        store = EpisodeStore.open(self.store, readonly=True)
        contract = store.contract
        metas = [store.read_meta(index) for index in range(len(store))]
        say(f"{self.store}: {contract.task} on {contract.robot}, {contract.control_hz:g} Hz, {len(store)} episodes")
        say(f"contract {contract.digest}")
        _show_features(contract.observations, contract.actions)
        _show_origins(metas)
        return 0


@dataclass(frozen=True)
class Verify:
    """Read every byte of a store and list what is damaged, missing or left over; exit code 1 where there is any.

    For example:

      ashore datasets verify out/arm
    """

    store: Annotated[Path, Positional]
    """Folder of the store."""

    def run(self) -> int:
        """Verify, and list the faults."""
        from ashore.cli.console import say
        from ashore.cli.progress import shown
        from ashore.datasets.store import EpisodeStore

        store = EpisodeStore.open(self.store, readonly=True)
        with shown("verify") as progress:
            faults = store.verify(progress)
        for fault in faults:
            say(str(fault))
        say(f"{self.store}: {len(store)} episodes, {len(faults)} fault(s).")
        return DAMAGED if faults else 0


@dataclass(frozen=True)
class Recover:
    """Commit the episodes whose recorder died, as far as they were written, marked as truncated.

    For example:

      ashore datasets recover out/arm
    """

    store: Annotated[Path, Positional]
    """Folder of the store."""

    def run(self) -> int:
        """Recover, and say what became of each journal."""
        from ashore.cli.console import say
        from ashore.datasets.store import EpisodeStore

        recovered = EpisodeStore.open(self.store).recover()
        for item in recovered:
            if item.episode_index is None:
                fate = "held no whole step and was dropped"
            else:
                state = "had been committed already" if item.was_committed else "committed as truncated"
                fate = f"episode {item.episode_index}, {item.n_steps} steps, {state}"
            say(f"{item.journal}: {fate}; {item.torn_bytes} torn byte(s) dropped")
        say(f"{self.store}: {len(recovered)} journal(s) recovered.")
        return 0


@dataclass(frozen=True)
class Import:
    """Turn a foreign data set into a new store.

    For example:

      ashore datasets import pusht_cchi_v7_replay.zarr --from diffusion-policy --out out/pusht
    """

    source: Annotated[Path, Positional]
    """The foreign data set."""
    out: Path
    """Folder of the new store."""
    kind: Annotated[str, arg(name="from")] = "diffusion-policy"
    """Its format: diffusion-policy."""

    def run(self) -> int:
        """Import, and say what came in."""
        from ashore.cli.console import say
        from ashore.cli.progress import shown
        from ashore.datasets.importers import import_episodes

        with shown(f"import {self.kind}") as progress:
            n_episodes = import_episodes(self.kind, self.source, self.out, progress)
        say(f"{n_episodes} episodes imported into {self.out}.")
        say(f"Next: ashore train {self.out} --policy diffusion")
        return 0


@dataclass(frozen=True)
class Datasets:
    """Look at, verify, recover or import episode stores."""

    action: OmitArgPrefixes[
        Annotated[Info, subcommand("info", prefix_name=False)]
        | Annotated[Verify, subcommand("verify", prefix_name=False)]
        | Annotated[Recover, subcommand("recover", prefix_name=False)]
        | Annotated[Import, subcommand("import", prefix_name=False)]
    ]

    def run(self) -> int:
        """Run the chosen action."""
        return self.action.run()


def _show_features(observations: "Sequence[Feature]", actions: "Sequence[Feature]") -> None:
    from ashore.cli.console import show_table

    groups = (("observation", observations), ("action", actions))
    rows = [(f.name, side, str(f.shape), f.unit, f.frame, f.dtype) for side, group in groups for f in group]
    show_table("features", ("name", "side", "shape", "unit", "frame", "dtype"), rows)


def _show_origins(metas: "Sequence[EpisodeMeta]") -> None:
    from ashore.cli.console import show_table

    total = Counter((meta.source, meta.operator) for meta in metas)
    success = Counter((meta.source, meta.operator) for meta in metas if meta.success)
    truncated = Counter((meta.source, meta.operator) for meta in metas if meta.truncated)
    rows = [(*key, total[key], success[key], truncated[key]) for key in sorted(total)]
    show_table("episodes", ("source", "operator", "episodes", "success", "truncated"), rows)
