"""One episode in memory: what was observed, told and sent at each step, and where it came from."""

import json
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from math import isfinite, isnan
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.contract import Contract, Feature
from ashore.datasets.errors import InvalidSample, quoted
from ashore.datasets.features import Align
from ashore.datasets.images import Frames
from ashore.datasets.streams import Aligned, Stream, align, values_at

Array = NDArray[Any]
Source = Literal["simulation", "twin", "real", "human"]
SOURCES: tuple[Source, ...] = ("simulation", "twin", "real", "human")
_LATER = {"instruction", "origin", "level", "initial_state"}
"""Fields of a description that earlier versions did not write."""
_NOT_FINITE = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


def installed_versions() -> dict[str, str]:
    """Name the versions of Python, ashore, numpy and, where it is loaded, MuJoCo that made an episode."""
    packages = ["ashore", "numpy", *(["mujoco"] if "mujoco" in sys.modules else [])]
    return {"python": platform.python_version()} | {package: _version(package) for package in packages}


@cache
def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed as a package"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@dataclass(frozen=True)
class EpisodeMeta:
    """Where an episode came from and how it ended; plain JSON data."""

    source: Source
    operator: str = "unknown"
    """Name of the expert or policy, or of the person."""
    seed: int | None = None
    success: bool | None = None
    """The task's own verdict; None where nobody judged."""
    reward: float | None = None
    draw: Mapping[str, Any] = field(default_factory=dict)
    """The randomization's values {name: number or nested list}, as `draw_to_json` gives them."""
    versions: Mapping[str, str] = field(default_factory=installed_versions)
    truncated: bool = False
    """Whether time, a person or a crash ended it rather than the task."""
    created: str = field(default_factory=_now)
    """Date and time in UTC, ISO 8601."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """The task's figures of this episode, units in the names."""
    instruction: str = ""
    """What the robot was asked to do, in words."""
    origin: str = ""
    """Where it was imported from: format, file and episode."""
    level: str = ""
    """The randomization that the draw is from."""
    initial_state: tuple[float, ...] = ()
    """The engine's whole state in which it began, exact: JSON keeps every bit of a float64."""

    def faults(self) -> list[str]:
        """List what is wrong with this description."""
        found = [] if self.source in SOURCES else [f"source: {self.source!r}; valid: {quoted(SOURCES)}"]
        try:
            json.dumps(self.to_plain(), allow_nan=False)
        except (TypeError, ValueError) as error:
            found.append(f"draw, versions or metrics: not plain JSON data ({error})")
        return found

    def to_plain(self) -> dict[str, Any]:
        """Return JSON-able data; numbers that are not finite become their names, and what is empty is left out."""
        plain = {entry.name: _encoded(getattr(self, entry.name)) for entry in fields(self)}
        return {name: value for name, value in plain.items() if value or name not in _LATER}

    @classmethod
    def from_plain(cls, raw: Mapping[str, Any]) -> Self:
        """Read what to_plain gave.

        Raises:
            TypeError: keys are unknown or missing.
        """
        known = {entry.name for entry in fields(cls)}
        if set(raw) | _LATER != known:
            raise TypeError(f"keys {quoted(sorted((set(raw) | _LATER) ^ known))} are unknown or missing")
        decoded = {key: _decoded(raw[key]) for key in ("reward", "draw", "metrics")}
        return cls(**{**raw, **decoded, "initial_state": tuple(raw.get("initial_state", ()))})


