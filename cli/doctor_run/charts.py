"""The charts of a run's page, each an SVG string."""

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator
from numpy.typing import NDArray

from ashore.cli.demo.charts import BLUE, GREEN, GREY, INK, MUTED, ORANGE, STYLE, logarithmic, make_figure, to_svg
from ashore.policies.diagnosis.coverage import Coverage
from ashore.policies.diagnosis.fit import Curves, LevelErrors
from ashore.policies.diagnosis.planning import ChunkErrors, Latency
from ashore.policies.diagnosis.ranges import Ranges
from ashore.policies.diagnosis.seams import Seams

Array = NDArray[Any]
N_PANELS = 12
"""Elements of the action that get a panel."""
N_BARS = 16
"""Elements of the observation that get a bar."""
TICKS = (1, 2, 5, 10, 100, 1_000, 10_000, 100_000)
"""Where an axis of ranges has numbers."""
STEPS = (1.0, 2.0, 5.0)
"""Where logarithmic axes have numbers, in each decade."""


def curves(losses: Curves) -> str:
    """Draw the training loss and the held-out loss over updates."""
    figure, axes = make_figure(6.4, 3.2)
    axes.plot(losses.updates, losses.loss, color=BLUE, linewidth=1.2, label="learnt, as it was trained")
    style: Any = {"color": ORANGE, "marker": "o", "markersize": 4, "linewidth": 1.6}
    axes.plot(losses.held_out_updates, losses.held_out_loss, label="held out, averaged weights", **style)
    logarithmic(axes, "y", STEPS)
    axes.set_xlabel("updates")
    axes.set_ylabel("loss")
    axes.legend(frameon=False)
    return to_svg(figure)


def levels(errors: LevelErrors) -> str:
    """Draw the denoising error by noise level, learnt against held out."""
    figure, axes = make_figure(6.4, 3.2)
    axes.plot(errors.levels, errors.learnt, color=BLUE, marker="o", markersize=4, label="learnt")
    axes.plot(errors.levels, errors.held_out, color=ORANGE, marker="o", markersize=4, label="held out")
    logarithmic(axes, "x")
    logarithmic(axes, "y", STEPS)
    axes.set_xlabel("noise level (demonstrated actions: 0.5)")
    axes.set_ylabel("error, normalised actions")
    axes.legend(frameon=False)
    return to_svg(figure)


def chunk_errors(errors: ChunkErrors, names: Sequence[str], units: Sequence[str]) -> str:
    """Draw each action element's error by row of the chunk; shaded: the rows that are executed."""
    count = min(len(names), N_PANELS)
    figure, panels = _panels(count, 1.6)
    rows = np.arange(len(errors.rms))
    for element, axes in enumerate(panels):
        axes.axvspan(errors.executed.start - 0.5, errors.executed.stop - 0.5, color=GREY, alpha=0.25, linewidth=0)
        axes.plot(rows, errors.rms[:, element], color=ORANGE, linewidth=1.6, label="held out")
        axes.plot(rows, errors.rms_learnt[:, element], color=BLUE, linewidth=1.2, label="learnt")
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.set_title(f"{names[element]} [{units[element]}]", fontsize=8.5, color=INK, loc="left")
    panels[0].legend(frameon=False, fontsize=8)
    for axes in panels[-min(3, count) :]:
        axes.set_xlabel("row of the chunk")
    return to_svg(figure)


def coverage(cover: Coverage, success: Sequence[bool]) -> str:
    """Draw each episode's distance from the data by step, with the limit and the moments of leaving."""
    figure, axes = make_figure(9.6, 3.4)
    for distances, left, succeeded in zip(cover.distances, cover.departures, success, strict=True):
        colour = GREEN if succeeded else ORANGE
        axes.plot(distances / cover.limit, color=colour, linewidth=0.9, alpha=0.55)
        if left is not None:
            axes.plot(left.step, distances[left.step] / cover.limit, "o", color=colour, markersize=5, zorder=3)
    axes.axhline(1.0, color=INK, linewidth=1.0, linestyle="--")
    logarithmic(axes, "y", STEPS)
    axes.set_xlabel("control step")
    axes.set_ylabel("distance / limit")
    return to_svg(figure)


