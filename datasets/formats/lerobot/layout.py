"""Which columns of a LeRobot data set hold which features of a contract, both ways.

LeRobot's policies read `observation.state`, `action` and `observation.images.*`. So observations of one dtype lie side
by side in the first, actions in the second, and what has another dtype, or a LeRobot name already, has its own column.
"""

from collections.abc import Mapping as AnyMapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.contract import Contract
from ashore.datasets.features import DTYPES, Codec, Feature, ImageFeature
from ashore.datasets.formats import UNKNOWN
from ashore.datasets.formats.lerobot.description import INFO, Column, Description, fault
from ashore.datasets.formats.mapping import Group, Mapping

Array = NDArray[Any]
CONTRACT_FILE = "meta/ashore_contract.json"
"""The contract, beside LeRobot's own files, which do not look at it."""
EPISODES_FILE = "meta/ashore_episodes.jsonl"
"""One line an episode: its description, and its times where they are not a regular grid."""
ACTION, OBSERVATION = "action", "observation"
INDICES = ("timestamp", "frame_index", "episode_index", "index", "task_index")
REWARD, SUCCESS, DONE = "next.reward", "next.success", "next.done"
_WIDER = {"int8": "int16", "uint32": "int64", "float16": "float32"}
"""{dtype that Ashore does not store: the next one that holds all its values}."""


@dataclass(frozen=True)
class Packed:
    """One column of numbers, with the features that lie side by side in it."""

    key: str
    shape: tuple[int, ...]
    dtype: str
    group: Literal["observations", "actions"]
    features: tuple[Feature, ...]

    def join(self, values: AnyMapping[str, Array]) -> Array:
        """Put features (T, *shape) side by side, (T, size)."""
        parts = [np.asarray(values[f.name]).astype(f.dtype, copy=False) for f in self.features]
        return np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)

    def split(self, rows: Array) -> dict[str, Array]:
        """Take the features apart that join put side by side; rows are (T, *shape)."""
        flat, begin, found = rows.reshape(len(rows), -1), 0, {}
        for feature in self.features:
            part = flat[:, begin : begin + feature.size]
            found[feature.name] = np.ascontiguousarray(part.astype(feature.dtype)).reshape(len(rows), *feature.shape)
            begin += feature.size
        return found

    @property
    def names(self) -> list[str]:
        """Names of the elements."""
        if len(self.features) == 1 and self.features[0].components:
            return list(self.features[0].components)
        return [name for feature in self.features for name in _element_names(feature)]


@dataclass(frozen=True)
class Layout:
    """A contract and its columns."""

    contract: Contract
    packed: tuple[Packed, ...]
    cameras: AnyMapping[str, ImageFeature]
    """{key: camera}."""
    left_out: tuple[str, ...] = ()
    """Columns that are not read, each with the reason."""


def layout_of(contract: Contract) -> Layout:
    """Choose the columns in which a contract is written."""
    used = {*INDICES, REWARD, SUCCESS, DONE}
    packed = []
    for group, prefix, shared in (("observations", OBSERVATION, "observation.state"), ("actions", ACTION, ACTION)):
        features = getattr(contract, group)
        own = [f for f in features if f.name == ACTION or f.name.startswith(f"{prefix}.")]
        rest = [f for f in features if f not in own]
        dtypes = [f.dtype for f in rest]
        common = next((dtype for dtype in ("float32", "float64") if dtype in dtypes), dtypes[0] if dtypes else "")
        joined = tuple(f for f in rest if f.dtype == common)
        packed += [_packed(_free(f.name, used), group, (f,)) for f in own]
        packed += [_packed(_free(shared, used), group, joined)] if joined else []
        packed += [_packed(_free(f"{prefix}.{f.name}", used), group, (f,)) for f in rest if f not in joined]
    cameras = {}
    for feature in contract.images:
        name = feature.name.removeprefix("observation.images.")
        cameras[_free(f"observation.images.{name}", used)] = feature
    return Layout(contract, tuple(packed), cameras)


def _packed(key: str, group: Any, features: tuple[Feature, ...]) -> Packed:
    return Packed(key, (sum(f.size for f in features),), features[0].dtype, group, features)


def _free(key: str, used: set[str]) -> str:
    while key in used:
        key += "_"
    used.add(key)
    return key


def _element_names(feature: Feature) -> list[str]:
    if feature.size == 1 and not feature.components:
        return [feature.name]
    return [f"{feature.name}.{element}" for element in feature.components or range(feature.size)]


