"""Arrays of an HDF5 file, read with suspicion: no links, no foreign storage, no holes, no bombs, no Python objects."""

import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ashore.datasets.errors import UnreadableFile, quoted
from ashore.datasets.features import DTYPES

Array = NDArray[Any]
FAULTS = (OSError, ValueError, KeyError, TypeError, RuntimeError, RecursionError)
"""What h5py raises for damaged files and filters it does not have."""
_MOST_RATIO = 1100
"""Decoded bytes a stored byte from which a chunk is taken for a bomb; deflate reaches 1,032."""


class Hdf5Reader:
    """An open file; its errors name file and key."""

    def __init__(self, path: Path, expected: str, way_out: str) -> None:
        """Open a file.

        Raises:
            UnreadableFile: it is missing, truncated or no HDF5.
        """
        self.path, self._expected, self._way_out = path, expected, way_out
        try:
            self.file = h5py.File(path, "r", locking=False)
        except FAULTS as error:
            raise self.unreadable("the file", str(error)) from error

    def close(self) -> None:
        """Close the file."""
        self.file.close()

    def unreadable(self, key: str, problem: str, way_out: str | None = None) -> UnreadableFile:
        """Make the error that names file and key."""
        return UnreadableFile(self.path, self._expected, f"{key}: {problem}", way_out or self._way_out)

    def names(self, key: str) -> list[str]:
        """List what lies in a group, sorted; empty where there is no such group."""
        group = self._at(key)
        return sorted(group) if isinstance(group, h5py.Group) else []

    def attribute(self, key: str, name: str) -> Any:
        """Read an attribute of a group; None where there is none."""
        group = self._at(key)
        try:
            value = None if group is None else group.attrs.get(name)
        except FAULTS as error:
            raise self.unreadable(key, f"attribute {name}: {error}") from error
        return value.decode(errors="replace") if isinstance(value, bytes) else value

    def array(self, key: str) -> h5py.Dataset | None:
        """Open an array of at least one axis, once it is known to be harmless and whole; None where there is none.

        Raises:
            UnreadableFile: a group, a link, an array of objects, one with holes, or a bomb.
        """
        found = self._at(key)
        if found is None:
            return None
        if not isinstance(found, h5py.Dataset):
            raise self.unreadable(key, "it is no array")
        if found.dtype.name not in DTYPES:
            raise self.unreadable(key, f"dtype {found.dtype.name!r} is not allowed; valid: {quoted(DTYPES)}")
        if not found.shape:
            raise self.unreadable(key, "it is a single value, expected one row a step")
        if found.external or found.is_virtual:
            raise self.unreadable(key, "its values lie in another file, which is not followed")
        self._require_whole(key, found)
        return found

    def rows(self, key: str, array: h5py.Dataset, begin: int, end: int) -> Array:
        """Read the rows [begin, end), finite and in the machine's byte order.

        Raises:
            UnreadableFile: damaged, or NaN or infinity in a row.
        """
        try:
            rows = np.asarray(array[begin:end])
        except FAULTS as error:
            raise self.unreadable(key, f"from row {begin}: {error}") from error
        if rows.dtype.kind == "f":
            bad = np.flatnonzero(~np.isfinite(rows).reshape(len(rows), -1).all(axis=1))
            if bad.size:
                raise self.unreadable(key, f"row {begin + bad[0]} holds NaN or infinity")
        return rows.astype(rows.dtype.newbyteorder("="), copy=False)

    def _at(self, key: str) -> h5py.Group | h5py.Dataset | None:
        """Walk to an object by hard links alone."""
        at: Any = self.file
        for part in key.split("/"):
            try:
                link = at.get(part, getlink=True) if isinstance(at, h5py.Group) else None
                if link is None:
                    return None
                if not isinstance(link, h5py.HardLink):
                    raise self.unreadable(key, f"{part!r} is a link, which is not followed")
                at = at[part]
            except FAULTS as error:
                raise self.unreadable(key, str(error)) from error
        return at

    def _require_whole(self, key: str, array: h5py.Dataset) -> None:
        """Refuse what HDF5 would fill with zeros, and what takes far more memory than its bytes can hold."""
        stored, n_bytes = array.id.get_storage_size(), array.size * array.dtype.itemsize
        if array.chunks is not None:
            n_chunks = int(np.prod([-(-side // chunk) for side, chunk in zip(array.shape, array.chunks, strict=True)]))
            held = array.id.get_num_chunks()
            if held < n_chunks:
                raise self.unreadable(key, f"{n_chunks - held} of {n_chunks} chunks are missing")
        elif stored < n_bytes:
            raise self.unreadable(key, f"{n_bytes} bytes are declared, but {stored} are stored")
        if n_bytes > _MOST_RATIO * max(stored, 1):
            raise self.unreadable(key, f"{n_bytes} bytes are declared, which {stored} stored ones cannot hold")


def numbered(names: list[str], pattern: str) -> list[str]:
    """Sort names by their number, those that do not match the pattern (one group of digits) first."""
    number = {name: re.fullmatch(pattern, name) for name in names}
    return sorted(names, key=lambda name: int(match[1]) if (match := number[name]) else -1)
