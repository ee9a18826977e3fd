"""The store of episodes: a folder in which each episode is one file, committed by one rename and named by its hash.

DIR/store.json                       format, schema version and the contract's SHA-256, sealed
DIR/contract.json                    the contract
DIR/episodes/000012-<sha256>.zarr.zip
DIR/journal/3.journal                an episode that is being recorded, or was when its recorder died
DIR/lock                             the writer's flock, and its name while it writes
"""

import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import file_digest
from pathlib import Path
from types import TracebackType
from typing import Self

from ashore.datasets import layout
from ashore.datasets.archive import arrays_of, digests, read_archive, read_head, write_archive
from ashore.datasets.contract import Contract
from ashore.datasets.durable import seal, sha256_hex, storing, sync_folder, unseal, write_synced
from ashore.datasets.episode import Episode, EpisodeMeta
from ashore.datasets.errors import AshoreError, DamagedFile, NoSuchEpisode, NotAStore, ReadOnlyStore, StoreExists
from ashore.datasets.journal import Journal, JournalContent, read_journal
from ashore.datasets.lock import WriterLock
from ashore.datasets.progress import Progress, silent
from ashore.datasets.recording import EpisodeWriter
from ashore.datasets.verification import Fault, verify_store

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recovered:
    """What became of one abandoned journal."""

    journal: str
    n_steps: int
    torn_bytes: int
    """Bytes of a step that had not been written whole, dropped."""
    episode_index: int | None
    """The episode it is now, or None where it held no step."""
    was_committed: bool = False
    """Whether the recorder died after the commit, so that only the journal was left to delete."""


class EpisodeStore:
    """Episodes of one contract, on disk; one writer at a time, any number of readers.

    `with store:` holds the writer's lock throughout; outside it, each writing call takes the lock for itself.
    """

    def __init__(self, path: Path, contract: Contract, contract_sha256: str, readonly: bool) -> None:
        self.path = path
        self.contract = contract
        self.contract_sha256 = contract_sha256
        self._readonly = readonly
        self._lock = WriterLock(path / "lock")
        self._files = layout.episode_files(path)
        self._recording: set[Path] = set()

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
                write_synced(draft / "store.json", seal(layout.description(sha256_hex(text))))
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
        if description != layout.description(sha256_hex(text)):
            raise NotAStore(path, "store.json does not fit contract.json, or comes from a later ashore")
        store = cls(path, Contract.from_json(text.decode(), path / "contract.json"), sha256_hex(text), readonly)
        abandoned = store.abandoned_journals()
        if abandoned:
            _log.warning("%s holds %d episode(s) whose recorder died; `recover` commits them", path, len(abandoned))
        return store

    def __len__(self) -> int:
        return len(self._files)

    def __iter__(self) -> Iterator[Episode]:
        return (self.read(index) for index in range(len(self)))

    def __enter__(self) -> Self:
        if not self._readonly:
            self._take_lock()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._readonly:
            self._lock.release()

    def read(self, index: int) -> Episode:
        """Read an episode; its arrays are read-only.

        Raises:
            NoSuchEpisode: the index is not in the store.
            DamagedFile: a bit differs from what was committed.
        """
        file = self._file(index)
        with storing(file, "read an episode"):
            data = file.read_bytes()
        if sha256_hex(data) != layout.sha256_of(file):
            raise DamagedFile(file, "its SHA-256 is not the one in its name")
        return read_archive(data, file, self.contract)[1]

    def read_meta(self, index: int) -> EpisodeMeta:
        """Read where an episode came from, without its arrays.

        Raises:
            NoSuchEpisode: the index is not in the store.
            DamagedFile: the file cannot be read.
        """
        return read_head(self._file(index)).meta

    def next_index(self) -> int:
        """The index that the next committed episode gets."""
        return layout.index_of(self._files[-1]) + 1 if self._files else 0

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
            return [self._recover(journal) for journal in self.abandoned_journals()]

    def verify(self, progress: Progress = silent) -> list[Fault]:
        """Read everything and list what is damaged, missing, superfluous or left over; empty where all is well."""
        return verify_store(self.path, progress)

    def _file(self, index: int) -> Path:
        if not -len(self) <= index < len(self):
            raise NoSuchEpisode(self.path, index, len(self))
        return self._files[index]

    def _take_lock(self) -> None:
        if self._readonly:
            raise ReadOnlyStore(self.path)
        self._lock.__enter__()
        if self._lock.depth == 1:  # Another process may have written since the store was opened.
            self._files = layout.episode_files(self.path)

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
                final = aside.rename(folder / layout.episode_name(index, sha256))
                self._files.append(final)
                sync_folder(folder)
            finally:
                aside.unlink(missing_ok=True)

    def _make_journal(self) -> Journal:
        folder = self.path / "journal"
        with storing(folder, "begin a journal"):
            folder.mkdir(exist_ok=True)
        taken = [int(file.stem) for file in layout.journal_files(self.path)]
        journal = Journal(folder / f"{max(taken, default=-1) + 1}.journal")
        self._recording.add(journal.path)
        return journal

    def _recover(self, journal: Path) -> Recovered:
        content = read_journal(journal, self.contract, self.contract_sha256)
        index, was_committed = None, False
        if content is not None and len(content.rows):
            meta = content.seal.meta if content.seal else replace(content.meta, truncated=True)
            episode = content.episode(self.contract, meta)
            was_committed = self._is_committed(content, episode)
            index = content.seal.episode_index if content.seal and was_committed else self.append(episode)
        journal.unlink()
        n_steps, torn = (len(content.rows), content.torn_bytes) if content else (0, 0)
        return Recovered(journal.name, n_steps, torn, index, was_committed)

    def _is_committed(self, content: JournalContent, episode: Episode) -> bool:
        if content.seal is None:
            return False
        index = content.seal.episode_index
        committed = [file for file in self._files if layout.index_of(file) == index]
        return any(read_head(file).sha256 == digests(index, arrays_of(episode)) for file in committed)
