"""The contract: what a robot observes and what a policy tells it, written down once and compared wherever two meet.

The store, the policy, the ranker, the bundle and the robot each carry one. Quaternions are wxyz, units are SI,
angles are radians; ROS and PyBullet orders are converted in the one adapter that meets them.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.errors import ContractMismatch, InvalidContract, InvalidSample, UnreadableFile, quoted
from ashore.datasets.features import Align, Feature, ImageFeature, Kind

__all__ = ["ADVICE", "SCHEMA_VERSION", "Align", "Contract", "Difference", "Feature", "ImageFeature", "Kind"]

Array = NDArray[Any]
F = TypeVar("F", Feature, ImageFeature)
SCHEMA_VERSION = 2
"""Newest form of a contract's JSON. What needs nothing of version 2 is written as version 1, which older readers open
and whose digest stays."""
_DTYPES_1 = ("float32", "float64", "int64", "bool", "uint8")
_ADDED_IN_2 = ("optional", "align")
"""Fields of a feature that version 1 did not have."""


@dataclass(frozen=True)
class Difference:
    """One field on which two contracts disagree, with what to do about it."""

    field: str
    left: str
    right: str
    advice: str

    def __str__(self) -> str:
        return f"{self.field}: {self.left} against {self.right} -> {self.advice}"


ADVICE = {
    "robot": "use data, a policy and a robot of one kind",
    "task": "collect or train for this task",
    "control_hz": "retrain at that rate, or run the robot at the policy's",
    "components": "set the order in the robot's mapping",
    "unit": "convert at the edge, in the robot's mapping",
    "frame": "transform at the edge, in the robot's mapping",
    "shape": "supply it with this shape, or train and collect with the other",
    "dtype": "convert at the edge, where it loses nothing",
    "kind": "convert with ashore.datasets.action_kinds before it is stored or sent",
    "low": "tell both the same limits; the narrower ones hold on the robot",
    "high": "tell both the same limits; the narrower ones hold on the robot",
    "rate_hz": "set the source to that rate, or record again",
    "align": "bring samples to the steps by one rule, as in training",
    "optional": "make it required on both sides, or on neither",
    "colour": "swap the channels at the edge, in the robot's mapping",
    "codec": "set the recorder's codec; what was stored lossily cannot be undone",
    "quality": "set the recorder's quality; what was stored lossily cannot be undone",
    "invalid": "map the value of missing depth at the edge",
}


@dataclass(frozen=True)
class Contract:
    """What is observed and what is told, with names, shapes, units, frames, rates and limits."""

    robot: str
    task: str
    observations: tuple[Feature, ...]
    actions: tuple[Feature, ...]
    """What is told at each step; none in a reference set, which shows what reality looks like."""
    control_hz: float
    images: tuple[ImageFeature, ...] = ()
    """The cameras; observed as well, but no part of the flat observation."""

    def __post_init__(self) -> None:
        faults = [fault for feature in self.features for fault in feature.faults()]
        faults += _list_faults(self)
        if faults:
            raise InvalidContract(faults)

    @property
    def features(self) -> tuple[Feature | ImageFeature, ...]:
        """Observations, actions and images."""
        return (*self.observations, *self.actions, *self.images)

    @property
    def schema_version(self) -> int:
        """The oldest version of the JSON form that can hold this contract."""
        later = any(f.optional or f.align or f.dtype not in _DTYPES_1 for f in self.features)
        later = later or any(feature.kind == "delta" for feature in self.actions)
        return 2 if later or self.images or not self.actions else 1

    def without_images(self) -> Self:
        """The same contract for who sees no pictures."""
        return replace(self, images=())

    def as_reference(self) -> Self:
        """What a reference set of this robot shows: the observations at the steps, however they came there."""
        seen = tuple(replace(feature, align=None, rate_hz=None) for feature in self.observations)
        return replace(self, observations=seen, actions=(), images=())

    @cached_property
    def observation_slices(self) -> dict[str, slice]:
        """Where each observation lies in the flat (Do,) vector."""
        return _slices(self.observations)

    @cached_property
    def action_slices(self) -> dict[str, slice]:
        """Where each action lies in the flat (Da,) vector."""
        return _slices(self.actions)

    @property
    def observation_width(self) -> int:
        """Do, the width of the flat observation vector."""
        return sum(feature.size for feature in self.observations)

    @property
    def action_width(self) -> int:
        """Da, the width of the flat action vector."""
        return sum(feature.size for feature in self.actions)

    @property
    def period_s(self) -> float:
        """One control period."""
        return 1.0 / self.control_hz

    def flatten_observation(self, sample: Mapping[str, Array]) -> Array:
        """Join a sample's observations in contract order: {name: (..., *shape)} to (..., Do) float32."""
        return _flatten(self.observations, sample)

    def flatten_action(self, sample: Mapping[str, Array]) -> Array:
        """Join a sample's actions in contract order: {name: (..., *shape)} to (..., Da) float32."""
        return _flatten(self.actions, sample)

    def split_action(self, flat: Array) -> dict[str, Array]:
        """Name the parts of (..., Da) actions, each (..., *shape)."""
        return _split(self.actions, self.action_slices, flat)

    def split_observation(self, flat: Array) -> dict[str, Array]:
        """Name the parts of (..., Do) observations, each (..., *shape)."""
        return _split(self.observations, self.observation_slices, flat)

    def check(self, sample: Mapping[str, Array], where: str = "the sample") -> None:
        """Check names, shapes and finiteness of one step's observations, actions and images.

        Args:
            sample: {feature name: (*shape)}; all groups together, extra names are faults.
            where: what the sample is, for the error text.

        Raises:
            InvalidSample: lists every fault at once.
        """
        features = {feature.name: feature for feature in self.features}
        check_features(features, sample, where)

    def differences(self, other: "Contract") -> list[Difference]:
        """List every field on which the two disagree; empty where they agree."""
        found = [
            Difference(name, repr(getattr(self, name)), repr(getattr(other, name)), ADVICE[name])
            for name in ("robot", "task", "control_hz")
            if getattr(self, name) != getattr(other, name)
        ]
        found += _feature_differences(self.observations, other.observations, "observations")
        found += _feature_differences(self.actions, other.actions, "actions")
        return found + _feature_differences(self.images, other.images, "images")

    def require_same(self, other: "Contract", left: str, right: str) -> None:
        """Raise ContractMismatch, naming both sides, unless the two agree."""
        differences = self.differences(other)
        if differences:
            raise ContractMismatch(left, right, differences)

    def to_json(self) -> str:
        """Write the contract as stable, indented JSON."""
        document = asdict(self) | {"schema_version": self.schema_version}
        if self.schema_version == 1:
            del document["images"]
            for feature in (*document["observations"], *document["actions"]):
                for name in _ADDED_IN_2:
                    del feature[name]
        return json.dumps(document, indent=2, sort_keys=True)

    @classmethod
    def from_json(cls, text: str, where: Path | str = "contract") -> Self:
        """Read a contract that to_json wrote.

        Raises:
            UnreadableFile: not JSON, of a later schema version, or with unknown or missing keys.
            InvalidContract: it contradicts itself.
        """
        try:
            raw = json.loads(text)
            version = raw["schema_version"]
            if version > SCHEMA_VERSION:
                problem = f"schema version {version} is newer than {SCHEMA_VERSION}"
                raise UnreadableFile(where, "a contract", problem, "Update ashore.")
            del raw["schema_version"]
            for group in ("observations", "actions"):
                raw[group] = tuple(_feature(Feature, item) for item in raw[group])
            raw["images"] = tuple(_feature(ImageFeature, item) for item in raw.get("images", ()))
            return cls(**raw)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise UnreadableFile(where, "a contract", str(error), "Export or collect it again.") from error

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the JSON form, the contract's identity."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()


