"""Where nothing moves: sliding spreads over a window, and stretches of steps."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def sliding_spread(values: Array, n_window: int) -> Array:
    """Give highest less lowest value of each window: (T, E) to (T - n_window + 1, E); no window, no rows."""
    if len(values) < n_window:
        return values[:0]
    high = low = values
    done = 1
    while done < n_window:  # A window of 2k steps is two of k; the last doubling overlaps as needed.
        step = min(done, n_window - done)
        high, low = np.maximum(high[:-step], high[step:]), np.minimum(low[:-step], low[step:])
        done += step
    return high - low


def still_steps(values: Array, n_window: int, share: float) -> NDArray[np.bool_]:
    """Tell which steps (T,) lie in a window in which every element stays within a share of its own range."""
    still = np.zeros(len(values), np.bool_)
    spread = sliding_spread(values, n_window)
    if not len(spread):
        return still
    begins = np.flatnonzero((spread <= share * (values.max(axis=0) - values.min(axis=0))).all(axis=1))
    change = np.zeros(len(values) + 1, np.int64)
    np.add.at(change, begins, 1)
    np.add.at(change, begins + n_window, -1)
    return np.cumsum(change[:-1]) > 0


def stretches(mask: Array) -> list[tuple[int, int]]:
    """List the first and last index of each run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return [(int(first), int(end) - 1) for first, end in zip(edges[::2], edges[1::2], strict=True)]
