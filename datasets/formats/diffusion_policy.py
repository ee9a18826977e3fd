"""Replay buffers of Diffusion Policy (Zarr v2, folder or .zarr.zip): read an episode at a time, and written.

Format: data/KEY (R, ...) with the rows of all episodes in turn, and meta/episode_ends (E,), one past the last row of
each. A buffer with state, keypoint and action is taken for Push-T's, whose units and rate are known; of any other one
`action` is the action, what looks like pictures (R, H, W, 3) is a camera, and the rest is observed.
Source: Chi et al., Diffusion Policy, RSS 2023, `ReplayBuffer`.
"""

import itertools
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.contract import Contract
from ashore.datasets.episode import Episode, EpisodeMeta
from ashore.datasets.errors import CannotExport, UnreadableFile
from ashore.datasets.features import Feature, ImageFeature
from ashore.datasets.formats import WRITABLE, Foreign
from ashore.datasets.formats.mapping import Mapping, load_mapping
from ashore.datasets.formats.pusht_contract import PUSHT_CONTRACT
from ashore.datasets.formats.replay_layouts import ACTION, Layout, keyed_layout, layout_for, pusht_layout
from ashore.datasets.formats.side_by_side import contract_losses, plain_contract, plain_pixels, required_contract
from ashore.datasets.formats.zarr_v2 import Group, ZarrArray
from ashore.datasets.formats.zarr_v2_writer import ArrayWriter, write_group
from ashore.datasets.images import Frames, encode
from ashore.datasets.progress import Progress
from ashore.datasets.store import EpisodeStore

Array = NDArray[Any]
ENDS = "meta/episode_ends"
_PUSHT_KEYS = ("state", "keypoint", ACTION)
_CONTRACT = "ashore_contract"
"""Attribute of a buffer's root with the contract, which Diffusion Policy does not look at."""
_MIN_SIDE = 8
"""Rows and columns from which (R, H, W, 3) is taken for pictures."""
_EXPECTED = "a Zarr v2 replay buffer with data/* arrays of as many rows as meta/episode_ends says"
_WAY_OUT = "Copy or download the data set again, or name another format."


def read(source: Path, mapping: Path | None = None) -> Foreign:
    """Open a replay buffer.

    Args:
        source: the .zarr folder, or a .zip of it.
        mapping: a YAML file with control_hz, robot, task, units and frames; also says that the buffer is not Push-T's.

    Raises:
        UnreadableFile: not such a buffer; names file, key and row.
    """
    group = Group.open(source, _EXPECTED, _WAY_OUT)
    ends_array = group.array(ENDS)
    if len(ends_array.shape) != 1 or not ends_array.shape[0] or ends_array.dtype.kind != "i":
        found = f"shape {ends_array.shape} of {ends_array.dtype.name}"
        raise group.unreadable(ENDS, f"{found}, expected (E,) signed integers, at least one")
    ends = ends_array.rows(0, ends_array.shape[0])
    arrays = {key: group.array(f"data/{key}") for key in group.files.children("data") if not key.startswith(".")}
    _check_rows(group, arrays, ends)
    words = load_mapping(mapping)
    layout = _layout(group, arrays, words if mapping is not None else None)
    _check_layout(group, arrays, layout)
    meta = _meta(layout, words)
    return Foreign(layout.contract, len(ends), _episodes(group, layout, arrays, ends, meta))


def write(store: EpisodeStore, out: Path, progress: Progress) -> tuple[str, ...]:
    """Write a replay buffer that Diffusion Policy opens; a Push-T store gets the published keys.

    Raises:
        CannotExport: there is no episode, or names collide.
    """
    if not len(store):
        raise CannotExport("diffusion-policy", "there is no episode", WRITABLE)
    contract = plain_contract(store.contract)
    layout = layout_for(contract)
    observed = {feature.name for feature in contract.observations} | {feature.name for feature in contract.images}
    if contract.actions and ACTION in observed:
        raise CannotExport("diffusion-policy", f"an observation is named {ACTION!r}, the key of all actions", WRITABLE)
    for folder in (out, out / "data", out / "meta"):
        write_group(folder)
    kinds = dict(layout.arrays) | {key: (feature.shape, feature.dtype) for key, feature in layout.cameras.items()}
    columns = {key: ArrayWriter(out / "data" / key, shape, np.dtype(dtype)) for key, (shape, dtype) in kinds.items()}
    ends, absent, notes = ArrayWriter(out / ENDS, (), np.dtype("int64")), set[str](), set[str]()
    n_rows = 0
    for index, episode in enumerate(store):
        absent |= _write_episode(episode, store.contract, layout, columns, absent)
        notes |= _losses_of(episode)
        n_rows += len(episode)
        ends.add(np.array([n_rows]))
        progress(index + 1, len(store), f"{len(episode)} steps")
    for key, column in columns.items():
        column.discard() if key in absent else column.close()
    ends.close()
    _write_contract(out, contract, absent)
    return tuple(sorted(notes | contract_losses(store.contract, ACTION))) + tuple(
        f"{key}: an optional feature that some episodes lack; left out" for key in sorted(absent)
    )