def check_features(features: Mapping[str, Feature | ImageFeature], sample: Mapping[str, Array], where: str) -> None:
    """Check that a sample holds these features, in their shapes, and finite.

    Raises:
        InvalidSample: lists every fault at once.
    """
    faults = [f"{name}: missing" for name, f in features.items() if name not in sample and not f.optional]
    faults += [f"{name}: not in the contract; valid: {quoted(features)}" for name in sample if name not in features]
    for name, feature in features.items():
        if name in sample:
            value = np.asarray(sample[name])
            if value.shape != feature.shape:
                faults.append(f"{name}: shape {value.shape}, expected {feature.shape}")
            elif not np.all(np.isfinite(value)):
                faults.append(f"{name}: holds NaN or infinity")
    if faults:
        raise InvalidSample(where, faults)


def _feature(kind: type[F], raw: dict[str, Any]) -> F:
    for name in ("shape", "components", "low", "high"):
        if raw.get(name) is not None:
            raw[name] = tuple(raw[name])
    if raw.get("align") is not None:
        raw["align"] = Align(**raw["align"])
    return kind(**raw)


def _slices(features: Sequence[Feature]) -> dict[str, slice]:
    ends = np.cumsum([feature.size for feature in features]).tolist()
    return {feature.name: slice(end - feature.size, end) for feature, end in zip(features, ends, strict=True)}


