"""Arrays of a Zarr v2 group in a folder or a zip, read a few chunks at a time and believed in nothing.

A Zarr library fills a missing chunk with zeros, runs whichever codec the file names and follows every link; here a hole
is an error, the codecs are few, and sizes are compared with what was declared before memory is taken.
Format: Zarr storage specification, version 2.
"""

import errno
import itertools
import json
import os
import re
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import prod
from pathlib import Path, PurePosixPath
from typing import Any, Protocol, Self

import numpy as np
from numcodecs import blosc, lz4, zstd
from numpy.typing import NDArray

from ashore.datasets.errors import UnreadableFile, quoted
from ashore.datasets.features import DTYPES

Array = NDArray[Any]
CODECS = ("blosc", "zstd", "lz4", "zlib", "gzip")
CHUNK_LIMIT = 1 << 30
"""Bytes of a decoded chunk, or of a row of chunks, above which a file is taken for a bomb."""
_METADATA_LIMIT = 1 << 20
_DTYPE = re.compile(r"[<>|=][biuf][1248]")


class Files(Protocol):
    """Named bytes of a group."""

    def read(self, name: str, limit: int) -> bytes:
        """Read one entry of at most `limit` bytes.

        Raises:
            FileNotFoundError: there is none.
            ValueError: it is larger, or no plain file.
        """

    def has(self, name: str) -> bool:
        """Tell whether there is such an entry."""

    def children(self, name: str) -> list[str]:
        """List what lies in a folder, sorted; empty where there is no such folder."""

    def close(self) -> None:
        """Let go of open files."""


@dataclass(frozen=True)
class Folder:
    """A group in a folder; links inside it are refused, as they may lead anywhere."""

    root: Path
    known: set[Path] = field(default_factory=set)
    """Folders that were seen to be no links."""

    def read(self, name: str, limit: int) -> bytes:
        """Read a file, of at most `limit` bytes."""
        path = self.root / name
        if path.parent not in self.known:
            self._require_no_links(path.parent)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise ValueError(f"{name} is a link") from error
            raise
        with os.fdopen(descriptor, "rb") as file:
            return _limited(file.read(limit + 1), name, limit)

    def _require_no_links(self, folder: Path) -> None:
        for part in (folder, *folder.parents):
            if part == self.root:
                break
            if part.is_symlink():
                raise ValueError(f"{part.relative_to(self.root)} is a link")
        self.known.add(folder)

    def has(self, name: str) -> bool:
        """Tell whether there is such a file."""
        return (self.root / name).is_file()

    def children(self, name: str) -> list[str]:
        """List what lies in a folder."""
        folder = self.root / name
        return sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []

    def close(self) -> None:
        """Do nothing: no file is kept open."""


