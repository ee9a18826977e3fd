"""Bags of rosbag2 on disk, opened through rosbags, with every fault of theirs named by file, topic and message."""

import re
import struct
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw
from backports.zstd import ZstdError
from rosbags.interfaces import Connection, MessageDefinitionFormat
from rosbags.rosbag2 import Reader, ReaderError
from rosbags.serde import SerdeError
from rosbags.typesys import Stores, TypesysError, get_types_from_idl, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from ashore.datasets.errors import UnreadableFile, closest, quoted

EXPECTED = "a rosbag2 folder (metadata.yaml with .db3 or .mcap), or a folder of such"
WAY_OUT = "Copy the bag again; where its recorder was killed, run `ros2 bag reindex`."
_PLAIN_NAME = re.compile(r"[A-Za-z]\w*(/[A-Za-z]\w*){0,2}", re.ASCII)
_FAULTS = (
    ReaderError, SerdeError, TypesysError, apsw.Error, ZstdError, OSError, struct.error, EOFError,
    ValueError, KeyError, IndexError, TypeError, RuntimeError, AssertionError, OverflowError, MemoryError,
)  # fmt: skip
"""What rosbags and its codecs raise on bytes that are not what they should be."""


def find_bags(source: Path) -> list[Path]:
    """List the bags of a source in the order of their names: itself, or the folders in it.

    Raises:
        UnreadableFile: there is none, or one has lost its metadata.yaml.
    """
    if source.suffix in (".mcap", ".db3") and source.is_file():
        return [source]
    if (source / "metadata.yaml").is_file():
        return [source]
    folders = sorted(p for p in source.iterdir() if p.is_dir() and _holds_storage(p)) if source.is_dir() else []
    for folder in folders:
        if not (folder / "metadata.yaml").is_file():
            raise UnreadableFile(folder, EXPECTED, "it has no metadata.yaml", WAY_OUT)
    if not folders:
        problem = "it is missing" if not source.exists() else "it holds no bag"
        raise UnreadableFile(source, EXPECTED, problem, "Name the folder that `ros2 bag record` made.")
    return folders


def _holds_storage(folder: Path) -> bool:
    names = [path.name for path in folder.iterdir()]
    return "metadata.yaml" in names or any(
        name.endswith((".db3", ".mcap", ".db3.zstd", ".mcap.zstd")) for name in names
    )


@dataclass(frozen=True)
class Received:
    """One message."""

    topic: str
    number: int
    """Which of its topic within the asked time, from 0."""
    receive_ns: int
    message: Any


