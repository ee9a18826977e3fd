"""What the robot saw, from topics into a store: the policy's observations and actions, the guard's commands.

A step waits for the command that the guard sends after it, so that each row holds what the robot was then told.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.contract import Contract
from ashore.datasets.durable import sha256_hex
from ashore.real.mapping import Channel, RobotMapping
from ashore.real.nodes.link import Link
from ashore.real.rate import Samples
from ashore.real.vector import VECTOR_TYPE, element_names, from_vector
from ashore.sim.robot import RobotCard

if TYPE_CHECKING:
    from ashore.datasets.episode import EpisodeMeta
    from ashore.datasets.recording import EpisodeWriter
    from ashore.datasets.store import EpisodeStore

Array = NDArray[Any]


class Recorder:
    """Hears steps and commands on ROS's thread and writes them when told to, so that no disk slows the hearing."""

    def __init__(self, contract: Contract, card: RobotCard, store: EpisodeStore | None) -> None:
        self.received = Samples()
        """Time between commands as they arrive here."""
        self._contract = contract
        self._command_names = [feature.name for feature in card.commands]
        self._store = store
        self._writer: EpisodeWriter | None = None
        self._names = element_names((*contract.observations, *contract.actions))
        self._heard: dict[str, Array] = {}
        self._step: tuple[Array, float] | None = None
        self._rows: deque[tuple[Array, float, Array]] = deque()
        self._first_s: float | None = None
        self._open = False

    def connect(self, link: Link, mapping: RobotMapping) -> None:
        """Subscribe to the policy's steps and to the robot's commands."""
        link.subscribe("step", VECTOR_TYPE, "order", self.take_step)
        for channel in mapping.commands:
            link.subscribe(channel.topic, channel.type, "order", partial(self.take_command, channel))

    def begin(self, meta: EpisodeMeta) -> None:
        """Begin an episode."""
        self._rows.clear()
        self._heard, self._step, self._first_s = {}, None, None
        self.received.lift()
        self._writer = self._store.begin(meta) if self._store is not None else None
        self._open = True

    def take_step(self, message: Any) -> None:
        """Take in one step of the policy."""
        if self._open:
            self._step = (from_vector(message, self._names, "'step'"), time.monotonic())
            self._heard = {}

    def take_command(self, channel: Channel, message: Any) -> None:
        """Take in a part of a command; the last part completes the step that waits for it."""
        if not self._open:
            return
        values = channel.read(message)
        if self._command_names[0] in values:
            self.received.mark(time.monotonic())
        self._heard.update(values)
        if self._step is not None and all(name in self._heard for name in self._command_names):
            command = np.concatenate([self._heard[name].ravel() for name in self._command_names])
            self._rows.append((*self._step, command))
            self._step = None

    def write(self) -> int:
        """Write the rows heard so far; returns how many there were."""
        n_rows = 0
        while self._rows:
            values, time_s, command = self._rows.popleft()
            n_rows += 1
            if self._writer is not None:
                width = self._contract.observation_width
                observation = _one(self._contract.split_observation(values[:width]))
                action = _one(self._contract.split_action(values[width:]))
                self._first_s = time_s if self._first_s is None else self._first_s
                self._writer.add(observation, action, time_s - self._first_s, command)
        return n_rows

    def end(self, outcome: Mapping[str, Any]) -> None:
        """Commit the episode with its outcome; one without a step is discarded."""
        self._open = False
        self.write()
        writer, self._writer = self._writer, None
        if writer is None:
            return
        if not len(writer):
            writer.discard()
            return
        metrics = {name: float("nan") if value is None else value for name, value in outcome["metrics"].items()}
        writer.commit(success=outcome["success"], truncated=outcome["truncated"], metrics=metrics)

    def abandon(self) -> None:
        """End without a verdict: what was heard is committed as truncated, without success or failure."""
        self._open = False
        self.write()
        writer, self._writer = self._writer, None
        if writer is not None and len(writer):
            writer.commit(truncated=True)
        elif writer is not None:
            writer.discard()


def told_versions(bundle: Path) -> dict[str, str]:
    """Give the versions that an episode notes, and the SHA-256 of the bundle that played it."""
    from ashore.datasets.episode import installed_versions

    return {**installed_versions(), "bundle_sha256": sha256_hex(bundle.read_bytes())}


def open_store(path: Path, contract: Contract) -> EpisodeStore:
    """Open the store at a path for more episodes of this contract, or make it.

    Raises:
        ContractMismatch: it holds episodes of another contract.
    """
    from ashore.datasets.store import EpisodeStore

    if not path.exists():
        return EpisodeStore.create(path, contract)
    store = EpisodeStore.open(path)
    contract.require_same(store.contract, "the bundle", f"the store {path}")
    return store


def _one(values: Mapping[str, Array]) -> dict[str, Array]:
    return {name: value.astype(np.float32) for name, value in values.items()}
