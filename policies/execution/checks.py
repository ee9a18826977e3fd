"""The guard's checks of what the robot observes; each one finds the robots that must stop."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.policies.errors import InvalidCommand
from ashore.sim.robot import CommandLimits

Array = NDArray[Any]


class Observed:
    """What a card demands of observations, as arrays: everything finite, and some of it within bounds."""

    def __init__(self, limits: CommandLimits) -> None:
        self._measured_high = {name: np.asarray(row, np.float64) for name, row in limits.measured_high.items()}
        low, high = limits.observed_low, limits.observed_high
        self._widths = {name: len(low.get(name, high.get(name, ()))) for name in sorted({*low, *high})}
        self._low, self._high = (
            np.concatenate([np.zeros(0), *(_row(side, name, width, free) for name, width in self._widths.items())])
            for side, free in ((low, -np.inf), (high, np.inf))
        )

    def judge(self, observed: Mapping[str, Array], n: int) -> tuple[Array, Array]:
        """Find robots with an observation that holds NaN or infinity (N,), and those with one out of bounds (N,).

        Raises:
            InvalidCommand: a bounded observation has another width than its bounds.
        """
        parts = [np.reshape(observed[name], (n, -1)) for name in self._widths]
        wrong = [
            f"observation {name}: {part.shape[1]} values, {width} bounds"
            for (name, width), part in zip(self._widths.items(), parts, strict=True)
            if part.shape[1] != width
        ]
        if wrong:
            raise InvalidCommand(wrong)
        others = [np.reshape(value, (n, -1)) for name, value in observed.items() if name not in self._widths]
        values = np.concatenate([np.zeros((n, 0)), *parts, *others], axis=1)
        bounded = values[:, : len(self._low)]
        outside = ((bounded < self._low) | (bounded > self._high)).any(1)
        for name, high in self._measured_high.items():
            if name in observed:
                outside = outside | (np.abs(np.reshape(observed[name], (n, len(high)))) > high).any(1)
        return np.logical_not(np.isfinite(values).all(1)), np.asarray(outside)


def _row(bounds: Mapping[str, tuple[float, ...]], name: str, width: int, otherwise: float) -> Array:
    return np.asarray(bounds.get(name, (otherwise,) * width), np.float64)


def absent(names: set[str], observed: Mapping[str, Array], n: int) -> list[str]:
    """List the observations that the limits need and that are not there, and those of another number of robots."""
    faults = [f"observation {name}: missing" for name in sorted(names) if name not in observed]
    wrong = [name for name, value in observed.items() if np.ndim(value) < 1 or len(value) != n]
    return faults + [f"observation {name}: shape {np.shape(observed[name])}, expected ({n}, ...)" for name in wrong]
