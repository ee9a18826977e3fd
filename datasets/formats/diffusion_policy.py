"""Import the human Push-T demonstrations of Diffusion Policy (a Zarr v2 replay buffer), bit for bit.

Format: data/state (R, 5), data/action (R, 2), data/keypoint (R, 9, 2), all float32, and meta/episode_ends (E,).
Source: Chi et al., Diffusion Policy, RSS 2023, `ReplayBuffer`.
"""

import itertools
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from ashore.datasets.durable import storing, sync_folder
from ashore.datasets.episode import Episode, EpisodeMeta
from ashore.datasets.errors import StoreExists, UnreadableFile
from ashore.datasets.importers.pusht_contract import PUSHT_CONTRACT
from ashore.datasets.progress import Progress, silent
from ashore.datasets.store import EpisodeStore

Array = NDArray[Any]
CODECS = ("blosc", "zstd", "lz4", "zlib", "gzip")
DTYPES = ("<f4", "<f8", "<i4", "<i8", "|u1")
_SHAPES: dict[str, tuple[int, ...]] = {"data/state": (5,), "data/action": (2,), "data/keypoint": (9, 2)}
_EXPECTED = "a Zarr v2 replay buffer of Push-T with data/state, data/action, data/keypoint and meta/episode_ends"


def import_diffusion_policy(source: Path, out: Path, progress: Progress = silent) -> int:
    """Turn a Push-T replay buffer into a new store and return its number of episodes.

    Args:
        source: the .zarr folder.
        out: folder of the store; it appears whole, or not at all.
        progress: called with each episode.

    Raises:
        UnreadableFile: not such a buffer; names file, key and row.
        StoreExists: there is something at out.
        StorageFailed: the disk refused.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise StoreExists(out)
    arrays = {key: _read(source, key) for key in (*_SHAPES, "meta/episode_ends")}
    ends = arrays.pop("meta/episode_ends")
    _check(source, arrays, ends)
    with storing(out, "make a store"):
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as aside:
            store = EpisodeStore.create(Path(aside) / "store", PUSHT_CONTRACT)
            with store:
                for index, (begin, end) in enumerate(itertools.pairwise([0, *ends.tolist()])):
                    store.append(_episode(arrays, slice(begin, end)))
                    progress(index + 1, len(ends), f"{end} steps")
            store.path.rename(out)
            sync_folder(out.parent)
    return len(ends)


def _episode(arrays: dict[str, Array], rows: slice) -> Episode:
    state, keypoints = arrays["data/state"][rows], arrays["data/keypoint"][rows]
    return Episode(
        contract=PUSHT_CONTRACT,
        observations={
            "agent_pos_px": state[:, 0:2],
            "block_pos_px": state[:, 2:4],
            "block_angle_rad": state[:, 4:5],
            "block_keypoints_px": keypoints.reshape(len(state), -1),
        },
        actions={"agent_target_px": arrays["data/action"][rows]},
        time_s=np.arange(len(state)) * PUSHT_CONTRACT.period_s,
        meta=EpisodeMeta(source="human", operator="Push-T demonstrator of Diffusion Policy"),
    )


def _read(source: Path, key: str) -> Array:
    """Read one array whole, after its dtype and codec are known to be harmless and all its chunks to be there."""
    folder = source / key
    try:
        metadata = json.loads((folder / ".zarray").read_bytes())
        codec = (metadata["compressor"] or {"id": None})["id"]
        if metadata["dtype"] not in DTYPES or codec not in (*CODECS, None) or metadata["filters"]:
            raise ValueError(f"dtype {metadata['dtype']!r} with codec {codec!r} or filters is not allowed")
        _require_chunks(folder, metadata)
        return np.asarray(zarr.open_array(folder, mode="r", zarr_format=2)[...])
    except FileNotFoundError as error:
        raise _unreadable(source, key, f"{Path(error.filename or folder).name} is missing") from error
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise _unreadable(source, key, str(error)) from error


def _require_chunks(folder: Path, metadata: dict[str, Any]) -> None:
    """Refuse a hole, which Zarr would fill with zeros."""
    shape, chunks = metadata["shape"], metadata["chunks"]
    grid = [range(-(-side // chunk)) for side, chunk in zip(shape, chunks, strict=True)]
    separator = metadata.get("dimension_separator", ".")
    for place in itertools.product(*grid):
        name = separator.join(map(str, place))
        if not (folder / name).is_file():
            raise ValueError(f"chunk {name} (from row {place[0] * chunks[0]}) is missing")


def _check(source: Path, arrays: dict[str, Array], ends: Array) -> None:
    n_rows = len(arrays["data/state"])
    for key, shape in _SHAPES.items():
        value = arrays[key]
        if value.shape != (n_rows, *shape) or value.dtype != np.float32:
            raise _unreadable(
                source, key, f"shape {value.shape} of {value.dtype}, expected {(n_rows, *shape)} of float32"
            )
        bad = np.flatnonzero(~np.isfinite(value).reshape(n_rows, -1).all(axis=1))
        if bad.size:
            raise _unreadable(source, key, f"row {bad[0]} holds NaN or infinity")
    key = "meta/episode_ends"
    if ends.ndim != 1 or not ends.size or not np.issubdtype(ends.dtype, np.integer):
        raise _unreadable(source, key, f"shape {ends.shape} of {ends.dtype}, expected (E,) integers, at least one")
    bad = np.flatnonzero(np.diff(ends, prepend=0) <= 0)
    if bad.size:
        raise _unreadable(source, key, f"row {bad[0]} is {ends[bad[0]]}, which does not come after the one before")
    if ends[-1] != n_rows:
        raise _unreadable(source, key, f"row {len(ends) - 1} is {ends[-1]}, but there are {n_rows} steps")


def _unreadable(source: Path, key: str, problem: str) -> UnreadableFile:
    return UnreadableFile(
        source, _EXPECTED, f"{key}: {problem}", "Download the data set again, or name another importer."
    )
