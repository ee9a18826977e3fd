"""Which arrays of a Diffusion Policy replay buffer hold which features: Push-T's own arrays, or one array a feature."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.contract import Contract
from ashore.datasets.features import ImageFeature
from ashore.datasets.formats.pusht_contract import PUSHT_CAMERA, PUSHT_CONTRACT
from ashore.datasets.formats.side_by_side import action_array, join_actions, split_actions

Array = NDArray[Any]
ACTION = "action"
"""Key of the array that holds all actions, side by side."""


@dataclass(frozen=True)
class Layout:
    """How the rows of a buffer's arrays and the features of a contract belong together."""

    contract: Contract
    arrays: Mapping[str, tuple[tuple[int, ...], str]]
    """{key: (shape of a row, dtype)} of what is measured and told."""
    cameras: Mapping[str, ImageFeature]
    """{key: camera}."""
    split: Callable[[Mapping[str, Array]], tuple[dict[str, Array], dict[str, Array]]]
    """{key: rows} to ({observation: rows}, {action: rows})."""
    join: Callable[[Mapping[str, Array], Mapping[str, Array]], dict[str, Array]]
    """({observation: rows}, {action: rows}) to {key: rows}."""


def pusht_layout(has_camera: bool) -> Layout:
    """Give the layout of the published Push-T buffers."""
    return Layout(
        contract=replace(PUSHT_CONTRACT, images=(PUSHT_CAMERA,) if has_camera else ()),
        arrays={"state": ((5,), "float32"), ACTION: ((2,), "float32"), "keypoint": ((9, 2), "float32")},
        cameras={"img": PUSHT_CAMERA} if has_camera else {},
        split=_split_pusht,
        join=_join_pusht,
    )


def _split_pusht(rows: Mapping[str, Array]) -> tuple[dict[str, Array], dict[str, Array]]:
    state, keypoints = rows["state"], rows["keypoint"]
    observations = {
        "agent_pos_px": state[:, 0:2],
        "block_pos_px": state[:, 2:4],
        "block_angle_rad": state[:, 4:5],
        "block_keypoints_px": keypoints.reshape(len(state), -1),
    }
    return observations, {"agent_target_px": rows[ACTION]}


def _join_pusht(observations: Mapping[str, Array], actions: Mapping[str, Array]) -> dict[str, Array]:
    parts = [observations[name] for name in ("agent_pos_px", "block_pos_px", "block_angle_rad")]
    keypoints = observations["block_keypoints_px"]
    return {
        "state": np.concatenate(parts, axis=1),
        "keypoint": keypoints.reshape(len(keypoints), 9, 2),
        ACTION: actions["agent_target_px"],
    }


def layout_for(contract: Contract) -> Layout:
    """Choose the layout that a contract is written in."""
    if contract.without_images() == PUSHT_CONTRACT and contract.images in ((), (PUSHT_CAMERA,)):
        return pusht_layout(has_camera=bool(contract.images))
    return plain_layout(contract)


def plain_layout(contract: Contract) -> Layout:
    """Give the layout with one array an observation and a camera, and one array of all actions."""
    arrays = {feature.name: (feature.shape, feature.dtype) for feature in contract.observations}
    if contract.actions:
        arrays[ACTION] = action_array(contract.actions)

    def split(rows: Mapping[str, Array]) -> tuple[dict[str, Array], dict[str, Array]]:
        observations = {feature.name: rows[feature.name] for feature in contract.observations}
        return observations, split_actions(contract, rows[ACTION]) if contract.actions else {}

    def join(observations: Mapping[str, Array], actions: Mapping[str, Array]) -> dict[str, Array]:
        return dict(observations) | ({ACTION: join_actions(contract.actions, actions)} if contract.actions else {})

    return Layout(contract, arrays, {feature.name: feature for feature in contract.images}, split, join)


def keyed_layout(contract: Contract, key_of: Mapping[str, str]) -> Layout:
    """Give the layout with one array a feature.

    Args:
        contract: what the buffer holds.
        key_of: {feature: key of its array}.
    """
    told = (*contract.observations, *contract.actions)

    def split(rows: Mapping[str, Array]) -> tuple[dict[str, Array], dict[str, Array]]:
        observations, actions = (
            {feature.name: rows[key_of[feature.name]] for feature in group}
            for group in (contract.observations, contract.actions)
        )
        return observations, actions

    def join(observations: Mapping[str, Array], actions: Mapping[str, Array]) -> dict[str, Array]:
        return {key_of[name]: value for name, value in (*observations.items(), *actions.items())}

    arrays = {key_of[feature.name]: (feature.shape, feature.dtype) for feature in told}
    return Layout(contract, arrays, {key_of[feature.name]: feature for feature in contract.images}, split, join)