@dataclass(frozen=True, eq=False)
class Episode:
    """T steps of one attempt, checked when built; arrays are read, never written."""

    contract: Contract
    observations: Mapping[str, Array]
    """{name: (T, *shape)}, as measured at each step; that of a stream follows from the stream and its rule."""
    actions: Mapping[str, Array]
    """{name: (T, *shape)}, as the policy, expert or person told at each step."""
    time_s: Array
    """(T,) float64, seconds since the start, strictly rising."""
    meta: EpisodeMeta
    commands: Array | None = None
    """(T, Dc) float64, what was sent to the robot, or None where it is not known."""
    images: Mapping[str, Frames] = field(default_factory=dict)
    """{name: T frames}; those of a stream follow from the stream and its rule."""
    streams: Mapping[str, Stream] = field(default_factory=dict)
    """{name: samples at their native rate}, of the observations and images that the contract aligns."""

    def __post_init__(self) -> None:
        timing = _time_faults(self.time_s)
        timing += [] if timing and self.streams else self._stream_faults()
        if not timing:
            self._show_streams()
        streamed = set(self.streams) if timing else set()
        n_steps = len(self.time_s) if np.ndim(self.time_s) else 0
        faults = self.meta.faults() + timing
        for group, features in (("observations", self.contract.observations), ("actions", self.contract.actions)):
            own = tuple(feature for feature in features if feature.name not in streamed)
            faults += _group_faults(group, own, getattr(self, group), n_steps)
        faults += [] if streamed else self._image_faults(n_steps)
        if self.commands is not None:
            faults += _command_faults(self.commands, n_steps)
        if faults:
            raise InvalidSample("the episode", faults)

    def __len__(self) -> int:
        return len(self.time_s)

    def alignment(self, name: str) -> Aligned:
        """Tell which samples of a stream the steps show, and how old each was.

        Raises:
            KeyError: this episode has no stream of that name.
        """
        return align(self.streams[name], self.time_s, self._rule(name))

    def part(self, steps: slice | Array) -> Self:
        """Cut out some steps; streams stay whole, and times stay as they are."""
        return replace(
            self,
            observations={name: value[steps] for name, value in self.observations.items()},
            actions={name: value[steps] for name, value in self.actions.items()},
            time_s=self.time_s[steps],
            commands=None if self.commands is None else self.commands[steps],
            images={name: value.take(np.arange(len(self))[steps]) for name, value in self.images.items()},
        )

    def _rule(self, name: str) -> Align:
        aligned = {feature.name: feature.align for feature in self.contract.features}
        return aligned[name] or Align()

    def _stream_faults(self) -> list[str]:
        aligned = [feature.name for feature in self.contract.features if feature.align is not None]
        found = [
            f"streams.{name}: the contract does not align it; valid: {quoted(aligned)}"
            for name in self.streams
            if name not in aligned
        ]
        shapes = {feature.name: feature.shape for feature in self.contract.features}
        for name, stream in self.streams.items():
            if name not in aligned:
                continue
            found += stream.faults(name)
            if stream.values.shape[1:] != shapes[name]:
                found.append(f"streams.{name}: samples of shape {stream.values.shape[1:]}, expected {shapes[name]}")
            elif not found and self.alignment(name).index.min(initial=0) < 0:
                found.append(f"streams.{name}: no sample by the first step; begin the episode later")
        return found

    def _show_streams(self) -> None:
        observations, images = dict(self.observations), dict(self.images)
        features = {feature.name: feature for feature in self.contract.observations}
        for name, stream in self.streams.items():
            aligned = self.alignment(name)
            if isinstance(stream.values, Frames):
                images[name] = stream.values.take(aligned.index)
            else:
                observations[name] = values_at(features[name], stream, aligned)
        object.__setattr__(self, "observations", observations)
        object.__setattr__(self, "images", images)

    def _image_faults(self, n_steps: int) -> list[str]:
        features = {feature.name: feature for feature in self.contract.images}
        found = [
            f"images.{name}: not in the contract; valid: {quoted(features)}" for name in self.images.keys() - features
        ]
        for name, feature in features.items():
            frames = self.images.get(name)
            if frames is None:
                found += [] if feature.optional else [f"images.{name}: missing"]
            elif frames.feature != feature or len(frames) != n_steps:
                found.append(
                    f"images.{name}: {len(frames)} frames of {frames.feature}, expected {n_steps} of {feature}"
                )
        return found


def _time_faults(time_s: Array) -> list[str]:
    if np.ndim(time_s) != 1 or not np.size(time_s):
        return [f"time_s: shape {np.shape(time_s)}, expected (T,) with at least one step"]
    if not np.issubdtype(np.asarray(time_s).dtype, np.number) or not np.all(np.isfinite(time_s)):
        return ["time_s: holds NaN, infinity or what is no number"]
    late = np.flatnonzero(np.diff(time_s) <= 0)
    return [f"time_s: does not rise at step {late[0] + 1}"] if late.size else []


def _group_faults(group: str, features: tuple[Feature, ...], given: Mapping[str, Array], n_steps: int) -> list[str]:
    names = [feature.name for feature in features]
    found = [f"{group}.{name}: not in the contract; valid: {quoted(names)}" for name in given if name not in names]
    for feature in features:
        where = f"{group}.{feature.name}"
        if feature.name not in given:
            found += [] if feature.optional else [f"{where}: missing"]
            continue
        value = np.asarray(given[feature.name])
        if value.shape != (n_steps, *feature.shape):
            found.append(f"{where}: shape {value.shape}, expected {(n_steps, *feature.shape)}")
        elif not np.can_cast(value.dtype, feature.dtype, "same_kind"):
            found.append(f"{where}: dtype {value.dtype} does not fit {feature.dtype}")
        else:
            found += _finite_faults(where, value, feature.dtype)
    return found


def _finite_faults(where: str, value: Array, dtype: str) -> list[str]:
    with np.errstate(over="ignore", invalid="ignore"):
        bad = ~np.isfinite(value.astype(dtype, copy=False))
    if not bad.any():
        return []
    step = np.argwhere(bad)[0][0]
    return [f"{where}: holds NaN, infinity or a number too large for {dtype} at step {step}"]


def _command_faults(commands: Array, n_steps: int) -> list[str]:
    if np.ndim(commands) != 2 or len(commands) != n_steps or not np.shape(commands)[1]:
        return [f"commands: shape {np.shape(commands)}, expected ({n_steps}, Dc)"]
    return _finite_faults("commands", np.asarray(commands), "float64")


def _encoded(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): _encoded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_encoded(item) for item in value]
    if isinstance(value, float) and not isfinite(value):
        return "NaN" if isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def _decoded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _decoded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_decoded(item) for item in value]
    return _NOT_FINITE.get(value, value) if isinstance(value, str) else value
