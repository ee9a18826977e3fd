"""The page of a run: one HTML file with every figure of its diagnosis, clips, and what to try."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ashore.cli.demo.page import Grid, Page, Picture, Section, Tile, write_page
from ashore.cli.doctor_run import charts
from ashore.cli.doctor_run.clips import Clip
from ashore.cli.slice_chart import draw_slices
from ashore.datasets.durable import storing
from ashore.policies.diagnosis.coverage import LIMIT_QUANTILE, STAY
from ashore.policies.diagnosis.diagnosis import Diagnosis
from ashore.policies.diagnosis.elements import element_names, element_units
from ashore.policies.diagnosis.findings import Finding
from ashore.policies.diagnosis.ranges import BEYOND_MARGIN
from ashore.policies.diagnosis.seams import RATIO
from ashore.policies.diagnosis.summary import Line
from ashore.policies.evaluation import Evaluation
from ashore.policies.ranking.slices import slices
from ashore.sim.simulation import GYM_PREFIX

N_ROWS = 12
"""Rows of a long table that are shown."""
MARKS = {"good": "✓", "found": "✗", "missing": "–"}
FIT_TEXT = {
    "overfits": "It overfits: it does worse on episodes that were held back, by the figures here.",
    "still learning": "It underfits: it was stopped before it had learnt what it could, by the figures here.",
    "sound": "Neither overfitting nor underfitting shows: held-out windows fare about as well as learnt ones.",
    "unknown": "Too little was logged to say whether it overfits or underfits.",
}


def write_run_page(
    out: Path,
    diagnosis: Diagnosis,
    found: tuple[Sequence[Finding], Sequence[Line]],
    clips: Sequence[Clip],
    no_clips: str,
) -> None:
    """Write the page; it appears whole, and replaces one that is there.

    Args:
        out: the file.
        diagnosis: the figures.
        found: findings, and one line a topic.
        clips: of its episodes.
        no_clips: why there are none; empty where there are some.
    """
    findings, lines = found
    sections = [_advice(findings), _overview(lines), *_missing(diagnosis), _clips(clips, no_clips)]
    parts = (_fit, _actions, _coverage, _ranges, _latency, _seams, _frozen, _slices)
    sections += [section for part in parts for section in part(diagnosis)]
    page = Page(f"{diagnosis.run.name}: trained, and run", _lead(diagnosis), _tiles(diagnosis, findings), sections)
    out.parent.mkdir(parents=True, exist_ok=True)
    with storing(out, "write the page"):
        aside = out.with_name(out.name + ".part")
        write_page(aside, page)
        aside.replace(out)


def _lead(it: Diagnosis) -> str:
    lead = f"A {it.settings.kind} policy for {it.contract.task} on {it.contract.robot}."
    if it.evaluation is None:
        return f"{lead} It could not be run here."
    config = it.config
    level = "" if it.contract.task.startswith(GYM_PREFIX) else f", level {config.level}"
    told = f"{config.episodes} episodes{level}, seed {config.seed}"
    return f"{lead} Run in {told}, inference delayed by {1e3 * config.latency_s:g} ms."


def _tiles(it: Diagnosis, findings: Sequence[Finding]) -> list[Tile]:
    tiles = [Tile(str(len(findings)), "findings")]
    if it.evaluation is not None:
        n = len(it.evaluation.success)
        tiles.append(Tile(f"{int(it.evaluation.success.sum())} of {n}", "episodes succeed"))
    if it.coverage is not None:
        tiles.append(Tile(f"{it.coverage.n_left} of {len(it.coverage.departures)}", "leave the data"))
    if it.levels is not None:
        tiles.append(Tile(f"{it.levels.gap:.2f} ×", "held-out error against learnt"))
    tiles.append(Tile(f"{1e3 * it.latency.p99_s:.1f} ms", "to plan, 99th percentile, here"))
    return tiles


def _advice(findings: Sequence[Finding]) -> Section:
    if not findings:
        return Section("What to try", "Nothing was found: every figure that could be taken is within its bounds.")
    rows = [(finding.topic, f"{finding.figure}.", finding.advice) for finding in findings]
    text = "What was measured, and what usually helps. The figures tell where, not always why."
    return Section("What to try", text, grid=Grid(("topic", "measured", "try"), rows))


def _overview(lines: Sequence[Line]) -> Section:
    rows = [(line.question, line.figure, MARKS[line.state]) for line in lines]
    return Section("At a glance", "", grid=Grid(("question", "figure", ""), rows))


def _missing(it: Diagnosis) -> list[Section]:
    sections = []
    if it.missing:
        rows = [(each.part, each.why) for each in it.missing]
        sections.append(Section("What could not be looked at", "", grid=Grid(("part", "why"), rows)))
    if it.data_changed:
        text = (
            "The stores hold other episodes than when this run was trained: some that count here as held out may have "
        )
        sections.append(Section("The data has changed", f"{text}been learnt, and the other way round."))
    return sections


def _clips(clips: Sequence[Clip], why: str) -> Section:
    if not clips:
        return Section("Clips", f"There are none: {why}")
    return Section(
        "Clips", "An orange frame marks what is outside the data.", [Picture(clip.body, clip.caption) for clip in clips]
    )


def _fit(it: Diagnosis) -> list[Section]:
    pictures = []
    if it.curves is not None and len(it.curves.loss):
        pictures.append(Picture(charts.curves(it.curves), "Losses over the training, as they were logged."))
    if it.levels is not None:
        caption = (
            f"Error of the cleaned chunk by noise level; held out {it.levels.gap:.2f} times learnt over all levels."
        )
        pictures.append(Picture(charts.levels(it.levels), f"{caption} Averaged weights, the same noise for both."))
    told = FIT_TEXT[it.fit]
    return [Section("Learnt and held out", told, pictures)] if pictures else []


def _actions(it: Diagnosis) -> list[Section]:
    errors = it.chunks
    if errors is None:
        return []
    names, units = element_names(it.contract.actions), element_units(it.contract.actions)
    order = np.argsort(-np.nan_to_num(errors.relative), kind="stable")[:N_ROWS]
    rows = [
        (names[i], units[i], f"{errors.executed_rms[i]:.4g}", f"{errors.spread[i]:.4g}", _share(errors.relative[i]))
        for i in order
    ]
    svg = charts.chunk_errors(errors, names, units)
    caption = f"By row of the chunk, {errors.n_windows} held-out windows and as many learnt; shaded rows are executed."
    text = "Planned less demonstrated actions, root mean square. What people or noise do by chance cannot be planned."
    grid = Grid(("action", "unit", "error", "spread", "share"), rows, frozenset({2, 3, 4}))
    return [Section("Planned and demonstrated actions", text, [Picture(svg, caption)], grid, is_wide=True)]


def _coverage(it: Diagnosis) -> list[Section]:
    cover = it.coverage
    if cover is None:
        return []
    names, hz = element_names(it.contract.observations), it.contract.control_hz
    rows = [
        (
            str(episode),
            "success" if it.rollouts[episode].success else "failure",
            f"{left.step} ({left.step / hz:.1f} s)",
            f"{names[left.element]} ({left.share:.0%} of the squared distance)",
        )
        for episode, left in enumerate(cover.departures)
        if left is not None
    ]
    text = f"""Distance of every observation from the nearest one in the data, in standard deviations of the data. The
        limit, {cover.limit:.2f}, is what {LIMIT_QUANTILE:.0%} of {cover.n_calibration} demonstrations keep from all
        others. An episode leaves the data where it stays beyond the limit for {STAY} steps; about
        {1 - LIMIT_QUANTILE:.0%} would do so by chance."""
    caption = "Green: success. Orange: failure. Dots: where an episode leaves the data."
    picture = Picture(charts.coverage(cover, [each.success for each in it.rollouts]), caption)
    note = f"{len(rows) - N_ROWS} more." if len(rows) > N_ROWS else ""
    shown = sorted(rows, key=lambda row: row[1])[:N_ROWS]
    grid = Grid(("episode", "ends in", "leaves at step", "first by"), shown, frozenset({0})) if rows else None
    return [Section("Coverage: where it leaves the data", text, [picture], grid, note, is_wide=True)]


def _ranges(it: Diagnosis) -> list[Section]:
    found = it.ranges
    if found is None:
        return []
    reach = np.maximum(found.seen_high - found.high, found.low - found.seen_low)
    half = np.maximum((found.high - found.low) / 2, 1e-4)
    chosen = [int(i) for i in np.lexsort((-reach / half, -found.share_beyond))[: charts.N_BARS]]
    rows = [
        (
            found.names[i],
            f"{found.low[i]:.4g} to {found.high[i]:.4g}",
            f"{found.seen_low[i]:.4g} to {found.seen_high[i]:.4g}",
            f"{found.share_beyond[i]:.1%}",
            f"{int(found.episodes_beyond[i])} of {found.n_episodes}",
        )
        for i in found.beyond[:N_ROWS]
    ]
    text = f"""What the network is given when run, against the range that its normaliser was fitted to. Beyond is what
        lies outside by over {BEYOND_MARGIN:.0%} of half the range; it counts where that is in surely more episodes than
        chance puts there, {found.chance:.1%}."""
    picture = Picture(charts.ranges(found, chosen), f"The {len(chosen)} inputs that reach furthest. Orange: beyond.")
    grid = Grid(("input", "learnt", "seen", "steps beyond", "episodes"), rows, frozenset({3, 4})) if rows else None
    return [Section("Ranges of the normaliser", text, [picture], grid, is_wide=True)]


def _latency(it: Diagnosis) -> list[Section]:
    speed = it.latency
    text = f"""Planning takes {1e3 * speed.p50_s:.1f} ms (p50) and {1e3 * speed.p99_s:.1f} ms (p99) in torch, for one
        robot, on this machine as it is loaded now. A control period is {1e3 * speed.period_s:.1f} ms; a chunk is due
        every {speed.action_horizon} periods and has {speed.spare} rows to spare, of which p99 uses {speed.late_steps}.
        On the robot's computer a bundle plans with ONNX Runtime: measure there too."""
    return [Section("Latency", text, [Picture(charts.latency(speed), f"{len(speed.seconds)} plans.")])]


