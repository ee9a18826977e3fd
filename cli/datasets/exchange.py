"""`ashore datasets import|export`: stores from and to the formats of others."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg


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
    """Its format: diffusion-policy, lerobot, robomimic, rosbag2 or crazyflie."""
    mapping: Path | None = None
    """YAML file with what the format does not say: units, frames, names, a bag's topics."""

    def run(self) -> int:
        """Import, and say what came in."""
        from ashore.cli.console import say
        from ashore.cli.progress import shown
        from ashore.datasets.formats import import_episodes
        from ashore.datasets.store import EpisodeStore

        with shown(f"import {self.kind}") as progress:
            n_episodes = import_episodes(self.kind, self.source, self.out, self.mapping, progress)
        say(f"{n_episodes} episodes imported into {self.out}.")
        is_reference = not EpisodeStore.open(self.out, readonly=True).contract.actions
        say(f"Next: ashore {f'datasets info {self.out}' if is_reference else f'train {self.out} --policy diffusion'}")
        return 0


@dataclass(frozen=True)
class Export:
    """Write a store in a foreign format, and say what that cannot hold.

    For example:

      ashore datasets export out/arm --to lerobot --out out/arm_lerobot
    """

    store: Annotated[Path, Positional]
    """Folder of the store."""
    out: Path
    """File or folder to make."""
    kind: Annotated[str, arg(name="to")]
    """The format: diffusion-policy, lerobot, robomimic or rosbag2."""

    def run(self) -> int:
        """Export, and say what was lost."""
        from ashore.cli.console import say
        from ashore.cli.progress import shown
        from ashore.datasets.formats import export_episodes
        from ashore.datasets.store import EpisodeStore

        store = EpisodeStore.open(self.store, readonly=True)
        with shown(f"export {self.kind}") as progress:
            exported = export_episodes(self.kind, store, self.out, progress)
        say(f"{exported.n_episodes} episodes exported to {self.out}.")
        for line in exported.lost:
            say(f"  lost: {line}")
        return 0
