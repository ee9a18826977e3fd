"""The guard's checks of what the robot observes; each one finds the robots that must stop."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.sim.robot import CommandLimits

Array = NDArray[Any]


def not_finite(observed: Mapping[str, Array], n: int) -> Array:
    """Find robots (N,) with an observation that holds NaN or infinity."""
    found = np.zeros(n, bool)
    for value in observed.values():
        finite = np.isfinite(value)
        if not finite.all():
            found |= ~finite.reshape(n, -1).all(1)
    return found


def out_of_bounds(limits: CommandLimits, observed: Mapping[str, Array], n: int) -> Array:
    """Find robots (N,) with an observation outside observed_low and observed_high."""
    found = np.zeros(n, bool)
    for name, low in limits.observed_low.items():
        below = np.reshape(observed[name], (n, -1)) < low
        if below.any():
            found |= below.any(1)
    for name, high in limits.observed_high.items():
        above = np.reshape(observed[name], (n, -1)) > high
        if above.any():
            found |= above.any(1)
    return found


def absent(names: set[str], observed: Mapping[str, Array], n: int) -> list[str]:
    """List the observations that the limits need and that are not there, and those of another number of robots."""
    faults = [f"observation {name}: missing" for name in sorted(names) if name not in observed]
    wrong = [name for name, value in observed.items() if np.ndim(value) < 1 or len(value) != n]
    return faults + [f"observation {name}: shape {np.shape(observed[name])}, expected ({n}, ...)" for name in wrong]