def _flatten(features: Sequence[Feature], sample: Mapping[str, Array]) -> Array:
    parts = []
    for feature in features:
        value = np.asarray(sample[feature.name], dtype=np.float32)
        lead = value.shape[: value.ndim - len(feature.shape)]
        parts.append(value.reshape(*lead, feature.size))
    return np.concatenate(parts, axis=-1)


def _split(features: Sequence[Feature], slices: Mapping[str, slice], flat: Array) -> dict[str, Array]:
    return {f.name: flat[..., slices[f.name]].reshape(*flat.shape[:-1], *f.shape) for f in features}


def _list_faults(contract: Contract) -> list[str]:
    names = [feature.name for feature in contract.features]
    faults = [f"{name}: named twice" for name in sorted({n for n in names if names.count(n) > 1})]
    if not contract.observations and not contract.images:
        faults.append("observations and images: at least one feature is needed")
    aligned = [action.name for action in contract.actions if action.align is not None]
    faults += [f"{name}.align: an action is told at each step; leave it out" for name in aligned]
    if not contract.control_hz > 0:
        faults.append(f"control_hz: {contract.control_hz}; must be positive")
    sizes = {feature.name: feature.size for feature in contract.observations}
    for action in contract.actions:
        if action.relative_to is not None and sizes.get(action.relative_to) != action.size:
            faults.append(f"{action.name}.relative_to: {action.relative_to!r} is no observation of the same size")
    return faults


def _feature_differences(
    left: Sequence[Feature | ImageFeature], right: Sequence[Feature | ImageFeature], side: str
) -> list[Difference]:
    ours, theirs = {f.name: f for f in left}, {f.name: f for f in right}
    found = [Difference(f"{side}.{name}", "present", "absent", "supply it") for name in ours if name not in theirs]
    found += [Difference(f"{side}.{name}", "absent", "present", "drop it") for name in theirs if name not in ours]
    shared = [name for name in ours if name in theirs]
    for name in shared:
        a, b = asdict(ours[name]), asdict(theirs[name])
        found += [
            Difference(f"{side}.{name}.{key}", repr(a[key]), repr(b[key]), ADVICE.get(key, "make both the same"))
            for key in a
            if a[key] != b[key]
        ]
    if shared != [name for name in theirs if name in ours]:
        found.append(Difference(f"{side} order", repr(list(ours)), repr(list(theirs)), "list them in one order"))
    return found
