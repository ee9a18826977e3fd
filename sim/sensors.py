"""What a robot and its perception make of the truth: noise, bias and delay, each as large as the episode's draw says.

Noise is drawn a whole episode ahead from the episode's own seed, so that it does not depend on how many run together.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.rotations import quat_from_vector, quat_multiply, upper_half
from ashore.sim.randomization import Draw
from ashore.sim.randomization.readings import Reading

Array = NDArray[Any]
STREAM = 3
"""Which of an episode's streams of chance is the sensors' links'; white noise has the first."""


@dataclass(frozen=True)
class SensorSpec:
    """Which parameters of the draw disturb one observation; a parameter that is not drawn disturbs nothing.

    One that is None has the observation's own name: OBSERVATION_noise, _bias, _quantization, _dropout, _delay_s and
    _jitter_s.
    """

    noise: str | None = None
    """Standard deviation of white noise, in the observation's unit; rad for quaternions."""
    delay: str | None = None
    """Age of the measurement, s; between two samples the measurement is interpolated."""
    bias: str | None = None
    """Constant offset, one number or one an element, in the observation's unit; rotation vector for quaternions."""
    quantization: str | None = None
    """Step between the values that can be told, in the observation's unit."""
    dropout: str | None = None
    """Probability that a sample is lost; the last one stays."""
    jitter: str | None = None
    """Standard deviation of what a sample is late beyond the delay, half-normal, s."""
    kind: Literal["vector", "quaternion"] = "vector"

    def named(self, observation: str) -> "SensorSpec":
        """The same, with every parameter's name told."""
        return replace(
            self,
            noise=self.noise or f"{observation}_noise",
            delay=self.delay or f"{observation}_delay_s",
            bias=self.bias or f"{observation}_bias",
            quantization=self.quantization or f"{observation}_quantization",
            dropout=self.dropout or f"{observation}_dropout",
            jitter=self.jitter or f"{observation}_jitter_s",
        )


def sensor_readings(specs: Mapping[str, SensorSpec], widths: Mapping[str, int]) -> Iterator[Reading]:
    """Yield what the sensors of these observations read from a draw."""
    for observation, given in specs.items():
        spec, width = given.named(observation), widths[observation]
        number, turn = ((), (1,)), 3 if given.kind == "quaternion" else width
        yield Reading(str(spec.noise), (*number, (turn,)), 0.0)
        yield Reading(str(spec.bias), (*number, (turn,)))
        yield Reading(str(spec.quantization), (*number, (width,)), 0.0)
        yield Reading(str(spec.dropout), number, 0.0, 1.0)
        yield Reading(str(spec.delay), number, 0.0)
        yield Reading(str(spec.jitter), number, 0.0)


