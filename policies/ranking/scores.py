"""What is known of each policy, and the one number that orders them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.policies.evaluation import Evaluation
from ashore.policies.ranking.slices import Slice

Array = NDArray[Any]


@dataclass(frozen=True)
class RankingConfig:
    """How policies are compared; the same for all of them."""

    episodes: int = 200
    """Simulated episodes a policy, the same draws and seeds for each."""
    level: str = "wide"
    """Randomization that the episodes are drawn from."""
    seed: int = 730_000
    """Decides the draws; unlike any seed that data is collected with."""
    latency_s: float = 0.02
    weight: float = 0.5
    """Weight of simulated success against familiarity with real observations."""
    detector: str = "nearest"
    parallel: int = 100
    """Episodes that run at once."""
    min_success_low: float = 0.8
    """Veto below this lower bound of simulated success."""
    min_slice_success: float = 0.8
    """Veto where the success in some slice is surely below this."""
    max_strangeness: float = 4.0
    """Veto where real observations are this many times as far from the training data as held-out ones."""
    max_stop_share: float = 0.05
    """Veto where the guard stopped the robot in more than this share of the episodes."""


@dataclass(frozen=True)
class Findings:
    """What was measured of one policy."""

    run: Path
    evaluation: Evaluation
    worst: Slice | None
    strangeness: float | None
    """Of the real observations, against held-out simulated ones; None where no real episodes were given."""

    @property
    def stop_share(self) -> float:
        """Share of the episodes in which the guard stopped the robot."""
        return float(np.mean(self.evaluation.guard_stops > 0))

    def vetoes(self, config: RankingConfig) -> tuple[str, ...]:
        """List the reasons not to deploy this policy."""
        found, interval = [], self.evaluation.interval
        if interval.low < config.min_success_low:
            found.append(f"simulated success {interval}: the lower bound is under {config.min_success_low:.0%}")
        if self.worst is not None and self.worst.interval.high < config.min_slice_success:
            part = f"{self.worst.parameter} from {self.worst.low:.3g} to {self.worst.high:.3g}"
            found.append(f"worst slice, {part}: success {self.worst.interval} is under {config.min_slice_success:.0%}")
        if self.strangeness is not None and not self.strangeness <= config.max_strangeness:
            found.append(
                f"real observations are {self.strangeness:.2f} times as strange as held-out simulated ones; "
                f"at most {config.max_strangeness:g} is accepted"
            )
        if self.stop_share > config.max_stop_share:
            found.append(
                f"the guard stopped {self.stop_share:.1%} of the episodes; at most {config.max_stop_share:.0%}"
            )
        return tuple(found)


@dataclass(frozen=True)
class Ranked:
    """One policy in its place."""

    name: str
    place: int
    """1 is best; policies with a veto come after all others."""
    score: float
    """V = w z(S) + (1 - w) z(-O)."""
    score_simulation: float
    """z(S), the score for w = 1."""
    score_real: float | None
    """z(-O), the score for w = 0; None where no real episodes were given."""
    findings: Findings
    vetoes: tuple[str, ...] = field(default=())


def standardised(values: Sequence[float]) -> Array:
    """Give z scores (N,) over the candidates; zeros where all are alike."""
    row = np.asarray(values, np.float64)
    spread = float(row.std())
    return np.asarray((row - row.mean()) / spread) if spread > 1e-12 else np.zeros(len(row))


def order(findings: Sequence[Findings], names: Sequence[str], config: RankingConfig) -> tuple[Ranked, ...]:
    """Order policies by V_i = w z(S_i) + (1 - w) z(-O_i), those with a veto last.

    S is simulated success, O the strangeness of real observations. Without real episodes V = z(S).

    Source: the idea is from Leibovich et al., Validate on Sim, Detect on Real, ICRA 2022; the combination is our own.
    """
    simulated = standardised([found.evaluation.interval.rate for found in findings])
    strange = [found.strangeness for found in findings if found.strangeness is not None]
    has_real = len(strange) == len(findings)
    familiar = standardised([-value for value in strange]) if has_real else np.zeros(len(findings))
    weight = config.weight if has_real else 1.0
    scores = weight * simulated + (1 - weight) * familiar
    vetoes = [found.vetoes(config) for found in findings]
    places = sorted(range(len(findings)), key=lambda i: (bool(vetoes[i]), -scores[i], names[i]))
    return tuple(
        Ranked(
            name=names[i],
            place=place,
            score=float(scores[i]),
            score_simulation=float(simulated[i]),
            score_real=float(familiar[i]) if has_real else None,
            findings=findings[i],
            vetoes=vetoes[i],
        )
        for place, i in enumerate(places, 1)
    )
