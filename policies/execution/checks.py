"""The guard's checks of what the robot observes; each one finds the robots that must stop."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.policies.errors import InvalidCommand
from ashore.sim.robot import CommandLimits

Array = NDArray[Any]


class Observed:
    """What a card demands of the observations of N robots: everything finite, and some of it within bounds."""

    def __init__(self, limits: CommandLimits, n: int) -> None:
        self._n = n
        self._measured_high = {name: np.asarray(row, np.float64) for name, row in limits.measured_high.items()}
        low, high = limits.observed_low, limits.observed_high
        self._widths = {name: len(low.get(name, high.get(name, ()))) for name in sorted({*low, *high})}
        rows = ((low, -np.inf), (high, np.inf))
        self._low, self._high = (np.tile(_bounds(side, self._widths, free), (n, 1)) for side, free in rows)

    def judge(self, observed: Mapping[str, Array]) -> tuple[Array, Array]:
        """Find robots with an observation that holds NaN or infinity (N,), and those with one out of bounds (N,).

        Raises:
            InvalidCommand: a bounded observation has another width than its bounds.
        """
        n, widths = self._n, self._widths
        parts = [np.asarray(observed[name]).reshape(n, -1) for name in widths]
        wrong = [
            f"observation {name}: {part.shape[1]} values, {width} bounds"
            for (name, width), part in zip(self._widths.items(), parts, strict=True)
            if part.shape[1] != width
        ]
        if wrong:
            raise InvalidCommand(wrong)
        parts += [np.asarray(value).reshape(n, -1) for name, value in observed.items() if name not in widths]
        values = np.concatenate(parts, axis=1) if parts else np.zeros((n, 0))
        bounded = values[:, : self._low.shape[1]]
        outside = np.logical_or.reduce((bounded < self._low) | (bounded > self._high), axis=1)
        for name, high in self._measured_high.items():
            if name in observed:
                outside = outside | (np.abs(np.reshape(observed[name], (n, len(high)))) > high).any(1)
        return np.logical_not(np.logical_and.reduce(np.isfinite(values), axis=1)), np.asarray(outside)


def _bounds(bounds: Mapping[str, tuple[float, ...]], widths: Mapping[str, int], otherwise: float) -> Array:
    """Join bounds in the order of widths."""
    rows = [bounds.get(name, (otherwise,) * width) for name, width in widths.items()]
    return np.array([value for row in rows for value in row], np.float64)


def absent(names: set[str], observed: Mapping[str, Array], n: int) -> list[str]:
    """List the observations that the limits need and that are not there, and those of another number of robots."""
    faults = [f"observation {name}: missing" for name in sorted(names) if name not in observed]
    wrong = [name for name, value in observed.items() if np.ndim(value) < 1 or len(value) != n]
    return faults + [f"observation {name}: shape {np.shape(observed[name])}, expected ({n}, ...)" for name in wrong]
