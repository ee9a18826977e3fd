"""Training windows: every store is read once into flat arrays, and a batch is two gathers."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.contract import Contract
from ashore.datasets.episode import Episode
from ashore.datasets.errors import InvalidHorizons, NoWindows
from ashore.datasets.store import EpisodeStore

Array = NDArray[Any]


class WindowSampler:
    """All windows of To observations and Tp actions that lie in the episodes of some stores.

    step        n-1   n     n+1   n+2   n+3   n+4     To = 2, Tp = 6, Ta = 3
    observed    x     x
    predicted   0     1     2     3     4     5       index 0 is the oldest observed step

    A window starts up to To - 1 steps before an episode and ends up to Ta - 1 steps after it; there the episode's
    first or last step is repeated. No window reaches into another episode. Source: Chi et al., Diffusion Policy,
    RSS 2023, and its `create_indices`.
    """

    contract: Contract
    obs: NDArray[np.float32]
    """(R, Do) observations of all steps, in contract order."""
    actions: NDArray[np.float32]
    """(R, Da) actions of all steps, in contract order."""
    episode_ends: NDArray[np.int64]
    """(E,) one past the last row of each episode."""
    episode_of: NDArray[np.int64]
    """(W,) which episode each window lies in."""
    n_skipped: int
    """Failed episodes that were left out."""

    def __init__(
        self,
        stores: Sequence[EpisodeStore],
        obs_horizon: int,
        prediction_horizon: int,
        action_horizon: int,
        *,
        successful_only: bool = True,
    ) -> None:
        """Read the stores.

        Args:
            stores: of one contract.
            obs_horizon: To.
            prediction_horizon: Tp.
            action_horizon: Ta, To - 1 + Ta <= Tp.
            successful_only: leave out episodes that were judged failed; those that nobody judged stay.

        Raises:
            InvalidHorizons: the horizons do not fit each other.
            ContractMismatch: two stores differ; names both and every field.
            NoWindows: no episode is long enough.
        """
        if (
            min(obs_horizon, prediction_horizon, action_horizon) < 1
            or obs_horizon - 1 + action_horizon > prediction_horizon
        ):
            raise InvalidHorizons(obs_horizon, prediction_horizon, action_horizon)
        self.obs_horizon = obs_horizon
        self.prediction_horizon = prediction_horizon
        self._read(stores, successful_only)
        self._place(pad_before=obs_horizon - 1, pad_after=action_horizon - 1)

    def __len__(self) -> int:
        return len(self._starts)

    def batch(self, indices: Array) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Gather windows.

        Args:
            indices: (B,) window indices, 0 <= index < len(self).

        Returns:
            obs (B, To, Do) and actions (B, Tp, Da).
        """
        steps = self._starts[indices][:, None] + np.arange(self.prediction_horizon)  # (B, Tp)
        rows = np.clip(steps, self._first_rows[indices][:, None], self._last_rows[indices][:, None])
        obs = np.take(self.obs, rows[:, : self.obs_horizon], axis=0, mode="clip")
        return obs, np.take(self.actions, rows, axis=0, mode="clip")

    def epoch(self, seed: int, epoch: int = 0) -> NDArray[np.int64]:
        """Order all windows (W,) at random; a function of seed and epoch alone."""
        return np.random.default_rng([seed, epoch]).permutation(len(self))

    def _read(self, stores: Sequence[EpisodeStore], successful_only: bool) -> None:
        if not stores:
            raise NoWindows(0, 0, 1)
        self.contract = stores[0].contract
        for other in stores[1:]:
            self.contract.require_same(other.contract, f"the store {stores[0].path}", f"the store {other.path}")
        observations, actions, lengths, n_seen = [], [], [], 0
        for episode in (episode for store in stores for episode in store):
            n_seen += 1
            if successful_only and episode.meta.success is False:
                continue
            obs, told = _flat(episode)
            observations.append(obs)
            actions.append(told)
            lengths.append(len(episode))
        self.n_skipped = n_seen - len(lengths)
        if not lengths:
            raise NoWindows(n_seen, self.n_skipped, 1)
        self.obs, self.actions = np.concatenate(observations), np.concatenate(actions)
        self.episode_ends = np.cumsum(lengths, dtype=np.int64)

    def _place(self, pad_before: int, pad_after: int) -> None:
        begins = np.concatenate([[0], self.episode_ends[:-1]])
        lengths = self.episode_ends - begins
        shortest = self.prediction_horizon - pad_after - pad_before
        counts = np.maximum(lengths - shortest + 1, 0)
        if not counts.any():
            raise NoWindows(len(lengths) + self.n_skipped, self.n_skipped, shortest)
        self.episode_of = np.repeat(np.arange(len(counts)), counts)
        place = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        self._starts = begins[self.episode_of] - pad_before + place
        self._first_rows = begins[self.episode_of]
        self._last_rows = self.episode_ends[self.episode_of] - 1


def _flat(episode: Episode) -> tuple[Array, Array]:
    contract = episode.contract
    return contract.flatten_observation(episode.observations), contract.flatten_action(episode.actions)