def written(contract: Contract, absent: set[str]) -> Contract:
    """The contract of what is written: samples at the steps, lossless frames as PNG, and no optional feature.

    Args:
        contract: the store's.
        absent: features that are left out.
    """
    observations = tuple(replace(f, align=None, optional=False) for f in contract.observations if f.name not in absent)
    actions = tuple(replace(f, optional=False) for f in contract.actions if f.name not in absent)
    images = [
        replace(f, align=None, optional=False, codec="png" if f.codec == "raw" else f.codec)
        for f in contract.images
        if f.name not in absent
    ]
    return replace(contract, observations=observations, actions=actions, images=tuple(images))


def require_fit(layout: Layout, description: Description) -> None:
    """Check that the contract that Ashore left in a data set is that of its columns.

    Raises:
        UnreadableFile: it is not.
    """
    expected: dict[str, tuple[tuple[str, ...], tuple[int, ...]]] = {p.key: ((p.dtype,), p.shape) for p in layout.packed}
    expected |= {key: (("image", "video"), (*f.shape, 1)[:3]) for key, f in layout.cameras.items()}
    for key, (dtypes, shape) in expected.items():
        column = description.columns.get(key)
        if column is None or column.dtype not in dtypes or column.shape != shape:
            path = description.folder / CONTRACT_FILE
            raise fault(path, f"{key}: {INFO} lists another column or none", "Delete this file to import without it.")


def foreign_layout(description: Description, words: Mapping, stored: AnyMapping[str, tuple[Codec, int]]) -> Layout:
    """Choose the features for a data set that others wrote.

    Args:
        description: the data set.
        words: what is known from a mapping file.
        stored: {camera: codec in which its frames are stored, bits a channel}.

    Raises:
        UnreadableFile: there is nothing to read, or a picture has a shape that is none.
    """
    words.require_keys(description.columns)
    packed, cameras, left_out = [], {}, []
    for key, column in description.columns.items():
        reason, group = "", words.feature(key).group or _group(key)
        if key in (*INDICES, REWARD, SUCCESS, DONE):
            continue
        if group == "none" and words.feature(key).group == "none":
            reason = "the mapping says so"
        elif column.dtype in ("image", "video"):
            cameras[key] = _camera(description, column, words, *stored[key])
        elif _WIDER.get(column.dtype, column.dtype) not in DTYPES:
            reason = f"{column.dtype} is not stored"
        elif group == "none":
            reason = "neither observation.* nor action; give `group` in a mapping"
        else:
            packed.append(Packed(key, column.shape, column.dtype, group, (_feature(column, words),)))
        left_out += [f"{key}: {reason}"] if reason else []
    observations = tuple(p.features[0] for p in packed if p.group == "observations")
    actions = tuple(p.features[0] for p in packed if p.group == "actions")
    if not observations and not cameras:
        raise fault(description.folder / INFO, "features: neither an observation.* nor a camera")
    robot = description.robot or UNKNOWN if words.robot == UNKNOWN else words.robot
    only = next(iter(description.tasks.values())) if len(description.tasks) == 1 else ""
    task = only or UNKNOWN if words.task == UNKNOWN else words.task
    rate_hz = words.control_hz or description.fps
    contract = Contract(robot, task, observations, actions, rate_hz, tuple(cameras.values()))
    return Layout(contract, tuple(packed), cameras, tuple(left_out))


def _group(key: str) -> Group:
    if key == ACTION or key.startswith(f"{ACTION}."):
        return "actions"
    return "observations" if key == OBSERVATION or key.startswith(f"{OBSERVATION}.") else "none"


def _feature(column: Column, words: Mapping) -> Feature:
    said = words.feature(column.key)
    n_elements = int(np.prod(column.shape))
    components = said.components or (column.names if len(column.names) == n_elements else ())
    dtype = _WIDER.get(column.dtype, column.dtype)
    return Feature(said.name, column.shape, said.unit, said.frame, components, dtype)


def _camera(description: Description, column: Column, words: Mapping, codec: Codec, bits: int) -> ImageFeature:
    said, shape = words.feature(column.key), column.shape
    if len(shape) == 3 and shape[2] not in (1, 3) and shape[0] in (1, 3):
        shape = (*shape[1:], shape[0])
    if len(shape) != 3 or shape[2] not in (1, 3):
        raise fault(description.folder / INFO, f"features.{column.key}.shape: {column.shape}, expected (H, W, 3)")
    quality = (said.quality or 95) if codec == "jpeg" else None
    if shape[2] == 1 and column.dtype == "image":
        dtype = "uint16" if bits == 16 else "uint8"
        return ImageFeature(said.name, shape[:2], said.frame, "gray", codec, dtype, quality=quality)
    return ImageFeature(said.name, (*shape[:2], 3), said.frame, "rgb", codec, quality=quality)
