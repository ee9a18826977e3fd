"""What a policy sees in its own episodes that its normaliser never saw, and what never changes."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.policies.intervals import wilson
from ashore.policies.normalizer import NARROW

Array = NDArray[Any]
BEYOND_SHARE = 0.01
"""Share of an episode's steps beyond the fitted range that counts."""
BEYOND_MARGIN = 0.05
"""How far beyond counts, as a share of half the range: the last grain of a range is chance."""


@dataclass(frozen=True)
class Ranges:
    """Encoded observations of a policy's own episodes against the range that its normaliser was fitted to."""

    names: tuple[str, ...]
    """(De,)."""
    low: Array
    """(De,) fitted, before normalisation."""
    high: Array
    """(De,)."""
    seen_low: Array
    """(De,) in the policy's own episodes."""
    seen_high: Array
    """(De,)."""
    share_beyond: Array
    """(De,) share of the steps that lie beyond the range by more than BEYOND_MARGIN of its half."""
    episodes_beyond: Array
    """(De,) episodes in which that is more than BEYOND_SHARE of the steps."""
    n_episodes: int
    """Episodes that were looked at."""
    chance: float
    """Share of the episodes that would be beyond by chance, because the range is that of a few episodes."""

    @property
    def beyond(self) -> list[int]:
        """The elements that are beyond their range in surely more episodes than by chance, most steps first."""
        order = np.argsort(-self.share_beyond, kind="stable").tolist()
        z = NormalDist().inv_cdf(1 - 0.025 / len(order))  # 95 % for all elements together (Bonferroni).
        return [i for i in order if wilson(int(self.episodes_beyond[i]), self.n_episodes, z).low > self.chance]

    def told(self, element: int) -> str:
        """Say how often an element is beyond its range."""
        episodes = f"{int(self.episodes_beyond[element])} of {self.n_episodes} episodes"
        return f"{episodes} ({self.share_beyond[element]:.1%} of the steps)"


@dataclass(frozen=True)
class Frozen:
    """Elements of the observation that never change: narrower than a normaliser takes for signal."""

    in_both: tuple[int, ...]
    only_in_data: tuple[int, ...]
    """The policy learnt nothing of them, and they do change when it runs."""
    only_in_rollouts: tuple[int, ...]
    """It may have learnt to rely on them, and they stand still when it runs."""


def measure_ranges(
    names: Sequence[str], fitted: tuple[Array, Array], seen: Sequence[Array], n_fitted: int = 0
) -> Ranges:
    """Compare encoded observations with fitted ranges.

    A quantity that is drawn once an episode lies beyond the range of n others in 2 / (n + 1) of the episodes; so much
    is chance.

    Args:
        names: (De,) of the encoded elements.
        fitted: (low (De,), high (De,)) of the normaliser.
        seen: (T, De) each, encoded, not normalised, one an episode.
        n_fitted: episodes that the normaliser was fitted to; 0 where nobody knows.
    """
    low, high = (np.asarray(side, np.float64) for side in fitted)
    margin = np.maximum(BEYOND_MARGIN * (high - low) / 2, NARROW)
    is_beyond = [(each < low - margin) | (each > high + margin) for each in seen]
    steps = np.concatenate(seen)
    return Ranges(
        names=tuple(names),
        low=low,
        high=high,
        seen_low=steps.min(0),
        seen_high=steps.max(0),
        share_beyond=np.concatenate(is_beyond).mean(0),
        episodes_beyond=np.sum([each.mean(0) > BEYOND_SHARE for each in is_beyond], axis=0),
        n_episodes=len(seen),
        chance=2 / (n_fitted + 1) if n_fitted else 0.0,
    )


def find_frozen(data: Array, rollouts: Array) -> Frozen:
    """Find what never changes in steps of the data (R, Do) and of the policy's own episodes (S, Do)."""
    in_data, in_rollouts = (np.ptp(values, axis=0) <= NARROW for values in (data, rollouts))
    return Frozen(_places(in_data & in_rollouts), _places(in_data & ~in_rollouts), _places(in_rollouts & ~in_data))


def _places(chosen: Array) -> tuple[int, ...]:
    return tuple(np.flatnonzero(chosen).tolist())
