"""Deletions and trims as a log beside the episodes: nothing is lost until `compact`, and every edit can be undone.

edits.jsonl holds one edit a line, sealed by its SHA-256 and chained to the line before; a line that a crash tore is
dropped by the next writer.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

from ashore.datasets.durable import sha256_hex, storing, sync_folder, write_all
from ashore.datasets.errors import DamagedFile

NAME = "edits.jsonl"
Kind = Literal["delete", "trim", "undo", "compact"]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@dataclass(frozen=True)
class Edit:
    """One decision about episodes, by whom and why."""

    kind: Kind
    who: str
    why: str
    episodes: tuple[int, ...] = ()
    """Indices of what is deleted or trimmed; of what compact removed for good."""
    start: int = 0
    """First step that a trim keeps."""
    stop: int | None = None
    """One past the last step that a trim keeps; None keeps the end."""
    undoes: int | None = None
    """Number of the edit that an undo takes back."""
    replaced: Mapping[str, str] = field(default_factory=dict)
    """{episode index: SHA-256 of its file before compact cut or removed it}."""
    when: str = field(default_factory=_now)
    """UTC, ISO 8601."""


@dataclass(frozen=True)
class Edits:
    """All edits of a store, in order; an edit's number is its place, from 0."""

    log: tuple[Edit, ...] = ()
    torn_bytes: int = 0
    """Bytes after the last whole line."""

    def is_undone(self, number: int) -> bool:
        """Whether a later edit took this one back."""
        return number in self._undone

    def is_final(self, number: int) -> bool:
        """Whether a later compact made this one permanent."""
        return number < self._last_compact

    def undoable(self) -> tuple[int, ...]:
        """Numbers of the edits that can still be taken back."""
        return tuple(
            number
            for number, edit in enumerate(self.log)
            if edit.kind in ("delete", "trim") and not self.is_undone(number) and not self.is_final(number)
        )

    @cached_property
    def deletions(self) -> Mapping[int, int]:
        """{episode index: number of the edit that deletes it} of all that can be undone."""
        return {
            index: number
            for number in self.undoable()
            if self.log[number].kind == "delete"
            for index in self.log[number].episodes
        }

    @cached_property
    def removed(self) -> frozenset[int]:
        """Indices of the episodes that compact removed for good."""
        return frozenset(index for edit in self.log if edit.kind == "compact" for index in edit.episodes)

    def is_left_over(self, index: int, sha256: str) -> bool:
        """Whether compact removed or replaced an episode's file for good, however far it came."""
        return index in self.removed or (index, sha256) in self._replaced

    def has_dropped(self, index: int, sha256: str) -> bool:
        """Whether compact removed or replaced this very file, and not another one of the same index.

        Logs of before do not say which file of a removed index it was; then each is.
        """
        return (index, sha256) in self._replaced or self._gone.get(index, "") in (None, sha256)

    @cached_property
    def _gone(self) -> Mapping[int, str | None]:
        """{index of an episode that compact removed: SHA-256 of its file, None where the log does not say}."""
        return {
            index: edit.replaced.get(str(index))
            for edit in self.log
            if edit.kind == "compact"
            for index in edit.episodes
        }

    @cached_property
    def _undone(self) -> frozenset[int | None]:
        return frozenset(edit.undoes for edit in self.log if edit.kind == "undo")

    @cached_property
    def _last_compact(self) -> int:
        return max((number for number, edit in enumerate(self.log) if edit.kind == "compact"), default=-1)

    @cached_property
    def _replaced(self) -> frozenset[tuple[int, str]]:
        return frozenset((int(index), sha256) for edit in self.log for index, sha256 in edit.replaced.items())

    def trim_of(self, index: int, sha256: str) -> slice | None:
        """Give the steps that the newest trim of an episode keeps, None where its file is whole.

        Args:
            index: the episode.
            sha256: of its file, which tells whether compact has cut it already.
        """
        found = None
        for edit in self._cuts.get(index, ()):
            if edit.kind == "trim":
                found = slice(edit.start, edit.stop)
            elif edit.replaced[str(index)] != sha256:
                found = None
        return found

    @cached_property
    def _cuts(self) -> Mapping[int, Sequence[Edit]]:
        """{episode index: trims that hold and compacts that cut its file, in order}."""
        found: dict[int, list[Edit]] = {}
        for number, edit in enumerate(self.log):
            cut = edit.episodes if edit.kind == "trim" and not self.is_undone(number) else map(int, edit.replaced)
            for index in cut:
                found.setdefault(index, []).append(edit)
        return found


