"""The writer of one open episode: every step goes to the journal first, and becomes an episode by one rename."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.contract import Contract
from ashore.datasets.episode import Episode, EpisodeMeta
from ashore.datasets.errors import InvalidSample, RecordingEnded
from ashore.datasets.journal import Journal, Seal, read_journal, record_dtype

Array = NDArray[Any]


class Committer(Protocol):
    """What a writer needs of its store."""

    contract: Contract
    contract_sha256: str

    def next_index(self) -> int:
        """The index that the next committed episode gets."""

    def append(self, episode: Episode) -> int:
        """Commit an episode and return its index."""

    def end_recording(self, journal: Journal, keep: bool = False) -> None:
        """Delete the journal of an episode that was committed or discarded, or keep it for recover."""


class EpisodeWriter:
    """Records one episode, step by step; made by `EpisodeStore.begin`, used by one thread.

    As a context manager it discards what was not committed; where an error passes or the process dies, the journal
    stays, and `recover` commits its steps.
    """

    def __init__(self, store: Committer, meta: EpisodeMeta, make_journal: Callable[[], Journal]) -> None:
        faults = meta.faults()
        if faults:
            raise InvalidSample("the episode's description", faults)
        self._store = store
        self._meta = meta
        self._layout = record_dtype(store.contract)
        self._command_width: int | None = None
        self._last_time_s = -np.inf
        self._n_steps = 0
        self._open = True
        self._journal = make_journal()

    def __len__(self) -> int:
        return self._n_steps

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if self._open:
            self._end(keep=error is not None)

    def add(
        self, observation: Mapping[str, Array], action: Mapping[str, Array], time_s: float, command: Array | None = None
    ) -> None:
        """Record one step.

        Args:
            observation: {name: (*shape)}, as measured.
            action: {name: (*shape)}, as told.
            time_s: seconds since the episode's start; must rise.
            command: (Dc,) what was sent to the robot; given at every step of an episode, or at none.

        Raises:
            InvalidSample: the step breaks the contract; nothing was recorded, and the next step may be.
            StorageFailed: the disk refused; all earlier steps are in the journal.
        """
        self._require_open("add a step")
        self._check(observation, action, time_s, command)
        if self._command_width is None:
            self._command_width = -1 if command is None else int(np.size(command))
            self._journal.begin(self._store.contract_sha256, self._meta, self._command_width)
        row = np.zeros((), self._layout)
        row["time_s"] = time_s
        for group, sample in (("observations", observation), ("actions", action)):
            for name, value in sample.items():
                row[f"{group}/{name}"] = value
        commands = b"" if command is None else np.asarray(command, dtype="<f8").tobytes()
        self._journal.add(row.tobytes() + commands)
        self._last_time_s = time_s
        self._n_steps += 1

    def commit(self, **changes: Any) -> int:
        """Commit the episode and return its index.

        Args:
            changes: fields of EpisodeMeta that are known only now, such as success and metrics.

        Raises:
            InvalidSample: there is no step, or a changed field is wrong; the writer stays open.
            StorageFailed: the disk refused; the writer stays open, and `recover` can commit the episode later.
        """
        self._require_open("commit")
        meta = replace(self._meta, **changes)
        content = read_journal(self._journal.path, self._store.contract, self._store.contract_sha256)
        if content is None:
            raise InvalidSample("the episode", ["it has no step; add some, or discard it"])
        episode = content.episode(self._store.contract, meta)
        self._journal.seal(Seal(self._store.next_index(), meta))
        index = self._store.append(episode)
        self._end()
        return index

    def discard(self) -> None:
        """Throw the episode away."""
        self._require_open("discard")
        self._end()

    def _end(self, keep: bool = False) -> None:
        self._open = False
        self._store.end_recording(self._journal, keep)

    def _require_open(self, doing: str) -> None:
        if not self._open:
            raise RecordingEnded(doing)

    def _check(
        self, observation: Mapping[str, Array], action: Mapping[str, Array], time_s: float, command: Array | None
    ) -> None:
        where = f"step {self._n_steps}"
        self._store.contract.check({**observation, **action}, where)
        faults = []
        if not (np.isfinite(time_s) and time_s > self._last_time_s):
            faults.append(f"time_s: {time_s} does not come after {self._last_time_s}")
        width = -1 if command is None else int(np.size(command))
        if self._command_width not in (None, width):
            faults.append(
                f"command: {width} elements, expected {self._command_width} as at the first step (-1 is none)"
            )
        if command is not None and not (np.ndim(command) == 1 and width and np.all(np.isfinite(command))):
            faults.append(f"command: shape {np.shape(command)}, expected (Dc,) of finite numbers")
        if faults:
            raise InvalidSample(where, faults)
