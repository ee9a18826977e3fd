"""The journal of one open episode: an append-only file of frames, read up to the last whole one.

file   MAGIC frame frame ...
frame  length (uint32), CRC-32 of its number, length and payload (uint32), payload (bytes)
payload      "H" + JSON   first: schema version, contract's SHA-256, description, width of the commands or -1, and the
                          optional features that this episode lacks
             "R" + bytes  one step: its record, the commands as float64, then per picture its length (uint32) and bytes
             "T" + bytes  one sample of a stream: its number (uint16), capture and receive time (float64), its bytes
             "S" + JSON   last, once a commit began: the episode's index and final description

Rows reach the system at once and the disk within `SYNC_S`: a kill loses no row, a power cut at most `SYNC_S` of rows
and the time that the disk takes to write them.
"""

import json
import os
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.contract import Contract, Feature, ImageFeature
from ashore.datasets.durable import storing, sync_folder, write_all
from ashore.datasets.episode import Episode, EpisodeMeta
from ashore.datasets.errors import DamagedFile
from ashore.datasets.images import Frames
from ashore.datasets.streams import Stream
from ashore.datasets.syncing import Syncer

Array = NDArray[Any]
SCHEMA_VERSIONS = (1, 2)
"""Those that are read; the contract's decides which is written."""
SYNC_S = 0.25
"""Longest time between two waits for the disk while rows arrive."""
MAGIC = b"ashore-journal-1\n"
_FRAME = struct.Struct("<II")
_SAMPLE = struct.Struct("<Hdd")
_LENGTH = struct.Struct("<I")


@dataclass(frozen=True)
class Seal:
    """The note that a commit began."""

    episode_index: int
    meta: EpisodeMeta


@dataclass(frozen=True)
class Form:
    """What the rows and samples of one journal consist of."""

    record: np.dtype[Any]
    """The packed little-endian record of one step: time_s, observations/NAME, actions/NAME."""
    images: tuple[ImageFeature, ...]
    """Pictures that come with each step."""
    streams: tuple[Feature | ImageFeature, ...]
    """Features whose samples come at their own rate, in the order that numbers them."""

    @classmethod
    def of(cls, contract: Contract, absent: Sequence[str] = ()) -> "Form":
        """Lay out the journal of an episode that lacks some optional features."""
        layout: list[tuple[str, str] | tuple[str, np.dtype[Any], tuple[int, ...]]] = [("time_s", "<f8")]
        for group, features in (("observations", contract.observations), ("actions", contract.actions)):
            layout += [
                (f"{group}/{f.name}", np.dtype(f.dtype).newbyteorder("<"), f.shape)
                for f in features
                if f.align is None and f.name not in absent
            ]
        return cls(
            record=np.dtype(layout),
            images=tuple(f for f in contract.images if f.align is None and f.name not in absent),
            streams=tuple(f for f in contract.features if f.align is not None),
        )


@dataclass(frozen=True)
class JournalContent:
    """What a journal holds, up to its last whole frame."""

    meta: EpisodeMeta
    rows: Array
    """(T,) records, see Form."""
    commands: Array | None
    seal: Seal | None
    torn_bytes: int
    """Bytes after the last whole frame."""
    images: Mapping[str, Frames] = field(default_factory=dict)
    streams: Mapping[str, Stream] = field(default_factory=dict)

    def episode(self, contract: Contract, meta: EpisodeMeta) -> Episode:
        """Make the episode of these rows.

        Raises:
            InvalidSample: there is no row.
        """
        names = self.rows.dtype.names or ()
        return Episode(
            contract=contract,
            observations={name.partition("/")[2]: self.rows[name] for name in names if name[:4] == "obse"},
            actions={name.partition("/")[2]: self.rows[name] for name in names if name[:4] == "acti"},
            time_s=self.rows["time_s"],
            meta=meta,
            commands=self.commands,
            images=self.images,
            streams=self.streams,
        )


