"""Arrays of a Zarr v2 group, written row after row: a chunk goes to its file as soon as it is full."""

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numcodecs import Blosc
from numpy.typing import NDArray

Array = NDArray[Any]
_CHUNK_BYTES = 1 << 21
_MOST_ROWS = 4096


def write_group(path: Path, attributes: dict[str, Any] | None = None) -> None:
    """Make the folder of a group."""
    path.mkdir(parents=True)
    (path / ".zgroup").write_text(json.dumps({"zarr_format": 2}))
    if attributes:
        (path / ".zattrs").write_text(json.dumps(attributes, indent=2, sort_keys=True))


@dataclass
class ArrayWriter:
    """One array (R, *shape) whose number of rows is known only at the end."""

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    n_rows: int = 0
    _waiting: Array = field(init=False)
    """(C, *shape) the chunk that fills up."""

    def __post_init__(self) -> None:
        row_bytes = max(int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize, 1)
        n_rows = min(max(_CHUNK_BYTES // row_bytes, 1), _MOST_ROWS)
        self.dtype = self.dtype.newbyteorder("<")
        self._waiting = np.zeros((n_rows, *self.shape), self.dtype)
        self.path.mkdir()

    def add(self, rows: Array) -> None:
        """Append rows (R, *shape)."""
        while len(rows):
            at = self.n_rows % len(self._waiting)
            part = rows[: len(self._waiting) - at]
            self._waiting[at : at + len(part)] = part
            self.n_rows += len(part)
            rows = rows[len(part) :]
            if self.n_rows % len(self._waiting) == 0:
                self._write_chunk(self.n_rows // len(self._waiting) - 1)

    def close(self) -> None:
        """Write the last chunk, filled up with zeros, and the description."""
        at = self.n_rows % len(self._waiting)
        if at:
            self._waiting[at:] = 0
            self._write_chunk(self.n_rows // len(self._waiting))
        description = {
            "chunks": self._waiting.shape,
            "compressor": _codec().get_config(),
            "dtype": self.dtype.str,
            "fill_value": 0,
            "filters": None,
            "order": "C",
            "shape": (self.n_rows, *self.shape),
            "zarr_format": 2,
        }
        (self.path / ".zarray").write_text(json.dumps(description, indent=2, sort_keys=True))

    def discard(self) -> None:
        """Take back what was written."""
        shutil.rmtree(self.path)

    def _write_chunk(self, index: int) -> None:
        name = ".".join([str(index), *["0"] * len(self.shape)])
        (self.path / name).write_bytes(_codec().encode(self._waiting))


def _codec() -> Any:
    return Blosc(cname="zstd", clevel=5, shuffle=Blosc.BITSHUFFLE)
