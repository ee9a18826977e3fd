"""What meta/ of a LeRobot data set says: features, episodes, tasks, and where their rows and videos are."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from ashore.datasets.errors import UnreadableFile, quoted

VERSIONS = ("v2.1", "v3.0")
EXPECTED = "a LeRobot data set of version 2.1 or 3.0"
WAY_OUT = "Copy or download the data set again."
CONVERT = "Convert it with LeRobot's own converter, or update ashore."
INFO = "meta/info.json"
_PLACES = {"v2.1": {"episode_chunk", "episode_index", "video_key"}, "v3.0": {"chunk_index", "file_index", "video_key"}}
_FIELD = re.compile(r"\{([^{}:!.\[\]]*)(:0?\d{0,2}d)?\}")


def fault(path: Path, problem: str, way_out: str = WAY_OUT) -> UnreadableFile:
    """Compose the error of a file that is not what it should be."""
    return UnreadableFile(path, EXPECTED, problem, way_out)


@dataclass(frozen=True)
class Column:
    """One entry of `features` in info.json."""

    key: str
    dtype: str
    """A numpy name, "string", "image" or "video"."""
    shape: tuple[int, ...]
    names: tuple[str, ...] = ()
    """Of the elements, or of the axes of a picture; empty where they are not told."""


@dataclass(frozen=True)
class Clip:
    """An episode's part of a video."""

    path: Path
    from_s: float


@dataclass(frozen=True)
class Entry:
    """One episode as meta/ describes it."""

    index: int
    n_steps: int
    tasks: tuple[str, ...]
    path: Path
    """The parquet file with its rows."""
    first_row: int
    """Its first row over all files."""
    clips: Mapping[str, Clip] = field(default_factory=dict)
    """{key of a camera: its video}."""


@dataclass(frozen=True)
class Description:
    """A data set without its rows."""

    folder: Path
    version: str
    robot: str | None
    fps: float
    columns: Mapping[str, Column]
    tasks: Mapping[int, str]
    entries: tuple[Entry, ...]

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read meta/.

        Raises:
            UnreadableFile: it is missing, damaged, contradicts itself, or is of another version.
        """
        path = folder / INFO
        info = _json(path)
        version = str(info.get("codebase_version"))
        if version not in VERSIONS:
            problem = f"codebase_version: {version}; versions that are read: {quoted(VERSIONS)}"
            raise fault(path, problem, CONVERT)
        fps = info.get("fps")
        if isinstance(fps, bool) or not isinstance(fps, int | float) or not 0 < fps < float("inf"):
            raise fault(path, f"fps: {fps!r}, expected a positive number")
        columns = _columns(path, info.get("features"))
        videos = [column.key for column in columns.values() if column.dtype == "video"]
        places = _Places(folder, version, info, videos)
        tasks = _tasks(folder, version)
        entries = tuple(_entries_21(places) if version == "v2.1" else _entries_30(places))
        _check_entries(path, info, entries)
        robot = info.get("robot_type")
        return cls(folder, version, str(robot) if robot else None, float(fps), columns, tasks, entries)


class _Places:
    """Where the files of a data set are, by the templates of info.json."""

    def __init__(self, folder: Path, version: str, info: Mapping[str, Any], videos: list[str]) -> None:
        self.folder = folder
        self.version = version
        self.videos = videos
        self.chunks_size = whole(folder / INFO, info, "chunks_size", 1) if version == "v2.1" else 0
        self._templates = {"data_path": self._template(info, "data_path")}
        if videos:
            self._templates["video_path"] = self._template(info, "video_path")

    def file(self, name: str, **values: int | str) -> Path:
        """Fill in a template; the result lies in the data set's folder."""
        path = self._templates[name].format(**values)
        if Path(path).is_absolute() or ".." in Path(path).parts:
            raise fault(self.folder / INFO, f"{name}: {path!r} leads out of the data set")
        return self.folder / path

    def _template(self, info: Mapping[str, Any], name: str) -> str:
        value = info.get(name)
        valid = _PLACES[self.version]
        plain = _FIELD.sub("", value) if isinstance(value, str) else "{"
        if "{" in plain or "}" in plain or {match[1] for match in _FIELD.finditer(str(value))} - valid:
            raise fault(
                self.folder / INFO, f"{name}: {value!r}, expected a path with places of {quoted(sorted(valid))}"
            )
        return str(value)


def whole(path: Path, raw: Mapping[str, Any], key: str, least: int = 0, where: str = "") -> int:
    """Take a whole number out of JSON or a row.

    Raises:
        UnreadableFile: it is missing, no whole number, or too small.
    """
    value = raw.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise fault(path, f"{where}{key}: {value!r}, expected a whole number of at least {least}")
    return value


def read_rows(path: Path, columns: list[str] | None = None) -> list[dict[str, Any]]:
    """Read a small parquet file, or the columns of it that exist, as one dictionary a row.

    Raises:
        UnreadableFile: it is missing or damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            kept = columns and [name for name in file.schema_arrow.names if name in columns]
            return list(file.read(columns=kept).to_pylist())
    except FileNotFoundError as error:
        raise fault(path, "there is no such file") from error
    except (pa.ArrowException, OSError) as error:
        raise fault(path, f"no parquet file ({first_line(error)})") from error


def first_line(error: BaseException) -> str:
    """Shorten another library's error."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def _json(path: Path) -> dict[str, Any]:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise fault(path, "there is no such file", "Name the folder that holds meta/ and data/.") from error
    except (OSError, ValueError) as error:
        raise fault(path, first_line(error)) from error
    if not isinstance(raw, dict):
        raise fault(path, f"{type(raw).__name__}, expected an object")
    return raw


