"""Pictures of a camera, frame by frame in their codec, decoded when they are asked for.

OpenCV encodes and decodes; it lets go of Python's lock meanwhile, so that threads decode side by side.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.errors import DamagedFile, InvalidSample
from ashore.datasets.features import ImageFeature

Array = NDArray[Any]
START_OF_FRAME = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
"""Markers of a JPEG's frame header, one a coding process."""
PNG_LEVEL = 1
"""zlib level: higher ones take several times as long for a few per cent. Likewise one filter for all rows, the row
above: trying all five on each row, as OpenCV does by default, takes 2.5 times as long on small pictures."""


def encode(feature: ImageFeature, frame: Array) -> bytes:
    """Encode one frame, shape and dtype as the feature says.

    Raises:
        InvalidSample: shape or dtype differ.
    """
    frame = np.asarray(frame)
    if frame.shape != feature.shape or frame.dtype != np.dtype(feature.dtype):
        given, expected = f"{frame.shape} of {frame.dtype}", f"{feature.shape} of {feature.dtype}"
        raise InvalidSample("a frame", [f"{feature.name}: {given}, expected {expected}"])
    if feature.codec == "raw":
        return np.ascontiguousarray(frame, np.dtype(feature.dtype).newbyteorder("<")).tobytes()
    import cv2

    options = [cv2.IMWRITE_PNG_COMPRESSION, PNG_LEVEL, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP]
    if feature.codec == "jpeg":
        options = [cv2.IMWRITE_JPEG_QUALITY, feature.quality or 95]
    if feature.colour == "rgb":
        frame = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
    return bytes(cv2.imencode(f".{feature.codec}", frame, options)[1])


def decode(feature: ImageFeature, data: bytes | memoryview, where: Path | str = "a frame") -> Array:
    """Decode one frame to the feature's shape and dtype.

    Raises:
        DamagedFile: the bytes are no such frame.
    """
    dtype = np.dtype(feature.dtype)
    if feature.codec == "raw":
        if len(data) != feature.size * dtype.itemsize:
            raise DamagedFile(where, f"a raw frame of {feature.name} has {len(data)} bytes")
        return np.frombuffer(data, dtype.newbyteorder("<")).reshape(feature.shape)
    import cv2

    _require_size(feature, data, where)
    try:
        frame = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise DamagedFile(where, f"a frame of {feature.name} is no picture ({error.err})") from error
    if frame is None or frame.shape != feature.shape or frame.dtype != dtype:
        found = "no picture" if frame is None else f"{frame.shape} of {frame.dtype}"
        raise DamagedFile(where, f"a frame of {feature.name} is {found}, expected {feature.shape} of {dtype}")
    return cv2.cvtColor(frame, cv2.COLOR_BGR2RGB) if feature.colour == "rgb" else np.asarray(frame)


def _require_size(feature: ImageFeature, data: bytes | memoryview, where: Path | str) -> None:
    """Refuse another codec than the feature's, and a header that tells another size, before pixels take memory.

    OpenCV decodes whatever the bytes begin like: a small PNG of a billion pixels would do for a JPEG.
    """
    size = _png_size(data) if feature.codec == "png" else _jpeg_size(data)
    if size != feature.shape[:2]:
        raise DamagedFile(where, f"a frame of {feature.name} is no {feature.codec.upper()} of {feature.shape[:2]}")


def _png_size(data: bytes | memoryview) -> tuple[int, int] | None:
    """Height and width in the header of a PNG; None where it is none."""
    if bytes(data[:8]) != b"\x89PNG\r\n\x1a\n":
        return None
    return int.from_bytes(data[20:24], "big"), int.from_bytes(data[16:20], "big")


def _jpeg_size(data: bytes | memoryview) -> tuple[int, int] | None:
    """Height and width in the frame header of a JPEG (ITU-T T.81, B.2.2); None where there is none."""
    if bytes(data[:2]) != b"\xff\xd8":
        return None
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker in START_OF_FRAME:
            return int.from_bytes(data[at + 5 : at + 7], "big"), int.from_bytes(data[at + 7 : at + 9], "big")
        if marker == 0xFF:  # A fill byte.
            at += 1
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


@dataclass(frozen=True)
class FileBytes:
    """A stretch of a file, read when asked, so that compressed frames take no memory."""

    path: Path
    offset: int

    def read(self, start: int, end: int) -> bytes:
        """Read the bytes [start, end) of the stretch."""
        descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.pread(descriptor, end - start, self.offset + start)
        finally:
            os.close(descriptor)


@dataclass(frozen=True)
class HeldBytes:
    """Bytes in memory."""

    data: bytes | memoryview

    def read(self, start: int, end: int) -> bytes | memoryview:
        """Take the bytes [start, end)."""
        return self.data[start:end]


@dataclass(frozen=True, eq=False)
class Frames:
    """Frames of one camera in order, encoded; a frame may be shown by several entries and is stored once."""

    feature: ImageFeature
    source: HeldBytes | FileBytes
    ends: NDArray[np.int64]
    """(S,) one past the last byte of each stored frame."""
    index: NDArray[np.int64]
    """(T,) which stored frame each entry shows."""

    @classmethod
    def of(cls, feature: ImageFeature, frames: Iterable[Array]) -> Self:
        """Encode frames, each (*shape), one after the other.

        Raises:
            InvalidSample: a frame's shape or dtype differs from the feature's.
        """
        return cls.of_encoded(feature, [encode(feature, frame) for frame in frames])

    @classmethod
    def of_encoded(cls, feature: ImageFeature, parts: Sequence[bytes | memoryview]) -> Self:
        """Join frames that are encoded already."""
        ends = np.cumsum([len(part) for part in parts], dtype=np.int64)
        return cls(feature, HeldBytes(b"".join(parts)), ends, np.arange(len(parts)))

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, entry: int) -> Array:
        """Decode one entry (*shape)."""
        return decode(self.feature, self.encoded(entry), self._where())

    def __iter__(self) -> Iterator[Array]:
        return (self[entry] for entry in range(len(self)))

    @property
    def shape(self) -> tuple[int, ...]:
        """(T, *shape), as if decoded."""
        return (len(self), *self.feature.shape)

    @property
    def decoded_bytes(self) -> int:
        """Bytes that all entries take when decoded."""
        return prod(self.shape) * np.dtype(self.feature.dtype).itemsize

    def encoded(self, entry: int) -> bytes | memoryview:
        """Give one entry as it is stored."""
        stored = int(self.index[entry])
        start = int(self.ends[stored - 1]) if stored else 0
        return self.source.read(start, int(self.ends[stored]))

    def stack(self) -> Array:
        """Decode all entries (T, *shape)."""
        out = np.empty(self.shape, self.feature.dtype)
        for entry in range(len(self)):
            out[entry] = self[entry]
        return out

    def take(self, entries: Array) -> Self:
        """Show other entries of these frames, any number of times each; nothing is copied."""
        return replace(self, index=self.index[entries])

    def check(self) -> None:
        """Decode every frame once.

        Raises:
            DamagedFile: one is no frame of this feature.
        """
        for _ in self:
            pass

    def _where(self) -> Path | str:
        return self.source.path if isinstance(self.source, FileBytes) else "a frame"
