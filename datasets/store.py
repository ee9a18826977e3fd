"""The store of episodes: a folder in which each episode is one file, committed by one rename and named by its hash.

DIR/store.json                       format, schema version and the contract's SHA-256, sealed
DIR/contract.json                    the contract
DIR/episodes/000012-<sha256>.zarr.zip
DIR/edits.jsonl                      deletions and trims, by whom and why
DIR/journal/3.journal                an episode that is being recorded, or was when its recorder died
DIR/lock                             the writer's flock, and its name while it writes
"""

import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import file_digest
from pathlib import Path
from types import TracebackType
from typing import Self

from ashore.datasets import layout
from ashore.datasets.archive import arrays_of, digests, read_archive, read_head, write_archive
from ashore.datasets.contract import Contract
from ashore.datasets.durable import seal, sha256_hex, storing, sync_folder, unseal, write_synced
from ashore.datasets.edits import Edit, Edits, append_edit, drop_torn, ranges, read_edits
from ashore.datasets.episode import Episode, EpisodeMeta
from ashore.datasets.errors import AshoreError, DamagedFile, NoSuchEpisode, NotAStore, ReadOnlyStore, StoreExists
from ashore.datasets.journal import Journal
from ashore.datasets.lock import WriterLock
from ashore.datasets.progress import Progress, silent
from ashore.datasets.recording import EpisodeWriter
from ashore.datasets.recovery import Recovered, recover_journal
from ashore.datasets.verification import Fault, verify_store

_log = logging.getLogger(__name__)


