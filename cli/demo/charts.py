"""The report's charts, each an SVG string that stands in the page by itself."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

INK, MUTED, GRID = "#1c2733", "#67788a", "#e3e8ee"
BLUE, ORANGE, GREEN, GREY = "#2f6fde", "#e07a2f", "#2c9a6b", "#a9b6c4"
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "ashore",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "axes.edgecolor": GRID,
    "axes.grid": True,
    "grid.color": GRID,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


@dataclass(frozen=True)
class Rate:
    """A success rate with its interval, as one bar of a chart."""

    label: str
    successes: int
    n: int
    low: float
    high: float

    @property
    def value(self) -> float:
        """Share of successes."""
        return self.successes / self.n


def success_bars(rates: Sequence[Rate]) -> str:
    """Draw success rates as horizontal bars with their 95 % intervals."""
    figure, axes = make_figure(6.4, 0.55 * len(rates) + 0.7)
    position = np.arange(len(rates))[::-1]
    values = np.array([rate.value for rate in rates])
    whiskers = np.array([[rate.value - rate.low, rate.high - rate.value] for rate in rates]).T
    axes.barh(position, values, height=0.55, color=[GREEN if v >= 0.9 else ORANGE for v in values], alpha=0.85)
    axes.errorbar(values, position, xerr=np.maximum(whiskers, 0), fmt="none", ecolor=INK, elinewidth=1.2, capsize=3)
    axes.set_yticks(position, [rate.label for rate in rates])
    for y, rate in zip(position, rates, strict=True):
        axes.text(1.02, y, f"{rate.successes}/{rate.n}", va="center", color=INK)
    axes.set_xlim(0, 1)
    axes.set_xticks(np.linspace(0, 1, 6), [f"{tick:.0%}" for tick in np.linspace(0, 1, 6)])
    axes.grid(visible=False, axis="y")
    return to_svg(figure)


def learning_curves(curves: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> str:
    """Draw training losses over updates, {name: (updates, losses)}, on a logarithmic loss axis."""
    figure, axes = make_figure(6.4, 3.0)
    colours = (BLUE, ORANGE, GREY, INK, GREEN)
    for colour, (name, (updates, losses)) in zip(colours, curves.items(), strict=False):
        axes.plot(updates, losses, label=name, color=colour, linewidth=1.6)
    logarithmic(axes, "y", steps=(1.0, 2.0, 5.0))
    axes.set_xlabel("updates")
    axes.set_ylabel("training loss")
    axes.legend(frameon=False, ncols=2)
    return to_svg(figure)


def histogram(values: Sequence[float], xlabel: str, marks: Mapping[str, float]) -> str:
    """Draw a histogram of values up to just past their 99.5th percentile, with named vertical marks."""
    figure, axes = make_figure(6.4, 2.4)
    data = np.asarray(values, dtype=float)
    top = max([float(np.percentile(data, 99.5)), *marks.values()]) * 1.08
    axes.hist(np.clip(data, None, top), bins=60, color=BLUE, alpha=0.85)
    for name, mark in marks.items():
        axes.axvline(mark, color=ORANGE, linewidth=1.4)
        axes.text(mark, axes.get_ylim()[1] * 0.96, f" {name} {mark:.2f}", color=ORANGE, va="top")
    axes.set_xlabel(xlabel)
    axes.set_ylabel("count")
    return to_svg(figure)


def jitter(errors: Mapping[str, Sequence[float]], xlabel: str) -> str:
    """Draw the share of periods whose error exceeds a value, one line a source, both axes logarithmic."""
    figure, axes = make_figure(6.4, 2.8)
    for colour, (name, values) in zip((BLUE, GREY, ORANGE), errors.items(), strict=False):
        ordered = np.sort(np.abs(np.asarray(values, dtype=float)))
        share = 1.0 - np.arange(len(ordered)) / len(ordered)
        axes.plot(np.maximum(ordered, 1e-3), share, label=name, color=colour, linewidth=1.8)
    logarithmic(axes, "x")
    logarithmic(axes, "y")
    axes.axhline(0.01, color=MUTED, linewidth=0.8, linestyle="--")
    axes.text(1.1e-3, 0.0115, "p99", color=MUTED)
    axes.set_xlabel(xlabel)
    axes.set_ylabel("share of periods above")
    axes.legend(frameon=False)
    return to_svg(figure)


def logarithmic(axes: Axes, which: str, steps: tuple[float, ...] = (1.0,)) -> None:
    """Make an axis logarithmic, with plain numbers: matplotlib's own labels are formulas, which texts here are not."""
    (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(LogLocator(subs=steps))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def ranking_scatter(scores: Mapping[str, float], harsh: Mapping[str, Rate]) -> str:
    """Draw each policy's ranking score against its success on the harsh twin, which the score has not seen."""
    figure, axes = make_figure(6.4, 3.2)
    for name, score in scores.items():
        rate = harsh[name]
        whisker = [[max(rate.value - rate.low, 0)], [max(rate.high - rate.value, 0)]]
        axes.errorbar(score, rate.value, yerr=whisker, fmt="o", color=BLUE, ecolor=GREY, markersize=8, capsize=3)
        axes.annotate(name, (score, rate.value), xytext=(8, 6), textcoords="offset points")
    axes.margins(x=0.2)
    axes.set_ylim(-0.03, 1.06)
    axes.set_xlabel("ranking score")
    axes.set_ylabel("success on the harsh twin")
    return to_svg(figure)


def make_figure(width_in: float, height_in: float) -> tuple[Figure, Axes]:
    """Begin a chart in the report's style."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width_in, height_in), layout="constrained")
        axes = figure.add_subplot()
    return figure, axes


def to_svg(figure: Figure) -> str:
    """Write a chart as SVG that stands in a page by itself; the same chart gives the same text."""
    buffer = io.StringIO()
    with mpl.rc_context(STYLE):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
