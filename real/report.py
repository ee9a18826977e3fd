"""What a deployment did, in numbers: verdicts, inference, how steady the commands were, and what the guard changed."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ashore.real.rate import period_error_ms


@dataclass(frozen=True)
class EpisodeOutcome:
    """One episode's verdict, as the twin told it, and what the guard did meanwhile."""

    seed: int
    success: bool
    terminated: bool
    truncated: bool
    time_s: float
    metrics: Mapping[str, float | None]
    guard_ticks: int
    guard_interventions: int
    guard_stops: int


@dataclass(frozen=True)
class DeployReport:
    """A whole deployment; durations in milliseconds, each list one number a sample."""

    robot: str
    profile: str
    command_hz: float
    episodes: tuple[EpisodeOutcome, ...]
    inference_ms: tuple[float, ...]
    command_period_ms: tuple[float, ...]
    """Between two commands as the guard sent them."""
    received_period_ms: tuple[float, ...]
    """The same as they arrived in another process."""
    bare_period_ms: tuple[float, ...]
    """Of a loop with deadlines and nothing else, run beside the deployment."""
    reasons: Mapping[str, int]
    """Command periods in which each of the guard's reasons applied."""
    misses: Mapping[str, int]
    """Missed deadlines of each process."""
    refused: Mapping[str, int]
    """Messages that each process did not use."""
    wall_s: float
    record_path: str | None
    """The store that the episodes went into."""
    events_path: str
    """What happened, one event of JSON a line."""
    real_time_factor: float = 1.0
    """Simulated seconds a real second that were asked for. Unless it is 1, durations are simulated, to the step of the
    twin's clock, except for the bare loop's and wall_s; and there is no received_period_ms."""

    @property
    def n_success(self) -> int:
        """Episodes that the task judged a success."""
        return sum(episode.success for episode in self.episodes)

    def summary(self) -> dict[str, Any]:
        """Sum up as JSON-able numbers, with units in the names; None where there are no samples."""
        period_s = 1.0 / self.command_hz
        figures = {
            "inference_ms_p50": _percentile(self.inference_ms, 50),
            "inference_ms_p99": _percentile(self.inference_ms, 99),
            "command_period_ms_p50": _percentile(self.command_period_ms, 50),
            "command_period_ms_p99": _percentile(self.command_period_ms, 99),
            "command_period_error_ms_p50": period_error_ms(self.command_period_ms, period_s, 50),
            "command_period_error_ms_p99": period_error_ms(self.command_period_ms, period_s, 99),
            "received_period_error_ms_p99": period_error_ms(self.received_period_ms, period_s, 99),
            "bare_period_error_ms_p50": period_error_ms(self.bare_period_ms, period_s, 50),
            "bare_period_error_ms_p99": period_error_ms(self.bare_period_ms, period_s, 99),
            **self._mean_metrics(),
        }
        return {
            "robot": self.robot,
            "profile": self.profile,
            "real_time_factor": self.real_time_factor,
            "n_episodes": len(self.episodes),
            "n_success": self.n_success,
            "guard_ticks": sum(episode.guard_ticks for episode in self.episodes),
            "guard_interventions": sum(episode.guard_interventions for episode in self.episodes),
            "guard_stops": sum(episode.guard_stops for episode in self.episodes),
            "guard_reasons": dict(self.reasons),
            "misses": dict(self.misses),
            "refused": dict(self.refused),
            "wall_s": round(self.wall_s, 2),
            "record_path": self.record_path,
            "events_path": self.events_path,
            **{name: round(value, 4) if math.isfinite(value) else None for name, value in figures.items()},
        }

    def to_json(self) -> str:
        """Write everything, samples too, with the summary first."""
        return json.dumps({"summary": self.summary(), **asdict(self)}, indent=2)

    def write(self, path: Path) -> None:
        """Write to_json into a file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.to_json())

    def _mean_metrics(self) -> dict[str, float]:
        names = {name for episode in self.episodes for name in episode.metrics}
        values = {name: [e.metrics.get(name) for e in self.episodes] for name in sorted(names)}
        finite = {name: [value for value in each if value is not None] for name, each in values.items()}
        return {f"{name}_mean": float(np.mean(each)) for name, each in finite.items() if each}


def _percentile(values: Sequence[float], percentile: float) -> float:
    return float(np.percentile(values, percentile)) if values else float("nan")
