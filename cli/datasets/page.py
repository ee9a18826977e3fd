"""The page of a store: one HTML file with trajectories, actions, draws, lengths, pictures and findings."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.cli.datasets import charts
from ashore.cli.demo.page import Grid, Page, Picture, Section, Tile, write_page
from ashore.datasets.contract import Contract, Feature
from ashore.datasets.episode import Episode, EpisodeMeta
from ashore.datasets.examination import Examination, examine
from ashore.datasets.progress import Progress
from ashore.datasets.store import EpisodeStore

Array = NDArray[Any]
N_STRIPS = 3
"""Episodes of which a strip of pictures is shown, evenly over those drawn."""
N_DRAWS = 24
"""Draws that get a histogram."""
N_FINDINGS = 100
"""Findings that the page lists."""
COLOURS = "Green: success. Orange: failure. Blue: nobody judged."


@dataclass
class _Sample:
    """What is drawn of some episodes, read one at a time."""

    lines: dict[str, list[charts.Line]] = field(default_factory=dict)
    strips: dict[str, list[Picture]] = field(default_factory=dict)

    def add(self, index: int, episode: Episode, *, with_pictures: bool) -> None:
        """Keep an episode's thinned lines, and first, middle and last picture of each camera."""
        for name, values in {**episode.observations, **episode.actions}.items():
            time_s, thin = charts.thinned(episode.time_s, values)
            self.lines.setdefault(name, []).append(charts.Line(time_s, thin, episode.meta.success))
        for name, frames in episode.images.items() if with_pictures else ():
            shown = [frames[step] for step in sorted({0, len(frames) // 2, len(frames) - 1})]
            caption = f"Episode {index}, {name}: first, middle and last frame of {len(frames)}"
            picture = Picture(charts.strip(frames.feature, shown), caption)
            self.strips.setdefault(name, []).append(picture)


def write_store_page(store: EpisodeStore, out: Path, n_drawn: int, progress: Progress) -> None:
    """Draw a store as one HTML file; it appears whole, and replaces one that is there.

    Args:
        store: what is drawn; one episode is in memory at a time.
        out: the file.
        n_drawn: episodes whose trajectories are drawn, evenly over the store.
        progress: called with each episode.
    """
    examination = examine(store, progress)
    drawn = _spread(store.indices, n_drawn)
    sample, with_pictures = _Sample(), set(_spread(drawn, N_STRIPS))
    for done, index in enumerate(drawn):
        sample.add(index, store.read(index, on_disk=True), with_pictures=index in with_pictures)
        progress(done + 1, len(drawn), "trajectories")
    metas = {index: store.read_meta(index) for index in store.indices}
    page = _page(store, examination, metas, sample)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as folder:
        draft = Path(folder) / "page.html"
        write_page(draft, page)
        draft.replace(out)


def _page(store: EpisodeStore, examination: Examination, metas: dict[int, EpisodeMeta], sample: _Sample) -> Page:
    contract, n_steps = store.contract, sum(examination.lengths.values())
    n_drawn = max((len(lines) for lines in sample.lines.values()), default=0)
    n_judged = sum(meta.success is not None for meta in metas.values())
    n_success = sum(bool(meta.success) for meta in metas.values())
    tiles = [
        Tile(f"{len(metas):,}", "episodes"),
        Tile(f"{n_steps:,}", "steps"),
        Tile(f"{n_steps / contract.control_hz / 60:.1f} min", f"at {contract.control_hz:g} Hz"),
        Tile(f"{n_success} of {n_judged}", "judged episodes succeeded") if n_judged else Tile("none", "judged"),
        Tile(f"{len(examination.findings):,}", "findings"),
    ]
    sections = [_findings(examination)]
    if metas:
        sections += [_lengths(contract, examination, metas), *_draws(metas), *_pictures(sample)]
        told = f"{n_drawn} of {len(metas)} episodes, evenly over the store. {COLOURS}"
        sections += [_actions(contract, sample, n_drawn)] if contract.actions else []
        sections += [_feature(feature, "Observation", sample, told) for feature in contract.observations]
        sections += [_feature(feature, "Action", sample, told) for feature in contract.actions]
    lead = f"{contract.task} on {contract.robot}. Contract {contract.digest[:12]}. Sources: {_sources(metas)}."
    return Page(f"{store.path.name}: an episode store", lead, tiles, sections)


def _findings(examination: Examination) -> Section:
    if not examination.findings:
        text = "None: no duplicates, gaps, frozen or saturated values, idle stretches, values out of limits."
        return Section("Findings", text)
    counts = ", ".join(f"{count} × {kind}" for kind, count in examination.counts().items())
    shown = examination.findings[:N_FINDINGS]
    rows = [
        (str(item.episode), f"{item.first_step} to {item.last_step}", item.kind, item.subject, item.advice)
        for item in shown
    ]
    grid = Grid(("episode", "steps", "kind", "what", "what to do"), rows, frozenset({0}))
    left = len(examination.findings) - len(shown)
    note = f"{left} more: ashore doctor data STORE --all lists them." if left else ""
    return Section("Findings", f"{counts}.", grid=grid, note=note)


def _lengths(contract: Contract, examination: Examination, metas: dict[int, EpisodeMeta]) -> Section:
    seconds = _by_verdict({i: n * contract.period_s for i, n in examination.lengths.items()}, metas)
    steps = sorted(examination.lengths.values())
    caption = f"Shortest {steps[0]}, median {int(np.median(steps))}, longest {steps[-1]} steps. {COLOURS}"
    return Section("How long episodes last", "All episodes.", [Picture(charts.lengths(seconds), caption)])


def _draws(metas: dict[int, EpisodeMeta]) -> list[Section]:
    """Show which values of the randomization the episodes cover; lists are shown element by element."""
    values: dict[str, dict[int, float]] = {}
    for index, meta in metas.items():
        for name, drawn in meta.draw.items():
            try:
                flat = np.asarray(drawn, np.float64).ravel()
            except (TypeError, ValueError):  # A draw may hold words, which have no axis.
                continue
            for element, value in enumerate(flat.tolist()):
                if np.isfinite(value):
                    values.setdefault(f"{name}[{element}]" if np.ndim(drawn) else name, {})[index] = value
    varied = {name: column for name, column in values.items() if len(set(column.values())) > 1}
    if not varied:
        return []
    shown = dict(list(varied.items())[:N_DRAWS])
    svg = charts.coverage({name: _by_verdict(column, metas) for name, column in shown.items()})
    pictures = [Picture(svg, f"All episodes. {COLOURS}")]
    if len(shown) > 1:
        pictures.append(_pair(shown, metas))
    left = f" {len(varied) - len(shown)} more draws vary." if len(varied) > len(shown) else ""
    text = f"Values of the randomization; empty stretches are situations that nobody has recorded.{left}"
    return [_wide("Coverage of the draws", text, pictures)]


def _pair(columns: dict[str, dict[int, float]], metas: dict[int, EpisodeMeta]) -> Picture:
    """Plot the two scalar draws against each other whose episodes differ most between success and failure."""

    def gap(column: dict[int, float]) -> float:
        groups = [[v for i, v in column.items() if metas[i].success is verdict] for verdict in (True, False)]
        spread = float(np.std(list(column.values())))
        return abs(float(np.mean(groups[0]) - np.mean(groups[1]))) / spread if all(groups) and spread else 0.0

    first, second = sorted(columns, key=lambda name: -gap(columns[name]))[:2]
    shared = [index for index in columns[first] if index in columns[second]]
    x, y = (np.array([columns[name][index] for index in shared]) for name in (first, second))
    svg = charts.pairs(x, y, (first, second), [metas[index].success for index in shared])
    return Picture(svg, "The two draws by which success and failure differ most; else the first two. " + COLOURS)


def _pictures(sample: _Sample) -> list[Section]:
    return [
        _wide(f"Pictures of {name}", "From the start to the end of an episode.", strips)
        for name, strips in sample.strips.items()
    ]


def _actions(contract: Contract, sample: _Sample, n_drawn: int) -> Section:
    pictures = []
    for feature in contract.actions:
        lines = sample.lines.get(feature.name)
        if not lines:
            continue
        limits = list(zip(feature.low, feature.high, strict=True)) if feature.low and feature.high else None
        values = np.concatenate([line.values for line in lines])
        svg = charts.histograms(values, _element_names(feature), feature.unit, limits)
        pictures.append(
            Picture(svg, f"{feature.name}, {len(values):,} steps{'; orange: its limits' if limits else ''}")
        )
    return _wide("What was told: actions", f"How often each value occurs in {n_drawn} episodes.", pictures)


def _feature(feature: Feature, side: str, sample: _Sample, told: str) -> Section:
    lines = sample.lines.get(feature.name, [])
    heading = f"{side} {feature.name}"
    if not lines:
        return Section(heading, "Absent from the episodes drawn.")
    names = _element_names(feature)
    left = f" The first {charts.N_PANELS} of {len(names)} elements." if len(names) > charts.N_PANELS else ""
    caption = f"Unit {feature.unit}, frame {feature.frame}. {told}{left}"
    return _wide(heading, "", [Picture(charts.trajectories(lines, names, feature.unit), caption)])


def _wide(heading: str, text: str, pictures: Sequence[Picture]) -> Section:
    return Section(heading, text, pictures, is_wide=True)


def _element_names(feature: Feature) -> list[str]:
    if not feature.shape:
        return [""]
    return list(feature.components) or [str(number) for number in range(feature.size)]


def _by_verdict(values: dict[int, float], metas: dict[int, EpisodeMeta]) -> dict[bool | None, list[float]]:
    found: dict[bool | None, list[float]] = {verdict: [] for verdict in charts.VERDICTS}
    for index, value in values.items():
        found[metas[index].success].append(value)
    return found


def _sources(metas: dict[int, EpisodeMeta]) -> str:
    found = sorted({f"{meta.source} ({meta.operator})" for meta in metas.values()})
    return ", ".join(found[:4]) + (f" and {len(found) - 4} more" if len(found) > 4 else "") if found else "none yet"


def _spread(indices: Sequence[int], count: int) -> list[int]:
    """Choose some of the indices, evenly."""
    places = np.unique(np.linspace(0, len(indices) - 1, max(1, min(count, len(indices)))).round().astype(int))
    return [indices[place] for place in places] if indices else []