def _seams(it: Diagnosis) -> list[Section]:
    jumps = it.seams
    if jumps is None:
        return []
    names, units = element_names(it.contract.actions), element_units(it.contract.actions)
    order = np.argsort(-np.nan_to_num(jumps.ratio), kind="stable")[:N_ROWS]
    rows = [
        (names[i], f"{units[i]} per step", f"{jumps.at_seams[i]:.3g}", f"{jumps.within[i]:.3g}", _times(jumps.ratio[i]))
        for i in order
    ]
    text = f"""Mean change of the executed action from one step to the next, where a new chunk begins and within one.
        More than {RATIO:g} times counts."""
    picture = Picture(charts.seams(jumps, names, RATIO), f"{jumps.n_seams:,} seams. Orange: counts.")
    grid = Grid(("action", "unit", "at seams", "within", "ratio"), rows, frozenset({2, 3, 4}))
    return [Section("Seams between chunks", text, [picture], grid)]


def _frozen(it: Diagnosis) -> list[Section]:
    if it.frozen is None:
        return []
    names = element_names(it.contract.observations)
    groups = (
        ("in the data, not when run", it.frozen.only_in_data),
        ("when run, not in the data", it.frozen.only_in_rollouts),
        ("in both", it.frozen.in_both),
    )
    rows = [(label, ", ".join(names[i] for i in which)) for label, which in groups if which]
    if not rows:
        return [Section("Frozen observations", "None: every observation varies, in the data and when run.")]
    return [Section("Frozen observations", "", grid=Grid(("never changes", "observations"), rows))]


