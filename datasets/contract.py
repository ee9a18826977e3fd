"""The contract: what a robot observes and what a policy tells it, written down once and compared wherever two meet.

The store, the policy, the ranker, the bundle and the robot each carry one. Quaternions are wxyz, units are SI,
angles are radians; ROS and PyBullet orders are converted in the one adapter that meets them.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.errors import ContractMismatch, InvalidContract, InvalidSample, UnreadableFile, quoted

Array = NDArray[Any]
SCHEMA_VERSION = 1
DTYPES = ("float32", "float64", "int64", "bool", "uint8")
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
Kind = Literal["absolute", "relative", "velocity"]


@dataclass(frozen=True)
class Feature:
    """One named quantity of an observation, an action or a command."""

    name: str
    shape: tuple[int, ...]
    unit: str
    """SI unit such as m, rad, m/s, N; "1" for dimensionless, "px" for image coordinates."""
    frame: str
    """world, base, tcp, body, joint, or "none" where no frame applies."""
    components: tuple[str, ...] = ()
    """One name an element in C order; empty where the elements are alike (images)."""
    dtype: str = "float32"
    rate_hz: float | None = None
    """Native rate of the source, None where it is the contract's control rate."""
    low: tuple[float, ...] | None = None
    high: tuple[float, ...] | None = None
    kind: Kind = "absolute"
    relative_to: str | None = None
    """The observation that a policy predicts this action relative to; stored and sent values stay absolute."""

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    def faults(self) -> list[str]:
        """List what is wrong with this feature by itself."""
        found = []
        if not NAME.fullmatch(self.name):
            found.append(f"{self.name!r}: a name is a letter, then letters, digits and . _ -")
        if self.dtype not in DTYPES:
            found.append(f"{self.name}.dtype: {self.dtype!r}; valid: {quoted(DTYPES)}")
        if any(n <= 0 for n in self.shape):
            found.append(f"{self.name}.shape: {self.shape}; every side must be positive")
        if self.components and len(self.components) != self.size:
            found.append(f"{self.name}.components: {len(self.components)} names for {self.size} elements")
        for side in ("low", "high"):
            values = getattr(self, side)
            if values is not None and len(values) != self.size:
                found.append(f"{self.name}.{side}: {len(values)} values for {self.size} elements")
            elif values is not None and not np.all(np.isfinite(values)):
                found.append(f"{self.name}.{side}: holds a number that is not finite")
        if self.low and self.high and len(self.low) == len(self.high) and np.any(np.greater(self.low, self.high)):
            found.append(f"{self.name}: low lies above high; swap them")
        return found


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
}


@dataclass(frozen=True)
class Contract:
    """What is observed and what is told, with names, shapes, units, frames, rates and limits."""

    robot: str
    task: str
    observations: tuple[Feature, ...]
    actions: tuple[Feature, ...]
    control_hz: float
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        faults = [fault for feature in (*self.observations, *self.actions) for fault in feature.faults()]
        faults += _list_faults(self)
        if faults:
            raise InvalidContract(faults)

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
        """Check names, shapes and finiteness of one step's observations and actions.

        Args:
            sample: {feature name: (*shape)}; observations and actions together, extra names are faults.
            where: what the sample is, for the error text.

        Raises:
            InvalidSample: lists every fault at once.
        """
        features = {feature.name: feature for feature in (*self.observations, *self.actions)}
        check_features(features, sample, where)

    def differences(self, other: "Contract") -> list[Difference]:
        """List every field on which the two disagree; empty where they agree."""
        found = [
            Difference(name, repr(getattr(self, name)), repr(getattr(other, name)), ADVICE[name])
            for name in ("robot", "task", "control_hz")
            if getattr(self, name) != getattr(other, name)
        ]
        found += _feature_differences(self.observations, other.observations, "observations")
        return found + _feature_differences(self.actions, other.actions, "actions")

    def require_same(self, other: "Contract", left: str, right: str) -> None:
        """Raise ContractMismatch, naming both sides, unless the two agree."""
        differences = self.differences(other)
        if differences:
            raise ContractMismatch(left, right, differences)

    def to_json(self) -> str:
        """Write the contract as stable, indented JSON."""
        return json.dumps(asdict(self), indent=2, sort_keys=True)

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
            raw["observations"] = tuple(_feature(item) for item in raw["observations"])
            raw["actions"] = tuple(_feature(item) for item in raw["actions"])
            return cls(**raw)
        except (ValueError, KeyError, TypeError) as error:
            raise UnreadableFile(where, "a contract", str(error), "Export or collect it again.") from error

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the JSON form, the contract's identity."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()


def check_features(features: Mapping[str, Feature], sample: Mapping[str, Array], where: str) -> None:
    """Check that a sample holds these features, in their shapes, and finite.

    Raises:
        InvalidSample: lists every fault at once.
    """
    faults = [f"{name}: missing" for name in features if name not in sample]
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


def _feature(raw: dict[str, Any]) -> Feature:
    for name in ("shape", "components", "low", "high"):
        if raw.get(name) is not None:
            raw[name] = tuple(raw[name])
    return Feature(**raw)


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
    names = [feature.name for feature in (*contract.observations, *contract.actions)]
    faults = [f"{name}: named twice" for name in sorted({n for n in names if names.count(n) > 1})]
    if not contract.observations or not contract.actions:
        faults.append("observations and actions: each needs at least one feature")
    if not contract.control_hz > 0:
        faults.append(f"control_hz: {contract.control_hz}; must be positive")
    sizes = {feature.name: feature.size for feature in contract.observations}
    for action in contract.actions:
        if action.relative_to is not None and sizes.get(action.relative_to) != action.size:
            faults.append(f"{action.name}.relative_to: {action.relative_to!r} is no observation of the same size")
    return faults


def _feature_differences(left: Sequence[Feature], right: Sequence[Feature], side: str) -> list[Difference]:
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
