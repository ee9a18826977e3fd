"""Statistics that LeRobot's policies normalize with: of each episode, and of all of them."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.images import Frames

Array = NDArray[Any]
Summary = dict[str, Array]
QUANTILES = {"q01": 0.01, "q10": 0.1, "q50": 0.5, "q90": 0.9, "q99": 0.99}
MOST_FRAMES = 24
"""Frames of an episode, evenly spread, that a camera's statistics look at."""
_MOST_PIXELS = 64
"""Rows and columns of a frame that they look at."""


def summarize(rows: Array) -> Summary:
    """Summarize (T, n) numbers: each figure is (n,) float64, and count (1,)."""
    return _summary(np.asarray(rows, np.float64), len(rows))


def summarize_frames(frames: Frames) -> Summary:
    """Summarize the pixels of some frames, by channel: each figure is (C, 1, 1); 8-bit pixels count from 0 to 1."""
    seen = np.unique(np.linspace(0, len(frames) - 1, min(len(frames), MOST_FRAMES)).round().astype(int))
    sides = frames.feature.shape[:2]
    step_v, step_u = (max(1, -(-side // _MOST_PIXELS)) for side in sides)
    scale = 255.0 if frames.feature.dtype == "uint8" else 1.0
    pixels = np.stack([frames[int(entry)][::step_v, ::step_u] for entry in seen])
    pixels = pixels.reshape(-1, pixels.shape[3] if pixels.ndim == 4 else 1) / scale
    flipped = pixels[:, ::-1] if frames.feature.colour == "bgr" else pixels
    summary = _summary(flipped, len(seen))
    return {name: value if name == "count" else value.reshape(-1, 1, 1) for name, value in summary.items()}


def _summary(rows: Array, count: int) -> Summary:
    quantiles = np.quantile(rows, list(QUANTILES.values()), axis=0)
    return {
        "min": rows.min(axis=0),
        "max": rows.max(axis=0),
        "mean": rows.mean(axis=0),
        "std": rows.std(axis=0),
        "count": np.array([count]),
        **dict(zip(QUANTILES, quantiles, strict=True)),
    }


class Merged:
    """The summary of all episodes so far; quantiles are means of the episodes', weighted by count, as in LeRobot."""

    def __init__(self) -> None:
        self._total: dict[str, Summary] = {}

    def add(self, summaries: Mapping[str, Summary]) -> None:
        """Take in an episode: {key: summary}."""
        for key, new in summaries.items():
            old = self._total.get(key)
            self._total[key] = dict(new) if old is None else _merge(old, new)

    def plain(self) -> dict[str, dict[str, Any]]:
        """Return JSON-able data."""
        return {key: plain(summary) for key, summary in self._total.items()}


def plain(summary: Summary) -> dict[str, Any]:
    """Return a summary as nested lists."""
    return {name: value.tolist() for name, value in summary.items()}


def _merge(old: Summary, new: Summary) -> Summary:
    """Merge two summaries; source: Chan, Golub, LeVeque, Updating Formulae for Sample Variances, 1979, eq. 2.1."""
    count = old["count"] + new["count"]
    share = float(new["count"][0]) / float(count[0])
    difference = new["mean"] - old["mean"]
    variance = (1 - share) * old["std"] ** 2 + share * new["std"] ** 2 + share * (1 - share) * difference**2
    merged = {"min": np.minimum(old["min"], new["min"]), "max": np.maximum(old["max"], new["max"])}
    merged |= {"mean": old["mean"] + share * difference, "std": np.sqrt(variance), "count": count}
    return merged | {name: _weighted(old[name], new[name], share) for name in QUANTILES}


def _weighted(old: Array, new: Array, share: float) -> Array:
    return (1 - share) * old + share * new


def flat_columns(summaries: Iterable[tuple[str, Summary]]) -> dict[str, Any]:
    """Name the columns of meta/episodes: {"stats/KEY/FIGURE": nested lists}."""
    return {f"stats/{key}/{name}": value for key, summary in summaries for name, value in plain(summary).items()}
