"""Choice among a run's candidates by success in simulation, and an honest figure for the one that is chosen.

The largest of many noisy scores is too high. So every candidate is screened on the same episodes, and the winner is run
once more on fresh ones: their rate, with its interval, has no such bias and is the one that is reported. The loss takes
no part: neighbouring checkpoints of one loss differ by several points of success.
"""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ashore.datasets.progress import Progress, silent
from ashore.policies.checkpoint import AS_TRAINED, Asked, candidate_path, candidates, load_run, write_text
from ashore.policies.errors import InvalidConfig, NothingToSelect
from ashore.policies.evaluation import Evaluation, Simulated, evaluate
from ashore.policies.intervals import wilson
from ashore.sim.randomization import draw_episodes, episode_seed

SCREEN_SEED, CONFIRM_SEED = 50_000, 60_000


@dataclass(frozen=True)
class Screened:
    """One candidate's episodes, the same for all."""

    update: int
    success_rate: float
    low: float
    """Lower end of the 95 % Wilson interval."""
    high: float
    score: float
    """Mean progress at the end, 0 to 1, where success alone cannot tell candidates apart."""


@dataclass(frozen=True)
class Selection:
    """What was found, best first; the content of selection.json."""

    chosen: int
    """Update of the candidate that was chosen."""
    screened: tuple[Screened, ...]
    episodes: int
    """That each candidate was screened on."""
    success_rate: float
    """Of the chosen one on fresh episodes, with its 95 % interval."""
    low: float
    high: float
    confirmed_episodes: int
    optimism: float
    """Screened rate of the chosen one less its fresh rate: what picking the best of many added."""


@dataclass
class Screen:
    """Judges candidates while training goes on, or afterwards; what it found is kept beside them."""

    run: Path
    simulation: Simulated
    level: str
    """What varies between its episodes; what was screened at another one does not count."""
    episodes: int = 50
    patience: int = 0
    """Candidates in a row without a better one after which training may stop; 0 for never."""
    progress: Progress = silent
    asked: Asked = AS_TRAINED

    def __post_init__(self) -> None:
        if self.episodes < 1 or self.patience < 0:
            told = [f"episodes: {self.episodes}; at least 1", f"patience: {self.patience}; 0 or more"]
            raise InvalidConfig("the screening", told)

    def __call__(self, candidate: Path) -> bool:
        """Screen a candidate, and say whether training may stop; a Judge of the training loop."""
        self.screen(candidate)
        found = [self.screen(path) for path in candidates(self.run)]
        best = max(range(len(found)), key=lambda i: (found[i].success_rate, found[i].score))
        return bool(self.patience) and len(found) - 1 - best >= self.patience

    def screen(self, candidate: Path) -> Screened:
        """Run a candidate's episodes, or read what they gave before."""
        note = candidate.with_suffix(".json")
        known = self._noted(note)
        if known is not None:
            return known
        found = self._evaluate(candidate, self.episodes, SCREEN_SEED)
        rate = wilson(int(found.success.sum()), len(found.success))
        screened = Screened(int(candidate.stem), rate.rate, rate.low, rate.high, score_of(found))
        noted = {"episodes": self.episodes, "level": self.level, "screened": asdict(screened)}
        write_text(note, json.dumps(noted, indent=2))
        return screened

    def _noted(self, note: Path) -> Screened | None:
        """Read what these very episodes gave before; what cannot be read is found out again."""
        try:
            raw = json.loads(note.read_text())
            is_same = (raw["episodes"], raw["level"]) == (self.episodes, self.level)
            return Screened(**raw["screened"]) if is_same else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def select(self, confirmations: int = 200) -> Selection:
        """Choose the best candidate and run it on fresh episodes; writes RUN/selection.json.

        Raises:
            NothingToSelect: the run kept no candidates.
        """
        files = candidates(self.run)
        if not files:
            raise NothingToSelect(self.run)
        ranked = sorted((self.screen(file) for file in files), key=lambda s: (-s.success_rate, -s.score, -s.update))
        best = ranked[0]
        fresh = self._evaluate(candidate_path(self.run, best.update), confirmations, CONFIRM_SEED)
        rate = wilson(int(fresh.success.sum()), len(fresh.success))
        optimism = best.success_rate - rate.rate
        figures = (rate.rate, rate.low, rate.high, confirmations, optimism)
        selection = Selection(best.update, tuple(ranked), self.episodes, *figures)
        write_text(self.run / "selection.json", json.dumps(asdict(selection), indent=2))
        return selection

    def _evaluate(self, candidate: Path, episodes: int, seed: int) -> Evaluation:
        planner = load_run(self.run, replace(self.asked, weights=candidate))
        draws = draw_episodes(self.simulation.randomization, seed, range(episodes))
        seeds = [episode_seed(seed, index) for index in range(episodes)]
        return evaluate(planner, self.simulation, draws, seeds, progress=self.progress)


def score_of(found: Evaluation) -> float:
    """Give the mean of the task's own score where it has one, or else of success."""
    values: Any = found.metrics.get("max_reward", found.metrics.get("progress", found.success))
    return float(np.mean(values))
