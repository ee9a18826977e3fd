"""One line a topic: its figure, and whether something was found."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ashore.policies.diagnosis.diagnosis import Diagnosis
from ashore.policies.diagnosis.elements import element_names
from ashore.policies.diagnosis.findings import Finding
from ashore.policies.ranking.slices import worst_slice

State = Literal["good", "found", "missing"]


@dataclass(frozen=True)
class Line:
    """One topic."""

    topic: str
    question: str
    figure: str
    state: State


def summarise(diagnosis: Diagnosis, findings: Iterable[Finding]) -> tuple[Line, ...]:
    """Give one line a topic, in the order of the page."""
    found = {finding.topic for finding in findings}
    if diagnosis.evaluation is not None and not diagnosis.evaluation.success.all():
        found.add("success")
    lines = []
    for topic, question, tell in TOPICS:
        figure = tell(diagnosis)
        state: State = "missing" if figure is None else "found" if topic in found else "good"
        lines.append(Line(topic, question, figure or "could not be looked at", state))
    return tuple(lines)


def _success(it: Diagnosis) -> str | None:
    if it.evaluation is None:
        return None
    return f"{int(it.evaluation.success.sum())} of {len(it.evaluation.success)}, {it.evaluation.interval}"


def _fit(it: Diagnosis) -> str | None:
    if it.levels is None:
        return None
    return f"{it.fit}; held-out error {it.levels.gap:.2f} times that on learnt windows"


def _actions(it: Diagnosis) -> str | None:
    if it.chunks is None:
        return None
    taught = f"; {it.over_teacher:.2f} times its teacher's error" if it.over_teacher is not None else ""
    return f"off by {np.nanmedian(it.chunks.relative):.0%} of the demonstrated spread (median of the elements){taught}"


def _coverage(it: Diagnosis) -> str | None:
    cover = it.coverage
    if cover is None:
        return None
    later = cover.leaves_later
    when = f", half of them by step {int(np.median([cover.first_step(i) for i in later]))}" if later else ""
    n = len(cover.departures)
    return f"{len(cover.starts_outside)} of {n} episodes start outside it, {len(later)} leave it later{when}"


def _ranges(it: Diagnosis) -> str | None:
    if it.ranges is None:
        return None
    beyond = it.ranges.beyond
    worst = f": {it.ranges.names[beyond[0]]} in {it.ranges.told(beyond[0])}" if beyond else ""
    return f"{len(beyond)} of {len(it.ranges.names)} inputs go beyond what was learnt{worst}"


def _latency(it: Diagnosis) -> str:
    speed = it.latency
    due_ms = 1e3 * speed.action_horizon * speed.period_s
    return f"p50 {1e3 * speed.p50_s:.1f} ms, p99 {1e3 * speed.p99_s:.1f} ms; a chunk is due every {due_ms:.0f} ms"


def _seams(it: Diagnosis) -> str | None:
    if it.seams is None:
        return None
    ratio = it.seams.ratio
    if np.isnan(ratio).all():
        return "no action moves"
    worst = int(np.nanargmax(ratio))
    return f"at most {ratio[worst]:.1f} times the change within chunks ({element_names(it.contract.actions)[worst]})"


def _frozen(it: Diagnosis) -> str | None:
    if it.frozen is None:
        return None
    counts = (len(it.frozen.only_in_data), len(it.frozen.only_in_rollouts), len(it.frozen.in_both))
    return f"{counts[0]} in the data only, {counts[1]} when run only, {counts[2]} in both"


def _slices(it: Diagnosis) -> str | None:
    if it.evaluation is None:
        return None
    worst = worst_slice(it.evaluation.draws, it.evaluation.success)
    if worst is None:
        return "nothing is drawn, or too few episodes"
    return f"{worst.parameter} from {worst.low:.3g} to {worst.high:.3g}: {worst.interval}"


def _guard(it: Diagnosis) -> str | None:
    if it.evaluation is None:
        return None
    return f"stopped the robot in {int(np.sum(it.evaluation.guard_stops > 0))} of {len(it.evaluation.success)} episodes"


TOPICS: Sequence[tuple[str, str, Callable[[Diagnosis], str | None]]] = (
    ("success", "Does it succeed?", _success),
    ("fit", "Does it overfit or underfit?", _fit),
    ("actions", "Are planned actions those demonstrated?", _actions),
    ("coverage", "Does it stay in its data?", _coverage),
    ("range", "Does it see what its normaliser knows?", _ranges),
    ("latency", "Does it plan in time?", _latency),
    ("seams", "Does it jump where chunks meet?", _seams),
    ("frozen", "Which observations never change?", _frozen),
    ("slices", "Where is it weakest?", _slices),
    ("guard", "What does the guard do?", _guard),
)
"""(topic, question, what tells its figure)."""
