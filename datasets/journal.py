"""The journal of an open episode: one framed row a step, so that a killed recorder loses nothing that was a whole row.

    frame    length u32 | CRC-32 u32 of (length, frame number, payload) | payload
    payload  "H" + JSON   first: contract hash, description, width of the commands or -1
             "R" + bytes  one step: the contract's record, then the commands as float64
             "S" + JSON   last, once a commit began: the episode's index and final description

Rows reach the system at once and the disk within `SYNC_S`: a kill loses no row, a power cut at most `SYNC_S` of rows.
"""

import json
import os
import struct
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.contract import Contract
from ashore.datasets.durable import storing, sync_folder, write_all
from ashore.datasets.episode import Episode, EpisodeMeta
from ashore.datasets.errors import DamagedFile

Array = NDArray[Any]
SCHEMA_VERSION = 1
SYNC_S = 0.25
"""Longest time between two waits for the disk while rows arrive."""
MAGIC = b"ashore-journal-1\n"
_FRAME = struct.Struct("<II")


@dataclass(frozen=True)
class Seal:
    """The note that a commit began."""

    episode_index: int
    meta: EpisodeMeta


@dataclass(frozen=True)
class JournalContent:
    """What a journal holds, up to its last whole frame."""

    meta: EpisodeMeta
    rows: Array
    """(T,) records of the contract, see record_dtype."""
    commands: Array | None
    seal: Seal | None
    torn_bytes: int
    """Bytes after the last whole frame."""

    def episode(self, contract: Contract, meta: EpisodeMeta) -> Episode:
        """Make the episode of these rows.

        Raises:
            InvalidSample: there is no row.
        """
        return Episode(
            contract=contract,
            observations={f.name: self.rows[f"observations/{f.name}"] for f in contract.observations},
            actions={f.name: self.rows[f"actions/{f.name}"] for f in contract.actions},
            time_s=self.rows["time_s"],
            meta=meta,
            commands=self.commands,
        )


def record_dtype(contract: Contract) -> np.dtype[Any]:
    """The packed little-endian record of one step: time_s, observations/NAME, actions/NAME."""
    layout: list[tuple[str, str] | tuple[str, np.dtype[Any], tuple[int, ...]]] = [("time_s", "<f8")]
    for group, features in (("observations", contract.observations), ("actions", contract.actions)):
        layout += [(f"{group}/{f.name}", np.dtype(f.dtype).newbyteorder("<"), f.shape) for f in features]
    return np.dtype(layout)


class Journal:
    """An open journal, for writing; used by one thread."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.path = path
        self._clock = clock
        self._n_frames = 0
        with storing(path, "begin a journal"):
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            write_all(self._descriptor, MAGIC)
        self._end = len(MAGIC)
        self._synced_s = clock()

    def begin(self, contract_sha256: str, meta: EpisodeMeta, command_width: int) -> None:
        """Write the header; command_width is -1 where no commands are recorded."""
        self._append_json(
            b"H",
            {
                "schema_version": SCHEMA_VERSION,
                "contract_sha256": contract_sha256,
                "meta": meta.to_plain(),
                "command_width": command_width,
            },
        )
        self._sync()
        with storing(self.path, "begin a journal"):
            sync_folder(self.path.parent)

    def add(self, row: bytes) -> None:
        """Append one step.

        Raises:
            StorageFailed: the disk refused; the journal still ends in its last whole row.
        """
        self._append(b"R" + row)
        if self._clock() - self._synced_s >= SYNC_S:
            self._sync()

    def seal(self, seal: Seal) -> None:
        """Note that the commit begins, and wait for the disk."""
        self._append_json(b"S", {"episode_index": seal.episode_index, "meta": seal.meta.to_plain()})
        self._sync()

    def close(self) -> None:
        """Close the file and leave it where it is."""
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
            os.fsync(self._descriptor)
        self._synced_s = self._clock()


def read_journal(path: Path, contract: Contract, contract_sha256: str) -> JournalContent | None:
    """Read a journal up to its last whole frame; None where not even the header was whole.

    Raises:
        DamagedFile: it belongs to another contract or a later schema.
    """
    with storing(path, "read a journal"):
        data = path.read_bytes()
    payloads, end = _whole_frames(data)
    if not payloads or payloads[0][:1] != b"H":
        return None
    head = json.loads(payloads[0][1:])
    if head["schema_version"] != SCHEMA_VERSION or head["contract_sha256"] != contract_sha256:
        raise DamagedFile(path, "it was written with another contract or another schema version")
    records, commands = _rows(payloads[1:], record_dtype(contract), head["command_width"])
    return JournalContent(
        meta=EpisodeMeta.from_plain(head["meta"]),
        rows=records,
        commands=commands,
        seal=_last_seal(payloads),
        torn_bytes=len(data) - end,
    )


def _framed(payload: bytes, number: int) -> bytes:
    return _FRAME.pack(len(payload), _checksum(payload, number)) + payload


def _checksum(payload: bytes, number: int) -> int:
    return crc32(payload, crc32(struct.pack("<IQ", len(payload), number)))


def _whole_frames(data: bytes) -> tuple[list[bytes], int]:
    payloads: list[bytes] = []
    if not data.startswith(MAGIC):
        return payloads, 0
    end = len(MAGIC)
    while end + _FRAME.size <= len(data):
        length, checksum = _FRAME.unpack_from(data, end)
        payload = data[end + _FRAME.size : end + _FRAME.size + length]
        if len(payload) != length or _checksum(payload, len(payloads)) != checksum:
            break
        payloads.append(payload)
        end += _FRAME.size + length
    return payloads, end


def _rows(payloads: list[bytes], dtype: np.dtype[Any], command_width: int) -> tuple[Array, Array | None]:
    rows = [payload[1:] for payload in payloads if payload[:1] == b"R"]
    width = max(command_width, 0)
    layout = np.dtype([("record", dtype), ("commands", "<f8", (width,))])
    table = np.frombuffer(b"".join(rows), layout)
    return table["record"], (table["commands"] if command_width >= 0 else None)


def _last_seal(payloads: list[bytes]) -> Seal | None:
    if payloads[-1][:1] != b"S":
        return None
    raw = json.loads(payloads[-1][1:])
    return Seal(raw["episode_index"], EpisodeMeta.from_plain(raw["meta"]))
