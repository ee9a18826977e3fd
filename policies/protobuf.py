"""Walks protobuf messages field by field, without a schema and without the protobuf package; bounded in work."""

from collections.abc import Iterator

MAX_FIELDS = 1_000_000
"""Fields of a whole file; a large policy has a hundred thousand."""
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


class FieldReader:
    """Reads the messages of one file, and counts their fields over all of them."""

    def __init__(self) -> None:
        self._n_fields = 0

    def fields(self, content: memoryview) -> Iterator[tuple[int, int | memoryview]]:
        """Walk the fields of one message: (field number, integer or bytes).

        Raises:
            ValueError, IndexError: it is no message, or the file has too many fields.
        """
        at = 0
        while at < len(content):
            self._n_fields += 1
            if self._n_fields > MAX_FIELDS:
                raise ValueError(f"more than {MAX_FIELDS} fields")
            key, at = _varint(content, at)
            number, kind = key >> 3, key & 7
            if kind == VARINT:
                value, at = _varint(content, at)
                yield number, value
            elif kind == BYTES:
                size, at = _varint(content, at)
                yield number, _cut(content, at, size)
                at += size
            elif kind in (FIXED32, FIXED64):
                size = 4 if kind == FIXED32 else 8
                yield number, _cut(content, at, size)
                at += size
            else:
                raise ValueError(f"wire type {kind}")


def integers(content: int | memoryview) -> list[int]:
    """Read a repeated integer field's entry, one number or many packed ones, as signed 64-bit numbers."""
    if isinstance(content, int):
        return [_signed(content)]
    found, at = [], 0
    while at < len(content):
        value, at = _varint(content, at)
        found.append(_signed(value))
    return found


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value


def _cut(content: memoryview, at: int, size: int) -> memoryview:
    if at + size > len(content):
        raise ValueError("it ends too early")
    return content[at : at + size]


def _varint(content: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a number has more than 64 bits")
