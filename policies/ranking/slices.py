"""Where a policy is weakest: success by the values that its episodes drew."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.policies.intervals import Interval, wilson

Array = NDArray[Any]
N_PARTS = 3
MIN_EPISODES = 10


@dataclass(frozen=True)
class Slice:
    """Episodes in which one drawn value lay in one third of its range."""

    parameter: str
    """Its name; of a vector, one element of it such as object_pos_base_m[1]."""
    low: float
    high: float
    n_episodes: int
    interval: Interval
    """Success in the slice; 95 % for all slices together (Bonferroni)."""

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "parameter": self.parameter,
            "from": self.low,
            "to": self.high,
            "episodes": self.n_episodes,
            "success_rate": self.interval.rate,
            "success_low": self.interval.low,
            "success_high": self.interval.high,
        }


def slices(draws: Sequence[Mapping[str, Array]], success: Array) -> list[Slice]:
    """Cut the episodes into thirds by every drawn number that varies.

    Args:
        draws: (M,) the values of each episode.
        success: (M,) bool.

    Returns:
        Slices of at least MIN_EPISODES episodes, in the order of the parameters.
    """
    groups = [group for name in draws[0] for group in _thirds(name, draws)]
    kept = [(name, rows, values) for name, rows, values in groups if len(rows) >= MIN_EPISODES]
    z = NormalDist().inv_cdf(1 - 0.025 / max(1, len(kept)))
    return [
        Slice(name, float(values.min()), float(values.max()), len(rows), wilson(int(success[rows].sum()), len(rows), z))
        for name, rows, values in kept
    ]


def worst_slice(draws: Sequence[Mapping[str, Array]], success: Array) -> Slice | None:
    """Find the slice with the lowest bound on its success; None where nothing varies or episodes are few."""
    found = slices(draws, success)
    return min(found, key=lambda part: (part.interval.low, part.interval.rate)) if found else None


def _thirds(name: str, draws: Sequence[Mapping[str, Array]]) -> list[tuple[str, Array, Array]]:
    """Split episodes by each element of a parameter: (element's name, rows (K,), values (K,))."""
    values = np.stack([np.asarray(draw[name], np.float64).reshape(-1) for draw in draws])  # (M, E)
    groups = []
    for element in range(values.shape[1]):
        column = values[:, element]
        label = name if np.ndim(draws[0][name]) == 0 else f"{name}[{element}]"
        if len(np.unique(column)) >= N_PARTS:
            parts = np.array_split(np.argsort(column, kind="stable"), N_PARTS)
            groups += [(label, rows, column[rows]) for rows in parts]
    return groups