def _slices(it: Diagnosis) -> list[Section]:
    if it.evaluation is None:
        return []
    parts = sorted(slices(it.evaluation.draws, it.evaluation.success), key=lambda part: part.interval.low)[:N_ROWS]
    if not parts:
        return [Section("Weakest slices", "Nothing is drawn, or there are too few episodes for thirds of 10.")]
    rows = [(p.parameter, f"{p.low:.4g} to {p.high:.4g}", str(p.n_episodes), str(p.interval)) for p in parts]
    text = "Thirds of what was drawn, weakest first; the bounds hold at 95 % for all thirds together."
    grid = Grid(("drawn", "between", "episodes", "success"), rows, frozenset({2}))
    return [Section("Weakest slices", text, [_slice_chart(it.evaluation)], grid, is_wide=True)]


def _slice_chart(evaluation: Evaluation) -> Picture:
    with tempfile.TemporaryDirectory(prefix="ashore-slices-") as folder:
        path = Path(folder) / "slices.png"
        draw_slices(evaluation.draws, evaluation.success, path)
        body = path.read_bytes()
    return Picture(body, "Points: success along each drawn value with its 95 % interval. Bars: episodes drawn there.")


def _share(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.0%}"


def _times(value: float) -> str:
    return "still" if np.isnan(value) else f"{value:.1f} ×"
