"""What the figures of a diagnosis say, and what to try: a small rule a topic, and never more than was measured."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ashore.policies.diagnosis.coverage import LIMIT_QUANTILE
from ashore.policies.diagnosis.diagnosis import Diagnosis
from ashore.policies.diagnosis.elements import element_names
from ashore.policies.diagnosis.fit import FALL, GAP, RISE, WORSE
from ashore.policies.diagnosis.seams import RATIO
from ashore.policies.intervals import wilson
from ashore.policies.ranking.slices import worst_slice
from ashore.sim.tasks import is_task

COARSE = 0.8
"""Planned actions that are off by this share of the demonstrated actions' own spread follow them hardly at all."""
STOP_SHARE = 0.05
"""Share of the episodes in which the guard may stop the robot."""
NAMED = 3
"""Elements that a sentence names."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, as measured, and what to try."""

    topic: str
    figure: str
    advice: str


def find(diagnosis: Diagnosis) -> tuple[Finding, ...]:
    """Apply every rule; failures that none of the others explains come last."""
    found = tuple(finding for rule in RULES for finding in rule(diagnosis))
    return found or tuple(_unexplained(diagnosis))


def _fit(it: Diagnosis) -> Iterator[Finding]:
    curves, levels, worse, advice = it.curves, it.levels, [], _more(it)
    if levels is not None and levels.gap > GAP:
        worse.append(
            f"the error on held-out windows is {levels.gap:.2f} times that on learnt ones over all noise levels"
        )
    if curves is not None and curves.rise is not None and curves.rise > RISE:
        worse.append(f"the held-out loss ends {curves.rise:.2f} times as high as at update {curves.best_update}")
        advice += f"; or stop earlier: ashore train with --updates {curves.best_update}"
    if worse:
        yield Finding("fit", "; ".join(worse), advice)
    if it.over_teacher is not None and it.over_teacher > WORSE:
        figure = f"its plans are {it.over_teacher:.2f} times as far from the demonstrations as its teacher's"
        yield Finding("fit", figure, f"distil longer: ashore distill {it.settings.teacher} with more --minutes")
    if curves is not None and curves.fall is not None and curves.fall > FALL:
        figure = f"the training loss still fell by {curves.fall:.0%} over its last fifth"
        command = "distill" if it.settings.kind == "consistency" else "train"
        yield Finding("fit", figure, f"train longer: ashore {command} with more --minutes, into another --out")


def _actions(it: Diagnosis) -> Iterator[Finding]:
    if it.chunks is None:
        return
    relative, learnt = np.nan_to_num(it.chunks.relative), np.nan_to_num(it.chunks.relative_learnt)
    names = element_names(it.contract.actions)
    coarse = [int(i) for i in np.argsort(-relative) if relative[i] > COARSE]
    if coarse:
        worst = ", ".join(f"{names[i]} by {relative[i]:.0%}" for i in coarse[:NAMED])
        figure = f"on held-out windows planned actions miss the demonstrated ones by most of their spread: {worst}"
        advice = "see whether demonstrations contradict each other there, or whether what decides is not observed"
        advice = f"{advice}: ashore datasets plot {_store(it)}"
        if learnt[coarse[0]] < COARSE / 2:
            figure += f"; on learnt windows {names[coarse[0]]} by {learnt[coarse[0]]:.0%} only"
            advice = f"learnt by heart: {_more(it)}"
        yield Finding("actions", figure, advice)


def _coverage(it: Diagnosis) -> Iterator[Finding]:
    cover = it.coverage
    if cover is None:
        return
    at_start, later, n = cover.starts_outside, cover.leaves_later, len(cover.departures)
    expected = 1 - LIMIT_QUANTILE
    if at_start and wilson(len(at_start), n).low > expected:
        figure = f"{len(at_start)} of {n} episodes start outside the data, by {_first(it)}"
        yield Finding("coverage", figure, f"{_more(it)} --level {it.config.level}, for starts like these")
    if later and wilson(len(later), n).low > expected:
        n_failed = sum(not it.rollouts[episode].success for episode in later)
        when = f"half of them by step {int(np.median([cover.first_step(episode) for episode in later]))}"
        figure = f"{len(later)} of {n} episodes leave the data on their way, {when}, by {_first(it)}; "
        yield Finding("coverage", f"{figure}{n_failed} of these {len(later)} fail", _recovery(it))


def _ranges(it: Diagnosis) -> Iterator[Finding]:
    if it.ranges is None or not it.ranges.beyond:
        return
    ranges = it.ranges
    worst = ", ".join(f"{ranges.names[i]} in {ranges.told(i)}" for i in ranges.beyond[:NAMED])
    left = len(ranges.beyond) - NAMED
    figure = f"seen beyond the range that was learnt: {worst}{f', and {left} more' if left > 0 else ''}"
    advice = "collect episodes that reach there, or find out what drives it there; compare units and frames first"
    yield Finding("range", figure, advice)


