"""Rows of parquet files: read in turn so that memory stays flat, and turned into arrays."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ashore.datasets.formats.lerobot.description import fault, first_line

Array = NDArray[Any]
_ROWS_AT_ONCE = 64
"""Rows that are decoded together; a row may hold several pictures."""
_READ_BYTES = 1 << 20


class RowReader:
    """Reads rows of parquet files in rising order, one file open at a time."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = list(columns)
        self._path: Path | None = None
        self._file: pq.ParquetFile | None = None

    def close(self) -> None:
        """Close the open file."""
        if self._file is not None:
            self._file.close()
        self._path = self._file = None

    def read(self, path: Path, first_row: int, n_rows: int) -> pa.Table:
        """Read n_rows from a file's first_row on.

        Raises:
            UnreadableFile: the file is missing, damaged, or too short, or it lacks a column.
        """
        try:
            if path != self._path or first_row < self._next_row:
                self._open(path)
            self._take(first_row - self._next_row)
            batches = self._take(n_rows)
        except FileNotFoundError as error:
            raise fault(path, "there is no such file") from error
        except (pa.ArrowException, OSError) as error:
            raise fault(path, f"row {first_row} and later: {first_line(error)}") from error
        table = pa.Table.from_batches(batches) if batches else None
        if table is None or table.num_rows != n_rows:
            n_found = first_row + (table.num_rows if table is not None else 0)
            raise fault(path, f"it ends at row {n_found}, but meta/ lists {first_row + n_rows}")
        return table

    def n_rows(self, path: Path) -> int:
        """Tell how many rows the open file has; read comes first."""
        return int(self._file.metadata.num_rows) if self._file is not None and path == self._path else 0

    def _open(self, path: Path) -> None:
        self.close()
        self._file = pq.ParquetFile(path, buffer_size=_READ_BYTES, pre_buffer=False)
        self._path, self._next_row, self._rest = path, 0, None
        names = self._file.schema_arrow.names
        for key in self._columns:
            if key not in names:
                raise fault(path, f"it has no column {key!r}, which meta/info.json lists")
        self._batches = self._file.iter_batches(batch_size=_ROWS_AT_ONCE, columns=self._columns)

    def _take(self, n_rows: int) -> list[pa.RecordBatch]:
        taken = []
        while n_rows > 0:
            batch = self._rest if self._rest is not None else next(self._batches, None)
            if batch is None:
                break
            taken.append(batch.slice(0, n_rows))
            self._rest = batch.slice(n_rows) if batch.num_rows > n_rows else None
            n_rows -= taken[-1].num_rows
            self._next_row += taken[-1].num_rows
        return taken

    _next_row = 0
    _rest: pa.RecordBatch | None = None


def column_array(table: pa.Table, key: str, shape: tuple[int, ...], path: Path, first_row: int) -> Array:
    """Turn a column of numbers, or of nested lists of numbers, into an array (T, *shape).

    Args:
        table: T rows.
        key: the column.
        shape: of a row; (1,) and () may be plain numbers.
        path: the file, for the error text.
        first_row: the file's row that the table begins with, for the error text.

    Raises:
        UnreadableFile: a row is missing or has another length; names it.
    """
    values = _storage(table.column(key).combine_chunks())
    for n_elements in shape:
        if not _is_list(values.type) and n_elements == 1:
            break
        _check_lists(values, n_elements, f"{key}: ", path, first_row, table.num_rows)
        values = _storage(values.flatten())
    if values.null_count:
        row = first_row + int(
            np.flatnonzero(values.is_null().to_numpy(zero_copy_only=False))[0]
        ) * table.num_rows // len(values)
        raise fault(path, f"{key}: row {row} is missing")
    if _is_list(values.type) or not (pa.types.is_primitive(values.type) or pa.types.is_boolean(values.type)):
        raise fault(path, f"{key}: rows of {values.type}, expected numbers of shape {shape}")
    return np.asarray(values.to_numpy(zero_copy_only=False)).reshape(table.num_rows, *shape)


def _check_lists(values: pa.Array, n_elements: int, where: str, path: Path, first_row: int, n_rows: int) -> None:
    if not _is_list(values.type):
        raise fault(path, f"{where}rows of {values.type}, expected lists of {n_elements}")
    lengths = values.value_lengths().to_numpy(zero_copy_only=False)
    wrong = np.flatnonzero(lengths != n_elements)  # The length of a missing list is NaN.
    if wrong.size:
        row = first_row + int(wrong[0]) * n_rows // len(lengths)
        raise fault(path, f"{where}row {row} has {lengths[wrong[0]]} elements, expected {n_elements}")


def _storage(values: pa.Array) -> pa.Array:
    return values.storage if isinstance(values, pa.ExtensionArray) else values


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def check_finite(values: Array, key: str, path: Path, first_row: int) -> None:
    """Refuse NaN and infinity, naming the row."""
    if values.dtype.kind != "f":
        return
    bad = np.flatnonzero(~np.isfinite(values).reshape(len(values), -1).all(axis=1))
    if bad.size:
        raise fault(path, f"{key}: row {first_row + bad[0]} holds NaN or infinity")