@dataclass(frozen=True)
class Zip:
    """A group in a zip file, at its root or one folder down; entries are read, never extracted."""

    file: zipfile.ZipFile
    prefix: str
    names: frozenset[str]

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a zip whose entries are all plain files below its root.

        Raises:
            ValueError: an entry leads outside, is a link, is encrypted or comes twice.
            zipfile.BadZipFile: it is no zip, or a truncated one.
        """
        file = zipfile.ZipFile(path)
        entries = [entry for entry in file.infolist() if not entry.is_dir()]
        for entry in entries:
            _require_plain(entry)
        names = frozenset(entry.filename for entry in entries)
        if len(names) != len(entries):
            raise ValueError("an entry's name comes twice")
        found = sorted(name for name in names if PurePosixPath(name).match("meta/episode_ends/.zarray"))
        prefix = found[0].removesuffix("meta/episode_ends/.zarray") if found else ""
        return cls(file, prefix, names)

    def read(self, name: str, limit: int) -> bytes:
        """Read an entry, of at most `limit` bytes."""
        if not self.has(name):
            raise FileNotFoundError(2, "missing", name)
        entry = self.file.getinfo(self.prefix + name)
        if entry.file_size > limit:
            raise ValueError(f"{name} has {entry.file_size} bytes, expected at most {limit}")
        return self.file.read(entry)

    def has(self, name: str) -> bool:
        """Tell whether there is such an entry."""
        return self.prefix + name in self.names

    def children(self, name: str) -> list[str]:
        """List what lies in a folder."""
        folder = f"{self.prefix}{name}/"
        return sorted({entry[len(folder) :].split("/")[0] for entry in self.names if entry.startswith(folder)})

    def close(self) -> None:
        """Close the zip."""
        self.file.close()


def _require_plain(entry: zipfile.ZipInfo) -> None:
    path = PurePosixPath(entry.filename)
    if path.is_absolute() or ".." in path.parts or "\\" in entry.filename or ":" in entry.filename:
        raise ValueError(f"the entry {entry.filename!r} leads out of the zip")
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise ValueError(f"the entry {entry.filename!r} is a link")
    if entry.flag_bits & 1:
        raise ValueError(f"the entry {entry.filename!r} is encrypted")


def _limited(data: bytes, name: str, limit: int) -> bytes:
    if len(data) > limit:
        raise ValueError(f"{name} has more than the {limit} bytes expected")
    return data


_FAULTS = (OSError, ValueError, KeyError, TypeError, RuntimeError, RecursionError, zipfile.BadZipFile, zlib.error)
"""What reading bytes of others may raise, here or in a codec; NotImplementedError of zipfile is a RuntimeError."""


@dataclass(frozen=True)
class Group:
    """A Zarr v2 group; its errors name file, key and what was expected."""

    source: Path
    files: Files
    expected: str
    way_out: str

    @classmethod
    def open(cls, source: Path, expected: str, way_out: str) -> Self:
        """Open a folder or a .zip.

        Raises:
            UnreadableFile: neither of the two, or a hostile zip.
        """
        if not source.is_file():
            return cls(source, Folder(source), expected, way_out)
        try:
            return cls(source, Zip.open(source), expected, way_out)
        except _FAULTS as error:
            raise UnreadableFile(source, expected, str(error), way_out) from error

    def attributes(self) -> dict[str, Any]:
        """Read the group's own attributes; empty where it has none."""
        if not self.files.has(".zattrs"):
            return {}
        try:
            attributes = json.loads(self.files.read(".zattrs", _METADATA_LIMIT))
        except _FAULTS as error:
            raise self.unreadable(".zattrs", str(error)) from error
        return attributes if isinstance(attributes, dict) else {}

    def array(self, key: str) -> "ZarrArray":
        """Open an array, once its description is sound and all of its chunks are there.

        Raises:
            UnreadableFile: no array, one of a dtype or codec that is not allowed, or one with a hole.
        """
        try:
            metadata = json.loads(self.files.read(f"{key}/.zarray", _METADATA_LIMIT))
            array = _array(self, key, metadata)
            for place in array.places():
                if not self.files.has(f"{key}/{array.chunk_name(place)}"):
                    raise ValueError(
                        f"chunk {array.chunk_name(place)} (from row {place[0] * array.chunks[0]}) is missing"
                    )
        except FileNotFoundError as error:
            raise self.unreadable(key, ".zarray is missing") from error
        except _FAULTS as error:
            raise self.unreadable(key, str(error)) from error
        return array

    def unreadable(self, key: str, problem: str) -> UnreadableFile:
        """Make the error that names file and key."""
        return UnreadableFile(self.source, self.expected, f"{key}: {problem}", self.way_out)


