"""A policy's own episodes, step by step: what it saw and what it did."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.policies.evaluation import Evaluation

Array = NDArray[Any]


@dataclass(frozen=True)
class Rollout:
    """One episode of T control steps, as its policy saw and steered it."""

    observations: Array
    """(T, Do) float32 in contract order and units."""
    actions: Array
    """(T, Da) executed, in contract order and units; NaN where no chunk had arrived."""
    plans: Array
    """(T,) number of the chunk that each action comes from."""
    success: bool

    def windows(self, obs_horizon: int) -> Array:
        """Give the windows (T, To, Do) that a policy sees at each step; the first step is repeated before the start."""
        rows = np.arange(len(self.observations))[:, None] + np.arange(1 - obs_horizon, 1)
        return np.asarray(self.observations[rows.clip(0)])


@dataclass
class _Batch:
    kept: int
    observations: list[Array] = field(default_factory=list)
    actions: list[Array] = field(default_factory=list)
    plans: list[Array] = field(default_factory=list)
    runs: list[Array] = field(default_factory=list)


class Recorder:
    """Keeps every control step of an evaluation; its watcher."""

    def __init__(self) -> None:
        self._batches: list[_Batch] = []

    def begin(self, kept: int) -> None:
        """Begin a batch, of which the first `kept` episodes count."""
        self._batches.append(_Batch(kept))

    def step(self, observed: Array, actions: Array, plans: Array, is_running: Array) -> None:
        """Keep one control step of N episodes; shapes as Watcher has them."""
        batch = self._batches[-1]
        batch.observations.append(observed.copy())
        batch.actions.append(actions.copy())
        batch.plans.append(plans.copy())
        batch.runs.append(is_running.copy())

    def rollouts(self, evaluation: Evaluation) -> tuple[Rollout, ...]:
        """Give the episodes (M) of the evaluation that was watched, each up to its end."""
        found: list[Rollout] = []
        for batch in self._batches:
            observed, actions = np.stack(batch.observations, 1), np.stack(batch.actions, 1)  # (N, T, ...)
            plans, lengths = np.stack(batch.plans, 1), np.sum(batch.runs, axis=0)
            for row in range(batch.kept):
                steps = slice(0, int(lengths[row]))
                success = bool(evaluation.success[len(found)])
                found.append(Rollout(observed[row, steps], actions[row, steps], plans[row, steps], success))
        return tuple(found)
