"""The fixed set of real observations that all policies are asked about, and what each policy learnt from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.contract import Contract
from ashore.datasets.errors import UnreadableFile

Array = NDArray[Any]


@dataclass(frozen=True)
class RealEpisodes:
    """Recorded episodes as flat observations, the same for every policy."""

    name: str
    contract: Contract
    observations: tuple[Array, ...]
    """One (T, Do) an episode, at the control rate."""
    sources: tuple[str, ...]
    """Where they were recorded: twin, real, ..."""

    def windows(self, obs_horizon: int, action_horizon: int, most: int = 2000) -> Array:
        """Cut windows (M, To, Do) at planning times, every Ta steps; the first step is repeated before the start."""
        parts = []
        for observed in self.observations:
            ends = np.arange(0, len(observed), action_horizon)
            rows = ends[:, None] + np.arange(1 - obs_horizon, 1)  # (M, To)
            parts.append(observed[rows.clip(0)])
        together = np.concatenate(parts)
        if len(together) <= most:
            return together
        return together[np.linspace(0, len(together) - 1, most).round().astype(np.int64)]


@dataclass(frozen=True)
class Calibration:
    """Windows of a policy's own training store."""

    held_out: Array
    """(H, To, Do) of episodes that were held back."""
    learnt: Array
    """(R, To, Do) of episodes that were learnt from."""


def load_real(path: Path | str) -> RealEpisodes:
    """Read an episode store as the real observations.

    Raises:
        NotAStore: there is no store.
        UnreadableFile: it holds no episodes.
    """
    from ashore.datasets.store import EpisodeStore

    folder = Path(path)
    store = EpisodeStore.open(folder, readonly=True)
    episodes = list(store)
    if not episodes:
        raise UnreadableFile(folder, "at least one real episode", "the store is empty", "Deploy and record some.")
    observations = tuple(store.contract.flatten_observation(episode.observations) for episode in episodes)
    sources = tuple(sorted({episode.meta.source for episode in episodes}))
    return RealEpisodes(folder.name, store.contract.without_images(), observations, sources)


def load_calibration(run: Path) -> Calibration:
    """Read RUN/calibration.npz, which training wrote.

    Raises:
        UnreadableFile: it is missing, or not what training writes.
    """
    path, way_out = run / "calibration.npz", "Train or distil the run again."
    try:
        with np.load(path, allow_pickle=False) as arrays:
            held_out, learnt = arrays["obs"], arrays["fitted"]
    except (OSError, KeyError, ValueError) as error:
        raise UnreadableFile(path, "windows obs and fitted", str(error), way_out) from error
    if held_out.ndim != 3 or learnt.ndim != 3 or not len(held_out) or not len(learnt):
        problem = f"shapes {held_out.shape} and {learnt.shape}"
        raise UnreadableFile(path, "windows obs and fitted, each (M, To, Do)", problem, way_out)
    return Calibration(held_out, learnt)
