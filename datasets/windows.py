"""Training windows: every store is read once into flat arrays, and a batch is two gathers; frames come from a pool."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.contract import Contract
from ashore.datasets.errors import InvalidBatch, InvalidHorizons, NoWindows
from ashore.datasets.flat import FlatEpisodes, read_flat
from ashore.datasets.frame_pool import MEMORY_BUDGET_BYTES, FramePool
from ashore.datasets.store import EpisodeStore
from ashore.datasets.weights import Shares, Weights, draw_windows, episode_chances

__all__ = ["MEMORY_BUDGET_BYTES", "Batch", "Shares", "Weights", "WindowSampler"]

Array = NDArray[Any]


class Batch(NamedTuple):
    """Windows, batch first."""

    obs: NDArray[np.float32]
    """(B, To, Do), in contract order."""
    actions: NDArray[np.float32]
    """(B, Tp, Da), in contract order."""
    images: Mapping[str, Array] = MappingProxyType({})
    """{image: (B, To, *shape)}, in the feature's dtype."""


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
    """What the stores agree on, with the images that were asked for and no other."""
    obs: NDArray[np.float32]
    """(R, Do) observations of all steps, in contract order."""
    actions: NDArray[np.float32]
    """(R, Da) actions of all steps, in contract order."""
    episode_ends: NDArray[np.int64]
    """(E,) one past the last row of each episode."""
    episode_of: NDArray[np.int64]
    """(W,) which episode each window lies in."""
    store_of: NDArray[np.int64]
    """(E,) which of the stores each episode comes from."""
    index_of: NDArray[np.int64]
    """(E,) each episode's index in its store."""
    n_skipped: int
    """Failed episodes that were left out."""

    def __init__(
        self,
        stores: Sequence[EpisodeStore],
        obs_horizon: int,
        prediction_horizon: int,
        action_horizon: int,
        *,
        images: Sequence[str] = (),
        successful_only: bool = True,
        weights: Weights | None = None,
        memory_budget_bytes: int = MEMORY_BUDGET_BYTES,
    ) -> None:
        """Read the stores; frames stay in their files until a batch shows them.

        Args:
            stores: of one contract, as far as it is asked for.
            obs_horizon: To.
            prediction_horizon: Tp.
            action_horizon: Ta, To - 1 + Ta <= Tp.
            images: names of the contract's images that batches show.
            successful_only: leave out episodes that were judged failed; those that nobody judged stay.
            weights: how often windows are drawn; without, an epoch has each of them once.
            memory_budget_bytes: of decoded frames that are held, see FramePool.

        Raises:
            InvalidHorizons: the horizons do not fit each other.
            ContractMismatch: two stores differ; names both and every field.
            NoWindows: no episode is long enough.
            NoActions: a store is a reference set.
            UnknownName: there is no such image.
            FeatureMissing: an episode lacks an optional feature.
            InvalidWeights: no window can be drawn by them.
        """
        if (
            min(obs_horizon, prediction_horizon, action_horizon) < 1
            or obs_horizon - 1 + action_horizon > prediction_horizon
        ):
            raise InvalidHorizons(obs_horizon, prediction_horizon, action_horizon)
        self.obs_horizon = obs_horizon
        self.prediction_horizon = prediction_horizon
        flat = read_flat(stores, images, successful_only, weights if callable(weights) else None)
        self.contract, self.obs, self.actions = flat.contract, flat.obs, flat.actions
        self.episode_ends, self.store_of, self.index_of = flat.episode_ends, flat.store_of, flat.index_of
        self.n_skipped = flat.n_skipped
        self.frames = FramePool(flat.frames, memory_budget_bytes)
        self._place(pad_before=obs_horizon - 1, pad_after=action_horizon - 1)
        self._chances = None if weights is None else self._weigh(weights, flat, len(stores))

    def __len__(self) -> int:
        return len(self._starts)

    def batch(self, indices: Array, out: Batch | None = None) -> Batch:
        """Gather windows.

        Args:
            indices: (B,) window indices, 0 <= index < len(self).
            out: where they are written, such as pinned or shared memory; of the shapes that `make_batch` gives.

        Raises:
            InvalidBatch: `out` does not fit.
            DamagedFile: a frame's bytes are no such frame.
            StorageFailed: a file cannot be read any more.
        """
        steps = self._starts[indices][:, None] + np.arange(self.prediction_horizon)  # (B, Tp)
        rows = np.clip(steps, self._first_rows[indices][:, None], self._last_rows[indices][:, None])
        observed = rows[:, : self.obs_horizon]  # (B, To)
        if out is None and not self.contract.images:
            obs = np.take(self.obs, observed, axis=0, mode="clip")
            return Batch(obs, np.take(self.actions, rows, axis=0, mode="clip"))
        if out is None:
            out = self.make_batch(len(rows))
        else:
            self._require_fit(out, len(rows))
        np.take(self.obs, observed, axis=0, out=out.obs, mode="clip")
        np.take(self.actions, rows, axis=0, out=out.actions, mode="clip")
        self.frames.gather(observed, out.images)
        return out

    def make_batch(self, batch_size: int) -> Batch:
        """Make an empty batch of B windows, to be written to."""
        obs = np.empty((batch_size, self.obs_horizon, self.obs.shape[1]), np.float32)
        actions = np.empty((batch_size, self.prediction_horizon, self.actions.shape[1]), np.float32)
        lead = (batch_size, self.obs_horizon)
        images = {image.name: np.empty((*lead, *image.shape), image.dtype) for image in self.contract.images}
        return Batch(obs, actions, images)

    def epoch(self, seed: int, epoch: int = 0) -> NDArray[np.int64]:
        """Order all windows (W,) at random, or draw as many by their weights; a function of seed and epoch alone."""
        rng = np.random.default_rng([seed, epoch])
        if self._chances is None:
            return rng.permutation(len(self))
        return draw_windows(rng, len(self), self._chances, self._counts)

    def _place(self, pad_before: int, pad_after: int) -> None:
        begins = np.concatenate([[0], self.episode_ends[:-1]])
        lengths = self.episode_ends - begins
        shortest = self.prediction_horizon - pad_after - pad_before
        counts = np.maximum(lengths - shortest + 1, 0)
        if not counts.any():
            raise NoWindows(len(lengths) + self.n_skipped, self.n_skipped, shortest)
        self._counts = counts
        self.episode_of = np.repeat(np.arange(len(counts)), counts)
        place = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        self._starts = begins[self.episode_of] - pad_before + place
        self._first_rows = begins[self.episode_of]
        self._last_rows = self.episode_ends[self.episode_of] - 1

    def _weigh(self, weights: Weights, flat: FlatEpisodes, n_stores: int) -> NDArray[np.float64]:
        if isinstance(weights, Shares):
            return episode_chances(weights, self._counts, self.store_of, n_stores)
        if callable(weights):
            return episode_chances(flat.weights, self._counts, self.store_of, n_stores)
        return episode_chances(flat.pick(weights), self._counts, self.store_of, n_stores)

    def _require_fit(self, out: Batch, batch_size: int) -> None:
        """Refuse buffers that a batch cannot be written to as it is."""
        float32, lead = np.dtype(np.float32), (batch_size, self.obs_horizon)
        expected: dict[str, tuple[tuple[int, ...], np.dtype[Any]]] = {
            "obs": ((*lead, self.obs.shape[1]), float32),
            "actions": ((batch_size, self.prediction_horizon, self.actions.shape[1]), float32),
        }
        expected |= {image.name: ((*lead, *image.shape), np.dtype(image.dtype)) for image in self.contract.images}
        given = {"obs": out.obs, "actions": out.actions, **out.images}
        if given.keys() != expected.keys():
            raise InvalidBatch(f"buffers {sorted(given)}", f"{sorted(expected)}")
        for name, (shape, dtype) in expected.items():
            array = given[name]
            flags = array.flags
            if (array.shape, array.dtype) != (shape, dtype) or not flags.c_contiguous or not flags.writeable:
                told = f"{array.shape} of {array.dtype}"
                raise InvalidBatch(f"buffer {name!r} is {told}", f"contiguous, writeable {shape} of {dtype}")
