"""The twin's process: PyBullet behind the robot's own topics, one episode at a time, in real time or at another speed.

tick         k                       k+1                     k+2
publishes    state at k              state at k+1            ...
then steps   k to k+1 with the newest command that had arrived by tick k: the twin is never quicker than a robot

At another speed, the parameter `real_time_factor`, the twin makes the time and tells it on /clock.
After a reset the scene stands still, its sensors going, until the first command arrives.
"""

import argparse
import json
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.contract import Difference
from ashore.datasets.errors import ContractMismatch
from ashore.policies.bundle import read_bundle
from ashore.real.clock import Clock
from ashore.real.errors import InvalidMessage, SimulatedTime
from ashore.real.health import Health
from ashore.real.mapping import Channel, RobotMapping
from ashore.real.messages import message_class
from ashore.real.nodes.base import Work, run_node
from ashore.real.nodes.link import Answer, Link, Setting
from ashore.real.nodes.stage import make_stage
from ashore.real.nodes.told import BundleFile, add_bundle, bundle_file
from ashore.real.nodes.twin_time import REAL_TIME_FACTOR, TwinTime
from ashore.real.rate import Loop
from ashore.sim.interfaces import make_interface

Array = NDArray[Any]
FAILSAFE_S = 0.5
"""A robot's own answer to silence: after this long without a command it stops by itself."""
OUTCOME_TYPE = "std_msgs/String"


@dataclass(frozen=True)
class TwinConfig:
    """What stands behind the topics."""

    bundle: BundleFile
    """The bundle that the twin meets; it names the task, and the contracts are compared."""
    mapping: RobotMapping
    profile: str
    """Reality profile: a shipped name or a YAML file."""
    seed: int = 0
    """Seed of the first episode; the node's parameter `seed`, read at each reset."""


