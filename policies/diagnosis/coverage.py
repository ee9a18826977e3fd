"""Where a policy's own episodes leave the data that it learnt from, and in which features."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
FLOOR = 1e-3
"""Smallest spread of an element, contract units: what never varied in the data is not infinitely far from it."""
STAY = 3
"""Steps in a row beyond the limit that make an episode leave; a single one may be a noisy measurement."""
CALIBRATION_EPISODES = 40
"""Demonstrations whose distance from all others sets the limit."""
LIMIT_QUANTILE = 0.95
"""Share of the demonstrations that would not count as having left."""
N_LEARNT = 20_000
"""Steps of the data that are compared with, evenly over it."""
BLOCK = 512


@dataclass(frozen=True)
class Departure:
    """The moment when an episode leaves the data."""

    step: int
    """First of the STAY steps."""
    element: int
    """The element of the observation in which it is farthest from its nearest neighbour."""
    share: float
    """Share of the squared distance that this element has."""


@dataclass(frozen=True)
class Coverage:
    """Distances of episodes from the data, in standard deviations of the data, over all elements together."""

    limit: float
    """A distance that LIMIT_QUANTILE of the demonstrations do not keep from the others for STAY steps."""
    n_calibration: int
    """Demonstrations that the limit comes from."""
    distances: tuple[Array, ...]
    """(T,) of each of M episodes."""
    departures: tuple[Departure | None, ...]
    """(M,) None for an episode that stays in the data."""

    @property
    def n_left(self) -> int:
        """Episodes that leave the data."""
        return sum(departure is not None for departure in self.departures)

    @property
    def starts_outside(self) -> list[int]:
        """Episodes that are outside the data within their first STAY steps."""
        return [i for i, each in enumerate(self.departures) if each is not None and each.step < STAY]

    @property
    def leaves_later(self) -> list[int]:
        """Episodes that leave the data on their way."""
        return [i for i, each in enumerate(self.departures) if each is not None and each.step >= STAY]

    def first_step(self, episode: int) -> int:
        """The step at which an episode that leaves the data does so."""
        left = self.departures[episode]
        return 0 if left is None else left.step

    @property
    def first_elements(self) -> list[tuple[int, int]]:
        """Elements by which episodes leave, (element, episodes), most frequent first."""
        elements = [departure.element for departure in self.departures if departure is not None]
        counts = {element: elements.count(element) for element in sorted(set(elements))}
        return sorted(counts.items(), key=lambda item: -item[1])


class Neighbours:
    """The data that was learnt from, each step one point in standard deviations."""

    def __init__(self, observations: Array, episode_of: Array) -> None:
        """Take in steps (R, Do), contract units, and the episode (R,) of each; at most N_LEARNT are kept."""
        rows = np.unique(np.linspace(0, len(observations) - 1, min(len(observations), N_LEARNT)).round().astype(int))
        values = np.asarray(observations, np.float64)
        self._centre, self._spread = values.mean(0), np.maximum(values.std(0), FLOOR)
        self._points = self._scaled(values[rows]).astype(np.float32)
        self._squares = np.sum(self._points**2, axis=1)
        self._episode_of = np.asarray(episode_of)[rows]

    def nearest(self, observations: Array, without: int | None = None) -> tuple[Array, Array]:
        """Find the nearest step of the data, leaving one episode out where it is named.

        Args:
            observations: (T, Do) contract units.
            without: the episode.

        Returns:
            distances (T,) and the differences (T, Do) from the nearest step, in standard deviations.
        """
        points = self._scaled(observations).astype(np.float32)
        found = np.concatenate(
            [self._nearest_rows(points[start : start + BLOCK], without) for start in range(0, len(points), BLOCK)]
        )
        differences = points.astype(np.float64) - self._points[found]
        return np.sqrt(np.sum(differences**2, axis=1)), differences

    def _nearest_rows(self, points: Array, without: int | None) -> Array:
        squares = self._squares - 2.0 * points @ self._points.T  # (T, R), less the points' own squares
        if without is not None:
            squares[:, self._episode_of == without] = np.inf
        return np.asarray(np.argmin(squares, axis=1))

    def _scaled(self, observations: Array) -> Array:
        return np.asarray((np.asarray(observations, np.float64) - self._centre) / self._spread)


def measure_coverage(
    observations: Array, episode_of: Array, episodes: Sequence[Array], n_calibration: int = CALIBRATION_EPISODES
) -> Coverage:
    """Find where episodes leave the data.

    The limit is calibrated on demonstrations, each compared with the data of all others: what a policy would see that
    did as well on a start of its own.

    Args:
        observations: (R, Do) the steps of the data, contract units.
        episode_of: (R,) the episode of each.
        episodes: (T, Do) each, the policy's own.
        n_calibration: demonstrations to calibrate on, at most.
    """
    neighbours = Neighbours(observations, episode_of)
    names = np.unique(episode_of)
    chosen = names[np.unique(np.linspace(0, len(names) - 1, min(len(names), n_calibration)).round().astype(int))]
    kept = [sustained(neighbours.nearest(observations[episode_of == name], name)[0]) for name in chosen.tolist()]
    limit = float(np.quantile(kept, LIMIT_QUANTILE))
    measured = [neighbours.nearest(episode) for episode in episodes]
    departures = tuple(departure(*each, limit) for each in measured)
    return Coverage(limit, len(kept), tuple(distances for distances, _ in measured), departures)


def sustained(distances: Array) -> float:
    """Give the largest distance (T,) that is kept for STAY steps in a row, or for the whole of a shorter episode."""
    length = min(STAY, len(distances))
    return float(np.lib.stride_tricks.sliding_window_view(distances, length).min(axis=1).max())


def departure(distances: Array, differences: Array, limit: float) -> Departure | None:
    """Find the first STAY steps in a row beyond the limit, from distances (T,) and differences (T, Do)."""
    length = min(STAY, len(distances))
    is_out = np.lib.stride_tricks.sliding_window_view(distances > limit, length).all(axis=1)
    if not is_out.any():
        return None
    step = int(np.argmax(is_out))
    squares = np.sum(differences[step : step + length] ** 2, axis=0)
    element = int(np.argmax(squares))
    return Departure(step, element, float(squares[element] / max(squares.sum(), 1e-12)))
