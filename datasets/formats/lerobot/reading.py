"""The reader of LeRobot data sets: a contract, and one episode after the other."""

import json
import logging
import os
from collections.abc import Iterator
from collections.abc import Mapping as AnyMapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ashore.datasets.contract import Contract
from ashore.datasets.episode import Episode, EpisodeMeta, installed_versions
from ashore.datasets.errors import AshoreError, DamagedFile
from ashore.datasets.features import Codec, ImageFeature
from ashore.datasets.formats import Foreign
from ashore.datasets.formats.lerobot import layout as layouts
from ashore.datasets.formats.lerobot.columns import RowReader, check_finite, column_array
from ashore.datasets.formats.lerobot.description import INFO, Description, Entry, fault, first_line
from ashore.datasets.formats.lerobot.layout import Layout
from ashore.datasets.formats.lerobot.pictures import kept, read_head
from ashore.datasets.formats.lerobot.video import VideoReader
from ashore.datasets.formats.mapping import Mapping, load_mapping
from ashore.datasets.images import Frames, encode

Array = NDArray[Any]
_log = logging.getLogger(__name__)
_FRAMES_AT_ONCE = 32
"""Frames of a video that are encoded side by side; as many are in memory."""
_STAMP_ERROR = 4 * float(np.finfo(np.float32).eps)
"""Relative error within which a float32 stamp counts as a point of the regular grid."""


def read(source: Path, mapping: Path | None = None) -> Foreign:
    """Open a LeRobot data set of version 2.1 or 3.0.

    The contract that an export left in it is used again, unless there is a mapping.

    Args:
        source: the folder that holds meta/ and data/.
        mapping: a YAML file with units, frames, names and the codec for decoded video.

    Raises:
        UnreadableFile: not such a data set, or of another version; names file, key and row.
    """
    description = Description.read(source)
    words = load_mapping(mapping)
    layout, metas = _own_layout(description) if mapping is None else (None, {})
    if layout is None:
        layout = layouts.foreign_layout(description, words, _stored(description, words))
        for line in layout.left_out:
            _log.warning("%s: not imported: %s", source, line)
    for key in layout.cameras:
        if description.columns[key].dtype == "video":
            _log.warning("%s: %s comes from video, which was compressed lossily before", source, key)
    session = _Session(description, layout, words, metas)
    return Foreign(layout.contract, len(description.entries), session.episodes())


def _stored(description: Description, words: Mapping) -> dict[str, tuple[Codec, int]]:
    """Tell codec and bits a channel: by the first frame of what is encoded already, of video as the mapping says."""
    columns = description.columns
    videos = [key for key, column in columns.items() if column.dtype == "video"]
    stored: dict[str, tuple[Codec, int]] = {key: (words.feature(key).codec, 8) for key in videos}
    pictures = [key for key, column in columns.items() if column.dtype == "image"]
    if not pictures:
        return stored
    reader, path = RowReader(pictures), description.entries[0].path
    try:
        table = reader.read(path, 0, 1)
    finally:
        reader.close()
    for key in pictures:
        try:
            head = read_head(next(_encoded(table, key, path)) or b"")
            stored[key] = (head.codec, head.bits)
        except ValueError as error:
            raise fault(path, f"{key}: row 0 is {error}") from error
    return stored