def ranges(found: Ranges, chosen: Sequence[int]) -> str:
    """Draw, for chosen elements, what was seen against the fitted range, which is drawn from -1 to 1."""
    figure, axes = make_figure(9.6, 0.36 * min(len(chosen), N_BARS) + 0.8)
    shown = list(chosen)[:N_BARS]
    places = np.arange(len(shown))[::-1]
    middle, half = (found.high + found.low) / 2, np.maximum((found.high - found.low) / 2, 1e-4)
    low, high = ((side - middle) / half for side in (found.seen_low, found.seen_high))
    axes.axvspan(-1, 1, color=GREY, alpha=0.25, linewidth=0)
    colours = [ORANGE if element in found.beyond else BLUE for element in shown]
    axes.barh(places, high[shown] - low[shown], left=low[shown], height=0.5, color=colours, alpha=0.85)
    axes.set_yticks(places, [found.names[element] for element in shown], fontsize=8)
    axes.set_xscale("symlog", linthresh=2.0)
    reach = float(np.max(np.abs([low[shown], high[shown]]), initial=2.0))
    ticks = [tick for tick in TICKS if tick <= reach]
    axes.set_xticks([*(-tick for tick in reversed(ticks)), 0, *ticks])
    axes.set_xlim(-1.1 * reach, 1.1 * reach)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("seen when run; grey: the range that was learnt, -1 to 1")
    return to_svg(figure)


def latency(speed: Latency) -> str:
    """Draw a histogram of planning times with the control period and the time when a chunk is due."""
    figure, axes = make_figure(6.4, 2.6)
    milliseconds = 1e3 * speed.seconds
    marks = {"control period": 1e3 * speed.period_s, "next chunk due": 1e3 * speed.action_horizon * speed.period_s}
    bins = np.geomspace(max(milliseconds.min() * 0.8, 1e-3), max(milliseconds.max(), *marks.values()) * 1.3, 50)
    axes.hist(milliseconds, bins=bins.tolist(), color=BLUE, alpha=0.85)
    logarithmic(axes, "x", STEPS)
    top = axes.get_ylim()[1]
    for share, (name, mark) in zip((0.97, 0.82), marks.items(), strict=True):
        axes.axvline(mark, color=ORANGE, linewidth=1.4)
        axes.text(mark / 1.03, top * share, f"{name} {mark:.0f} ", color=ORANGE, va="top", ha="right")
    axes.set_xlabel("planning time, ms")
    axes.set_ylabel("plans")
    return to_svg(figure)


def seams(jumps: Seams, names: Sequence[str], limit: float) -> str:
    """Draw how much more each action element changes at seams than within chunks."""
    shown = [i for i in np.argsort(-np.nan_to_num(jumps.ratio), kind="stable") if np.isfinite(jumps.ratio[i])][:N_BARS]
    figure, axes = make_figure(6.4, 0.36 * max(len(shown), 1) + 0.8)
    places, ratio = np.arange(len(shown))[::-1], jumps.ratio[shown]
    axes.barh(places, ratio, height=0.5, color=[ORANGE if value > limit else BLUE for value in ratio], alpha=0.85)
    axes.axvline(1.0, color=INK, linewidth=1.0, linestyle="--")
    axes.set_yticks(places, [names[i] for i in shown], fontsize=8)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("change at seams / change within chunks")
    return to_svg(figure)


def _panels(count: int, height_in: float) -> tuple[Figure, list[Axes]]:
    columns = 3  # Also where there are fewer panels, so that all are of one size.
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(3.2 * columns, height_in * -(-count // columns) + 0.3), layout="constrained")
        axes = [figure.add_subplot(-(-count // columns), columns, number + 1) for number in range(count)]
    for panel in axes:
        panel.tick_params(labelsize=8, colors=MUTED)
    return figure, axes