class Bag:
    """One open bag."""

    def __init__(self, path: Path, reader: Reader) -> None:
        self.path = path
        self._reader = reader
        self._topics: dict[str, list[Connection]] = {}
        for connection in reader.connections:
            self._topics.setdefault(connection.topic, []).append(connection)
        self._check_counts()
        self._types: Typestore = _shipped_types(reader.ros_distro)

    @property
    def start_ns(self) -> int:
        """When the first message was received."""
        return int(self._reader.start_time)

    @property
    def custom(self) -> Mapping[str, str]:
        """Texts that the recorder left in metadata.yaml."""
        custom = self._reader.storage.metadata.custom
        return custom if isinstance(custom, dict) else {}

    def find(self, topic: str) -> str | None:
        """Give the name by which the bag knows a topic, with or without the leading slash."""
        for name in (topic, f"/{topic}", topic.removeprefix("/")):
            if any(connection.msgcount for connection in self._topics.get(name, ())):
                return name
        return None

    def require(self, topic: str) -> str:
        """Find a topic.

        Raises:
            UnreadableFile: there is no message on it; names the topics that are there.
        """
        found = self.find(topic)
        if found is None:
            there = sorted(self._topics)
            problem = f"no message on topic {topic!r}; topics: {quoted(there)}.{closest(topic, there)}"
            raise UnreadableFile(self.path, "every topic that the mapping names", problem, "Correct the mapping.")
        return found

    def messages(
        self, topics: Collection[str], begin_ns: int | None = None, end_ns: int | None = None
    ) -> Iterator[Received]:
        """Read the messages on some topics received in [begin_ns, end_ns), in the order of their receipt.

        Raises:
            UnreadableFile: a message is damaged; names topic and number.
        """
        connections = [connection for topic in topics for connection in self._topics[topic]]
        counts = dict.fromkeys(topics, 0)
        for connection in connections:
            with _told(self.path, f"type {connection.msgtype}"):
                self._learn(connection)
        raw = self._reader.messages(connections, begin_ns, end_ns)
        while True:
            with _told(self.path, f"after {sum(counts.values())} messages"):
                item = next(raw, None)
            if item is None:
                break
            connection, receive_ns, data = item
            number = counts[connection.topic]
            counts[connection.topic] = number + 1
            with _told(self.path, f"topic {connection.topic!r}, message {number}"):
                message = self._types.deserialize_cdr(data, connection.msgtype)
            yield Received(connection.topic, number, receive_ns, message)
        if begin_ns is None and end_ns is None:
            self._require_all(counts)

    def _learn(self, connection: Connection) -> None:
        """Take a type's definition from the bag where it is none of ROS's own."""
        if connection.msgtype in self._types.fielddefs:
            return
        definition = connection.msgdef
        if definition.format == MessageDefinitionFormat.NONE:
            raise ValueError("the bag does not define it, and it is none of ROS's own; record it as MCAP")
        is_msg = definition.format == MessageDefinitionFormat.MSG
        found = (
            get_types_from_msg(definition.data, connection.msgtype) if is_msg else get_types_from_idl(definition.data)
        )
        # rosbags turns definitions into code, so that nothing but plain names may come through.
        if not all(map(_PLAIN_NAME.fullmatch, _names_in(found))):
            raise ValueError("its definition holds a name that is no plain one")
        self._types.register({name: item for name, item in found.items() if name not in self._types.fielddefs})

    def _require_all(self, counts: Mapping[str, int]) -> None:
        for topic, count in counts.items():
            told = sum(connection.msgcount for connection in self._topics[topic])
            if count != told:
                problem = f"topic {topic!r}: {count} of {told} messages could be read"
                raise UnreadableFile(self.path, EXPECTED, problem, WAY_OUT)

    def _check_counts(self) -> None:
        """Compare what metadata.yaml promises with what the storage holds, so that a cut-off file is noticed."""
        storages = getattr(self._reader.storage, "storages", [self._reader.storage])
        for storage in storages:
            _check_sqlite(Path(storage.path))
        for topic, connections in self._topics.items():
            told = sum(connection.msgcount for connection in connections)
            held = sum(c.msgcount for storage in storages for c in storage.connections if c.topic == topic)
            if told != held:
                problem = f"topic {topic!r}: metadata.yaml tells {told} messages, the storage holds {held}"
                raise UnreadableFile(self.path, EXPECTED, problem, WAY_OUT)


def _names_in(types: Mapping[str, Any]) -> Iterator[str]:
    """List the names of types, constants and fields, and of the types they refer to."""
    for name, (constants, members) in types.items():
        yield name
        for constant, kind, _ in constants:
            yield from (constant, kind)
        for member, kind in members:
            yield member
            yield from _texts_in(kind)


def _texts_in(kind: Any) -> Iterator[str]:
    if isinstance(kind, str):
        yield kind
    elif isinstance(kind, tuple):
        for item in kind:
            yield from _texts_in(item)


@contextmanager
def open_bag(path: Path) -> Iterator[Bag]:
    """Open a bag for as long as the block lasts.

    Raises:
        UnreadableFile: it is damaged, or of a storage that is not known.
    """
    with _told(path, "opening it"):
        reader = Reader(path)
        reader.open()
    try:
        with _told(path, "opening it"):
            bag = Bag(path, reader)
        yield bag
    finally:
        reader.close()


def _check_sqlite(path: Path) -> None:
    """Refuse a database that lacks pages, which SQLite notices only when it needs them, or whose newest are apart."""
    wal = path.with_name(f"{path.name}-wal")
    if wal.exists() and wal.stat().st_size:
        raise UnreadableFile(wal, EXPECTED, "the recorder left messages here", "Run `ros2 bag reindex` on the bag.")
    with path.open("rb") as file:
        head = file.read(32)
    if not head.startswith(b"SQLite format 3\0"):
        return
    page_size, n_pages = int.from_bytes(head[16:18], "big"), int.from_bytes(head[28:32], "big")
    size, expected = path.stat().st_size, (65536 if page_size == 1 else page_size) * n_pages
    if size < expected:
        raise UnreadableFile(path, EXPECTED, f"it has {size} bytes of {expected}; it is cut off", WAY_OUT)


def _shipped_types(distro: str | None) -> Typestore:
    known: Sequence[str] = [store.value for store in Stores]
    return get_typestore(Stores(f"ros2_{distro}") if f"ros2_{distro}" in known else Stores.LATEST)


@contextmanager
def _told(path: Path, where: str) -> Iterator[None]:
    try:
        yield
    except _FAULTS as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise UnreadableFile(path, EXPECTED, f"{where}: {said}", WAY_OUT) from error
