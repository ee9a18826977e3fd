"""What a robot and its perception make of the truth: noise, bias and delay, each as large as the episode's draw says.

Noise is drawn a whole episode ahead from the episode's own seed, so that it does not depend on how many run together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.rotations import quat_from_vector, quat_multiply, upper_half
from ashore.sim.randomization import Draw, stack

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
        self._history: dict[str, list[Array]] = {}
        self._noise: dict[str, Array] = {}
        self._bias: dict[str, Array] = {}
        self._delay_s: dict[str, Array] = {}

    def reset(self, draws: Sequence[Draw], seeds: Sequence[int], n_samples: int) -> None:
        """Start N episodes of at most n_samples measurements (the reset's own included)."""
        self._history = {name: [] for name in self._specs}
        rngs = [np.random.default_rng(seed) for seed in seeds]
        for name, spec in self._specs.items():
            width = 3 if spec.kind == "quaternion" else self._widths[name]
            deviation = _drawn(draws, spec.noise, width)
            white = np.stack([rng.standard_normal((n_samples, width), dtype=np.float32) for rng in rngs])
            self._noise[name] = white * deviation[:, None, :]
            self._bias[name] = _drawn(draws, spec.bias, width)
            self._delay_s[name] = _drawn(draws, spec.delay, 1)[:, 0]

    def measure(self, truth: Mapping[str, Array]) -> dict[str, Array]:
        """Take the next sample of the truth {name: (N, *shape)} and return it as measured."""
        return {name: self._disturb(name, np.asarray(value)) for name, value in truth.items()}

    def _disturb(self, name: str, value: Array) -> Array:
        if name not in self._specs:
            return value
        flat = value.reshape(self._n, -1)
        history = self._history[name]
        history.append(flat)
        now = len(history) - 1
        delayed = self._delayed(name, history)
        error = self._noise[name][:, min(now, self._noise[name].shape[1] - 1)] + self._bias[name]
        if self._specs[name].kind == "quaternion":
            return upper_half(quat_multiply(quat_from_vector(error), delayed))
        return np.asarray((delayed + error).reshape(value.shape))

    def _delayed(self, name: str, history: list[Array]) -> Array:
        behind = self._delay_s[name] / self._period_s
        if not np.any(behind):
            return history[-1]
        whole = np.floor(behind).astype(int)
        share = (behind - whole)[:, None]
        last = len(history) - 1
        rows = np.arange(self._n)
        newer = _pick(history, np.maximum(last - whole, 0), rows)
        older = _pick(history, np.maximum(last - whole - 1, 0), rows)
        if self._specs[name].kind == "quaternion":
            older = np.where(np.sum(older * newer, axis=1, keepdims=True) < 0, -older, older)
            mixed = (1 - share) * newer + share * older
            return np.asarray(mixed / np.linalg.norm(mixed, axis=1, keepdims=True))
        return np.asarray((1 - share) * newer + share * older)


def _pick(history: list[Array], steps: Array, rows: Array) -> Array:
    first = int(steps.min())
    window = np.stack(history[first : int(steps.max()) + 1])
    return np.asarray(window[steps - first, rows])


def _drawn(draws: Sequence[Draw], name: str | None, width: int) -> Array:
    if name is None or name not in draws[0]:
        return np.zeros((len(draws), width))
    values = stack(draws, name).reshape(len(draws), -1)
    return np.array(np.broadcast_to(values, (len(draws), width)))