class Sensors:
    """Disturbs the measurements of N episodes.

    sample      0     1     2     3          period_s apart
    truth       a     b     c     d
    measured    a     a.    b.    c.         delay of 0.75 periods: b. lies a quarter of the way from b to c

    All observations lie side by side in one array of columns, so that one look back serves them all.
    """

    def __init__(self, specs: Mapping[str, SensorSpec], widths: Mapping[str, int], n: int, period_s: float) -> None:
        self._specs = {name: spec.named(name) for name, spec in specs.items()}
        self._n = n
        self._period_s = period_s
        self._taken = np.zeros(n, dtype=np.int64)
        """Samples that each episode has had."""
        ends = np.cumsum([0, *(widths[name] for name in specs)])
        self._columns = {name: slice(int(ends[i]), int(ends[i + 1])) for i, name in enumerate(specs)}
        self._width = int(ends[-1])
        self._of = np.repeat(np.arange(len(specs)), np.diff(ends))
        """Which observation each column belongs to (W,)."""
        self._turned = [name for name, spec in specs.items() if spec.kind == "quaternion"]
        self._step = np.zeros((n, self._width))
        self._allocate(1)

    def reset(self, draws: Sequence[Draw], seeds: Sequence[int], n_samples: int, ids: Array | None = None) -> None:
        """Start episodes ids (K,), all where None, of at most n_samples measurements (the reset's own included)."""
        rows = np.arange(self._n) if ids is None else ids
        if ids is None:
            self._allocate(n_samples)
        self._taken[rows] = 0
        white = [np.random.default_rng(seed) for seed in seeds]
        for number, (name, spec) in enumerate(self._specs.items()):
            columns = self._columns[name]
            width = 3 if spec.kind == "quaternion" else columns.stop - columns.start
            drawn = np.stack([rng.standard_normal((n_samples, width), dtype=np.float32) for rng in white])
            error = drawn * _drawn(draws, spec.noise, width)[:, None, :] + _drawn(draws, spec.bias, width)[:, None, :]
            self._error[:, rows, columns.start : columns.start + width] = error.transpose(1, 0, 2)
            self._step[rows, columns] = _drawn(draws, spec.quantization, columns.stop - columns.start)
            self._start_link(number, spec, rows, draws, seeds)
        # Whether anything is late, lost or stepped at all; where not, it costs nothing.
        self._is_late, self._is_lossy, self._is_stepped = (bool(x.any()) for x in (self._late, self._lost, self._step))

    def measure(self, truth: Mapping[str, Array], ids: Array | None = None) -> dict[str, Array]:
        """Take the next sample of episodes ids (K,), all where None, and return it as measured.

        Args:
            truth: {name: (K, *shape)}.
            ids: (K,) the episodes that are measured; the others' time stands still.
        """
        rows = np.arange(self._n) if ids is None else ids
        if not self._specs:
            return dict(truth)
        now = self._taken[rows]
        delayed = self._delayed(rows, now, self._sampled(rows, now, truth))
        error = self._error[np.minimum(now, len(self._error) - 1), rows]
        told = delayed + error
        for name in self._turned:
            columns = self._columns[name]
            turn = quat_from_vector(error[:, columns.start : columns.start + 3])
            told[:, columns] = upper_half(quat_multiply(turn, delayed[:, columns]))
        if self._is_stepped:
            told = self._stepped(self._step[rows], told)
        self._taken[rows] += 1
        measured = dict(truth)
        for name, columns in self._columns.items():
            measured[name] = told[:, columns].reshape(np.shape(truth[name]))
        return measured

    def _allocate(self, n_samples: int) -> None:
        # Samples first: what one measurement reads of all episodes then lies together.
        self._history = np.zeros((n_samples, self._n, self._width))
        self._error = np.zeros((n_samples, self._n, self._width))
        self._late = np.zeros((n_samples, self._n, len(self._specs)))
        self._lost = np.zeros((n_samples, self._n, len(self._specs)), dtype=bool)

    def _start_link(
        self, number: int, spec: SensorSpec, rows: Array, draws: Sequence[Draw], seeds: Sequence[int]
    ) -> None:
        """Draw how late each sample of one observation is, in periods, and which ones are lost."""
        n_samples = len(self._late)
        late = np.repeat(_drawn(draws, spec.delay, 1), n_samples, axis=1)
        lost = np.zeros(late.shape, dtype=bool)
        jitter, dropout = _drawn(draws, spec.jitter, 1), _drawn(draws, spec.dropout, 1)
        for row in np.flatnonzero((jitter + dropout)[:, 0]).tolist():
            rng = np.random.default_rng([seeds[row], STREAM, number])
            late[row] += jitter[row] * np.abs(rng.standard_normal(n_samples))
            lost[row, 1:] = rng.random(n_samples)[1:] < dropout[row]
        self._late[:, rows, number], self._lost[:, rows, number] = late.T / self._period_s, lost.T

    def _sampled(self, rows: Array, now: Array, truth: Mapping[str, Array]) -> Array:
        """Put the newest sample (K, W) into the history, without what is lost, and return it."""
        newest = np.concatenate([np.reshape(truth[name], (len(rows), -1)) for name in self._specs], axis=1)
        n_samples = len(self._history)
        if self._is_lossy:
            lost = self._lost[np.minimum(now, n_samples - 1), rows][:, self._of]
            newest = np.where(lost, self._history[(now - 1) % n_samples, rows], newest)
        # An episode that goes on beyond its limit overwrites its oldest samples, and its last noise stays.
        self._history[now % n_samples, rows] = newest
        return np.asarray(newest, dtype=np.float64)

    def _delayed(self, rows: Array, now: Array, newest: Array) -> Array:
        """Look back (K, W) by each observation's delay, between two samples where it falls there."""
        if not self._is_late:
            return newest
        n_samples, columns = len(self._history), np.arange(self._width)
        late = self._late[np.minimum(now, n_samples - 1), rows]  # (K, observations)
        whole = np.floor(late).astype(np.int64)
        back, samples = now[:, None] - whole, self._history.reshape(-1)
        newer_row, older_row = (np.maximum(at, 0) % n_samples * self._n + rows[:, None] for at in (back, back - 1))
        newer = samples.take((newer_row * self._width)[:, self._of] + columns)
        older = samples.take((older_row * self._width)[:, self._of] + columns)
        share, is_late = (late - whole)[:, self._of], (late > 0)[:, self._of]
        for name in self._turned:
            part = self._columns[name]
            across = np.sum(older[:, part] * newer[:, part], axis=1, keepdims=True) < 0
            older[:, part] = np.where(across, -older[:, part], older[:, part])
        mixed = (1 - share) * newer + share * older
        for name in self._turned:
            part = self._columns[name]
            mixed[:, part] /= np.linalg.norm(mixed[:, part], axis=1, keepdims=True)
        # What is not late is untouched, bit for bit, whoever else is.
        return np.asarray(np.where(is_late, mixed, newest))

    def _stepped(self, step: Array, told: Array) -> Array:
        """Round (K, W) to the values that can be told; quaternions stay unit, or as they were where nothing is left."""
        rounded = np.where(step > 0, np.round(told / np.where(step > 0, step, 1.0)) * step, told)
        for name in self._turned:
            part = self._columns[name]
            size = np.linalg.norm(rounded[:, part], axis=1, keepdims=True)
            unit = np.where(size > 0, rounded[:, part] / np.where(size > 0, size, 1.0), told[:, part])
            rounded[:, part] = np.where(step[:, part] > 0, unit, told[:, part])
        return np.asarray(rounded)


def _drawn(draws: Sequence[Draw], name: str | None, width: int) -> Array:
    values = np.zeros((len(draws), width))
    for row, draw in enumerate(draws):
        if name is not None and name in draw:
            values[row] = np.asarray(draw[name], dtype=np.float64).reshape(-1)
    return values
