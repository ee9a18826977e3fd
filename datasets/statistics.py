"""What a store's numbers are like: count, mean, spread, range and quantiles of every element, exact.

Mean and standard deviation come from sums without rounding and are rounded once, so that episodes added one by one,
in any order, or merged from parts give the same bits as all at once. Quantiles are order statistics of all values.
Memory is bounded by about 2 MB an element, however many rows there are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import isqrt
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.contract import Contract
from ashore.datasets.episode import Episode
from ashore.datasets.exact_sums import ExactSums
from ashore.datasets.features import Feature, ImageFeature
from ashore.datasets.order_statistics import OrderStatistics
from ashore.datasets.progress import Progress, silent
from ashore.datasets.store import EpisodeStore

Array = NDArray[Any]
QUANTILES = (0.01, 0.1, 0.5, 0.9, 0.99)
N_FRAMES = 256
"""Frames of each camera that are looked at, evenly over all of a store's."""


@dataclass(frozen=True)
class Summary:
    """One feature's numbers; each array has the feature's shape, in its unit."""

    count: int
    """Steps in which it is there."""
    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    """Of the population: the mean of squares about the mean, and its root."""
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    quantiles: Mapping[float, NDArray[np.float64]]
    """{share of the values below: value}, linear between the two neighbours."""


@dataclass(frozen=True)
class ImageSummary:
    """One camera's brightness by channel, over a sample of its frames."""

    n_frames: int
    """Frames there are."""
    n_sampled: int
    """Frames looked at, evenly over all of them."""
    mean: NDArray[np.float64]
    """(C,), of the dtype's own values; of depth, without pixels that saw nothing."""
    std: NDArray[np.float64]
    """(C,)."""


@dataclass(frozen=True)
class StoreSummary:
    """All features of a store."""

    n_episodes: int
    n_steps: int
    features: Mapping[str, Summary]
    images: Mapping[str, ImageSummary]


class Tally:
    """Counts and sums of one feature, episode by episode; parts can be merged."""

    def __init__(self, feature: Feature, quantiles: Sequence[float] = QUANTILES) -> None:
        self.feature = feature
        self.count = 0
        self.order = OrderStatistics(feature.size, feature.dtype, quantiles)
        self._sums = ExactSums(feature.size, feature.dtype)
        self._low: Array | None = None
        self._high: Array | None = None

    def add(self, values: Array) -> None:
        """Take in values (T, *shape), in the first pass."""
        flat = np.ascontiguousarray(values, self.feature.dtype).reshape(len(values), -1)
        self.count += len(flat)
        self._sums.add(flat)
        self._widen(flat.min(axis=0), flat.max(axis=0))
        self.order.add(flat)

    def look_again(self, values: Array) -> None:
        """Take in the same values (T, *shape) in a later pass, for the quantiles."""
        self.order.add(np.ascontiguousarray(values, self.feature.dtype).reshape(len(values), -1))

    def merge(self, other: Self) -> None:
        """Take in what another tally of this feature has counted in its first pass."""
        self.count += other.count
        self._sums.merge(other._sums)
        self.order.merge(other.order)
        if other._low is not None and other._high is not None:
            self._widen(other._low, other._high)

    def summary(self) -> Summary:
        """Sum up; the quantiles need their passes done, and without them are left out."""
        shape = self.feature.shape
        mean, std = mean_and_std(self._sums, self.count)
        low, high = (np.full(self.feature.size, np.nan) if end is None else end for end in (self._low, self._high))
        known = self.order.values() if self.order.is_done else ()
        return Summary(
            self.count,
            mean.reshape(shape),
            std.reshape(shape),
            # Which of -0.0 and 0.0 is lowest depends on the order; 0.0 added makes both 0.0.
            low.astype(np.float64).reshape(shape) + 0.0,
            high.astype(np.float64).reshape(shape) + 0.0,
            {share: row.reshape(shape) + 0.0 for share, row in zip(self.order.quantiles, known, strict=False)},
        )

    def _widen(self, low: Array, high: Array) -> None:
        self._low = low if self._low is None else np.minimum(self._low, low)
        self._high = high if self._high is None else np.maximum(self._high, high)


