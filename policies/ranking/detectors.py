"""How strange real observations look to a policy that learnt from its own simulated ones."""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.errors import UnknownName

Array = NDArray[Any]
FLOOR = 1e-3
"""Smallest spread of an observation, contract units: what never varied in training is not infinitely surprising."""
BLOCK = 512


class Detector(ABC):
    """Scores windows (M, To, Do) by their distance from the windows that a policy learnt from."""

    def __init__(self, learnt: Array) -> None:
        """Take in the windows (R, To, Do) that were learnt from."""
        flat = _flat(learnt)
        self._centre, self._spread = flat.mean(0), np.maximum(flat.std(0), FLOOR)
        self.fit(self._scaled(learnt))

    def score(self, windows: Array) -> Array:
        """Give the strangeness of windows (M, To, Do): (M,), 0 or more, larger is stranger."""
        scaled = self._scaled(windows)
        parts = [self.distance(scaled[start : start + BLOCK]) for start in range(0, len(scaled), BLOCK)]
        return np.concatenate(parts)

    @abstractmethod
    def fit(self, learnt: Array) -> None:
        """Take in standardised windows (R, F)."""

    @abstractmethod
    def distance(self, windows: Array) -> Array:
        """Give the distance (M,) of standardised windows (M, F)."""

    def _scaled(self, windows: Array) -> Array:
        return np.asarray((_flat(windows) - self._centre) / self._spread)


class NearestNeighbours(Detector):
    """Distance to the fifth nearest window that was learnt from.

    Source: Sun et al., Out-of-Distribution Detection with Deep Nearest Neighbors, ICML 2022; here on standardised
    observations instead of a network's features.
    """

    k = 5

    def fit(self, learnt: Array) -> None:
        """Keep the windows (R, F)."""
        self._learnt = learnt
        self._squares = np.sum(learnt**2, axis=1)

    def distance(self, windows: Array) -> Array:
        """Give the distance (M,) to the k-th nearest of the windows that were learnt from."""
        squares = np.sum(windows**2, axis=1)[:, None] + self._squares - 2.0 * windows @ self._learnt.T  # (M, R)
        k = min(self.k, len(self._learnt)) - 1
        nearest: Array = np.sqrt(np.maximum(np.partition(squares, k, axis=1)[:, k], 0.0))
        return nearest


class Mahalanobis(Detector):
    """Distance from the mean in units of the covariance, shrunk towards the identity.

    Source: Lee et al., A Simple Unified Framework for Detecting Out-of-Distribution Samples, NeurIPS 2018, one class;
    here on standardised observations.
    """

    shrinkage = 0.05

    def fit(self, learnt: Array) -> None:
        """Compute the covariance's inverse (F, F)."""
        covariance = learnt.T @ learnt / len(learnt)
        scale = np.trace(covariance) / len(covariance)
        mixed = (1 - self.shrinkage) * covariance + self.shrinkage * scale * np.eye(len(covariance))
        self._inverse = np.linalg.inv(mixed)

    def distance(self, windows: Array) -> Array:
        """Give the Mahalanobis distance (M,)."""
        squares = np.sum((windows @ self._inverse) * windows, axis=1)
        distances: Array = np.sqrt(np.maximum(squares, 0.0))
        return distances


DETECTORS: dict[str, type[Detector]] = {"nearest": NearestNeighbours, "mahalanobis": Mahalanobis}


def make_detector(kind: str, learnt: Array) -> Detector:
    """Make a detector for windows (R, To, Do) that were learnt from.

    Raises:
        UnknownName: there is no such kind.
    """
    if kind not in DETECTORS:
        raise UnknownName("detector", kind, sorted(DETECTORS))
    return DETECTORS[kind](learnt)


def strangeness(detector: Detector, held_out: Array, real: Array) -> float:
    """Compare real windows with simulated ones that were held back: the ratio of their median scores.

    Args:
        detector: fitted to what was learnt.
        held_out: (H, To, Do) simulated windows of the same policy, not learnt from.
        real: (M, To, Do) real windows.

    Returns:
        About 1 where reality looks like the held-out simulation, more where it is stranger.
    """
    usual = float(np.median(detector.score(held_out)))
    return float(np.median(detector.score(real))) / max(usual, 1e-9)


def _flat(windows: Array) -> Array:
    return np.asarray(windows, np.float64).reshape(len(windows), -1)
