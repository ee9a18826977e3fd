"""What the robot saw, from topics into a store: the policy's observations and actions, the guard's commands.

A step waits for the command that the guard sends after it, so that each row holds what the robot was then told.
Pictures are kept at their own rate, as they were sent.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.contract import Contract
from ashore.datasets.errors import InvalidSample, RecordingEnded
from ashore.policies.bundle import Bundle
from ashore.real.cameras import TYPE, CameraSpec
from ashore.real.clock import REAL_TIME
from ashore.real.errors import InvalidMessage
from ashore.real.mapping import Channel, RobotMapping
from ashore.real.nodes.link import Link
from ashore.real.nodes.travel import Travel, stamp_ns
from ashore.real.rate import Samples
from ashore.real.vector import VECTOR_TYPE, element_names, from_vector
from ashore.sim.robot import RobotCard

if TYPE_CHECKING:
    from ashore.datasets.episode import EpisodeMeta
    from ashore.datasets.recording import EpisodeWriter
    from ashore.datasets.store import EpisodeStore

Array = NDArray[Any]
MOST_PICTURES = 256
"""That wait to be written; what comes beyond that is lost, and counted."""
MOST_BYTES = 65_536
"""Of a picture, beyond a byte a channel and pixel: a JPEG takes fewer."""
MOST_EARLY = 32
"""Pictures of a camera that are kept from before an episode's first step."""
FRESH_S, FRESH_PERIODS = 1.0, 3.0
"""Age of a camera's newest picture at the first step, above which the episode is recorded without this camera."""


@dataclass(frozen=True)
class _Row:
    """A step and the command that followed it."""

    values: Array
    time_s: float
    command: Array


@dataclass(frozen=True)
class _Picture:
    """What a camera took."""

    name: str
    data: bytes
    taken_s: float
    received_s: float
    fresh_s: float
    """How long it is the camera's newest one at most."""


