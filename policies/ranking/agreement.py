"""Whether a score orders policies as their success in reality does."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.policies.errors import CannotRank

Array = NDArray[Any]


@dataclass(frozen=True)
class Agreement:
    """Five answers for N policies; NaN where one side is constant."""

    n: int
    pearson: float
    spearman: float
    kendall: float
    mmrv: float
    """Mean maximum rank violation, in units of success; 0 is best."""
    regret: float
    """Success of the truly best policy minus that of the one which the score puts first."""

    def to_json(self) -> dict[str, float | int | None]:
        """Return plain data; NaN becomes None."""
        return {name: None if value != value else value for name, value in asdict(self).items()}


def agreement(scores: Sequence[float], real: Sequence[float]) -> Agreement:
    """Compare scores (N,) with real success rates (N,).

    Raises:
        CannotRank: the two differ in length, or hold fewer than two policies or a number that is not finite.
    """
    told, true = np.asarray(scores, np.float64), np.asarray(real, np.float64)
    if told.shape != true.shape or told.ndim != 1 or len(told) < 2 or not np.isfinite([*told, *true]).all():
        raise CannotRank(
            [f"scores {told.tolist()} and success {true.tolist()} are not two finite rows of one length >= 2"]
        )
    return Agreement(
        len(told),
        pearson(told, true),
        pearson(_ranks(told), _ranks(true)),
        kendall_tau_b(told, true),
        mmrv(told, true),
        float(true.max() - true[int(np.argmax(told))]),
    )


def pearson(a: Array, b: Array) -> float:
    """Pearson's correlation; NaN where one row is constant."""
    x, y = a - a.mean(), b - b.mean()
    scale = float(np.sqrt(np.sum(x * x) * np.sum(y * y)))
    return float(np.sum(x * y)) / scale if scale > 0 else float("nan")


def kendall_tau_b(a: Array, b: Array) -> float:
    """Kendall's tau-b, which allows for ties; NaN where one row is constant."""
    upper = np.triu_indices(len(a), 1)
    x, y = np.sign(a[:, None] - a)[upper], np.sign(b[:, None] - b)[upper]
    scale = float(np.sqrt(np.sum(x * x) * np.sum(y * y)))
    return float(np.sum(x * y)) / scale if scale > 0 else float("nan")


def mmrv(scores: Array, real: Array) -> float:
    """Mean over policies of the largest real difference that the scores put the wrong way round; ties as "not greater".

    Source: Li et al., Evaluating Real-World Robot Manipulation Policies in Simulation, CoRL 2024, equation 2; the order
    of the arguments is that of its code, scores first.
    """
    gap = np.abs(real[:, None] - real)
    wrong = (scores[:, None] > scores) != (real[:, None] > real)
    return float(np.mean(np.max(gap * wrong, axis=1)))


def _ranks(values: Array) -> Array:
    """Ranks (N,), ties sharing their mean."""
    below = np.sum(values[:, None] > values, axis=1)
    same = np.sum(values[:, None] == values, axis=1)
    return np.asarray(below + (same + 1) / 2)