@dataclass
class ZarrArray:
    """One array, decoded a row of chunks (a band) at a time; the newest band is kept."""

    group: Group
    key: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunks: tuple[int, ...]
    codec: str | None
    order: Any
    separator: str
    check: Callable[[Array, int], Array] = field(default=lambda band, first_row: band)
    """Called with each decoded band and its first row; gives what is handed on."""
    _newest: tuple[int, Array] | None = None

    def places(self) -> Iterator[tuple[int, ...]]:
        """Give the grid place of each chunk, rows first."""
        grid = [-(-side // chunk) for side, chunk in zip(self.shape, self.chunks, strict=True)]
        for number in range(prod(grid)):  # Lazily, as a hostile shape may declare any number of chunks.
            place: tuple[int, ...] = ()
            for n_places in reversed(grid):
                number, at = divmod(number, n_places)
                place = (at, *place)
            yield place

    def chunk_name(self, place: tuple[int, ...]) -> str:
        """Name the file of a chunk."""
        return self.separator.join(map(str, place))

    def pieces(self, begin: int, end: int) -> Iterator[Array]:
        """Give the rows [begin, end), some at a time, each (R, *shape[1:]).

        Raises:
            UnreadableFile: a chunk is damaged.
        """
        n_rows = self.chunks[0]
        for index in range(begin // n_rows, -(-end // n_rows)):
            first = index * n_rows
            yield self._band(index)[max(begin - first, 0) : end - first]

    def rows(self, begin: int, end: int) -> Array:
        """Give the rows [begin, end) in one array."""
        return np.concatenate(list(self.pieces(begin, end)))

    def _band(self, index: int) -> Array:
        if self._newest is None or self._newest[0] != index:
            first = index * self.chunks[0]
            n_rows = min(self.chunks[0], self.shape[0] - first)
            if all(chunk >= side for side, chunk in zip(self.shape[1:], self.chunks[1:], strict=True)):
                whole = self._chunk((index, *[0] * len(self.shape[1:])))
                band = whole[(slice(n_rows), *map(slice, self.shape[1:]))]
            else:
                band = self._joined(index, n_rows)
            band = band.astype(self.dtype.newbyteorder("="), copy=False)
            self._newest = (index, self.check(band, first))
        return self._newest[1]

    def _joined(self, index: int, n_rows: int) -> Array:
        band = np.empty((n_rows, *self.shape[1:]), self.dtype)
        inner = [range(-(-side // chunk)) for side, chunk in zip(self.shape[1:], self.chunks[1:], strict=True)]
        for place in itertools.product(*inner):
            at = tuple(slice(p * c, (p + 1) * c) for p, c in zip(place, self.chunks[1:], strict=True))
            target = band[(slice(None), *at)]
            target[...] = self._chunk((index, *place))[tuple(map(slice, target.shape))]
        return band

    def _chunk(self, place: tuple[int, ...]) -> Array:
        name, n_bytes = self.chunk_name(place), prod(self.chunks) * self.dtype.itemsize
        try:
            data = self.group.files.read(f"{self.key}/{name}", n_bytes + n_bytes // 8 + (1 << 16))
            decoded = _decode(self.codec, data, n_bytes)
        except _FAULTS as error:
            row = place[0] * self.chunks[0]
            raise self.group.unreadable(self.key, f"chunk {name} (from row {row}) is damaged: {error}") from error
        return np.frombuffer(decoded, self.dtype).reshape(self.chunks, order=self.order)


def _array(group: Group, key: str, metadata: dict[str, Any]) -> ZarrArray:
    shape, chunks = (_sides(metadata, name) for name in ("shape", "chunks"))
    codec = (metadata["compressor"] or {"id": None})["id"]
    dtype, separator, order = metadata["dtype"], metadata.get("dimension_separator", "."), metadata["order"]
    if metadata["zarr_format"] != 2:
        raise ValueError(f"zarr_format {metadata['zarr_format']!r}; expected 2")
    if not isinstance(dtype, str) or not _DTYPE.fullmatch(dtype) or np.dtype(dtype).name not in DTYPES:
        raise ValueError(f"dtype {dtype!r} is not allowed; valid: {quoted(DTYPES)}")
    if codec not in (*CODECS, None) or metadata["filters"]:
        raise ValueError(f"codec {codec!r} or filters are not allowed; valid: no filters and {quoted(CODECS)} or none")
    if order not in ("C", "F") or separator not in (".", "/"):
        raise ValueError(f"order {order!r} or separator {separator!r} is not allowed")
    if not shape or len(shape) != len(chunks) or 0 in chunks:
        raise ValueError(f"shape {shape} in chunks {chunks}; expected as many sides, chunks of at least 1")
    band_bytes = (
        chunks[0] * prod(max(pair) for pair in zip(shape[1:], chunks[1:], strict=True)) * np.dtype(dtype).itemsize
    )
    if band_bytes > CHUNK_LIMIT:
        raise ValueError(f"chunks of {chunks} take {band_bytes} bytes when decoded; at most {CHUNK_LIMIT} are allowed")
    return ZarrArray(group, key, shape, np.dtype(dtype), chunks, codec, order, separator)


def _sides(metadata: dict[str, Any], name: str) -> tuple[int, ...]:
    sides = metadata[name]
    if not isinstance(sides, list) or not all(type(side) is int and 0 <= side < 1 << 48 for side in sides):
        raise ValueError(f"{name} {sides!r}; expected a list of whole numbers")
    return tuple(sides)


def _decode(codec: str | None, data: bytes, n_bytes: int) -> bytes | Array:
    """Decode a chunk to exactly so many bytes; what its own header declares is compared first."""
    if codec in ("zlib", "gzip"):
        decoder = zlib.decompressobj(zlib.MAX_WBITS | (16 if codec == "gzip" else 0))
        decoded: bytes | Array = decoder.decompress(data, n_bytes + 1)
        _require_bytes(len(decoded) if decoder.eof else "more or fewer", n_bytes)
        return decoded
    if codec == "blosc":
        _require_bytes(int.from_bytes(data[4:8], "little") if len(data) >= 16 else "no", n_bytes)
        _require_bytes(int.from_bytes(data[12:16], "little"), len(data))
        return bytes(blosc.decompress(data))
    if codec == "lz4":
        _require_bytes(int.from_bytes(data[:4], "little"), n_bytes)
        return bytes(lz4.decompress(data))
    if codec == "zstd":
        _require_bytes(_zstd_bytes(data, n_bytes), n_bytes)
        out = np.zeros(n_bytes, np.uint8)
        zstd.decompress(data, out)
        return out
    _require_bytes(len(data), n_bytes)
    return data


def _require_bytes(found: int | str, expected: int) -> None:
    if found != expected:
        raise ValueError(f"it holds {found} bytes, expected {expected}")


def _zstd_bytes(data: bytes, unknown: int) -> int:
    """Read the content size of a Zstandard frame's header (RFC 8878, 3.1.1.1), or give `unknown`; zstd checks that."""
    flags = data[4] if len(data) > 4 else 0
    single_segment, size_flag = flags >> 5 & 1, flags >> 6
    n_size_bytes = (single_segment, 2, 4, 8)[size_flag]
    if not n_size_bytes:
        return unknown
    begin = 5 + (1 - single_segment) + (0, 1, 2, 4)[flags & 3]
    size = int.from_bytes(data[begin : begin + n_size_bytes], "little")
    return size + 256 if n_size_bytes == 2 else size
