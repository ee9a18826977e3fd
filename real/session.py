"""A policy on a robot, with a person at the keys: nothing moves before they say so, and every key is one act."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.contract import Contract
from ashore.datasets.episode import EpisodeMeta
from ashore.datasets.errors import AshoreError
from ashore.policies.bundle import Bundle
from ashore.policies.execution.limits import bounds_of
from ashore.real.cameras import CameraSpec
from ashore.real.conductor import Conductor
from ashore.real.errors import TransitionRefused
from ashore.real.event_log import EventLog, what_runs
from ashore.real.health import Health
from ashore.real.mapping import Channel, RobotMapping
from ashore.real.network import Network, applied, environment, own_robot, sweep_segments
from ashore.real.nodes.link import load_rclpy
from ashore.real.nodes.worker import Worker
from ashore.real.plan import CAMERA, GUARD, Bridge, Deployment, Process, process_plan
from ashore.real.recording import Recorder, open_store, told_versions
from ashore.real.station import Station
from ashore.real.supervision import Supervision, undisturbed
from ashore.real.vector import VECTOR_TYPE, element_names, from_vector, proposal_names
from ashore.sim.interfaces import make_interface
from ashore.sim.robot import RobotCard

Array = NDArray[Any]
WRITE_S = 0.05
DEAF = "NOBODY HEARD IT: use the hardware's own stop."
KEYS = "SPACE stop   r let go of it   a activate   d deactivate   y, n episode succeeded, failed   q quit"


@dataclass(frozen=True)
class SessionConfig:
    """One session on a robot."""

    bundle: Bundle
    robot: str
    """Name or file of its mapping."""
    domain_id: int
    network: Network = "loopback"
    bridge: Bridge | None = None
    """Where the vehicle is that a bridge speaks to; None where the robot speaks ROS itself."""
    record: Path | None = None
    """Store for what the robot saw."""
    shadow: bool = False
    """Whether somebody else drives, and the policy's commands are compared with theirs and never sent."""
    deadman_s: float = 1.0
    """Silence of this session after which the guard stops."""
    speed: float = 1.0
    """Share of an arm's speed that the guard lets pass, over 0 to 1."""
    despite_evidence: bool = False
    """Whether a bundle may drive that no ranking speaks for; a shadow, which sends nothing, may always."""
    cameras: tuple[CameraSpec, ...] = ()
    """Cameras to run, and to record where there is a store."""
    log_dir: Path | None = None


def hold_session(config: SessionConfig, keys: Iterable[str], say: Callable[[str], None]) -> None:
    """Start the processes, then act on keys until q or their end; leaves everything inactive and ended.

    Raises:
        UnknownName, MissingRos, ContractMismatch, RobotMismatch: bundle and robot do not fit; before a process starts.
        InvalidLimits: the speed is no share, or the robot has none to share.
        RobotTaken: another session commands the robot.
        ProcessEnded, TransitionRefused, NoAnswer: the deployment failed; all processes were ended.
    """
    load_rclpy()
    contract, card = config.bundle.contract, config.bundle.card
    mapping = RobotMapping.named(config.robot)
    mapping.check(contract, card, make_interface(card.interface).derived)
    bounds_of(card, config.speed)
    log_dir = config.log_dir if config.log_dir is not None else Path(tempfile.mkdtemp(prefix="ashore-session-"))
    domain_id = config.domain_id
    plan = _plan(config)
    with ExitStack() as stack:
        store = open_store(config.record, contract, config.cameras) if config.record is not None else None
        if store is not None:
            stack.enter_context(store)
        stack.enter_context(own_robot(domain_id, plan[0].namespace))
        stack.callback(sweep_segments)
        stack.enter_context(applied(environment(config.network, domain_id)))
        supervision = Supervision(plan, log_dir)
        facts = what_runs(config.bundle, config.robot, domain_id, speed=config.speed, shadow=config.shadow)
        conductor = stack.enter_context(Conductor(plan[0].namespace, domain_id, supervision))
        events = stack.enter_context(EventLog(conductor.link.node, log_dir, facts))
        stack.enter_context(supervision)

        def tell(text: str) -> None:
            say(text)
            events.tell(text, {})

        recorder = Recorder(contract, card, store)
        recorder.connect(conductor.link, mapping, config.cameras)
        shadow = Shadow(contract, card)
        if config.shadow:
            shadow.connect(conductor, mapping)
        conductor.configure([process.name for process in plan])
        looking_on = [process.name for process in plan if process.activates]
        for name in looking_on:
            conductor.transition(name, "activate")
        station = stack.enter_context(Station(domain_id, plan[0].namespace, with_operator=True))
        if not config.shadow:
            station.wait_until_heard()
        say(f"{config.robot} in ROS domain {domain_id}; logs in {log_dir}.\n{KEYS}")
        driving = [process.name for process in plan if process.name not in looking_on]
        session = _Session(conductor, station, recorder, driving, config.bundle, tell)
        stack.callback(session.deactivate)
        for key in keys:
            if not session.act(key):
                break
        if config.shadow:
            tell(shadow.told())


