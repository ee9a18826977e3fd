"""Watches whether a policy sees what it has learnt from: before it starts, and while it runs."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.policies.familiarity import Familiarity

Array = NDArray[Any]
FROZEN_S = 0.5
"""How long a feature that changed in every step may stand still, to the bit."""


class Watch:
    """Keeps how long observations have been of another kind, or stood still."""

    def __init__(self, familiarity: Familiarity) -> None:
        self.familiarity = familiarity
        self.reset()

    def reset(self) -> None:
        """Begin anew."""
        self.distance = 0.0
        """Of the newest observation; above 1 is of another kind."""
        self._strange_since_s = np.inf
        self._moved_s: dict[str, tuple[bytes, float]] = {}

    def see(self, observed: Mapping[str, Array], obs: Array, now_s: float) -> None:
        """Look at one step: {name: (1, *shape)} and the same flat (Do,)."""
        self.distance = self.familiarity.distance(obs)
        if self.distance <= 1.0:
            self._strange_since_s = np.inf
        elif np.isinf(self._strange_since_s):
            self._strange_since_s = now_s
        for name in self.familiarity.restless:
            value = np.asarray(observed[name]).tobytes()
            if name not in self._moved_s or self._moved_s[name][0] != value:
                self._moved_s[name] = (value, now_s)

    def problem(self, now_s: float, patience_s: float) -> str:
        """Say what has been wrong for too long, of another kind for patience_s or standing still; empty for nothing."""
        if now_s - self._strange_since_s > patience_s:
            return f"observations are of another kind than the data ({self.distance:.1f} times the limit)"
        frozen = [name for name, (_, at_s) in self._moved_s.items() if now_s - at_s > FROZEN_S]
        return f"observations stand still, to the bit: {', '.join(frozen)}" if frozen else ""