def _own_layout(description: Description) -> tuple[Layout | None, dict[int, AnyMapping[str, Any]]]:
    path = description.folder / layouts.CONTRACT_FILE
    if not path.is_file():
        return None, {}
    contract = Contract.from_json(path.read_text(encoding="utf-8"), path)
    layout = layouts.layout_of(contract)
    layouts.require_fit(layout, description)
    path = description.folder / layouts.EPISODES_FILE
    way_out = f"Delete {layouts.CONTRACT_FILE} to import without it."
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        metas = {line["episode_index"]: line for line in lines}
        fits = [(entry.index, entry.n_steps) for entry in description.entries] == [
            (line["episode_index"], line["length"]) for line in lines
        ]
        for line in lines:
            line["meta"] = EpisodeMeta.from_plain(line["meta"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise fault(path, first_line(error), way_out) from error
    if not fits:
        raise fault(path, "it describes other episodes than meta/ lists", way_out)
    return layout, metas


def _encoded(table: pa.Table, key: str, path: Path) -> Iterator[bytes | None]:
    """Give the encoded frames of a column."""
    for chunk in table.column(key).chunks:
        values = chunk.storage if isinstance(chunk, pa.ExtensionArray) else chunk
        if not pa.types.is_struct(values.type) or values.type.get_field_index("bytes") < 0:
            raise fault(path, f"{key}: rows of {values.type}, expected encoded frames in `bytes`")
        yield from (value.as_py() for value in values.field("bytes"))


@dataclass(frozen=True)
class _Session:
    """One pass through a data set."""

    description: Description
    layout: Layout
    words: Mapping
    metas: AnyMapping[int, AnyMapping[str, Any]]
    """{episode: what an export of Ashore noted}."""

    def episodes(self) -> Iterator[Episode]:
        """Read one episode after the other."""
        known = self.description.columns
        keys = [packed.key for packed in self.layout.packed]
        keys += [key for key in self.layout.cameras if known[key].dtype == "image"]
        extra = (*layouts.INDICES, layouts.REWARD, layouts.SUCCESS, layouts.DONE)
        rows = RowReader([*keys, *(key for key in extra if key in known)])
        videos = {
            key: VideoReader(feature.shape, self.description.fps)
            for key, feature in self.layout.cameras.items()
            if known[key].dtype == "video"
        }
        first_rows: dict[Path, int] = {}
        try:
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                for entry in self.description.entries:
                    first_row = entry.first_row - first_rows.setdefault(entry.path, entry.first_row)
                    table = rows.read(entry.path, first_row, entry.n_steps)
                    self._require_last(rows, entry, first_row)
                    yield self._episode(entry, table, first_row, videos, pool)
        finally:
            rows.close()
            for video in videos.values():
                video.close()

    def _require_last(self, rows: RowReader, entry: Entry, first_row: int) -> None:
        """Refuse rows at a file's end that no episode lists."""
        following = self.description.entries[entry.index + 1 : entry.index + 2]
        n_rows = rows.n_rows(entry.path)
        if (not following or following[0].path != entry.path) and n_rows != first_row + entry.n_steps:
            raise fault(entry.path, f"it has {n_rows} rows, but meta/ lists {first_row + entry.n_steps}")

    def _episode(
        self,
        entry: Entry,
        table: pa.Table,
        first_row: int,
        videos: AnyMapping[str, VideoReader],
        pool: ThreadPoolExecutor,
    ) -> Episode:
        groups: dict[str, dict[str, Array]] = {"observations": {}, "actions": {}}
        for packed in self.layout.packed:
            values = column_array(table, packed.key, packed.shape, entry.path, first_row)
            if not np.can_cast(values.dtype, packed.features[0].dtype, "safe"):
                problem = f"{packed.key}: {values.dtype}, but {INFO} lists {packed.dtype}"
                raise fault(entry.path, problem)
            check_finite(values, packed.key, entry.path, first_row)
            groups[packed.group] |= packed.split(values)
        self._check_indices(entry, table, first_row)
        stamps = self._stamps(entry, table, first_row)
        images = {}
        for key, feature in self.layout.cameras.items():
            if key in videos:
                images[feature.name] = _decoded(feature, videos[key].frames(entry.clips[key], stamps), pool)
            else:
                images[feature.name] = _kept(feature, table, key, entry.path, first_row)
        try:
            return Episode(
                contract=self.layout.contract,
                time_s=self._times(entry, stamps),
                meta=self._meta(entry, table),
                observations=groups["observations"],
                actions=groups["actions"],
                images=images,
            )
        except AshoreError as error:
            raise fault(entry.path, f"episode {entry.index}: {error}") from error

    def _check_indices(self, entry: Entry, table: pa.Table, first_row: int) -> None:
        expected = {
            "episode_index": np.full(entry.n_steps, entry.index),
            "frame_index": np.arange(entry.n_steps),
            "index": entry.first_row + np.arange(entry.n_steps),
        }
        for key, values in expected.items():
            if key not in table.column_names:
                continue
            found = column_array(table, key, (), entry.path, first_row)
            wrong = np.flatnonzero(found != values)
            if wrong.size:
                row = wrong[0]
                raise fault(entry.path, f"{key}: row {first_row + row} is {found[row]}, expected {values[row]}")

    def _stamps(self, entry: Entry, table: pa.Table, first_row: int) -> Array:
        """Seconds since the episode's start (T,) float64: the regular grid where the stamps are on it."""
        grid_s = np.arange(entry.n_steps) / self.description.fps
        if "timestamp" not in table.column_names:
            return grid_s
        stamps = column_array(table, "timestamp", (), entry.path, first_row).astype(np.float64)
        check_finite(stamps, "timestamp", entry.path, first_row)
        late = np.flatnonzero(np.diff(stamps) <= 0)
        if late.size:
            row = late[0] + 1
            problem = (
                f"timestamp: row {first_row + row} is {stamps[row]:g}, which does not come after {stamps[row - 1]:g}"
            )
            raise fault(entry.path, problem)
        is_grid = np.all(np.abs(stamps - grid_s) <= _STAMP_ERROR * np.maximum(grid_s, 1e-3))
        return grid_s if is_grid else stamps

    def _times(self, entry: Entry, stamps: Array) -> Array:
        noted = self.metas.get(entry.index, {}).get("time_s")
        return stamps if noted is None else np.asarray(noted, np.float64)

    def _meta(self, entry: Entry, table: pa.Table) -> EpisodeMeta:
        if entry.index in self.metas:
            meta: EpisodeMeta = self.metas[entry.index]["meta"]
            return meta
        judged = {
            key: column_array(table, key, (), entry.path, 0)
            for key in (layouts.REWARD, layouts.SUCCESS, layouts.DONE)
            if key in table.column_names
        }
        version, done = self.description.version, judged.get(layouts.DONE)
        success, reward = judged.get(layouts.SUCCESS), judged.get(layouts.REWARD)
        # The newest date that the files tell: LeRobot writes none.
        changed = datetime.fromtimestamp((self.description.folder / INFO).stat().st_mtime, UTC)
        return EpisodeMeta(
            source=self.words.source or "human",
            operator=self.words.operator,
            success=None if success is None else bool(np.any(success)),
            reward=None if reward is None else float(np.sum(reward, dtype=np.float64)),
            versions=installed_versions() | {"lerobot": version},
            truncated=done is not None and not bool(np.any(done)),
            created=changed.isoformat(timespec="milliseconds"),
            instruction=self._instruction(entry, table),
            origin=f"lerobot {version}, {self.description.folder.name}, episode {entry.index}",
        )

    def _instruction(self, entry: Entry, table: pa.Table) -> str:
        """The tasks of an episode in the order in which they come."""
        if "task_index" not in table.column_names:
            return "; ".join(entry.tasks)
        found = column_array(table, "task_index", (), entry.path, 0)
        indices = dict.fromkeys(found.tolist())
        for index in indices:
            if index not in self.description.tasks:
                raise fault(entry.path, f"task_index: {index} of episode {entry.index} is not in meta/tasks")
        return "; ".join(self.description.tasks[index] for index in indices)


def _kept(feature: ImageFeature, table: pa.Table, key: str, path: Path, first_row: int) -> Frames:
    """Take the encoded frames as they are, after decoding the first one."""
    encoded = _encoded(table, key, path)
    parts = [kept(feature, data, path, f"{key}: row {first_row + row}") for row, data in enumerate(encoded)]
    frames = Frames.of_encoded(feature, parts)
    try:
        _ = frames[0]
    except DamagedFile as error:
        raise fault(path, f"{key}: row {first_row} does not decode ({first_line(error)})") from error
    return frames


def _decoded(feature: ImageFeature, frames: Iterator[Array], pool: ThreadPoolExecutor) -> Frames:
    """Encode decoded video side by side: OpenCV lets go of Python's lock meanwhile."""
    parts: list[bytes] = []
    while some := list(islice(frames, _FRAMES_AT_ONCE)):
        parts += pool.map(lambda frame: encode(feature, frame), some)
    return Frames.of_encoded(feature, parts)
