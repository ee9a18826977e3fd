"""The writer of one open episode: every step goes to the journal first, and becomes an episode by one rename."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.contract import Contract, check_features
from ashore.datasets.episode import Episode, EpisodeMeta
from ashore.datasets.errors import DamagedFile, InvalidSample, RecordingEnded
from ashore.datasets.features import Feature, ImageFeature
from ashore.datasets.images import decode, encode
from ashore.datasets.journal import Form, Journal, Seal, read_journal

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

    What the contract aligns comes through `add_sample` at its own rate; everything else comes with each step.
    As a context manager it discards what was not committed; where an error passes or the process dies, the journal
    stays, and `recover` commits its steps.
    """

    def __init__(self, store: Committer, meta: EpisodeMeta, make_journal: Callable[[], Journal]) -> None:
        faults = meta.faults()
        if faults:
            raise InvalidSample("the episode's description", faults)
        self._store = store
        self._meta = meta
        whole = Form.of(store.contract)
        self._streams = {feature.name: number for number, feature in enumerate(whole.streams)}
        self._features = {f.name: f for f in store.contract.features}
        self._form: Form | None = None
        self._command_width = -1
        self._newest: dict[str, tuple[float, float, bytes]] = {}
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

    def add_sample(self, name: str, value: Array | bytes, capture_s: float, receive_s: float) -> None:
        """Record one sample of a source with a rate of its own.

        Before the first step only the newest sample is kept.

        Args:
            name: an observation or image that the contract aligns.
            value: (*shape), or a picture in the codec of its feature, which is stored as it is.
            capture_s: when it was measured, on the episode's clock; must rise.
            receive_s: when it arrived; must not fall.

        Raises:
            InvalidSample: the sample breaks the contract or goes back in time; nothing was recorded.
            StorageFailed: the disk refused; all that was added before is in the journal.
        """
        self._require_open("add a sample")
        self._check_sample(name, value, capture_s, receive_s)
        feature = self._features[name]
        data = value if isinstance(value, bytes) else _encoded(feature, value)
        if self._form is not None:
            self._journal.add_sample(self._streams[name], capture_s, receive_s, data)
        self._newest[name] = (capture_s, receive_s, data if self._form is None else b"")

    def add(
        self, observation: Mapping[str, Array], action: Mapping[str, Array], time_s: float, command: Array | None = None
    ) -> bool:
        """Record one step.

        Args:
            observation: {name: (*shape)}, as measured, pictures among them; an optional feature is given at every
                step of an episode, or at none.
            action: {name: (*shape)}, as told.
            time_s: seconds since the episode's start; must rise.
            command: (Dc,) what was sent to the robot; given at every step of an episode, or at none.

        Returns:
            Whether it was recorded; a step is left out where the contract drops it for a stream that is too old.

        Raises:
            InvalidSample: the step breaks the contract; nothing was recorded, and the next step may be.
            StorageFailed: the disk refused; all earlier steps are in the journal.
        """
        self._require_open("add a step")
        self._check(observation, action, time_s, command)
        if self._is_stale(time_s):
            return False
        sample = {**observation, **action}
        form = self._form or self._begin(sample, command)
        row = np.zeros((), form.record)
        row["time_s"] = time_s
        for group, values in (("observations", observation), ("actions", action)):
            for name, value in values.items():
                if not isinstance(self._features[name], ImageFeature):
                    row[f"{group}/{name}"] = value
        commands = b"" if command is None else _bytes(command, "float64")
        self._journal.add(row.tobytes() + commands, [encode(image, sample[image.name]) for image in form.images])
        self._last_time_s = time_s
        self._n_steps += 1
        return True

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
        if content is None or not self._n_steps:
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

    def leave(self) -> None:
        """End without committing, as where the disk refused: the journal stays, and `recover` commits its steps."""
        self._require_open("leave it")
        self._end(keep=True)

    def _begin(self, sample: Mapping[str, Array], command: Array | None) -> Form:
        """Fix the journal's form by the first step, and write what came before it."""
        contract = self._store.contract
        absent = [name for name, f in self._features.items() if f.optional and f.align is None and name not in sample]
        self._command_width = -1 if command is None else int(np.size(command))
        shape = (self._command_width, absent)
        self._journal.begin(contract, self._store.contract_sha256, self._meta, shape)
        self._form = Form.of(contract, absent)
        for name, (capture_s, receive_s, data) in self._newest.items():
            self._journal.add_sample(self._streams[name], capture_s, receive_s, data)
        return self._form

    def _end(self, keep: bool = False) -> None:
        self._open = False
        self._store.end_recording(self._journal, keep)

    def _require_open(self, doing: str) -> None:
        if not self._open:
            raise RecordingEnded(doing)

    def _is_stale(self, time_s: float) -> bool:
        for name, (capture_s, _, _) in self._newest.items():
            rule = self._features[name].align
            if rule and rule.rule == "drop" and rule.max_age_s is not None and time_s - capture_s > rule.max_age_s:
                return True
        return False

    def _check_sample(self, name: str, value: Array | bytes, capture_s: float, receive_s: float) -> None:
        if name not in self._streams:
            fault = f"{name}: the contract does not align it; valid: {', '.join(self._streams) or 'none'}"
            raise InvalidSample("the sample", [fault])
        feature = self._features[name]
        if isinstance(value, bytes):
            _check_picture(feature, value)
        else:
            check_features({name: feature}, {name: value}, "the sample")
        before_s, heard_s, _ = self._newest.get(name, (-np.inf, -np.inf, b""))
        faults = []
        if self._form is not None and name not in self._newest:
            faults.append(f"{name}: its first sample comes after the episode's first step; give it before, or never")
        if not (np.isfinite(capture_s) and capture_s > before_s):
            faults.append(f"{name}.capture_s: {capture_s} does not come after {before_s}")
        if not (np.isfinite(receive_s) and receive_s >= heard_s):
            faults.append(f"{name}.receive_s: {receive_s} comes before {heard_s}")
        if faults:
            raise InvalidSample("the sample", faults)

    def _check(
        self, observation: Mapping[str, Array], action: Mapping[str, Array], time_s: float, command: Array | None
    ) -> None:
        where, form, sample = f"step {self._n_steps}", self._form, {**observation, **action}
        check_features({n: f for n, f in self._features.items() if n not in self._streams}, sample, where)
        faults = [
            f"{name}: no sample yet; add one before the first step"
            for name in self._streams
            if name not in self._newest and not self._features[name].optional
        ]
        if form is None:
            late = [name for name, (_, receive_s, _) in self._newest.items() if receive_s > time_s]
            faults += [f"{name}: its only sample so far was received after this step" for name in late]
        if form is not None:
            expected = {image.name for image in form.images}
            expected |= {name.partition("/")[2] for name in form.record.names or () if "/" in name}
            faults += [f"{name}: given at some steps only" for name in sorted(expected ^ set(sample))]
        if not (np.isfinite(time_s) and time_s > self._last_time_s):
            faults.append(f"time_s: {time_s} does not come after {self._last_time_s}")
        width = -1 if command is None else int(np.size(command))
        if form is not None and self._command_width != width:
            faults.append(
                f"command: {width} elements, expected {self._command_width} as at the first step (-1 is none)"
            )
        if command is not None and not (np.ndim(command) == 1 and width and np.all(np.isfinite(command))):
            faults.append(f"command: shape {np.shape(command)}, expected (Dc,) of finite numbers")
        if faults:
            raise InvalidSample(where, faults)


def _encoded(feature: Feature | ImageFeature, value: Array) -> bytes:
    return encode(feature, value) if isinstance(feature, ImageFeature) else _bytes(value, feature.dtype)


def _check_picture(feature: Feature | ImageFeature, data: bytes) -> None:
    try:
        if not isinstance(feature, ImageFeature):
            raise InvalidSample("the sample", [f"{feature.name}: bytes, expected numbers"])
        decode(feature, data)
    except DamagedFile as error:
        raise InvalidSample("the sample", [f"{feature.name}: {error}"]) from error


def _bytes(value: Array, dtype: str) -> bytes:
    return np.ascontiguousarray(value, dtype=np.dtype(dtype).newbyteorder("<")).tobytes()