class _Pictures:
    """Brightness of a sample of one camera's frames."""

    def __init__(self, feature: ImageFeature) -> None:
        self.feature = feature
        self.n_channels = feature.shape[2] if len(feature.shape) == 3 else 1
        self.n_frames = 0
        self.n_sampled = 0
        self._n_pixels = 0
        self._sums = ExactSums(self.n_channels, feature.dtype)

    def add(self, episode: Episode, n_steps: int) -> None:
        """Look at the frames of an episode whose turn it is, where the store has n_steps in all."""
        frames = episode.images.get(self.feature.name)
        if frames is None:
            return
        stride = max(1, -(-n_steps // N_FRAMES))
        for entry in range(-self.n_frames % stride, len(frames), stride):
            pixels = frames[entry].reshape(-1, self.n_channels)
            if self.feature.invalid is not None:
                pixels = pixels[np.isfinite(pixels[:, 0]) & (pixels[:, 0] != self.feature.invalid)]
            self._sums.add(pixels)
            self._n_pixels += len(pixels)
            self.n_sampled += 1
        self.n_frames += len(frames)

    def summary(self) -> ImageSummary:
        """Sum up."""
        return ImageSummary(self.n_frames, self.n_sampled, *mean_and_std(self._sums, self._n_pixels))


def summarize(store: EpisodeStore, progress: Progress = silent) -> StoreSummary:
    """Read a store and sum up every feature; one episode is in memory at a time.

    The store is read once, and again for the quantiles: once for 32-bit features, three times for 64-bit ones.
    """
    tallies = _tallies(store.contract)
    n_passes = max((tally.order.n_passes for tally in tallies.values()), default=1)
    total, n_steps = n_passes * len(store), 0
    for done, episode in enumerate(store):
        n_steps += len(episode)
        for name, values in _values(episode).items():
            tallies[name].add(values)
        progress(done + 1, total, "sums")
    pictures = {feature.name: _Pictures(feature) for feature in store.contract.images}
    for number in range(n_passes):
        unfinished = {name: tally for name, tally in tallies.items() if not tally.order.is_done}
        for tally in unfinished.values():
            tally.order.end_pass()
        unfinished = {name: tally for name, tally in unfinished.items() if not tally.order.is_done}
        if not unfinished and (number or not pictures):
            break
        for done, index in enumerate(store.indices):
            episode = store.read(index, on_disk=True)
            for name, values in _values(episode).items():
                if name in unfinished:
                    unfinished[name].look_again(values)
            for picture in pictures.values() if not number else ():
                picture.add(episode, n_steps)
            progress(min((number + 1) * len(store) + done + 1, total), total, "quantiles")
    return StoreSummary(
        len(store),
        n_steps,
        {name: tally.summary() for name, tally in tallies.items()},
        {name: picture.summary() for name, picture in pictures.items()},
    )


def mean_and_std(sums: ExactSums, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the means and standard deviations (E,), each the float64 nearest to the exact one; NaN where count is 0."""
    totals = sums.totals()
    if not count:
        return np.full(len(totals), np.nan), np.full(len(totals), np.nan)
    variances = [square / count - (total / count) ** 2 for total, square in totals]
    return np.array([float(total / count) for total, _ in totals]), np.array([_root(value) for value in variances])


def _root(value: Fraction) -> float:
    """Take a square root, right to the last bit of float64 but one."""
    if not value:
        return 0.0
    # Scaled by a power of four, the integer root has at least 64 bits.
    shift = max(0, 128 - value.numerator.bit_length() + value.denominator.bit_length())
    shift += shift % 2
    return float(Fraction(isqrt((value.numerator << shift) // value.denominator), 2 ** (shift // 2)))


def _tallies(contract: Contract) -> dict[str, Tally]:
    return {feature.name: Tally(feature) for feature in (*contract.observations, *contract.actions)}


def _values(episode: Episode) -> dict[str, Array]:
    return {**episode.observations, **episode.actions}
