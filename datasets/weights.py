"""How often each episode's windows are drawn, where not all of them alike."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.episode import EpisodeMeta
from ashore.datasets.errors import InvalidWeights

Array = NDArray[Any]


@dataclass(frozen=True)
class Shares:
    """The share of the drawn windows that each store gets, within which all windows are alike."""

    values: tuple[float, ...]
    """One a store, in any unit: (1, 3) is a quarter and three quarters."""


Weights = Shares | Sequence[float] | Array | Callable[[EpisodeMeta], float]
"""Shares of the stores; or one weight an episode, as an array over all episodes of all stores in order (those judged
failed too) or as a function of where the episode came from. A window of weight 2 is drawn twice as often as of 1."""


def episode_chances(shares: Shares | Array, counts: Array, store_of: Array, n_stores: int) -> NDArray[np.float64]:
    """Give the chance (E,) that a drawn window lies in each episode; they add up to 1.

    Args:
        shares: shares of the stores, or weights (E,) of the episodes' windows.
        counts: (E,) windows of each episode.
        store_of: (E,) which store each episode comes from.
        n_stores: how many stores there are; one may have no episode.

    Raises:
        InvalidWeights: they are not one an episode or store, negative, infinite, or above zero where no window is.
    """
    counts = np.asarray(counts, np.float64)
    if not isinstance(shares, Shares):
        weights = _checked(shares, f"one weight for each of {len(counts)} episodes", len(counts))
        return _normalized(weights * counts, "these weights")
    values = _checked(shares.values, f"one share for each of {n_stores} stores", n_stores)
    in_store = np.bincount(store_of, counts, n_stores)
    if np.any((values > 0) & (in_store == 0)):
        raise InvalidWeights(f"shares {shares.values}", f"windows in every store with a share; they hold {in_store}")
    return _normalized(values[store_of] * counts / np.maximum(in_store, 1)[store_of], f"shares {shares.values}")


def draw_windows(rng: np.random.Generator, count: int, chances: Array, counts: Array) -> NDArray[np.int64]:
    """Draw window indices (count,) with replacement: an episode by its chance, then any of its windows."""
    ends = np.cumsum(chances)
    # The last end is exactly 1, and an episode without a chance ends where the one before it does: it is never drawn.
    episodes = np.searchsorted(ends / ends[-1], rng.random(count), side="right")
    firsts = np.cumsum(counts) - counts
    return np.asarray(firsts[episodes] + rng.integers(counts[episodes]), np.int64)


def _checked(values: Any, expected: str, count: int) -> NDArray[np.float64]:
    found = np.asarray(values, np.float64)
    if found.shape != (count,):
        raise InvalidWeights(f"numbers of shape {found.shape}", expected)
    if not np.all(np.isfinite(found)) or np.any(found < 0):
        raise InvalidWeights(f"{found[~np.isfinite(found) | (found < 0)][0]:g}", expected)
    return found


def _normalized(values: NDArray[np.float64], what: str) -> NDArray[np.float64]:
    total = values.sum()
    if not 0 < total < np.inf:
        raise InvalidWeights(what, "at least one above zero")
    return np.asarray(values / total, np.float64)