def _check_rows(group: Group, arrays: dict[str, ZarrArray], ends: Array) -> None:
    bad = np.flatnonzero(np.diff(ends, prepend=0) <= 0)
    if bad.size:
        raise group.unreadable(ENDS, f"row {bad[0]} is {ends[bad[0]]}, which does not come after the one before")
    if not arrays:
        raise group.unreadable("data", "it holds no array")
    rows = {key: array.shape[0] for key, array in arrays.items()}
    first = next(iter(rows))
    for key, n_rows in rows.items():
        if n_rows != rows[first]:
            raise group.unreadable(f"data/{key}", f"it has {n_rows} rows, but data/{first} has {rows[first]}")
    if ends[-1] != rows[first]:
        raise group.unreadable(ENDS, f"row {len(ends) - 1} is {ends[-1]}, but there are {rows[first]} steps")


def _layout(group: Group, arrays: dict[str, ZarrArray], words: Mapping | None) -> Layout:
    """Choose by a mapping, then by the contract that Ashore left in the buffer, then by Push-T's keys."""
    held = group.attributes().get(_CONTRACT)
    if words is None and isinstance(held, dict):
        contract = Contract.from_json(json.dumps(held), f"{group.source}: .zattrs, {_CONTRACT}")
        return layout_for(contract)
    if words is None and all(key in arrays for key in _PUSHT_KEYS):
        return pusht_layout(has_camera="img" in arrays)
    if words is None or words.control_hz is None:
        missing = [f"data/{key}" for key in _PUSHT_KEYS if key not in arrays]
        hint = f" (it is not Push-T's, for want of {', '.join(missing)})" if missing else ""
        way_out = "Give --mapping a YAML file with `control_hz: HZ`, and units and frames where they are known."
        raise UnreadableFile(group.source, _EXPECTED, f"control_hz: a buffer does not tell its rate{hint}", way_out)
    return _named(arrays, words, words.control_hz)


def _named(arrays: dict[str, ZarrArray], words: Mapping, control_hz: float) -> Layout:
    words.require_keys(arrays)
    observations: list[Feature] = []
    actions: list[Feature] = []
    images: list[ImageFeature] = []
    key_of: dict[str, str] = {}
    for key, array in arrays.items():
        said = words.feature(key)
        if said.group == "none":
            continue
        key_of[said.name] = key
        is_action = (said.group or ("actions" if key == ACTION else "observations")) == "actions"
        if not is_action and _are_pictures(array):
            shown = ImageFeature(said.name, array.shape[1:], said.frame, codec=said.codec, quality=said.quality)
            images.append(shown)
            continue
        dtype = array.dtype.name
        feature = Feature(said.name, array.shape[1:], said.unit, said.frame, said.components, dtype)
        (actions if is_action else observations).append(feature)
    contract = Contract(words.robot, words.task, tuple(observations), tuple(actions), control_hz, tuple(images))
    return keyed_layout(contract, key_of)


def _are_pictures(array: ZarrArray) -> bool:
    row, kind = array.shape[1:], array.dtype.name
    fits = len(row) == 3 and row[-1] == 3 and min(row[:2]) >= _MIN_SIDE
    return fits and (kind == "uint8" or kind.startswith("float"))


def _check_layout(group: Group, arrays: dict[str, ZarrArray], layout: Layout) -> None:
    """Compare shapes and dtypes, and have each chunk checked as it is decoded."""
    for key, (shape, dtype) in layout.arrays.items():
        array = arrays.get(key) or group.array(f"data/{key}")
        found = (array.shape[1:], array.dtype.name)
        if found != (shape, dtype):
            given = f"shape {array.shape} of {found[1]}, expected {(array.shape[0], *shape)} of {dtype}"
            raise group.unreadable(f"data/{key}", given)
        array.check = partial(_finite, group, key)
    for key, feature in layout.cameras.items():
        array = arrays.get(key) or group.array(f"data/{key}")
        is_whole = feature.dtype == "uint8" and array.dtype.kind == "f"
        if array.shape[1:] != feature.shape or (array.dtype.name != feature.dtype and not is_whole):
            given = f"shape {array.shape} of {array.dtype.name}"
            expected = f"{(array.shape[0], *feature.shape)} of {feature.dtype}"
            raise group.unreadable(f"data/{key}", f"{given}, expected {expected}")
        if is_whole:
            array.check = partial(_pixels, group, key)


