"""Samples at a source's own rate, with the time they were captured and the time they were received."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.errors import InvalidSample
from ashore.datasets.features import Align, Feature, ImageFeature
from ashore.datasets.images import Frames

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Stream:
    """S samples of one feature, all times in seconds on the episode's clock, 0 at its start."""

    values: Array | Frames
    """(S, *shape)."""
    capture_s: Array
    """(S,) float64, strictly rising: when the quantity was measured."""
    receive_s: Array
    """(S,) float64, never falling: when it arrived where it was recorded."""

    def __len__(self) -> int:
        return len(self.capture_s)

    def faults(self, name: str) -> list[str]:
        """List what is wrong with the times and the number of samples."""
        n_samples = len(self.values)
        times = {"capture_s": self.capture_s, "receive_s": self.receive_s}
        found = [
            f"streams.{name}.{key}: shape {np.shape(value)} or not finite, expected ({n_samples},) numbers"
            for key, value in times.items()
            if np.shape(value) != (n_samples,) or not np.all(np.isfinite(value))
        ]
        if found or not n_samples:
            return found or [f"streams.{name}: holds no sample"]
        late = np.flatnonzero(np.diff(self.capture_s) <= 0)
        found += [f"streams.{name}.capture_s: does not rise at sample {late[0] + 1}"] if late.size else []
        late = np.flatnonzero(np.diff(self.receive_s) < 0)
        return found + ([f"streams.{name}.receive_s: goes back at sample {late[0] + 1}"] if late.size else [])


@dataclass(frozen=True, eq=False)
class Aligned:
    """Which sample each step shows."""

    index: NDArray[np.int64]
    """(T,) the sample; with "interpolate" the earlier one of the two. -1 where there is none yet."""
    share: NDArray[np.float64]
    """(T,) weight of the sample after it, 0 but with "interpolate"."""
    age_s: NDArray[np.float64]
    """(T,) step time less capture time of the shown sample; negative where it was captured after the step."""


def align(stream: Stream, time_s: Array, rule: Align) -> Aligned:
    """Find for each step time (T,) the sample that the rule picks, see Align."""
    capture_s, last = np.asarray(stream.capture_s), len(stream) - 1
    share = np.zeros(len(time_s))
    if rule.rule in ("hold", "drop"):
        index = np.searchsorted(stream.receive_s, time_s, side="right") - 1
    elif rule.rule == "nearest":
        after = np.searchsorted(capture_s, time_s).clip(0, last)
        before = (after - 1).clip(0)
        index = np.where(time_s - capture_s[before] <= np.abs(capture_s[after] - time_s), before, after)
    else:
        index = (np.searchsorted(capture_s, time_s, side="right") - 1).clip(0, max(last - 1, 0))
        gap_s = capture_s[np.minimum(index + 1, last)] - capture_s[index]
        share = np.clip((time_s - capture_s[index]) / np.where(gap_s > 0, gap_s, 1.0), 0.0, 1.0)
    age_s = np.where(index >= 0, time_s - capture_s[index.clip(0)], np.inf)
    return Aligned(index.astype(np.int64), share, age_s)


def values_at(feature: Feature, stream: Stream, aligned: Aligned) -> Array:
    """Give a feature's value at each step (T, *shape), in its dtype; interpolated quaternions are normalized.

    Linear interpolation with normalization departs from the great arc by less than 1 % of the angle between two
    samples up to 40 degrees apart. Source: Shoemake, Animating Rotation with Quaternion Curves, 1985.
    """
    values, last = np.asarray(stream.values), len(stream) - 1
    first = values[aligned.index]
    if not aligned.share.any():
        return first
    second = values[np.minimum(aligned.index + 1, last)]
    share = aligned.share.reshape(-1, *[1] * len(feature.shape))
    is_rotation = feature.name.endswith("_wxyz")
    if is_rotation:
        second = np.where(np.sum(first * second, axis=-1, keepdims=True) < 0, -second, second)
    mixed = first + share * (second.astype(np.float64) - first)
    if is_rotation:
        mixed /= np.linalg.norm(mixed, axis=-1, keepdims=True)
    return np.asarray(mixed, feature.dtype)


def step_times(
    streams: Mapping[str, Stream], features: Mapping[str, Feature | ImageFeature], control_hz: float
) -> NDArray[np.float64]:
    """Choose the steps of an episode that consists of streams alone, at the control rate.

    They begin when every stream has been received once and end with the stream that ends first; a step at which a
    stream that is aligned by "drop" is older than its max_age_s is left out.

    Args:
        streams: {name: stream}, all required ones.
        features: {name: feature}, each with its rule.
        control_hz: steps a second.

    Returns:
        (T,) float64, on the streams' clock.

    Raises:
        InvalidSample: there is no time at which all streams have a sample.
    """
    begin_s = max(float(stream.receive_s[0]) for stream in streams.values())
    end_s = min(float(stream.receive_s[-1]) for stream in streams.values())
    if end_s < begin_s:
        raise InvalidSample("the streams", ["no time at which all of them have a sample; leave one out"])
    time_s = begin_s + np.arange(int((end_s - begin_s) * control_hz + 1e-9) + 1) / control_hz
    kept = np.ones(len(time_s), dtype=np.bool_)
    for name, stream in streams.items():
        rule = features[name].align or Align()
        if rule.rule == "drop" and rule.max_age_s is not None:
            kept &= align(stream, time_s, rule).age_s <= rule.max_age_s
    if not kept.any():
        raise InvalidSample("the streams", ["every step is dropped as stale; raise max_age_s"])
    return time_s[kept]