def read_edits(path: Path) -> Edits:
    """Read a store's edits.

    Args:
        path: the store's folder.

    Raises:
        DamagedFile: a line is not what was written.
    """
    file = path / NAME
    with storing(file, "read the edits"):
        data = file.read_bytes() if file.exists() else b""
    return parse_edits(data, file)


def parse_edits(data: bytes, where: Path | str) -> Edits:
    """Read the content of an edits.jsonl.

    Args:
        data: the whole file.
        where: what to call it in an error.

    Raises:
        DamagedFile: a line is not what was written.
    """
    *lines, torn = data.split(b"\n")
    log, before = [], ""
    for number, line in enumerate(lines):
        try:
            raw = json.loads(line)
            if line != _line(raw["edit"], before):
                raise ValueError("it does not match its SHA-256")
            log.append(_edit(raw["edit"]))
        except (ValueError, KeyError, TypeError) as error:
            raise DamagedFile(where, f"line {number + 1}: {error}") from error
        before = raw["sha256"]
    return Edits(tuple(log), len(torn))


def append_edit(path: Path, edits: Edits, edit: Edit) -> Edits:
    """Write one more edit, on the disk when this returns; needs the writer's lock.

    Raises:
        StorageFailed: the disk refused; the edits are as before.
    """
    file, before = path / NAME, ""
    with storing(file, "note an edit"):
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            end = os.fstat(descriptor).st_size - edits.torn_bytes
            os.ftruncate(descriptor, end)
            if edits.log:
                before = json.loads(os.pread(descriptor, end, 0).split(b"\n")[-2])["sha256"]
            os.lseek(descriptor, end, os.SEEK_SET)
            try:
                write_all(descriptor, _line(_plain(edit), before) + b"\n")
                os.fsync(descriptor)
            except OSError:
                os.ftruncate(descriptor, end)
                raise
        finally:
            os.close(descriptor)
        sync_folder(path)
    return Edits((*edits.log, edit))


def drop_torn(path: Path, edits: Edits) -> Edits:
    """Cut off an edit that a crash left half written; needs the writer's lock."""
    if edits.torn_bytes:
        with storing(path / NAME, "recover the edits"):
            os.truncate(path / NAME, (path / NAME).stat().st_size - edits.torn_bytes)
    return Edits(edits.log)


def _edit(raw: Mapping[str, Any]) -> Edit:
    """Build an edit; a log may come from elsewhere, so its types are looked at.

    Raises:
        ValueError, TypeError, KeyError: it is none.
    """
    edit = Edit(**{**raw, "episodes": tuple(raw["episodes"])})
    numbers = [*edit.episodes, edit.start, *(value for value in (edit.stop, edit.undoes) if value is not None)]
    words = [edit.who, edit.why, edit.when, *edit.replaced.values()] if isinstance(edit.replaced, dict) else [None]
    if edit.kind not in get_args(Kind) or not all(isinstance(word, str) for word in words):
        raise ValueError("it is no edit that ashore makes")
    if not all(type(number) is int and number >= 0 for number in [*numbers, *map(int, edit.replaced)]):
        raise ValueError("it names no episodes or steps")
    return edit


def _plain(edit: Edit) -> dict[str, Any]:
    return asdict(edit) | {"episodes": list(edit.episodes), "replaced": dict(edit.replaced)}


def _line(edit: Mapping[str, Any], before: str) -> bytes:
    body = json.dumps(edit, sort_keys=True)
    return json.dumps({"edit": edit, "sha256": sha256_hex((before + body).encode())}, sort_keys=True).encode()


def ranges(indices: Sequence[int]) -> str:
    """Write sorted indices as "0 to 4, 7, 9 to 11"."""
    parts: list[list[int]] = []
    for index in indices:
        if parts and index == parts[-1][1] + 1:
            parts[-1][1] = index
        else:
            parts.append([index, index])
    return ", ".join(str(low) if low == high else f"{low} to {high}" for low, high in parts)
