"""How much a policy's actions jump where one chunk ends and the next begins."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.policies.diagnosis.rollouts import Rollout
from ashore.policies.execution.executor import BLEND_ROWS

Array = NDArray[Any]
RATIO = 3.0
"""Jumps at seams that are this many times those within chunks count."""
STILL = 1e-6
"""Steps smaller than this share of an action's own range are none."""


@dataclass(frozen=True)
class Seams:
    """Mean absolute change of the executed action from one step to the next, contract units per step."""

    at_seams: Array
    """(Da,) where one chunk goes over into the next: up to its first action, and on while the executor blends."""
    within: Array
    """(Da,) where both come from one chunk."""
    span: Array
    """(Da,) range of the executed actions."""
    n_seams: int

    @property
    def ratio(self) -> Array:
        """(Da,) at seams over within chunks; NaN where the action hardly moves at all."""
        moves = self.at_seams > STILL * self.span
        return np.asarray(np.where(moves, self.at_seams / np.maximum(self.within, STILL * self.span + 1e-12), np.nan))

    @property
    def jumping(self) -> list[int]:
        """The elements that jump at seams, worst first."""
        ratio = np.nan_to_num(self.ratio)
        return [int(i) for i in np.argsort(-ratio, kind="stable") if ratio[i] > RATIO]


def measure_seams(rollouts: Sequence[Rollout]) -> Seams | None:
    """Measure the jumps of the executed actions; None where no episode has both a seam and a step within a chunk."""
    changes = [np.abs(np.diff(each.actions.astype(np.float64), axis=0)) for each in rollouts]
    is_seam = np.concatenate([_seams(each.plans) for each in rollouts])
    jumps = np.concatenate(changes)
    is_known = np.isfinite(jumps).all(axis=1)
    at, within = jumps[is_seam & is_known], jumps[~is_seam & is_known]
    if not len(at) or not len(within):
        return None
    actions = np.concatenate([each.actions for each in rollouts]).astype(np.float64)
    span = np.nanmax(actions, axis=0) - np.nanmin(actions, axis=0)
    return Seams(at.mean(0), within.mean(0), span, len(at))


def _seams(plans: Array) -> Array:
    """Tell which changes (T - 1,) of an episode's actions, of these chunks (T,), lie where chunks meet."""
    is_seam = np.zeros(len(plans) - 1, bool)
    starts = np.flatnonzero(np.diff(plans) != 0)
    ends = np.append(starts[1:], len(plans) - 1)[: len(starts)]
    for start, end in zip(starts, ends, strict=True):
        is_seam[start : start + 1 + (BLEND_ROWS if end - start >= 2 * BLEND_ROWS else 0)] = True
    return is_seam