class Journal:
    """An open journal, for writing; used by one thread."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.path = path
        self._clock = clock
        self._n_frames = 0
        with storing(path, "begin a journal"):
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            write_all(self._descriptor, MAGIC)
        self._syncer = Syncer(self._descriptor)
        self._end = len(MAGIC)
        self._synced_s = clock()

    def begin(self, contract: Contract, contract_sha256: str, meta: EpisodeMeta, shape: tuple[int, list[str]]) -> None:
        """Write the header.

        Args:
            contract: decides the schema version.
            contract_sha256: of its JSON in the store.
            meta: the description so far.
            shape: width of the commands, -1 where none are recorded, and the optional features that are absent.
        """
        command_width, absent = shape
        header = {
            "schema_version": contract.schema_version,
            "contract_sha256": contract_sha256,
            "meta": meta.to_plain(),
            "command_width": command_width,
        }
        self._append_json(b"H", header | ({"absent": absent} if contract.schema_version > 1 else {}))
        self._sync()
        with storing(self.path, "begin a journal"):
            sync_folder(self.path.parent)

    def add(self, row: bytes, images: Sequence[bytes] = ()) -> None:
        """Append one step: its record and commands, and its pictures as the form orders them.

        Raises:
            StorageFailed: the disk refused; the journal still ends in its last whole frame.
        """
        self._append(b"".join([b"R", row, *(_LENGTH.pack(len(image)) + image for image in images)]))
        self._sync_in_time()

    def add_sample(self, number: int, capture_s: float, receive_s: float, value: bytes) -> None:
        """Append one sample of the stream that the form numbers so.

        Raises:
            StorageFailed: the disk refused; the journal still ends in its last whole frame.
        """
        self._append(b"T" + _SAMPLE.pack(number, capture_s, receive_s) + value)
        self._sync_in_time()

    def seal(self, seal: Seal) -> None:
        """Note that the commit begins, and wait for the disk."""
        self._append_json(b"S", {"episode_index": seal.episode_index, "meta": seal.meta.to_plain()})
        self._sync()

    def close(self) -> None:
        """Close the file and leave it where it is."""
        self._syncer.close()
        os.close(self._descriptor)

    def _append_json(self, kind: bytes, document: Mapping[str, Any]) -> None:
        self._append(kind + json.dumps(document, allow_nan=False, sort_keys=True).encode())

    def _append(self, payload: bytes) -> None:
        with storing(self.path, "write a journal"):
            try:
                write_all(self._descriptor, _framed(payload, self._n_frames))
            except OSError:
                os.ftruncate(self._descriptor, self._end)
                os.lseek(self._descriptor, self._end, os.SEEK_SET)
                raise
        self._n_frames += 1
        self._end += _FRAME.size + len(payload)

    def _sync(self) -> None:
        with storing(self.path, "write a journal"):
            self._syncer.finish()
        self._synced_s = self._clock()

    def _sync_in_time(self) -> None:
        now_s = self._clock()
        if now_s - self._synced_s >= SYNC_S:
            with storing(self.path, "write a journal"):
                self._syncer.begin()
            self._synced_s = now_s


def read_journal(path: Path, contract: Contract, contract_sha256: str) -> JournalContent | None:
    """Read a journal up to its last whole frame; None where not even the header was whole.

    Raises:
        DamagedFile: it belongs to another contract or a later schema.
    """
    with storing(path, "read a journal"):
        data = path.read_bytes()
    payloads, end = _whole_frames(data)
    if not payloads or payloads[0][0] != ord("H"):
        return None
    head = json.loads(bytes(payloads[0][1:]))
    if head["schema_version"] not in SCHEMA_VERSIONS or head["contract_sha256"] != contract_sha256:
        raise DamagedFile(path, "it was written with another contract or another schema version")
    form = Form.of(contract, head.get("absent", ()))
    records, commands, images = _rows(payloads[1:], form, head["command_width"])
    return JournalContent(
        meta=EpisodeMeta.from_plain(head["meta"]),
        rows=records,
        commands=commands,
        seal=_last_seal(payloads),
        torn_bytes=len(data) - end,
        images=images,
        streams=_streams(payloads[1:], form),
    )


def _framed(payload: bytes, number: int) -> bytes:
    return _FRAME.pack(len(payload), _checksum(payload, number)) + payload


def _checksum(payload: bytes | memoryview, number: int) -> int:
    return crc32(payload, crc32(struct.pack("<IQ", len(payload), number)))


def _whole_frames(data: bytes) -> tuple[list[memoryview], int]:
    payloads: list[memoryview] = []
    if not data.startswith(MAGIC):
        return payloads, 0
    view, end = memoryview(data), len(MAGIC)
    while end + _FRAME.size <= len(data):
        length, checksum = _FRAME.unpack_from(data, end)
        payload = view[end + _FRAME.size : end + _FRAME.size + length]
        if len(payload) != length or _checksum(payload, len(payloads)) != checksum:
            break
        payloads.append(payload)
        end += _FRAME.size + length
    return payloads, end


def _rows(payloads: list[memoryview], form: Form, command_width: int) -> tuple[Array, Array | None, dict[str, Frames]]:
    layout = np.dtype([("record", form.record), ("commands", "<f8", (max(command_width, 0),))])
    rows = [payload[1:] for payload in payloads if payload[0] == ord("R")]
    table = np.frombuffer(b"".join(row[: layout.itemsize] for row in rows), layout)
    parts: dict[str, list[memoryview]] = {feature.name: [] for feature in form.images}
    for row in rows:
        place = layout.itemsize
        for name in parts:
            (length,) = _LENGTH.unpack_from(row, place)
            parts[name].append(row[place + _LENGTH.size : place + _LENGTH.size + length])
            place += _LENGTH.size + length
    images = {feature.name: Frames.of_encoded(feature, parts[feature.name]) for feature in form.images}
    return table["record"], (table["commands"] if command_width >= 0 else None), images


def _streams(payloads: list[memoryview], form: Form) -> dict[str, Stream]:
    samples: list[list[tuple[float, float, memoryview]]] = [[] for _ in form.streams]
    for payload in payloads:
        if payload[0] == ord("T"):
            number, capture_s, receive_s = _SAMPLE.unpack_from(payload, 1)
            samples[number].append((capture_s, receive_s, payload[1 + _SAMPLE.size :]))
    found = {}
    for feature, heard in zip(form.streams, samples, strict=True):
        if heard:
            parts = [part for _, _, part in heard]
            times_s = np.array([sample[:2] for sample in heard])
            found[feature.name] = Stream(_stream_values(feature, parts), times_s[:, 0], times_s[:, 1])
    return found


def _stream_values(feature: Feature | ImageFeature, parts: list[memoryview]) -> Array | Frames:
    if isinstance(feature, ImageFeature):
        return Frames.of_encoded(feature, parts)
    dtype = np.dtype(feature.dtype).newbyteorder("<")
    return np.frombuffer(b"".join(parts), dtype).reshape(len(parts), *feature.shape)


def _last_seal(payloads: list[memoryview]) -> Seal | None:
    if payloads[-1][0] != ord("S"):
        return None
    raw = json.loads(bytes(payloads[-1][1:]))
    return Seal(raw["episode_index"], EpisodeMeta.from_plain(raw["meta"]))
