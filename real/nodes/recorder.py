"""The recorder's process: episodes into a store, begun and ended by marks, so that no disk ever slows the robot.

A disk that refuses ends the recording and nothing else: it is said in the node's health, and what was written until
then is in the store, or in its journal for `ashore recover`.
"""

import argparse
import sys
import threading
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ashore.datasets.episode import EpisodeMeta, Source
from ashore.datasets.errors import AshoreError
from ashore.policies.bundle import read_bundle
from ashore.real.cameras import CameraSpec, parse_cameras
from ashore.real.health import Health
from ashore.real.mapping import RobotMapping
from ashore.real.nodes.base import Work, run_node
from ashore.real.nodes.link import Answer, Link
from ashore.real.nodes.operation import MARKS
from ashore.real.nodes.told import BundleFile, add_bundle, bundle_file
from ashore.real.nodes.worker import Worker
from ashore.real.recording import Recorder, open_store, told_versions
from ashore.sim.interfaces import make_interface

if TYPE_CHECKING:
    from ashore.datasets.store import EpisodeStore

PERIOD_S = 0.05


@dataclass(frozen=True)
class RecorderConfig:
    """What is recorded, and where."""

    bundle: BundleFile
    mapping: RobotMapping
    store: Path
    cameras: tuple[CameraSpec, ...] = ()
    source: Source = "real"


class RecorderWork(Work):
    """Hears on ROS's thread, writes on its own."""

    def __init__(self, config: RecorderConfig) -> None:
        self._config = config
        self._worker = Worker("recorder", self._run)
        self._store: EpisodeStore | None = None
        self._marks: deque[str] = deque()
        self._counts: Counter[str] = Counter()
        self._failure = ""

    def configure(self, link: Link) -> None:
        """Open the store, and connect.

        Raises:
            ContractMismatch, StoreLocked: the store is of another contract, or somebody else writes to it.
        """
        config = self._config
        bundle = read_bundle(*config.bundle)
        contract, card = bundle.contract, bundle.card
        config.mapping.check(contract, card, make_interface(card.interface).derived)
        self._link, self._versions = link, told_versions(bundle)
        store = open_store(config.store, contract, config.cameras)
        self._store = store.__enter__()
        link.on_clear(self._close)
        self._recorder = Recorder(contract, card, store)
        self._recorder.connect(link, config.mapping, config.cameras)
        for mark in MARKS:
            link.serve(f"recorder/{mark}", partial(self._mark, mark))

    def activate(self) -> None:
        """Wait for marks."""
        self._marks.clear()
        self._failure = ""
        self._worker.start()

    def deactivate(self) -> None:
        """End the episode that runs, without a verdict."""
        self._worker.stop()

    def health(self) -> Health:
        """Say what is recorded."""
        facts = {name: self._counts[name] for name in ("episodes", "steps", "lost_pictures")}
        if self._failure:
            return Health("error", f"not recording: {self._failure}", facts)
        return Health("ok", "recording" if self._recorder.is_open else "waiting for a mark", facts)

    def _mark(self, mark: str) -> Answer:
        """Take a mark, or say why not; the disk's work is done on the other thread."""
        refused = ""
        if not self._worker.is_running:
            refused = "the recorder is not active"
        elif self._marks:
            refused = f"the recorder is still busy with {self._marks[0]!r}; a moment later"
        elif mark != "begin" and not self._recorder.is_open:
            refused = "no episode is being recorded"
        if not refused:
            self._marks.append(mark)
        return Answer(not refused, {"refused": refused})

    def _run(self, ended: threading.Event) -> None:
        while not ended.wait(PERIOD_S):
            self._guarded(self._work)
        self._guarded(self._work)
        self._guarded(self._abandon)

    def _guarded(self, work: Any) -> None:
        """Do what may fail on the disk; a recording that failed is over, the next mark begins anew."""
        try:
            work()
        except AshoreError as error:
            self._failure = str(error)
            self._link.error(f"the recording ended:\n{error}")
            self._recorder.fail()

    def _work(self) -> None:
        if self._marks:
            try:
                self._heed(self._marks[0])
            finally:
                self._marks.popleft()
        self._counts["steps"] += self._recorder.write()
        self._counts["lost_pictures"] = self._recorder.n_lost

    def _heed(self, mark: str) -> None:
        config = self._config
        if mark == "begin":
            self._abandon()
            self._failure = ""
            meta = EpisodeMeta(source=config.source, operator=config.bundle.path.name, versions=self._versions)
            self._recorder.begin(meta)
        elif self._recorder.is_open:
            success = {"success": True, "failure": False}.get(mark)
            outcome: dict[str, Any] = {"success": success, "truncated": success is None, "metrics": {}}
            self._counts["episodes"] += self._recorder.end(outcome)

    def _abandon(self) -> None:
        if self._recorder.is_open:
            self._counts["episodes"] += self._recorder.abandon()

    def _close(self) -> None:
        store, self._store = self._store, None
        if store is not None:
            store.__exit__(None, None, None)


def make(argv: Sequence[str]) -> tuple[RecorderWork, str]:
    """Read the command line of the recorder's process."""
    parser = argparse.ArgumentParser(prog="ashore-recorder", description="Record what the robot sees and is told.")
    add_bundle(parser, "that drives")
    parser.add_argument("--mapping", required=True, help="name of the robot's mapping")
    parser.add_argument("--store", type=Path, required=True, help="where to; made, or extended")
    parser.add_argument("--camera", action="append", default=[], help="a camera that is recorded, as ashore-camera's")
    parser.add_argument("--source", choices=("real", "twin"), default="real", help="what stands behind the topics")
    parser.add_argument("--namespace", default="", help="the robot's ROS namespace")
    given = parser.parse_args(argv)
    mapping, cameras = RobotMapping.named(given.mapping), parse_cameras(given.camera)
    return RecorderWork(
        RecorderConfig(bundle_file(given), mapping, given.store, cameras, given.source)
    ), given.namespace


def main(argv: Sequence[str] | None = None) -> int:
    """Run the recorder's process; returns its exit code."""
    return run_node("recorder", make, argv)


if __name__ == "__main__":
    sys.exit(main())