def _latency(it: Diagnosis) -> Iterator[Finding]:
    speed = it.latency
    figure = f"planning takes {1e3 * speed.p99_s:.1f} ms at the 99th percentile, the control period is "
    figure += f"{1e3 * speed.period_s:.1f} ms"
    faster = f"ashore distill {it.run}" if it.settings.kind == "diffusion" else "a smaller network"
    if not speed.keeps_up:
        advice = f"plan faster ({faster}), or more seldom: ashore train with a larger --action-horizon"
        yield Finding("latency", f"{figure}, and a new chunk is due every {speed.action_horizon} periods", advice)
    elif not speed.lasts:
        rows = f"a chunk has {speed.spare} rows to spare for {speed.late_steps} late steps"
        yield Finding("latency", f"{figure}; {rows}", f"ashore train with a larger --prediction-horizon; or {faster}")


def _seams(it: Diagnosis) -> Iterator[Finding]:
    if it.seams is None or not it.seams.jumping:
        return
    names = element_names(it.contract.actions)
    worst = ", ".join(f"{names[i]} {it.seams.ratio[i]:.1f} times" for i in it.seams.jumping[:NAMED])
    figure = f"where chunks meet, actions change more than {RATIO:g} times as much as within a chunk: {worst}"
    calmer = f"; or plan nearer to the mean: ashore distill {it.run}" if it.settings.kind == "diffusion" else ""
    yield Finding("seams", figure, f"plan less often: ashore train with a larger --action-horizon{calmer}")


def _frozen(it: Diagnosis) -> Iterator[Finding]:
    if it.frozen is None:
        return
    names = element_names(it.contract.observations)
    if it.frozen.only_in_data:
        which = _named([names[i] for i in it.frozen.only_in_data])
        advice = "nothing was learnt of it: vary it in the demonstrations, or leave it out of the encoding"
        yield Finding("frozen", f"never changes in the data, but when run: {which}", advice)
    if it.frozen.only_in_rollouts:
        which = _named([names[i] for i in it.frozen.only_in_rollouts])
        advice = "see whether its source is alive, or whether the policy never gets to where it changes"
        yield Finding("frozen", f"changes in the data, never when run: {which}", advice)


def _slices(it: Diagnosis) -> Iterator[Finding]:
    worst = worst_slice(it.evaluation.draws, it.evaluation.success) if it.evaluation is not None else None
    if it.evaluation is None or worst is None or worst.interval.high >= it.evaluation.interval.rate:
        return
    where = f"{worst.parameter} from {worst.low:.3g} to {worst.high:.3g}"
    figure = f"success is {worst.interval} for {where}, {it.evaluation.interval.rate:.1%} over all"
    yield Finding("slices", figure, "collect more there: ashore collect with a --level file that draws this range")


def _guard(it: Diagnosis) -> Iterator[Finding]:
    if it.evaluation is None:
        return
    stopped = int(np.sum(it.evaluation.guard_stops > 0))
    if stopped > STOP_SHARE * len(it.evaluation.success):
        reasons = _named([name for name, count in it.evaluation.guard_reasons.items() if count])
        figure = f"the guard stopped the robot in {stopped} of {len(it.evaluation.success)} episodes: {reasons}"
        yield Finding("guard", figure, "compare the robot's limits with the demonstrated commands")


def _unexplained(it: Diagnosis) -> Iterator[Finding]:
    if it.evaluation is not None and not it.evaluation.success.all():
        n = len(it.evaluation.success)
        figure = f"{n - int(it.evaluation.success.sum())} of {n} episodes fail, and none of these figures says why"
        yield Finding("success", figure, "look at the clips; with more --episodes weak slices of the draws show")


RULES: tuple[Callable[[Diagnosis], Iterator[Finding]], ...] = (
    _fit,
    _actions,
    _coverage,
    _ranges,
    _latency,
    _seams,
    _frozen,
    _slices,
    _guard,
)
"""One a topic, in the order of the page."""


def _more(it: Diagnosis) -> str:
    if not is_task(it.contract.task) or not it.n_episodes:
        return "record more episodes"
    more = f"--episodes {2 * it.n_episodes} --out {_store(it)}"
    return f"collect more episodes: ashore collect --task {it.contract.task} {more}"


def _recovery(it: Diagnosis) -> str:
    if it.noise_share is None:
        return "record episodes that begin there and come back from there"
    if it.noise_share < 1:
        return (
            f"show how to come back: noise was injected into {it.noise_share:.0%} of the demonstrations only; "
            "ashore collect does so without --no-noise"
        )
    return f"{_more(it)}; noise is injected into all of them, so more of them show more ways to come back"


def _first(it: Diagnosis) -> str:
    names = element_names(it.contract.observations)
    first = it.coverage.first_elements if it.coverage is not None else []
    return _named([names[element] for element, _ in first])


def _store(it: Diagnosis) -> str:
    return str(Path(it.settings.stores[0])) if it.settings.stores else "STORE"


def _named(names: list[str]) -> str:
    left = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {left} more" if left > 0 else "")