class TwinWork(Work):
    """Steps the scene at the command rate, publishes what its sensors give, tells each episode's outcome."""

    def __init__(self, config: TwinConfig) -> None:
        self._config = config
        self._seed = Setting(config.seed, 0, 2**62, "Seed of the next episode, read at each reset.")
        self._lock = threading.Lock()
        self._loop: Loop | None = None
        self._commands: dict[str, Array] = {}
        self._command_s = float("-inf")
        self._tick_index = 0
        self._time: TwinTime | None = None

    def configure(self, link: Link) -> None:
        """Build the scene, compare its contract with the bundle's and with the mapping, connect."""
        config = self._config
        bundle = read_bundle(*config.bundle)
        contract, card = bundle.contract, bundle.card
        self._stage = make_stage(contract.task, config.profile)
        self._stage.contract.require_same(contract, f"the twin of {contract.task!r}", "the bundle")
        self._card, self._link = card, link
        self._interface = make_interface(card.interface)
        config.mapping.check(contract, card, self._interface.derived)
        self._require_measured()
        self._period_s = 1.0 / card.command_hz
        link.parameter("seed", self._seed)
        clock = self._choose_time(float(link.parameter("real_time_factor", REAL_TIME_FACTOR)))
        self._now_s = clock.now_s
        self._channels = [
            (channel, self._every(channel), link.publisher(channel.topic, channel.type, "stream"))
            for channel in config.mapping.observing([feature.name for feature in contract.observations])
        ]
        self._tell = link.publisher("twin/outcome", OUTCOME_TYPE, "notice")
        for channel in config.mapping.commands:
            link.subscribe(channel.topic, channel.type, "order", partial(self._take, channel))
        link.serve("twin/reset", self._reset)
        link.serve("twin/report", self._report)
        self._loop = Loop("twin", self._period_s, self.tick, clock)

    def _choose_time(self, factor: float) -> Clock:
        """Keep real time, or make a time of our own."""
        link = self._link
        if factor != REAL_TIME_FACTOR.default:
            self._time = TwinTime(factor, self._period_s, self._stage.physics_steps, link)
            self._stamp = self._time.stamp
            link.clock = self._time  # Who makes the time waits for nobody to tell it.
            return self._time
        if link.clock.can_jump:
            why = "which keeps real time at the real_time_factor 1"
            raise SimulatedTime(link.node.get_fully_qualified_name(), why, "Remove it, or give another factor.")
        self._time, self._stamp = None, link.stamp
        return link.clock

    def _require_measured(self) -> None:
        """Refuse topics of what the guard would wait for and no twin measures."""
        unknown = [name for name in self._card.limits.measured_high if self._config.mapping.observing([name])]
        if unknown:
            advice = "give the twin a mapping without it"
            found = [Difference(f"observations.{name}", "not measured", "on a topic", advice) for name in unknown]
            raise ContractMismatch("the twin", f"the mapping of robot {self._config.mapping.robot!r}", found)

    def activate(self) -> None:
        """Begin to publish; the scene stands as the seed says until a command arrives."""
        self._reset()
        if self._time is not None:
            self._time.begin()
        if self._loop is not None:
            self._loop.start()

    def deactivate(self) -> None:
        """Stand still and say nothing."""
        if self._loop is not None:
            self._loop.stop()

    def tick(self, now_s: float) -> None:
        """Do one command period: publish the present state, then step to the next."""
        with self._lock:
            measured = self._stage.observe()
            self._publish(measured)
            command = self._command(measured, now_s)
            between = None if self._time is None else self._time.physics_step
            outcome = None if command is None else self._stage.step(command, between)
            self._tick_index += 1
        if outcome is not None:
            self._tell(_text(outcome))

    def _every(self, channel: Channel) -> int:
        """Give how many command periods lie between two messages of a topic."""
        return 1 if channel.rate_hz is None else max(1, round(self._card.command_hz / channel.rate_hz))

    def _publish(self, measured: Mapping[str, Array]) -> None:
        stamp = self._stamp()
        values = {name: value[0] for name, value in measured.items()}
        for channel, every, publish in self._channels:
            if self._tick_index % every == 0:
                publish(channel.write(values, stamp))

    def _command(self, measured: Mapping[str, Array], now_s: float) -> Array | None:
        """Join the newest commands (1, Dc); None while any of them has not come since the reset."""
        commands = self._commands
        if any(feature.name not in commands for feature in self._card.commands):
            return None
        command = np.concatenate([commands[feature.name] for feature in self._card.commands])[None]
        if now_s - self._command_s > FAILSAFE_S:
            return self._interface.stop(self._interface.derive(measured), command)
        return command

    def _take(self, channel: Channel, message: Any) -> None:
        values = channel.read(message)
        if not all(np.all(np.isfinite(value)) for value in values.values()):
            raise InvalidMessage(repr(channel.topic), "it holds NaN or infinity", "finite numbers")
        # Replaced as a whole, without the lock: at another speed than real time a tick lasts a period.
        self._commands = {**self._commands, **values}
        self._command_s = self._now_s()

    def _reset(self) -> Answer:
        """Begin an episode with the parameter's seed; commands from before it do not count."""
        seed = int(self._link.parameter("seed", self._seed))
        with self._lock:
            facts = self._stage.reset(seed)
            self._commands, self._command_s, self._tick_index = {}, float("-inf"), 0
        return Answer(True, facts)

    def health(self) -> Health:
        """Say whether the scene moves."""
        facts: dict[str, float] = {"ticks": self._tick_index}
        if self._time is not None:
            facts["real_time_factor"] = self._time.take_speed()
        if not np.isfinite(self._command_s):
            return Health("ok", "the scene stands still until the first command", facts)
        silent_s = self._now_s() - self._command_s
        if silent_s > FAILSAFE_S:
            return Health("warning", "no command: it stops by itself", facts)
        return Health("ok", "moving", facts)

    def _report(self) -> Answer:
        loop, late = self._loop, self._time.take_missed() if self._time is not None else 0
        facts = {
            "period_ms": loop.periods.take_ms() if loop else [],
            "misses": late + (loop.pacer.take_missed() if loop else 0),
            "refused": self._link.take_refused(),
        }
        return Answer(True, facts)


def _text(facts: Mapping[str, Any]) -> Any:
    message = message_class(OUTCOME_TYPE)()
    message.data = json.dumps(facts)
    return message


def make(argv: Sequence[str]) -> tuple[TwinWork, str]:
    """Read the command line of the twin's process."""
    parser = argparse.ArgumentParser(prog="ashore-twin", description="Stand in for a robot, in real time.")
    add_bundle(parser, "that it will meet")
    parser.add_argument("--mapping", required=True, help="name of the robot's mapping")
    parser.add_argument("--profile", required=True, help="reality profile: a shipped name or a YAML file")
    parser.add_argument("--namespace", default="", help="the robot's ROS namespace")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first episode")
    given = parser.parse_args(argv)
    config = TwinConfig(bundle_file(given), RobotMapping.named(given.mapping), given.profile, given.seed)
    return TwinWork(config), given.namespace


def main(argv: Sequence[str] | None = None) -> int:
    """Run the twin's process; returns its exit code."""
    return run_node("twin", make, argv)


if __name__ == "__main__":
    sys.exit(main())
