"""A deployment on the twin whose processes and messages can be harmed, and a judge of the commands that come out.

The judge hears the robot's command topics alone and shares no code with the guard.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ashore.policies.bundle import read_bundle
from ashore.real.cameras import CameraSpec
from ashore.real.conductor import Conductor
from ashore.real.mapping import Channel, RobotMapping
from ashore.real.network import applied, environment, own_domain, sweep_segments
from ashore.real.parent import PARENT_KEY
from ashore.real.plan import NO_DEADMAN_S, Deployment, Process, process_plan
from ashore.real.station import Station
from ashore.real.supervision import Supervision
from ashore.real.vector import VECTOR_TYPE
from benchmarks.fault_relay import Faults

Array = NDArray[Any]
NODES = ("twin", "policy", "guard")
SETTLED_S = 1.0
"""How long commands flow before anything is harmed."""


@dataclass
class Judge:
    """What was told to the robot, and when it was heard."""

    heard: list[tuple[float, Array]] = field(default_factory=list)
    _parts: dict[str, Array] = field(default_factory=dict)

    def connect(self, conductor: Conductor, mapping: RobotMapping) -> None:
        """Listen to every command topic; the last one completes a command."""
        self._names = sorted(binding.feature for channel in mapping.commands for binding in channel.bindings)
        self._last = mapping.commands[-1].topic
        for channel in mapping.commands:
            conductor.link.subscribe(channel.topic, channel.type, "order", partial(self._take, channel))

    def _take(self, channel: Channel, message: Any) -> None:
        self._parts.update({name: np.array(value).ravel() for name, value in channel.read(message).items()})
        if channel.topic == self._last and all(name in self._parts for name in self._names):
            self.heard.append((time.monotonic(), np.concatenate([self._parts[name] for name in self._names])))

    def followed(self, follows: Callable[[Array, Array], bool]) -> list[tuple[float, bool]]:
        """List when commands came and whether they followed the policy, told from the one before each and itself."""
        pairs = zip(self.heard[:-1], self.heard[1:], strict=True)
        return [(at_s, follows(before, command)) for (_, before), (at_s, command) in pairs]

    @property
    def not_finite(self) -> int:
        """Commands that held NaN or infinity."""
        return sum(not np.isfinite(command).all() for _, command in self.heard)


@dataclass(frozen=True)
class Watching:
    """Who looks on beside the nodes that drive."""

    cameras: tuple[CameraSpec, ...] = ()
    store: Path | None = None
    """Of a recorder; None for none."""


NOBODY = Watching()


class Graph:
    """Twin, policy and guard, running; as a block, it ends them all."""

    def __init__(
        self,
        bundle: Path,
        robot: str,
        log_dir: Path,
        relayed: tuple[str, ...] = (),
        deadman_s: float = NO_DEADMAN_S,
        watching: Watching = NOBODY,
    ) -> None:
        """Take what runs.

        Args:
            bundle: of a policy that never rests.
            robot: panda or crazyflie.
            log_dir: for the logs of the processes.
            relayed: topics between nodes that messages can be harmed on: of observations, or "proposal".
            deadman_s: silence of an operator after which the guard stops; 0 needs none.
            watching: cameras and a recorder.
        """
        self._watching = watching
        self._deadman_s = deadman_s
        self.robot, self._bundle, self._log_dir, self._relayed = robot, read_bundle(bundle), log_dir, relayed
        self.mapping = RobotMapping.named(robot)
        self.card = self._bundle.card
        self.judge = Judge()
        self._stack = ExitStack()
        self._relay: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        stack = self._stack
        try:
            stack.callback(sweep_segments)
            self.domain_id = stack.enter_context(own_domain())
            stack.enter_context(applied(environment("loopback", self.domain_id)))
            plan = [
                self._remapped(each)
                for each in process_plan(
                    Deployment(
                        self._bundle,
                        f"twin/{self.robot}",
                        domain_id=self.domain_id,
                        deadman_s=self._deadman_s,
                        cameras=self._watching.cameras,
                        record=self._watching.store,
                    )
                )
            ]
            looking_on = [each.name for each in plan if each.name not in NODES]
            self.supervision = stack.enter_context(Supervision(plan, self._log_dir))
            if self._relayed:
                self._relay = self._start_relay()
                stack.callback(self._relay.kill)
            self.conductor = stack.enter_context(Conductor(self.robot, self.domain_id, self.supervision))
            self.judge.connect(self.conductor, self.mapping)
            self.station = stack.enter_context(Station(self.domain_id, self.robot))
            self.conductor.configure((*NODES, *looking_on))
            for node in ("twin", *looking_on):
                self.conductor.transition(node, "activate")
        except BaseException:
            stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pid in self.supervision.pids.values():
            _signal(pid, signal.SIGCONT)  # What stands still cannot end.
        self._stack.close()

    def start(self) -> None:
        """Begin an episode, activate policy and guard, and wait until commands flow."""
        self.judge.heard.clear()
        self.conductor.ask("twin/reset")
        self.conductor.transition("policy", "activate")
        self.conductor.transition("guard", "activate")
        self.conductor.wait_for("commands", lambda: len(self.judge.heard) > 10, 20.0)
        time.sleep(SETTLED_S)

    def end(self) -> None:
        """Deactivate guard and policy."""
        self.conductor.transition("guard", "deactivate")
        self.conductor.transition("policy", "deactivate")

    def resident_mb(self) -> dict[str, float]:
        """Give the memory of each process."""
        found = {}
        for name, pid in self.supervision.pids.items():
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
            found[name] = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024
        return found

    def harm(self, told: Mapping[str, Faults]) -> None:
        """Harm messages from now on, by topic; the others are healed."""
        relay = self._relay
        if relay is None or relay.stdin is None or relay.stdout is None:
            raise RuntimeError("this graph has no relay")
        relay.stdin.write(json.dumps({topic: asdict(faults) for topic, faults in told.items()}) + "\n")
        relay.stdin.flush()
        relay.stdout.readline()

    def kill(self, node: str, number: int) -> None:
        """Send a signal to a node's process."""
        _signal(self.supervision.pids[node], number)

    def _remapped(self, process: Process) -> Process:
        names = [t for t in self._relayed if (t == "proposal") == (process.name == "policy")]
        if process.name not in ("policy", "twin") or not names:
            return process
        rules = [word for topic in names for word in ("-r", f"{topic}:=raw/{topic}")]
        return replace(process, ros_args=(*process.ros_args, *rules))

    def _start_relay(self) -> subprocess.Popen[str]:
        kinds = {channel.topic: (channel.type, "stream") for channel in self.mapping.observations}
        kinds["proposal"] = (VECTOR_TYPE, "order")
        topics = [f"{topic}:{kinds[topic][0]}:{kinds[topic][1]}" for topic in self._relayed]
        command = [sys.executable, "-m", "benchmarks.fault_relay", self.robot, *topics]
        root = Path(__file__).resolve().parents[1]
        path = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])
        env = {**os.environ, PARENT_KEY: str(os.getpid()), "PYTHONPATH": path}
        relay = subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if relay.stdout is None or relay.stdout.readline().strip() != "ready":
            raise RuntimeError("the relay did not start")
        return relay


def _signal(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