def _finite(group: Group, key: str, band: Array, first_row: int) -> Array:
    if band.dtype.kind != "f":
        return band
    bad = np.flatnonzero(~np.isfinite(band).reshape(len(band), -1).all(axis=1))
    if bad.size:
        raise group.unreadable(f"data/{key}", f"row {first_row + bad[0]} holds NaN or infinity")
    return band


def _pixels(group: Group, key: str, band: Array, first_row: int) -> Array:
    """Turn floats (R, H, W, 3) that hold whole numbers from 0 to 255 into uint8; others would lose something."""
    with np.errstate(invalid="ignore"):
        pixels = band.astype(np.uint8)
    same = pixels == band
    if not same.all():
        row = first_row + np.flatnonzero(~same.reshape(len(band), -1).all(axis=1))[0]
        raise group.unreadable(f"data/{key}", f"row {row} holds a pixel that is no whole number from 0 to 255")
    return pixels


def _meta(layout: Layout, words: Mapping) -> EpisodeMeta:
    is_pusht = layout.contract.without_images() == PUSHT_CONTRACT
    operator = "Push-T demonstrator of Diffusion Policy" if is_pusht else words.operator
    return EpisodeMeta(source=words.source or "human", operator=operator)


def _episodes(
    group: Group, layout: Layout, arrays: dict[str, ZarrArray], ends: Array, meta: EpisodeMeta
) -> Iterator[Episode]:
    period_s, name = layout.contract.period_s, group.source.name
    n_threads = os.cpu_count() or 1
    try:
        with ThreadPoolExecutor(n_threads) as pool:
            for index, (begin, end) in enumerate(itertools.pairwise([0, *ends.tolist()])):
                observations, actions = layout.split({key: arrays[key].rows(begin, end) for key in layout.arrays})
                images = {
                    feature.name: _frames(pool, n_threads, feature, arrays[key].pieces(begin, end))
                    for key, feature in layout.cameras.items()
                }
                yield Episode(
                    contract=layout.contract,
                    observations=observations,
                    actions=actions,
                    time_s=np.arange(end - begin) * period_s,
                    meta=replace(meta, origin=f"diffusion-policy, {name}, episode {index}"),
                    images=images,
                )
    finally:
        group.files.close()


def _frames(pool: ThreadPoolExecutor, n_threads: int, feature: ImageFeature, pieces: Iterator[Array]) -> Frames:
    """Encode the frames of an episode side by side, while the next ones are read: OpenCV lets go of Python's lock."""
    encoded: list[bytes] = []
    waiting: Iterator[list[bytes]] = iter(())
    for piece in pieces:
        parts = pool.map(lambda frames: [encode(feature, frame) for frame in frames], np.array_split(piece, n_threads))
        encoded.extend(itertools.chain.from_iterable(waiting))
        waiting = parts
    encoded.extend(itertools.chain.from_iterable(waiting))
    return Frames.of_encoded(feature, encoded)


def _write_episode(
    episode: Episode, contract: Contract, layout: Layout, columns: dict[str, ArrayWriter], absent: set[str]
) -> set[str]:
    """Append an episode's rows and return the keys that it lacks."""
    rows = layout.join(episode.observations, episode.actions)
    lacking = {key for key in layout.arrays if key not in rows}
    for key, value in rows.items():
        columns[key].add(np.asarray(value).astype(layout.arrays[key][1], copy=False))
    stored = {feature.name: feature for feature in contract.images}
    for key, feature in layout.cameras.items():
        frames = episode.images.get(feature.name)
        if frames is None:
            lacking.add(key)
            continue
        for pixels in plain_pixels(stored[feature.name], frames):
            columns[key].add(pixels)
    return lacking - absent


def _write_contract(out: Path, contract: Contract, absent: set[str]) -> None:
    left = required_contract(contract, absent)
    (out / ".zattrs").write_text(json.dumps({_CONTRACT: json.loads(left.to_json())}, indent=2, sort_keys=True))


def _losses_of(episode: Episode) -> set[str]:
    meta, found = episode.meta, set[str]()
    regular_s = np.arange(len(episode)) * episode.contract.period_s
    if np.any(episode.time_s != regular_s):
        found.add("time_s: the rows of a buffer are one control period apart; measured times are left out")
    if episode.commands is not None:
        found.add("commands: what was sent to the robot is left out; what was told is in `action`")
    if episode.streams:
        found.add("streams: samples at their native rates are left out; what the steps show is there")
    known: dict[str, Any] = {
        "success": meta.success,
        "reward": meta.reward,
        "seed": meta.seed,
        "draw": meta.draw or None,
    }
    known |= {"metrics": meta.metrics or None, "instruction": meta.instruction or None}
    lost = [name for name, value in known.items() if value is not None]
    found.add(
        f"source, operator, date, versions{''.join(f', {name}' for name in lost)}: a buffer does not describe episodes"
    )
    return found
