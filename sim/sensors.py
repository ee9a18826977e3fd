"""What a robot and its perception make of the truth: noise, bias and delay, each as large as the episode's draw says.

Noise is drawn a whole episode ahead from the episode's own seed, so that it does not depend on how many run together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.rotations import quat_from_vector, quat_multiply, upper_half
from ashore.sim.randomization import Draw

Array = NDArray[Any]


@dataclass(frozen=True)
class SensorSpec:
    """Which parameters of the draw disturb one observation; a parameter that is None or not drawn disturbs nothing."""

    noise: str | None = None
    """Standard deviation of white noise, in the observation's unit; rad for quaternions."""
    delay: str | None = None
    """Age of the measurement, s; between two samples the measurement is interpolated."""
    bias: str | None = None
    """Constant offset, one number or one an element, in the observation's unit; rotation vector for quaternions."""
    kind: Literal["vector", "quaternion"] = "vector"


class Sensors:
    """Disturbs the measurements of N episodes.

    sample      0     1     2     3          period_s apart
    truth       a     b     c     d
    measured    a     a.    b.    c.         delay of 0.75 periods: b. lies a quarter of the way from b to c
    """

    def __init__(self, specs: Mapping[str, SensorSpec], widths: Mapping[str, int], n: int, period_s: float) -> None:
        self._specs = specs
        self._widths = widths
        self._n = n
        self._period_s = period_s
        self._taken = np.zeros(n, dtype=np.int64)
        """Samples that each episode has had."""
        self._history: dict[str, Array] = {}
        self._noise: dict[str, Array] = {}
        self._bias: dict[str, Array] = {}
        self._delay_s: dict[str, Array] = {}

    def reset(self, draws: Sequence[Draw], seeds: Sequence[int], n_samples: int, ids: Array | None = None) -> None:
        """Start episodes ids (K,), all where None, of at most n_samples measurements (the reset's own included)."""
        rows = np.arange(self._n) if ids is None else ids
        if ids is None:
            self._allocate(n_samples)
        self._taken[rows] = 0
        rngs = [np.random.default_rng(seed) for seed in seeds]
        for name, spec in self._specs.items():
            width = self._noise[name].shape[2]
            deviation = _drawn(draws, spec.noise, width)
            white = np.stack([rng.standard_normal((n_samples, width), dtype=np.float32) for rng in rngs])
            self._noise[name][rows] = white * deviation[:, None, :]
            self._bias[name][rows] = _drawn(draws, spec.bias, width)
            self._delay_s[name][rows] = _drawn(draws, spec.delay, 1)[:, 0]

    def measure(self, truth: Mapping[str, Array], ids: Array | None = None) -> dict[str, Array]:
        """Take the next sample of episodes ids (K,), all where None, and return it as measured.

        Args:
            truth: {name: (K, *shape)}.
            ids: (K,) the episodes that are measured; the others' time stands still.
        """
        rows = np.arange(self._n) if ids is None else ids
        measured = {name: self._disturb(name, np.asarray(value), rows) for name, value in truth.items()}
        self._taken[rows] += 1
        return measured

    def _allocate(self, n_samples: int) -> None:
        for name, spec in self._specs.items():
            width = 3 if spec.kind == "quaternion" else self._widths[name]
            self._history[name] = np.zeros((self._n, n_samples, self._widths[name]))
            self._noise[name] = np.zeros((self._n, n_samples, width))
            self._bias[name], self._delay_s[name] = np.zeros((self._n, width)), np.zeros(self._n)

    def _disturb(self, name: str, value: Array, rows: Array) -> Array:
        if name not in self._specs:
            return value
        now, n_samples = self._taken[rows], self._noise[name].shape[1]
        # An episode that goes on beyond its limit overwrites its oldest samples, and its last noise stays.
        self._history[name][rows, now % n_samples] = value.reshape(len(rows), -1)
        delayed = self._delayed(name, rows, now)
        error = self._noise[name][rows, np.minimum(now, n_samples - 1)] + self._bias[name][rows]
        if self._specs[name].kind == "quaternion":
            return np.asarray(upper_half(quat_multiply(quat_from_vector(error), delayed)))
        return np.asarray((delayed + error).reshape(value.shape))

    def _delayed(self, name: str, rows: Array, now: Array) -> Array:
        history, behind = self._history[name], self._delay_s[name][rows] / self._period_s
        newest = history[rows, now % history.shape[1]]
        if not np.any(behind):
            return np.asarray(newest)
        whole = np.floor(behind).astype(int)
        share = (behind - whole)[:, None]
        newer = history[rows, np.maximum(now - whole, 0) % history.shape[1]]
        older = history[rows, np.maximum(now - whole - 1, 0) % history.shape[1]]
        if self._specs[name].kind == "quaternion":
            older = np.where(np.sum(older * newer, axis=1, keepdims=True) < 0, -older, older)
        mixed = (1 - share) * newer + share * older
        if self._specs[name].kind == "quaternion":
            mixed /= np.linalg.norm(mixed, axis=1, keepdims=True)
        # What is not late is untouched, bit for bit, whoever else is.
        return np.asarray(np.where((behind > 0)[:, None], mixed, newest))


def _drawn(draws: Sequence[Draw], name: str | None, width: int) -> Array:
    values = np.zeros((len(draws), width))
    for row, draw in enumerate(draws):
        if name is not None and name in draw:
            values[row] = np.asarray(draw[name], dtype=np.float64).reshape(-1)
    return values
