"""The writer of LeRobot data sets, version 3.0: parquet files, with pictures as encoded frames in them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ashore.datasets.episode import Episode
from ashore.datasets.errors import CannotExport
from ashore.datasets.features import ImageFeature
from ashore.datasets.formats import WRITABLE
from ashore.datasets.formats.lerobot.description import INFO
from ashore.datasets.formats.lerobot.layout import (
    CONTRACT_FILE,
    DONE,
    EPISODES_FILE,
    REWARD,
    SUCCESS,
    Layout,
    layout_of,
    written,
)
from ashore.datasets.formats.lerobot.losses import absent_features, losses
from ashore.datasets.formats.lerobot.summaries import Merged, Summary, flat_columns, summarize, summarize_frames
from ashore.datasets.images import Frames, encode
from ashore.datasets.progress import Progress
from ashore.datasets.store import EpisodeStore

Array = NDArray[Any]
FILES_A_CHUNK = 1000
FILE_BYTES = 100 * 2**20
"""Size above which the next episode begins a new parquet file."""
VIDEO_MB = 200
"""What info.json tells of videos, of which none is written."""
_PLACE = "chunk-{chunk_index:03d}/file-{file_index:03d}"
_ROWS_AT_ONCE = 256
_EPISODES_AT_ONCE = 50
_FRAME = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def write(store: EpisodeStore, out: Path, progress: Progress) -> tuple[str, ...]:
    """Write a data set that LeRobot opens.

    PNG and JPEG frames are written byte for byte. The contract, the episodes' descriptions and exact times go to two
    files of Ashore's own in meta/ as well, and `read` takes them up.

    Args:
        store: what to write.
        out: folder to make.
        progress: called with each episode.

    Returns:
        What LeRobot cannot hold, one line each.

    Raises:
        CannotExport: there is no episode, or nothing of it can be written.
    """
    if not len(store):
        raise CannotExport("lerobot", "there is no episode", WRITABLE)
    metas = [store.read_meta(index) for index in store.indices]
    absent = absent_features(store)
    observed = [f.name for f in store.contract.observations] + [f.name for f in store.contract.images]
    if not set(observed) - absent:
        raise CannotExport("lerobot", "every observation is left out", WRITABLE)
    judged = {DONE} | ({SUCCESS} if all(meta.success is not None for meta in metas) else set())
    judged |= {REWARD} if all(_is_finite(meta.reward) for meta in metas) else set()
    writer = _Writer(out, layout_of(written(store.contract, absent)), judged)
    lost: set[str] = set()
    for index, episode in enumerate(store):
        writer.add(episode)
        lost |= losses(episode, absent)
        progress(index + 1, len(store), f"{len(episode)} steps")
    writer.close()
    return tuple(sorted(lost))


def _is_finite(value: float | None) -> bool:
    return value is not None and bool(np.isfinite(value))


class _Chunks:
    """Parquet files of a growing data set, each up to a size: chunk-000/file-000 and on."""

    def __init__(self, folder: Path, schema: pa.Schema | None = None) -> None:
        self._folder = folder
        self._schema = schema
        self._number = 0
        self._writer: pq.ParquetWriter | None = None
        self._file: Any = None

    @property
    def place(self) -> dict[str, int]:
        """Chunk and file that the next rows go to."""
        return {"chunk_index": self._number // FILES_A_CHUNK, "file_index": self._number % FILES_A_CHUNK}

    def advance(self) -> None:
        """Begin the next file where the last one is full."""
        if self._file is not None and self._file.tell() >= FILE_BYTES:
            self.close()
            self._number += 1

    def write(self, table: pa.Table) -> None:
        """Append rows."""
        if self._writer is None:
            path = self._folder / f"{_PLACE.format(**self.place)}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("wb")
            self._writer = pq.ParquetWriter(self._file, self._schema or table.schema, compression="snappy")
        self._writer.write_table(table)

    def close(self) -> None:
        """Complete the open file."""
        if self._writer is not None:
            self._writer.close()
            self._file.close()
        self._writer = self._file = None


@dataclass(frozen=True)
class _Column:
    """One column of the parquet files, with its entry in info.json."""

    key: str
    type: pa.DataType
    entry: dict[str, Any]


class _Writer:
    """Writes one episode after the other."""

    def __init__(self, out: Path, layout: Layout, judged: set[str]) -> None:
        self._out = out
        self._layout = layout
        self._columns = _columns(layout, judged)
        self._data = _Chunks(out / "data", pa.schema([(column.key, column.type) for column in self._columns]))
        self._episodes = _Chunks(out / "meta/episodes")
        self._pending: list[dict[str, Any]] = []
        self._tasks: dict[str, int] = {}
        self._total = Merged()
        self._n_rows = self._n_episodes = 0
        (out / "meta").mkdir(parents=True)
        (out / CONTRACT_FILE).write_text(layout.contract.to_json(), encoding="utf-8")

    def add(self, episode: Episode) -> None:
        """Write an episode."""
        task = episode.meta.instruction or self._layout.contract.task
        task_index = self._tasks.setdefault(task, len(self._tasks))
        columns = self._numbers(episode, task_index)
        self._data.advance()
        place = {f"data/{name}": value for name, value in self._data.place.items()}
        for begin in range(0, len(episode), _ROWS_AT_ONCE):
            self._data.write(self._table(episode, columns, slice(begin, begin + _ROWS_AT_ONCE)))
        summaries = {key: summarize(value) for key, value in columns.items()}
        for key, feature in self._layout.cameras.items():
            summaries[key] = summarize_frames(episode.images[feature.name])
        self._describe(episode, task, place, summaries)
        self._n_rows += len(episode)
        self._n_episodes += 1

    def close(self) -> None:
        """Complete all files."""
        self._data.close()
        self._flush()
        self._episodes.close()
        _write_tasks(self._out / "meta/tasks.parquet", self._tasks)
        _write_json(self._out / "meta/stats.json", self._total.plain())
        _write_json(self._out / INFO, self._info())

    def _numbers(self, episode: Episode, task_index: int) -> dict[str, Array]:
        """All columns but pictures, each (T, size)."""
        values = {**episode.observations, **episode.actions}
        found = {packed.key: packed.join(values) for packed in self._layout.packed}
        n_steps = len(episode)
        rows = np.arange(n_steps)
        is_last, meta = rows == n_steps - 1, episode.meta
        found["timestamp"] = (episode.time_s - episode.time_s[0]).astype(np.float32)
        found["frame_index"], found["index"] = rows, self._n_rows + rows
        found["episode_index"] = np.full(n_steps, self._n_episodes)
        found["task_index"] = np.full(n_steps, task_index)
        found[DONE] = is_last & (not meta.truncated)
        found[SUCCESS] = is_last & bool(meta.success)
        found[REWARD] = np.where(is_last, np.float32(meta.reward or 0.0), np.float32(0.0))
        keys = {column.key for column in self._columns}
        return {key: value.reshape(n_steps, -1) for key, value in found.items() if key in keys}

    def _table(self, episode: Episode, columns: dict[str, Array], rows: slice) -> pa.Table:
        arrays = []
        for column in self._columns:
            if column.type == _FRAME:
                feature = self._layout.cameras[column.key]
                arrays.append(pa.array(_frames(feature, episode.images[feature.name], rows), type=_FRAME))
                continue
            part = np.ascontiguousarray(columns[column.key][rows])
            values = pa.array(part.reshape(-1))
            if pa.types.is_fixed_size_list(column.type):
                values = pa.FixedSizeListArray.from_arrays(values, part.shape[1])
            arrays.append(values)
        return pa.Table.from_arrays(arrays, schema=pa.schema([(column.key, column.type) for column in self._columns]))

    def _describe(self, episode: Episode, task: str, place: dict[str, int], summaries: dict[str, Summary]) -> None:
        n_steps = len(episode)
        self._total.add(summaries)
        row = {"episode_index": self._n_episodes, "tasks": [task], "length": n_steps, **place}
        row |= {"dataset_from_index": self._n_rows, "dataset_to_index": self._n_rows + n_steps}
        self._pending.append(row | flat_columns(summaries.items()))
        if len(self._pending) >= _EPISODES_AT_ONCE:
            self._flush()
        is_grid = np.array_equal(episode.time_s, np.arange(n_steps) / episode.contract.control_hz)
        note = {"episode_index": self._n_episodes, "length": n_steps, "meta": episode.meta.to_plain()}
        note["time_s"] = None if is_grid else episode.time_s.tolist()
        with (self._out / EPISODES_FILE).open("a", encoding="utf-8") as file:
            file.write(json.dumps(note, allow_nan=False) + "\n")

    def _flush(self) -> None:
        self._episodes.advance()
        place = {f"meta/episodes/{name}": value for name, value in self._episodes.place.items()}
        if self._pending:
            self._episodes.write(pa.Table.from_pylist([row | place for row in self._pending]))
        self._pending = []

    def _info(self) -> dict[str, Any]:
        contract = self._layout.contract
        rate_hz = contract.control_hz
        return {
            "codebase_version": "v3.0",
            "robot_type": contract.robot,
            "total_episodes": self._n_episodes,
            "total_frames": self._n_rows,
            "total_tasks": len(self._tasks),
            "chunks_size": FILES_A_CHUNK,
            "data_files_size_in_mb": FILE_BYTES // 2**20,
            "video_files_size_in_mb": VIDEO_MB,
            "fps": int(rate_hz) if rate_hz == int(rate_hz) else rate_hz,
            "splits": {"train": f"0:{self._n_episodes}"},
            "data_path": f"data/{_PLACE}.parquet",
            "video_path": None,
            "features": {column.key: column.entry for column in self._columns},
        }


def _columns(layout: Layout, judged: set[str]) -> list[_Column]:
    found = [_numbers(packed.key, packed.dtype, packed.shape[0], packed.names) for packed in layout.packed]
    for key, feature in layout.cameras.items():
        names = ["height", "width", "channels"]
        found.append(_Column(key, _FRAME, {"dtype": "image", "shape": [*feature.shape, 1][:3], "names": names}))
    for key, dtype in ((REWARD, "float32"), (SUCCESS, "bool"), (DONE, "bool")):
        found += [_numbers(key, dtype, 1, None)] if key in judged else []
    kinds = {"timestamp": "float32"} | dict.fromkeys(("frame_index", "episode_index", "index", "task_index"), "int64")
    return found + [_numbers(key, dtype, 1, None) for key, dtype in kinds.items()]


def _numbers(key: str, dtype: str, size: int, names: list[str] | None) -> _Column:
    """A column of one number a row is plain, as LeRobot has it; others are lists of a fixed size."""
    element = pa.from_numpy_dtype(np.dtype(dtype))
    kind = element if size == 1 else pa.list_(element, size)
    return _Column(key, kind, {"dtype": dtype, "shape": [size], "names": names})


def _frames(feature: ImageFeature, frames: Frames, rows: slice) -> Iterator[dict[str, Any]]:
    """Give the frames of some rows as they are stored, and raw ones as PNG."""
    for entry in range(*rows.indices(len(frames))):
        data = frames.encoded(entry)
        if frames.feature.codec == "raw":
            data = encode(replace(feature, codec="png"), frames[entry])
        yield {"bytes": bytes(data), "path": f"frame-{entry:06d}.{'jpg' if feature.codec == 'jpeg' else 'png'}"}


def _write_tasks(path: Path, tasks: dict[str, int]) -> None:
    """Write the tasks as pandas would, with their texts as the index, which is how LeRobot looks them up."""
    index = "__index_level_0__"
    table = pa.table({"task_index": pa.array(tasks.values(), pa.int64()), index: pa.array(tasks, pa.string())})
    columns = [
        {
            "name": "task_index",
            "field_name": "task_index",
            "pandas_type": "int64",
            "numpy_type": "int64",
            "metadata": None,
        },
        {"name": None, "field_name": index, "pandas_type": "unicode", "numpy_type": "object", "metadata": None},
    ]
    pandas = {"index_columns": [index], "column_indexes": [], "columns": columns, "pandas_version": "2.0.0"}
    pq.write_table(table.replace_schema_metadata({"pandas": json.dumps(pandas)}), path)


def _write_json(path: Path, plain: Any) -> None:
    path.write_text(json.dumps(plain, indent=4, allow_nan=False), encoding="utf-8")