class Recorder:
    """Hears steps and commands on ROS's thread and writes them when told to, so that no disk slows the hearing."""

    def __init__(
        self, contract: Contract, card: RobotCard, store: EpisodeStore | None, by_stamps: bool = False
    ) -> None:
        """Take what is recorded.

        Args:
            contract: of the episodes.
            card: of the robot.
            store: where to; None only hears.
            by_stamps: whether the times of steps are those that they are stamped with, as simulated ones must be,
                instead of those of their arrival.
        """
        self.received = Samples()
        """Time between commands as they arrive here; none where times are those of stamps."""
        self._by_stamps = by_stamps
        self._contract = contract
        self._command_names = [feature.name for feature in card.commands]
        self._store = store
        self._writer: EpisodeWriter | None = None
        self._names = element_names((*contract.observations, *contract.actions))
        self._heard: dict[str, Array] = {}
        self._step: tuple[Array, float] | None = None
        self._heard_all: deque[_Row | _Picture] = deque()
        """In the order of arrival."""
        self._first_s: float | None = None
        self._early: dict[str, deque[_Picture]] = {}
        """Each camera's newest pictures from before the first step was written, kept between episodes too."""
        self._travels: dict[str, Travel] = {}
        self._clock = REAL_TIME
        self._last_s = -np.inf
        """Time of the newest step."""
        self.is_open = False
        self.n_lost = 0
        """Pictures that could not be written: too many waited, or their camera came after the first step."""

    def connect(self, link: Link, mapping: RobotMapping, cameras: Sequence[CameraSpec] = ()) -> None:
        """Subscribe to the policy's steps, the robot's commands and the cameras; times are the node's from now on."""
        self._clock = link.clock
        self._by_stamps |= link.clock.can_jump
        link.subscribe("step", VECTOR_TYPE, "order", self.take_step)
        for channel in mapping.commands:
            link.subscribe(channel.topic, channel.type, "order", partial(self.take_command, channel))
        for camera in cameras:
            self._early[camera.feature.name] = deque(maxlen=MOST_EARLY)
            link.subscribe(camera.topic, TYPE, "stream", partial(self.take_picture, camera))

    def begin(self, meta: EpisodeMeta) -> None:
        """Begin an episode."""
        self._heard_all.clear()
        self._heard, self._step, self._first_s, self._last_s = {}, None, None, -np.inf
        self._travels = {}  # A clock that was set since is a new one.
        self.received.lift()
        self._writer = self._store.begin(meta) if self._store is not None else None
        self.is_open = True

    def take_step(self, message: Any) -> None:
        """Take in one step of the policy.

        Raises:
            InvalidMessage: it is no step, or not newer than the one before.
        """
        if not self.is_open:
            return
        values = from_vector(message, self._names, "'step'")
        at_s = 1e-9 * stamp_ns(message) if self._by_stamps else self._clock.now_s()
        if at_s <= self._last_s:
            raise InvalidMessage("'step'", f"its time {at_s:.3f} s is not after {self._last_s:.3f} s", "rising times")
        self._step, self._heard, self._last_s = (values, at_s), {}, at_s

    def take_command(self, channel: Channel, message: Any) -> None:
        """Take in a part of a command; the last part completes the step that waits for it."""
        if not self.is_open:
            return
        values = channel.read(message)
        if self._command_names[0] in values and not self._by_stamps:
            self.received.mark(self._clock.now_s())
        self._heard.update(values)
        if self._step is not None and all(name in self._heard for name in self._command_names):
            command = np.concatenate([self._heard[name].ravel() for name in self._command_names])
            self._heard_all.append(_Row(*self._step, command))
            self._step = None

    def take_picture(self, camera: CameraSpec, message: Any) -> None:
        """Take in what a camera sent.

        Raises:
            InvalidMessage: it is larger than any picture of this camera; what else is wrong with it is seen as it is
                written, and counted.
        """
        most = MOST_BYTES + camera.feature.size
        if len(message.data) > most:
            raise InvalidMessage(repr(camera.topic), f"it holds {len(message.data)} bytes", f"at most {most}")
        now_s, name = self._clock.now_s(), camera.feature.name
        taken_s = self._travels.setdefault(name, Travel()).made_s(message, now_s)
        fresh_s = max(FRESH_S, FRESH_PERIODS / camera.hz)
        picture = _Picture(name, bytes(message.data), taken_s, now_s, fresh_s)
        if not self.is_open:
            self._early[name].append(picture)
        elif len(self._heard_all) < MOST_PICTURES:
            self._heard_all.append(picture)
        else:
            self.n_lost += 1

    def write(self) -> int:
        """Write what was heard until now; returns how many steps there were.

        Raises:
            StorageFailed: the disk refused; what was written before is in the journal.
        """
        n_rows = 0
        for _ in range(len(self._heard_all)):
            heard = self._heard_all.popleft()
            if isinstance(heard, _Picture):
                self._add_picture(heard)
            else:
                self._add_row(heard)
                n_rows += 1
        return n_rows

    def _add_row(self, row: _Row) -> None:
        if self._writer is None:
            return
        since: list[_Picture] = []
        if self._first_s is None:
            self._first_s = row.time_s
            early = [picture for kept in self._early.values() for picture in kept]
            fresh = [picture for picture in early if row.time_s - picture.received_s < picture.fresh_s]
            # A step waits for its command: pictures that came meanwhile follow it.
            since = [picture for picture in fresh if picture.received_s > row.time_s]
            for picture in fresh:
                if picture.received_s <= row.time_s:
                    self._add_picture(picture)
        width = self._contract.observation_width
        observation = _one(self._contract.split_observation(row.values[:width]))
        action = _one(self._contract.split_action(row.values[width:]))
        self._writer.add(observation, action, row.time_s - self._first_s, row.command)
        for picture in since:
            self._add_picture(picture)

    def _add_picture(self, picture: _Picture) -> None:
        if self._writer is None:
            return
        if self._first_s is None:
            self._early[picture.name].append(picture)
            return
        times_s = (picture.taken_s - self._first_s, picture.received_s - self._first_s)
        try:
            self._writer.add_sample(picture.name, picture.data, *times_s)
        except InvalidSample:
            self.n_lost += 1

    def end(self, outcome: Mapping[str, Any]) -> bool:
        """Commit the episode with its outcome; False where it had no step and was discarded."""
        self.is_open = False
        self.write()
        writer = self._writer
        if writer is None:
            return False
        if not len(writer):
            self._writer = None
            writer.discard()
            return False
        metrics = {name: float("nan") if value is None else value for name, value in outcome["metrics"].items()}
        writer.commit(success=outcome["success"], truncated=outcome["truncated"], metrics=metrics)
        self._writer = None
        return True

    def abandon(self) -> bool:
        """End without a verdict: what was heard is committed as truncated, without success or failure."""
        return self.end({"success": None, "truncated": True, "metrics": {}})

    def fail(self) -> None:
        """Give up after the disk refused: what was written stays in the journal."""
        self.is_open = False
        self._heard_all.clear()
        writer, self._writer = self._writer, None
        if writer is not None:
            with suppress(RecordingEnded):
                writer.leave()


def told_versions(bundle: Bundle) -> dict[str, str]:
    """Give the versions that an episode notes, and the SHA-256 of the bundle that played it."""
    from ashore.datasets.episode import installed_versions

    return {**installed_versions(), "bundle_sha256": bundle.sha256}


def open_store(path: Path, contract: Contract, cameras: Sequence[CameraSpec] = ()) -> EpisodeStore:
    """Open the store at a path for more episodes of this contract and these cameras, or make it.

    Raises:
        ContractMismatch: it holds episodes of another contract.
    """
    from ashore.datasets.store import EpisodeStore

    contract = replace(contract, images=tuple(camera.feature for camera in cameras))
    if not path.exists():
        return EpisodeStore.create(path, contract)
    store = EpisodeStore.open(path)
    contract.require_same(store.contract, "the bundle", f"the store {path}")
    return store


def _one(values: Mapping[str, Array]) -> dict[str, Array]:
    return {name: value.astype(np.float32) for name, value in values.items()}