class EpisodeStore:
    """Episodes of one contract, on disk; one writer at a time, any number of readers.

    `len` and iteration show what is not deleted. `with store:` holds the writer's lock throughout; outside it, each
    writing call takes the lock for itself.
    """

    def __init__(self, path: Path, contract: Contract, contract_sha256: str, readonly: bool) -> None:
        self.path = path
        self.contract = contract
        self.contract_sha256 = contract_sha256
        self._readonly = readonly
        self._lock = WriterLock(path / "lock")
        self._recording: set[Path] = set()
        self._indices: tuple[int, ...] | None = None
        self.reload()

    @classmethod
    def create(cls, path: Path | str, contract: Contract) -> Self:
        """Make an empty store; it appears whole, or not at all.

        Raises:
            StoreExists: something is there already.
            StorageFailed: the disk refused.
        """
        path = Path(path)
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise StoreExists(path)
        text = contract.to_json().encode()
        with storing(path, "make a store"):
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as aside:
                draft = Path(aside) / "store"
                (draft / "episodes").mkdir(parents=True)
                write_synced(draft / "contract.json", text)
                write_synced(draft / "store.json", seal(layout.description(contract, sha256_hex(text))))
                sync_folder(draft)
                draft.rename(path)
                sync_folder(path.parent)
        return cls(path, contract, sha256_hex(text), readonly=False)

    @classmethod
    def open(cls, path: Path | str, *, readonly: bool = False) -> Self:
        """Open a store, and log a warning where a recorder died in it.

        Args:
            path: the store's folder.
            readonly: refuse to write; `with` then takes no lock.

        Raises:
            NotAStore: there is none, or its description is damaged.
        """
        path = Path(path)
        try:
            description = unseal((path / "store.json").read_bytes())
            text = (path / "contract.json").read_bytes()
        except (OSError, ValueError) as error:
            raise NotAStore(path, str(error)) from error
        if description.get("contract_sha256") != sha256_hex(text):
            raise NotAStore(path, "store.json does not fit contract.json")
        contract = Contract.from_json(text.decode(), path / "contract.json")
        if description != layout.description(contract, sha256_hex(text)):
            raise NotAStore(path, "store.json is not one that this ashore writes; it may come from a later one")
        store = cls(path, contract, sha256_hex(text), readonly)
        abandoned = store.abandoned_journals()
        if abandoned:
            _log.warning("%s holds %d episode(s) whose recorder died; `recover` commits them", path, len(abandoned))
        return store

    def __len__(self) -> int:
        return len(self._shown)

    def __iter__(self) -> Iterator[Episode]:
        return (self.read(index) for index in self.indices)

    def __enter__(self) -> Self:
        if not self._readonly:
            self._take_lock()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._readonly:
            self._lock.release()

    @property
    def indices(self) -> tuple[int, ...]:
        """Indices of the episodes that are not deleted, rising; an episode keeps its index for good."""
        if self._indices is None:
            self._indices = tuple(self._shown)
        return self._indices

    def reload(self) -> None:
        """Look again at what is on the disk, which another process may have changed."""
        self.edits: Edits = read_edits(self.path)
        removed = self.edits.removed
        self._names: dict[int, str] = {}
        self._is_half_compacted = False
        for name in layout.episode_names(self.path):
            index = layout.index_of(name)
            is_left_over = self.edits.is_left_over(index, layout.sha256_of(name))
            self._is_half_compacted |= is_left_over
            if index not in removed and not (is_left_over and index in self._names):
                self._names[index] = name
        self._next_index = max([-1, *self._names, *removed]) + 1
        self._show()

    def read(self, index: int, *, on_disk: bool = False) -> Episode:
        """Read an episode as the edits leave it; its arrays are read-only.

        Args:
            index: one of `indices`.
            on_disk: let frames be read from the file again when they are asked for, so that they take no memory.

        Raises:
            NoSuchEpisode: the index is not in the store, or deleted.
            DamagedFile: a bit differs from what was committed.
        """
        return self._read(index, self._file(index), on_disk=on_disk)

    def _read(self, index: int, file: Path, *, on_disk: bool = False) -> Episode:
        with storing(file, "read an episode"):
            data = file.read_bytes()
        sha256 = layout.sha256_of(file.name)
        if sha256_hex(data) != sha256:
            raise DamagedFile(file, "its SHA-256 is not the one in its name")
        episode = read_archive(data, file, self.contract, on_disk=on_disk)[1]
        kept = self.edits.trim_of(index, sha256)
        return episode if kept is None else episode.part(kept)

    def read_meta(self, index: int) -> EpisodeMeta:
        """Read where an episode came from, without its arrays.

        Raises:
            NoSuchEpisode: the index is not in the store, or deleted.
            DamagedFile: the file cannot be read.
        """
        return read_head(self._file(index)).meta

    def kept(self, index: int) -> slice | None:
        """Tell which steps of an episode's file the trims keep; None where all."""
        return self.edits.trim_of(index, layout.sha256_of(self._file(index).name))

    def newest_meta(self) -> EpisodeMeta | None:
        """Read where the episode that was committed last came from, deleted or not; None in an empty store."""
        return read_head(self._place(max(self._names))).meta if self._names else None

    def fingerprint(self) -> list[str]:
        """Name what `indices` show, contents and trims, in order: the same list, the same data."""
        found = []
        for index in self.indices:
            kept = self.kept(index)
            found.append(self._names[index] + ("" if kept is None else f"[{kept.start}:{kept.stop}]"))
        return found

    def next_index(self) -> int:
        """The index that the next committed episode gets."""
        return self._next_index

    def append(self, episode: Episode) -> int:
        """Commit an episode and return its index; when this returns, a power cut does not lose it.

        Raises:
            ContractMismatch: the episode has another contract.
            StoreLocked: another process writes this store.
            StorageFailed: the disk refused; what was committed is untouched.
        """
        episode.contract.require_same(self.contract, "the episode", f"the store {self.path}")
        with self._writing():
            index = self.next_index()
            self._commit(index, episode)
        return index

    def edit(self, edit: Edit) -> int:
        """Note an edit and return its number; see ashore.datasets.curating for what may be edited.

        Raises:
            StoreLocked: another process writes this store.
            StorageFailed: the disk refused; the edits are as before.
        """
        with self._writing():
            self.edits = append_edit(self.path, self.edits, edit)
            self._show()
            return len(self.edits.log) - 1

    def compact(self, who: str, why: str) -> list[int]:
        """Make all deletions and trims permanent, and return the indices of the episodes that are gone.

        Killed in the middle, the store shows the same episodes as before, and the next writer ends the work.

        Raises:
            StoreLocked: another process writes this store.
            StorageFailed: the disk refused.
        """
        with self._writing(), storing(self.path, "compact"):
            gone = sorted(self.edits.deletions)
            replaced = {
                str(index): layout.sha256_of(name)
                for index, name in self._names.items()
                if index in self.edits.deletions or self.edits.trim_of(index, layout.sha256_of(name)) is not None
            }
            self.edit(Edit("compact", who, why, tuple(gone), replaced=replaced))
            self.reload()
            self._finish_compacting()
        return gone

    def begin(self, meta: EpisodeMeta) -> EpisodeWriter:
        """Begin to record an episode step by step; several may be open at once.

        Raises:
            StoreLocked: another process writes this store.
            StorageFailed: the disk refused.
        """
        self._take_lock()
        try:
            return EpisodeWriter(self, meta, self._make_journal)
        except AshoreError:
            self._lock.release()
            raise

    def end_recording(self, journal: Journal, keep: bool = False) -> None:
        """Delete the journal of an episode that was committed or discarded, or keep it for recover."""
        self._recording.discard(journal.path)
        try:
            journal.close()
            if not keep:
                with storing(journal.path, "delete a journal"):
                    journal.path.unlink()
        finally:
            self._lock.release()

    def abandoned_journals(self) -> list[Path]:
        """List the journals that no living recorder writes."""
        if self._lock.held_elsewhere():
            return []
        return [journal for journal in layout.journal_files(self.path) if journal not in self._recording]

    def recover(self) -> list[Recovered]:
        """Commit what abandoned journals hold, marked as truncated, and delete what a killed commit left.

        Raises:
            StoreLocked: a recorder is at work.
            StorageFailed: the disk refused; the journal stays.
        """
        with self._writing(), storing(self.path, "recover episodes"):
            for leftover in (self.path / "episodes").glob("*.tmp"):
                leftover.unlink(missing_ok=True)
            self.edits = drop_torn(self.path, self.edits)
            self._finish_compacting()
            return [recover_journal(self, journal) for journal in self.abandoned_journals()]

    def holds(self, index: int, episode: Episode) -> bool:
        """Whether this very episode, number by number, was committed at an index."""
        if index not in self._names:
            return False
        return read_head(self._place(index)).sha256 == digests(index, arrays_of(episode))

    def verify(self, progress: Progress = silent) -> list[Fault]:
        """Read everything and list what is damaged, missing, superfluous or left over; empty where all is well."""
        return verify_store(self.path, progress)

    def _file(self, index: int) -> Path:
        number = self.edits.deletions.get(index)
        if index not in self._names or number is not None:
            deletion = None if number is None else self.edits.log[number]
            told = "" if deletion is None else f"{deletion.who} deleted it ({deletion.why}); undo edit {number}. "
            raise NoSuchEpisode(self.path, index, ranges(self.indices), told)
        return self._place(index)

    def _place(self, index: int) -> Path:
        return self.path / "episodes" / self._names[index]

    def _show(self) -> None:
        deleted = self.edits.deletions
        self._shown = sorted(index for index in self._names if index not in deleted)
        self._indices = None

    def _finish_compacting(self) -> None:
        """Cut what compact says was cut, and delete the files of what is gone."""
        for index, name in list(self._names.items()):
            if self.edits.is_left_over(index, layout.sha256_of(name)):
                self._commit(index, self._read(index, self._place(index)))
        for name in layout.episode_names(self.path):
            if self.edits.is_left_over(layout.index_of(name), layout.sha256_of(name)):
                (self.path / "episodes" / name).unlink()
        self._is_half_compacted = False
        sync_folder(self.path / "episodes")
        self._show()

    def _take_lock(self) -> None:
        if self._readonly:
            raise ReadOnlyStore(self.path)
        self._lock.__enter__()
        try:
            if self._lock.depth == 1:  # Another process may have written since the store was opened.
                self.reload()
                if self._is_half_compacted:
                    with storing(self.path, "end a compact that was killed"):
                        self._finish_compacting()
        except AshoreError:
            self._lock.release()
            raise

    @contextmanager
    def _writing(self) -> Iterator[None]:
        self._take_lock()
        try:
            yield
        finally:
            self._lock.release()

    def _commit(self, index: int, episode: Episode) -> None:
        folder = self.path / "episodes"
        aside = folder / f"{index:06d}.tmp"
        with storing(folder, "commit an episode"):
            try:
                folder.mkdir(exist_ok=True)
                with aside.open("w+b") as file:
                    write_archive(file, index, episode, self.contract_sha256)
                    file.flush()
                    os.fsync(file.fileno())
                    file.seek(0)
                    sha256 = file_digest(file, "sha256").hexdigest()
                name = aside.rename(folder / layout.episode_name(index, sha256)).name
                self._note(index, name)
                sync_folder(folder)
            finally:
                aside.unlink(missing_ok=True)

    def _note(self, index: int, name: str) -> None:
        """Show a committed episode: a new one has the highest index, a cut one keeps its own, so nothing is sorted."""
        self._names[index] = name
        if index >= self._next_index:
            self._next_index, self._indices = index + 1, None
            self._shown.append(index)

    def _make_journal(self) -> Journal:
        folder = self.path / "journal"
        with storing(folder, "begin a journal"):
            folder.mkdir(exist_ok=True)
        taken = [int(file.stem) for file in layout.journal_files(self.path)]
        journal = Journal(folder / f"{max(taken, default=-1) + 1}.journal")
        self._recording.add(journal.path)
        return journal
