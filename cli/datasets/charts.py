"""The charts of a store's page, each an SVG string; pictures of cameras become one PNG strip an episode."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ashore.cli.demo.charts import BLUE, GREEN, INK, MUTED, ORANGE, STYLE, make_figure, to_svg
from ashore.datasets.features import ImageFeature

Array = NDArray[Any]
COLOURS: dict[bool | None, str] = {True: GREEN, False: ORANGE, None: BLUE}
VERDICTS: dict[bool | None, str] = {True: "success", False: "failure", None: "unjudged"}
N_POINTS = 300
"""Points of one line; longer episodes are thinned."""
N_PANELS = 12
"""Elements of one feature that get a panel."""
STRIP_PX = 160
"""Height of a strip's pictures."""


@dataclass(frozen=True)
class Line:
    """One episode of one feature."""

    time_s: Array
    """(T,)."""
    values: Array
    """(T, size)."""
    success: bool | None


def thinned(time_s: Array, values: Array) -> tuple[Array, Array]:
    """Take at most N_POINTS rows, evenly; float32 is enough for a picture."""
    rows = np.unique(np.linspace(0, len(time_s) - 1, min(len(time_s), N_POINTS)).round().astype(int))
    return (time_s[rows] - time_s[0]).astype(np.float32), values[rows].reshape(len(rows), -1).astype(np.float32)


def trajectories(lines: Sequence[Line], names: Sequence[str], unit: str) -> str:
    """Draw one panel an element, one line an episode, coloured by success."""
    shown = names[:N_PANELS]
    figure, panels = _panels(len(shown), 1.5)
    for element, (axes, name) in enumerate(zip(panels, shown, strict=True)):
        for line in lines:
            axes.plot(line.time_s, line.values[:, element], color=COLOURS[line.success], linewidth=0.8, alpha=0.45)
        axes.set_title(f"{name} [{unit}]" if name else f"[{unit}]", fontsize=9, color=INK, loc="left")
    for axes in panels[-min(3, len(shown)) :]:
        axes.set_xlabel("s")
    return to_svg(figure)


def histograms(columns: Array, names: Sequence[str], unit: str, limits: Sequence[tuple[float, float]] | None) -> str:
    """Draw one histogram an element of values (M, size), with the limits as lines where there are any."""
    shown = names[:N_PANELS]
    figure, panels = _panels(len(shown), 1.5)
    for element, (axes, name) in enumerate(zip(panels, shown, strict=True)):
        axes.hist(columns[:, element], bins=40, color=BLUE, alpha=0.85)
        for end in limits[element] if limits else ():
            axes.axvline(end, color=ORANGE, linewidth=1.4)
        axes.set_title(f"{name} [{unit}]" if name else f"[{unit}]", fontsize=9, color=INK, loc="left")
        axes.set_yticks([])
    return to_svg(figure)


def lengths(seconds: Mapping[bool | None, Sequence[float]]) -> str:
    """Draw how long episodes last, by verdict."""
    figure, axes = make_figure(6.4, 2.4)
    _stacked(axes, seconds)
    axes.set_xlabel("duration, s")
    axes.set_ylabel("episodes")
    return to_svg(figure)


def coverage(draws: Mapping[str, Mapping[bool | None, Sequence[float]]]) -> str:
    """Draw how often each value of each draw occurs, by verdict: {draw: {success: values}}."""
    figure, panels = _panels(len(draws), 1.5)
    for axes, (name, values) in zip(panels, draws.items(), strict=True):
        _stacked(axes, values)
        axes.set_title(name, fontsize=9, color=INK, loc="left")
    return to_svg(figure)


def pairs(first: Array, second: Array, names: tuple[str, str], success: Sequence[bool | None]) -> str:
    """Draw two draws against each other, one point an episode, coloured by success."""
    figure, axes = make_figure(9.6, 3.6)
    for verdict, colour in COLOURS.items():
        chosen = np.array([told is verdict for told in success])
        if chosen.any():
            axes.scatter(
                first[chosen], second[chosen], s=16, color=colour, alpha=0.6, label=VERDICTS[verdict], linewidth=0
            )
    axes.set_xlabel(names[0])
    axes.set_ylabel(names[1])
    if len(set(success)) > 1:
        axes.legend(frameon=False)
    return to_svg(figure)


def strip(feature: ImageFeature, frames: Sequence[Array]) -> bytes:
    """Join frames, each (*shape), side by side into one PNG; what is no 8-bit picture is stretched to its range."""
    import cv2

    tiles = []
    for frame in frames:
        picture = np.asarray(frame)
        if picture.dtype != np.uint8:
            seen = picture[picture != feature.invalid] if feature.invalid is not None else picture.ravel()
            low, high = (float(seen.min()), float(seen.max())) if seen.size else (0.0, 1.0)
            picture = (np.clip((picture - low) / max(high - low, 1e-9), 0, 1) * 255).astype(np.uint8)
        if picture.ndim == 2:
            picture = np.repeat(picture[:, :, None], 3, axis=2)
        elif feature.colour == "rgb":
            picture = picture[:, :, ::-1]
        height, width = picture.shape[:2]
        scale = STRIP_PX / height
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
        tiles.append(cv2.resize(picture, (max(1, round(width * scale)), STRIP_PX), interpolation=how))
    return bytes(cv2.imencode(".png", np.concatenate(tiles, axis=1))[1])


def _stacked(axes: Axes, values: Mapping[bool | None, Sequence[float]]) -> None:
    shown = {verdict: numbers for verdict, numbers in values.items() if len(numbers)}
    colours, labels = [COLOURS[verdict] for verdict in shown], [VERDICTS[verdict] for verdict in shown]
    axes.hist(list(shown.values()), bins=24, stacked=True, color=colours, label=labels, alpha=0.85)
    if len(shown) > 1:
        axes.legend(frameon=False, fontsize=8)


def _panels(n_panels: int, height_in: float) -> tuple[Figure, list[Axes]]:
    n_columns = 3  # Also where there are fewer, so that all panels of the page are of one size.
    n_rows = -(-n_panels // n_columns)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(3.2 * n_columns, height_in * n_rows + 0.3), layout="constrained")
        axes = [figure.add_subplot(n_rows, n_columns, number + 1) for number in range(n_panels)]
    for panel in axes:
        panel.tick_params(labelsize=8, colors=MUTED)
    return figure, axes