def _plan(config: SessionConfig) -> list[Process]:
    """Plan the processes; nothing of a shadow commands."""
    plan = process_plan(
        Deployment(
            config.bundle,
            config.robot,
            network=config.network,
            domain_id=config.domain_id,
            bridge=config.bridge,
            deadman_s=config.deadman_s,
            speed=config.speed,
            cameras=config.cameras,
            despite_evidence=config.despite_evidence or config.shadow,
        )
    )
    return [process for process in plan if not (config.shadow and process.name == GUARD)]


class _Session:
    """What the keys do."""

    def __init__(
        self,
        conductor: Conductor,
        station: Station,
        recorder: Recorder,
        nodes: list[str],
        bundle: Bundle,
        say: Callable[[str], None],
    ) -> None:
        self._conductor, self._station, self._recorder = conductor, station, recorder
        self._nodes, self._bundle, self._say = nodes, bundle, say
        self._versions = told_versions(bundle)
        self._writing = Worker("recording", self._write)
        self._fault: AshoreError | None = None
        self._is_active = False
        self._began_s = 0.0

    def _write(self, ended: threading.Event) -> None:
        """Write on a thread of its own: no disk and no picture may keep a key waiting."""
        try:
            while not ended.wait(WRITE_S):
                self._recorder.write()
        except AshoreError as fault:
            self._fault = fault

    def act(self, key: str) -> bool:
        """Do what a key says; False for the end. A key of no meaning only looks whether all is well."""
        if key == " ":
            self._say("STOP is pressed" if self._station.press(True) else DEAF)
        self._conductor.wait_for("nothing", lambda: True, 1.0)  # Raises where a process has ended.
        if self._fault is not None:
            raise self._fault
        if key == "r":
            self._say("let go; nothing starts by itself" if self._station.press(False) else DEAF)
        elif key == "a":
            self._activate()
        elif key in ("d", "y", "n"):
            self.deactivate({"y": True, "n": False}.get(key))
        return key != "q"

    def deactivate(self, success: bool | None = None) -> None:
        """End an episode: the guard brakes and falls silent, then the policy."""
        if not self._is_active:
            return
        self._is_active = False
        try:
            for node in reversed(self._nodes):
                self._conductor.transition(node, "deactivate")
        except BaseException:  # A process is gone, or Ctrl-C: what was recorded stays.
            self._abandon()
            raise
        self._writing.stop()
        outcome: dict[str, Any] = {"success": success, "truncated": success is None, "metrics": {}}
        self._recorder.end(outcome)
        told = {True: "succeeded", False: "failed", None: "without a verdict"}[success]
        self._say(f"inactive after {time.monotonic() - self._began_s:.1f} s: {told}")

    def _abandon(self) -> None:
        """End the recording without a verdict; a second Ctrl-C does not cut that short."""
        with undisturbed():
            self._writing.stop()
            self._recorder.abandon()

    def _cameras(self) -> list[tuple[str, Health]]:
        return [(name, health) for name, health in self._station.health().items() if f"/{CAMERA}_" in name]

    def _activate(self) -> None:
        if self._is_active:
            return
        blind = [f"{name}: {health.text}" for name, health in self._cameras() if health.level != "ok"]
        if blind:
            self._say(f"not active: {'; '.join(blind)}")
            return
        self._recorder.begin(EpisodeMeta(source="real", operator=self._bundle.path.name, versions=self._versions))
        self._writing.start()
        started: list[str] = []
        try:
            for node in self._nodes:
                self._conductor.transition(node, "activate")
                started.append(node)
        except TransitionRefused as refusal:
            for node in reversed(started):
                self._conductor.transition(node, "deactivate")
            self._abandon()
            self._say(f"not active: {refusal}")
            return
        except BaseException:
            self._abandon()
            raise
        self._is_active, self._began_s = True, time.monotonic()
        self._say("active")


class Shadow:
    """Compares what the policy proposes with what somebody else tells the robot."""

    def __init__(self, contract: Contract, card: RobotCard) -> None:
        self._names = proposal_names(card.commands)
        self._features = [feature.name for feature in card.commands]
        self._elements = element_names(card.commands)
        self._proposal: Array | None = None
        self._heard: dict[str, Array] = {}
        self._differences: list[Array] = []

    def connect(self, conductor: Conductor, mapping: RobotMapping) -> None:
        """Listen to proposals, and to the robot's commands."""
        conductor.link.subscribe("proposal", VECTOR_TYPE, "order", self._take_proposal)
        for channel in mapping.commands:
            conductor.link.subscribe(channel.topic, channel.type, "order", partial(self._take_command, channel))

    def told(self) -> str:
        """Give the root mean square difference of each command element."""
        if not self._differences:
            return "shadow: no command was heard while the policy proposed"
        rms = np.sqrt(np.mean(np.square(self._differences), axis=0))
        lines = [f"  {name}: {value:.4g}" for name, value in zip(self._elements, rms, strict=True)]
        return "\n".join([f"shadow: proposed less driven over {len(self._differences)} commands, rms", *lines])

    def _take_proposal(self, message: Any) -> None:
        self._proposal = from_vector(message, self._names, "'proposal'")[: len(self._elements)]

    def _take_command(self, channel: Channel, message: Any) -> None:
        self._heard.update({name: np.asarray(value).ravel() for name, value in channel.read(message).items()})
        if self._proposal is not None and all(name in self._heard for name in self._features):
            driven = np.concatenate([self._heard[name] for name in self._features])
            self._differences.append(self._proposal - driven)
            self._proposal = None