def _json_lines(path: Path) -> list[dict[str, Any]]:
    found = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError as error:
        raise fault(path, "there is no such file") from error
    except (OSError, ValueError) as error:
        raise fault(path, first_line(error)) from error
    for number, line in enumerate(lines, 1):
        try:
            raw = json.loads(line) if line.strip() else {}
        except ValueError as error:
            raise fault(path, f"line {number}: {first_line(error)}") from error
        if not isinstance(raw, dict):
            raise fault(path, f"line {number}: {type(raw).__name__}, expected an object")
        found += [raw] if raw else []
    return found


def _columns(path: Path, raw: Any) -> dict[str, Column]:
    if not isinstance(raw, dict) or not raw:
        raise fault(path, "features: missing")
    found = {}
    for key, item in raw.items():
        shape = item.get("shape") if isinstance(item, dict) else None
        is_shape = isinstance(shape, list) and all(isinstance(n, int) and n > 0 for n in shape)
        if not is_shape or not isinstance(item.get("dtype"), str):
            raise fault(path, f"features.{key}: expected a dtype and a shape of positive whole numbers")
        found[key] = Column(key, item["dtype"], tuple(shape or ()), _names(item.get("names")))
    return found


def _names(raw: Any) -> tuple[str, ...]:
    """Names stand in a list, or in a map with one list, such as {"motors": [...]}."""
    if isinstance(raw, dict) and len(raw) == 1:
        raw = next(iter(raw.values()))
    if isinstance(raw, dict) and raw and all(isinstance(place, int) for place in raw.values()):
        raw = sorted(raw, key=raw.__getitem__)
    is_names = isinstance(raw, list) and all(isinstance(name, str) for name in raw)
    return tuple(raw) if is_names else ()


def _tasks(folder: Path, version: str) -> dict[int, str]:
    if version == "v2.1":
        path = folder / "meta/tasks.jsonl"
        rows = _json_lines(path)
        return {whole(path, row, "task_index"): str(row.get("task", "")) for row in rows}
    path = folder / "meta/tasks.parquet"
    found = {}
    for row in read_rows(path):
        index = whole(path, row, "task_index")
        found[index] = next((value for value in row.values() if isinstance(value, str)), "")
    return found


def _entries_21(places: _Places) -> Iterator[Entry]:
    path = places.folder / "meta/episodes.jsonl"
    first_row = 0
    for number, row in enumerate(_json_lines(path), 1):
        where = f"line {number}: "
        index, n_steps = whole(path, row, "episode_index", where=where), whole(path, row, "length", 1, where)
        chunk = index // places.chunks_size
        clips = {
            key: Clip(places.file("video_path", episode_chunk=chunk, episode_index=index, video_key=key), 0.0)
            for key in places.videos
        }
        file = places.file("data_path", episode_chunk=chunk, episode_index=index)
        yield Entry(index, n_steps, _texts(row.get("tasks")), file, first_row, clips)
        first_row += n_steps


def _entries_30(places: _Places) -> Iterator[Entry]:
    files = sorted((places.folder / "meta/episodes").glob("*/*.parquet"))
    if not files:
        raise fault(places.folder / "meta/episodes", "it holds no parquet file")
    kept = ["episode_index", "tasks", "length", "data/chunk_index", "data/file_index", "dataset_from_index"]
    for key in places.videos:
        kept += [f"videos/{key}/{name}" for name in ("chunk_index", "file_index", "from_timestamp")]
    for path in files:
        for number, row in enumerate(read_rows(path, kept)):
            yield _entry_30(places, path, row, f"row {number}: ")


def _entry_30(places: _Places, path: Path, row: Mapping[str, Any], where: str) -> Entry:
    def place(group: str) -> dict[str, int]:
        return {name: whole(path, row, f"{group}/{name}", where=where) for name in ("chunk_index", "file_index")}

    clips = {}
    for key in places.videos:
        from_s = row.get(f"videos/{key}/from_timestamp")
        if not isinstance(from_s, int | float) or not 0 <= from_s < float("inf"):
            raise fault(path, f"{where}videos/{key}/from_timestamp: {from_s!r}, expected seconds")
        clips[key] = Clip(places.file("video_path", video_key=key, **place(f"videos/{key}")), float(from_s))
    return Entry(
        index=whole(path, row, "episode_index", where=where),
        n_steps=whole(path, row, "length", 1, where),
        tasks=_texts(row.get("tasks")),
        path=places.file("data_path", **place("data")),
        first_row=whole(path, row, "dataset_from_index", where=where),
        clips=clips,
    )


def _texts(raw: Any) -> tuple[str, ...]:
    return tuple(str(item) for item in raw) if isinstance(raw, list) else ()


def _check_entries(path: Path, info: Mapping[str, Any], entries: tuple[Entry, ...]) -> None:
    if not entries:
        raise fault(path, "the data set has no episode")
    total = {"total_episodes": len(entries), "total_frames": sum(entry.n_steps for entry in entries)}
    for key, n_found in total.items():
        if whole(path, info, key) != n_found:
            raise fault(path, f"{key}: {info[key]}, but meta/ lists {n_found}")
    first_row = 0
    for number, entry in enumerate(entries):
        if entry.index != number or entry.first_row != first_row:
            found = f"episode {entry.index} from row {entry.first_row}"
            raise fault(path, f"{found} is listed where episode {number} from row {first_row} belongs")
        first_row += entry.n_steps
