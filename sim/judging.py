"""The judge of tasks that are done once something stays as it should be for a while."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Finding:
    """What is seen of N episodes at one instant."""

    met: Array
    """Whether all is as it should be (N,) bool; what is not finite must come out false."""
    progress: Array
    """How far the task has come (N,), 0 to 1; 1 where it is met."""
    figures: Mapping[str, Array] = field(default_factory=dict)
    """Named figures (N,), units in the names; the last ones before an episode ends are its metrics."""


class StayJudge(ABC):
    """Watches N episodes; what it says of an episode no longer changes once that has terminated.

    A subclass says what it finds at one instant; the episode ends once that has been met for stay_s.
    """

    def __init__(self, n: int, stay_s: float) -> None:
        self._stay_s = stay_s
        self._met = np.zeros(n, dtype=bool)
        self._since_s = np.full(n, np.inf)
        self._terminated = np.zeros(n, dtype=bool)
        self._progress = np.zeros(n)
        self._time_s = np.zeros(n)
        self._figures: dict[str, Array] = {}

    @abstractmethod
    def find(self, truth: Mapping[str, Array], runs: Array) -> Finding:
        """Look at the true state {name: (N, *shape)}; runs (N,) bool tells the episodes that have not ended."""

    def update(self, truth: Mapping[str, Array], time_s: Array) -> None:
        """Take in the true state {name: (N, *shape)} at each episode's time since its reset (N,)."""
        runs = ~self._terminated
        found = self.find(truth, runs)
        self._met = np.where(runs, found.met, self._met)
        self._progress = np.where(runs, np.nan_to_num(np.clip(found.progress, 0.0, 1.0)), self._progress)
        self._time_s = np.where(runs, time_s, self._time_s)
        for name, value in found.figures.items():
            self._figures[name] = np.where(runs, value, self._figures.get(name, value))
        self._since_s = np.where(self._met, np.minimum(self._since_s, time_s), np.inf)
        self._terminated |= time_s - self._since_s >= self._stay_s - 1e-9

    def success(self) -> Array:
        """Whether all is as it should be (N,) bool."""
        return self._met.copy()

    def terminated(self) -> Array:
        """Whether it has stayed so (N,) bool."""
        return self._terminated.copy()

    def progress(self) -> Array:
        """How far each task has come (N,), from 0 to 1."""
        return self._progress.copy()

    def metrics(self) -> dict[str, Array]:
        """The subclass's figures, and when the episode ended, each (N,)."""
        return {**self._figures, "time_s": self._time_s}


def nearness(distance: Array, scale: float) -> Array:
    """Shape a distance (N,) into a reward: 1 at zero, 0.24 at the scale, towards 0 far away.

    1 - tanh(d / scale), as robosuite's and many other manipulation rewards.
    """
    return np.asarray(1.0 - np.tanh(distance / scale))
