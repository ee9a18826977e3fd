"""The chart of an evaluation's draws: how they cover each parameter's range, and the success along it."""

from collections.abc import Mapping, Sequence
from math import ceil
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from ashore.cli.demo.charts import INK, MUTED, STYLE
from ashore.policies.intervals import wilson

Array = NDArray[Any]
COLUMNS, MOST_PANELS, BINS = 4, 40, 6
PANEL_IN = (2.9, 1.9)
DOTS_PER_INCH = 120
ACCENT, COVER = "#1f6f4a", "#d7dde3"


def draw_slices(draws: Sequence[Mapping[str, Array]], success: Array, path: Path) -> int:
    """Draw a panel a drawn number, as PNG, and say how many there are.

    Bars are the draws; points are the share that succeeded among them, with its 95 % Wilson interval.

    Args:
        draws: (M,) the values of each episode.
        success: (M,) bool.
        path: the PNG.
    """
    columns = dict(_varying(draws))
    shown = list(columns.items())[:MOST_PANELS]
    n_rows = max(1, ceil(len(shown) / COLUMNS))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PANEL_IN[0] * COLUMNS, PANEL_IN[1] * n_rows + 0.5), layout="constrained")
        axes = np.ravel(figure.subplots(n_rows, COLUMNS, squeeze=False))
        for panel, (name, values) in zip(axes, shown, strict=False):
            _panel(panel, name, values, success)
        for panel in axes[len(shown) :]:
            panel.set_axis_off()
        title = f"Success of {len(draws)} episodes along each drawn value (bars: how many were drawn there)"
        figure.suptitle(title, color=INK, x=0.01, ha="left", fontsize=11)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=DOTS_PER_INCH)
    return len(shown)


def _varying(draws: Sequence[Mapping[str, Array]]) -> list[tuple[str, Array]]:
    """Every number (M,) that is not the same in all draws, with its name."""
    found = []
    for name in draws[0]:
        values = np.stack([np.asarray(draw[name], np.float64).reshape(-1) for draw in draws])
        labels = [name] if np.ndim(draws[0][name]) == 0 else [f"{name}[{i}]" for i in range(values.shape[1])]
        found += [(label, values[:, i]) for i, label in enumerate(labels) if np.ptp(values[:, i]) > 0]
    return found


def _panel(axes: Axes, name: str, values: Array, success: Array) -> None:
    edges = np.linspace(values.min(), values.max(), BINS + 1)
    bins = np.clip(np.digitize(values, edges) - 1, 0, BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    middles, width = (edges[1:] + edges[:-1]) / 2, edges[1] - edges[0]
    axes.bar(middles, counts / counts.max() * 0.5, width=0.94 * width, color=COVER)
    there = np.flatnonzero(counts)
    intervals = [wilson(int(success[bins == part].sum()), int(counts[part])) for part in there]
    rates = np.array([interval.rate for interval in intervals])
    reach = np.array([(interval.rate - interval.low, interval.high - interval.rate) for interval in intervals]).T
    axes.errorbar(middles[there], rates, yerr=np.abs(reach), color=ACCENT, fmt="o-", markersize=3, linewidth=1.1)
    axes.set_ylim(0.0, 1.08)
    axes.set_yticks([0.0, 0.5, 1.0])
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.set_title(name, fontsize=8, color=INK, loc="left")
    axes.tick_params(labelsize=7, colors=MUTED)
