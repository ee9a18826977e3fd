"""What formats share that hold all actions side by side in one array, and pictures as plain pixels."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.contract import Contract
from ashore.datasets.features import Feature, ImageFeature
from ashore.datasets.images import Frames

Array = NDArray[Any]
_DECODED_AT_ONCE = 64
"""Frames that are held decoded, so that memory stays flat."""


def action_array(actions: tuple[Feature, ...]) -> tuple[tuple[int, ...], str]:
    """Give shape and dtype of a row: one action keeps its shape, several take the dtype that holds them all."""
    if len(actions) == 1:
        return actions[0].shape, actions[0].dtype
    return (sum(action.size for action in actions),), np.result_type(*(action.dtype for action in actions)).name


def join_actions(features: tuple[Feature, ...], actions: Mapping[str, Array]) -> Array:
    """Put actions {name: (T, *shape)} side by side, as action_array says."""
    shape, dtype = action_array(features)
    parts = [np.asarray(actions[feature.name]).reshape(-1, feature.size) for feature in features]
    return np.concatenate([part.astype(dtype) for part in parts], axis=1).reshape(-1, *shape)


def split_actions(contract: Contract, rows: Array) -> dict[str, Array]:
    """Take apart what join_actions put together, each {name: (T, *shape)} in its dtype."""
    parts = contract.split_action(rows.reshape(len(rows), -1))
    return {feature.name: parts[feature.name].astype(feature.dtype) for feature in contract.actions}


def plain_contract(contract: Contract) -> Contract:
    """Say what is left of a contract: colour in rgb, without JPEG, all samples at the steps."""
    images = [
        replace(
            feature,
            align=None,
            colour="rgb" if feature.colour == "bgr" else feature.colour,
            codec="png" if feature.codec == "jpeg" else feature.codec,
            quality=None,
        )
        for feature in contract.images
    ]
    observations = tuple(replace(feature, align=None) for feature in contract.observations)
    return replace(contract, observations=observations, images=tuple(images))


def required_contract(contract: Contract, absent: set[str]) -> Contract:
    """Leave out what some episodes lack; all the rest is there in each of them."""
    return replace(
        contract,
        observations=tuple(replace(f, optional=False) for f in contract.observations if f.name not in absent),
        images=tuple(replace(f, optional=False) for f in contract.images if f.name not in absent),
    )


def plain_pixels(feature: ImageFeature, frames: Frames) -> Iterator[Array]:
    """Decode frames, some at a time (R, *shape), colour in rgb; `feature` is that of the store."""
    for begin in range(0, len(frames), _DECODED_AT_ONCE):
        some = frames.take(np.arange(begin, min(begin + _DECODED_AT_ONCE, len(frames)))).stack()
        yield some[..., ::-1] if feature.colour == "bgr" else some


def contract_losses(contract: Contract, key: str) -> set[str]:
    """List what plain_contract and one array of actions under this key lose."""
    found = set[str]()
    for feature in contract.images:
        if feature.colour == "bgr":
            found.add(f"{feature.name}: bgr became rgb")
        if feature.codec == "jpeg":
            found.add(f"{feature.name}: JPEG became the pixels it decodes to")
    if any(action.dtype == "int64" for action in contract.actions) and action_array(contract.actions)[1] != "int64":
        found.add(f"{key}: int64 became float64, which rounds whole numbers above 2**53")
    if len(contract.actions) > 1:
        names = ", ".join(action.name for action in contract.actions)
        found.add(f"{key}: {names} lie side by side in one array; only Ashore reads their names again")
    return found
