"""A ranking as a picture: simulated success with its interval, beside the strangeness of real observations."""

from pathlib import Path
from typing import Any

from ashore.policies.ranking.ranking import Ranking

GOOD, VETOED = "#2a6f97", "#b23a48"


def plot_ranking(ranking: Ranking, path: Path | str) -> Path:
    """Draw a ranking into a PNG or SVG file, by the path's ending; best policy on top."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = ranking.rows()[::-1]
    figure = Figure(figsize=(9, 1.6 + 0.5 * len(rows)), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, sharey=True)
    labels = [f"{row['place']}. {row['policy']}" for row in rows]
    colours = [VETOED if row["vetoes"] else GOOD for row in rows]
    _draw_success(left, rows, colours)
    _draw_strangeness(right, rows, colours)
    left.set_yticks(range(len(rows)), labels)
    figure.suptitle(f"{ranking.task}: {ranking.config.episodes} paired episodes a policy (red: vetoed)", fontsize=10)
    out = Path(path)
    figure.savefig(out, dpi=150)
    return out


def _draw_success(axes: Any, rows: list[dict[str, Any]], colours: list[str]) -> None:
    for place, (row, colour) in enumerate(zip(rows, colours, strict=True)):
        axes.plot([row["success_low"], row["success_high"]], [place, place], color=colour, linewidth=2)
        axes.plot(row["success"], place, "o", color=colour)
        axes.annotate(
            f"V {row['score']:+.2f}", (row["success_high"], place), (6, -3), textcoords="offset points", fontsize=8
        )
    axes.set_xlim(0, 1.12)
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.set_xlabel("simulated success, 95 % interval")
    axes.grid(axis="x", alpha=0.3)


def _draw_strangeness(axes: Any, rows: list[dict[str, Any]], colours: list[str]) -> None:
    if all(row["strangeness"] is None for row in rows):
        axes.text(0.5, 0.5, "no real episodes given", transform=axes.transAxes, ha="center")
        return
    axes.barh(range(len(rows)), [row["strangeness"] for row in rows], color=colours, height=0.45)
    axes.axvline(1.0, color="0.4", linewidth=1, linestyle="--")
    axes.set_xlabel("real observations: distance / held-out distance")
    axes.grid(axis="x", alpha=0.3)
