r"""The binary log that a Crazyflie writes to its uSD card: a header that names variables, blocks of events, a checksum.

    0xBC | u16 version | u16 number of event types
    event type:  u16 id | name\0 | u16 number of variables | "variable(type)\0" each
    event block: u16 id | time, u32 ms in version 1, u64 us in version 2 | values, packed
    u32 CRC-32 of all bytes before it

All little-endian. Source: Bitcraze's description of the uSD-card deck and its log format.
"""

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.errors import UnreadableFile, quoted

MAGIC = 0xBC
TYPES = {
    "B": "u1",
    "b": "i1",
    "H": "<u2",
    "h": "<i2",
    "I": "<u4",
    "i": "<i4",
    "q": "<i8",
    "e": "<f2",
    "f": "<f4",
    "d": "<f8",
}
"""{type code of the log: numpy's}."""
CLOCKS = {1: ("<u4", 1e3), 2: ("<u8", 1e6)}
"""{version: (type of the time, ticks a second)}."""
EXPECTED = "a Crazyflie uSD-card log, version 1 or 2"
WAY_OUT = "Copy it from the card again."


@dataclass(frozen=True)
class EventType:
    """What one sort of block holds."""

    id: int
    name: str
    variables: tuple[str, ...]
    record: np.dtype[Any]
    """Of the whole block: id, time, then one field a variable."""


@dataclass(frozen=True)
class UsdLog:
    """A log in memory."""

    path: Path
    version: int
    types: tuple[EventType, ...]
    blocks: Mapping[str, NDArray[Any]]
    """{event's name: (S,) records of id, time and its variables}."""

    def time_s(self, event: str, zero: int = 0) -> NDArray[np.float64]:
        """When each block of an event was written (S,), s after the tick `zero`."""
        ticks = self.blocks[event]["time"]
        return np.asarray((ticks - ticks.dtype.type(zero)) / CLOCKS[self.version][1], dtype=np.float64)


def read_usd_log(path: Path) -> UsdLog:
    """Read and check a whole log.

    Raises:
        UnreadableFile: missing, truncated, damaged, or of an unknown version or type; names the offset.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UnreadableFile(path, EXPECTED, error.strerror or str(error), "Check the path.") from error
    version, types, begin = _read_header(path, data)
    stored, computed = int.from_bytes(data[-4:], "little"), zlib.crc32(memoryview(data)[:-4])
    if stored != computed:
        problem = f"the CRC-32 at offset {len(data) - 4} is {stored:#010x}, that of the bytes is {computed:#010x}"
        raise UnreadableFile(path, EXPECTED, f"{problem}; it is truncated or damaged", WAY_OUT)
    return UsdLog(path, version, types, _read_blocks(path, data, types, begin))


def _read_header(path: Path, data: bytes) -> tuple[int, tuple[EventType, ...], int]:
    if len(data) < 9:
        raise UnreadableFile(path, EXPECTED, f"it ends at offset {len(data)}, within the header", WAY_OUT)
    magic, version, n_types = struct.unpack_from("<BHH", data)
    if magic != MAGIC:
        raise UnreadableFile(path, EXPECTED, f"offset 0 holds {magic:#04x}, not {MAGIC:#04x}", "Name a uSD-card log.")
    if version not in CLOCKS:
        raise UnreadableFile(path, EXPECTED, f"offset 1 tells version {version}", "Update Ashore, or the firmware.")
    types, offset = [], 5
    for _ in range(n_types):
        event, offset = _read_type(path, data, offset, CLOCKS[version][0])
        types.append(event)
    for label, values in (("id", [event.id for event in types]), ("name", [event.name for event in types])):
        if len(set(values)) < n_types:
            raise UnreadableFile(path, EXPECTED, f"two event types have one {label}: {values}", WAY_OUT)
    return version, tuple(types), offset


def _read_type(path: Path, data: bytes, offset: int, clock: str) -> tuple[EventType, int]:
    event_id, offset = _u16(path, data, offset)
    name, offset = _text(path, data, offset)
    count, offset = _u16(path, data, offset)
    fields = [("id", "<u2"), ("time", clock)]
    variables = []
    for _ in range(count):
        at = offset
        text, offset = _text(path, data, offset)
        variable, code = text[:-3], text[-2:-1]
        if text[-3:] != f"({code})" or code not in TYPES:
            problem = f"event {name!r} has {text!r} at offset {at}; types: {quoted(TYPES)}"
            raise UnreadableFile(path, EXPECTED, problem, WAY_OUT)
        variables.append(variable)
        fields.append((f"v {variable}", TYPES[code]))
    if len(set(variables)) < count:
        raise UnreadableFile(path, EXPECTED, f"event {name!r} before offset {offset} has a variable twice", WAY_OUT)
    return EventType(event_id, name, tuple(variables), np.dtype(fields)), offset


def _read_blocks(path: Path, data: bytes, types: tuple[EventType, ...], begin: int) -> dict[str, NDArray[Any]]:
    """Walk the blocks, whose sizes differ by their sort."""
    sizes = {event.id: event.record.itemsize for event in types}
    parts: dict[int, list[memoryview]] = {event.id: [] for event in types}
    view, offset, end = memoryview(data), begin, len(data) - 4
    while offset < end:
        event_id = int.from_bytes(view[offset : min(offset + 2, end)], "little")
        size = sizes.get(event_id)
        if size is None:
            problem = f"offset {offset} begins a block of event {event_id}, which the header does not name"
            raise UnreadableFile(path, EXPECTED, problem, WAY_OUT)
        if offset + size > end:
            problem = f"the block at offset {offset} needs {size} bytes, but {end - offset} are left"
            raise UnreadableFile(path, EXPECTED, problem, WAY_OUT)
        parts[event_id].append(view[offset : offset + size])
        offset += size
    return {event.name: np.frombuffer(b"".join(parts[event.id]), event.record) for event in types}


def _u16(path: Path, data: bytes, offset: int) -> tuple[int, int]:
    if offset + 2 > len(data) - 4:
        raise UnreadableFile(path, EXPECTED, f"the header is cut off at offset {offset}", WAY_OUT)
    return int.from_bytes(data[offset : offset + 2], "little"), offset + 2


def _text(path: Path, data: bytes, offset: int) -> tuple[str, int]:
    end = data.find(b"\0", offset, len(data) - 4)
    if end < 0:
        raise UnreadableFile(path, EXPECTED, f"the header is cut off at offset {offset}", WAY_OUT)
    raw = data[offset:end]
    if not raw.isascii():
        raise UnreadableFile(path, EXPECTED, f"the name at offset {offset} is not ASCII", WAY_OUT)
    return raw.decode("ascii"), end + 1
