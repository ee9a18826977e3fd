"""Actions of one kind as actions of another: absolute, delta, relative, velocity; of joints, places and turns.

With the target x[t] at each step t, the measured value m[t], and the period T (Siciliano et al., Robotics, 2009, 3.7):

absolute  x[t]
delta     x[t] - x[t-1], and x[0] - m[0] at the first step
relative  x[t] - m[t]
velocity  delta / T

Turns are unit quaternions wxyz; their differences are rotation vectors in the frame of the feature: log(q * q0^-1),
three numbers in rad. Any kind is reached through the absolute one, and back.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.errors import InvalidSample, UnknownName
from ashore.datasets.features import KINDS, Feature, Kind
from ashore.datasets.rotations import quat_from_vector, quat_inverse, quat_multiply, vector_from_quat

Array = NDArray[Any]
_TURN, _VECTOR = "_wxyz", "_rotvec_rad"


def is_turn(feature: Feature) -> bool:
    """Whether an action is an orientation, absolute as a quaternion or otherwise as a rotation vector."""
    return feature.name.endswith((_TURN, _VECTOR, _VECTOR + "_s"))


def convert_actions(feature: Feature, actions: Array, measured: Array, to: Kind, period_s: float) -> Array:
    """Express one action feature of an episode as another kind.

    Args:
        feature: what the actions are now; its kind says from what to convert.
        actions: (T, *shape), a quaternion (T, 4) where it is an absolute turn, else its rotation vector (T, 3).
        measured: (T, *shape) the same quantity as observed; quaternions (T, 4) for turns.
        to: the kind wanted.
        period_s: one control period.

    Returns:
        (T, *shape) float64, shape (3,) for turns that are not absolute.

    Raises:
        UnknownName: there is no such kind.
        InvalidSample: the lengths differ, or there is no step.
    """
    for kind in (feature.kind, to):
        if kind not in KINDS:
            raise UnknownName("action kind", kind, KINDS)
    given, seen = np.asarray(actions, np.float64), np.asarray(measured, np.float64)
    if len(given) != len(seen) or not len(given):
        fault = f"{feature.name}: {len(given)} actions and {len(seen)} measured values; expected as many, at least one"
        raise InvalidSample("the conversion", [fault])
    minus, plus = (_turn_minus, _turn_plus) if is_turn(feature) else (np.subtract, np.add)
    targets = _targets(feature.kind, given, seen, period_s, plus)
    if to == "absolute":
        return targets
    if to == "relative":
        return np.asarray(minus(targets, seen))
    delta = np.asarray(minus(targets, np.concatenate([seen[:1], targets[:-1]])))
    return delta if to == "delta" else delta / period_s


def converted_feature(feature: Feature, to: Kind) -> Feature:
    """Describe what convert_actions gives: kind, unit, name and, for turns, shape; limits are of the old kind."""
    if feature.kind == to:
        return feature
    name, unit = feature.name, feature.unit
    if feature.kind == "velocity":
        name, unit = name.removesuffix("_s"), unit.removesuffix("/s")
    shape, components = feature.shape, feature.components
    if is_turn(feature):
        stem = name.removesuffix(_TURN).removesuffix(_VECTOR)
        name, unit, shape, components = stem + _VECTOR, "rad", (3,), tuple("xyz")
        if to == "absolute":
            name, unit, shape, components = stem + _TURN, "1", (4,), tuple("wxyz")
    if to == "velocity":
        name, unit = f"{name}_s", f"{unit}/s"
    changed = replace(feature, name=name, unit=unit, shape=shape, components=components)
    return replace(changed, kind=to, low=None, high=None, relative_to=None)


def _targets(kind: Kind, given: Array, seen: Array, period_s: float, plus: Any) -> Array:
    if kind == "absolute":
        return given
    if kind == "relative":
        return np.asarray(plus(seen, given))
    steps = given * period_s if kind == "velocity" else given
    targets = np.empty((len(steps), *seen.shape[1:]))
    before = seen[0]
    for step, delta in enumerate(steps):
        before = targets[step] = plus(before, delta)
    return targets


def _turn_minus(quat_wxyz: Array, from_wxyz: Array) -> Array:
    return vector_from_quat(quat_multiply(quat_wxyz, quat_inverse(from_wxyz)))


def _turn_plus(from_wxyz: Array, vector_rad: Array) -> Array:
    return quat_multiply(quat_from_vector(vector_rad), from_wxyz)
