"""The bridge's process: a PX4 or ArduPilot vehicle over MAVLink behind the topics of a mapping, as a driver would be.

vehicle    LOCAL_POSITION_NED, ATTITUDE_QUATERNION ─►  nav_msgs/Odometry in ENU and FLU
guard      geometry_msgs/TwistStamped              ─►  SET_ATTITUDE_TARGET or SET_POSITION_TARGET_LOCAL_NED

Set-points leave at the card's rate, while ACTIVE, and only as long as commands are younger than the card's timeout:
when they stop, the autopilot's own failsafe acts. It never arms.
"""

import argparse
import json
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ashore.policies.bundle import read_bundle
from ashore.real.drivers.mavlink import Estimate, Vehicle, thrust_share
from ashore.real.drivers.transport import open_transport
from ashore.real.errors import InvalidMessage, SimulatedTime, UnfitForBridge
from ashore.real.health import Health
from ashore.real.mapping import Binding, Channel, RobotMapping
from ashore.real.messages import message_class
from ashore.real.nodes.base import Work, run_node
from ashore.real.nodes.link import Answer, Link
from ashore.real.nodes.told import BundleFile, add_bundle, bundle_file
from ashore.real.rate import Loop
from ashore.sim.interfaces import make_interface

Array = NDArray[Any]
Kind = Literal["body_rate", "velocity"]
ODOMETRY, TWIST = "nav_msgs/Odometry", "geometry_msgs/TwistStamped"
STATE_TYPE = "std_msgs/String"
BODY_FRAME = "base_link"
LARGEST = float(np.finfo(np.float32).max)
"""MAVLink's numbers are of single precision: beyond is infinity there."""
PLACES = {
    "pos_world_m": "position",
    "quat_world_wxyz": "orientation",
    "linvel_world_m_s": "linear_parent",
    "angvel_body_rad_s": "angular_child",
}
"""Where an estimate's parts lie in an odometry."""


@dataclass(frozen=True)
class BridgeConfig:
    """The vehicle, and what it meets."""

    bundle: BundleFile
    """The bundle whose commands it takes; its card gives rate and timeout."""
    mapping: RobotMapping
    address: str = "udpin:127.0.0.1:14540"
    system: int = 1
    """The vehicle's MAVLink system id; what others send is not heard."""
    hover_thrust: float | None = None
    """Share of the largest thrust that hovers; needed where body rates and thrust are commanded."""
    heartbeat_s: float = 5.0
    """How long configure waits for the vehicle."""
    allow_network: bool = False
    """Whether an address beyond this host is taken."""


class BridgeWork(Work):
    """Passes the vehicle's estimate on, and the newest command at a steady rate."""

    def __init__(self, config: BridgeConfig) -> None:
        self._config = config
        self._loop: Loop | None = None
        self._active = False
        self._sending = threading.Lock()
        self._command: tuple[float, Array] | None = None

    def configure(self, link: Link) -> None:
        """Compare bundle and mapping, find the vehicle, connect."""
        config = self._config
        bundle = read_bundle(*config.bundle)
        contract, card = bundle.contract, bundle.card
        config.mapping.check(contract, card, make_interface(card.interface).derived)
        if link.clock.can_jump:
            name = link.node.get_fully_qualified_name()
            raise SimulatedTime(name, "whose vehicle keeps real time", "Remove it from the parameters.")
        self._kind = command_kind(config.mapping)
        if self._kind == "body_rate" and not (config.hover_thrust and 0 < config.hover_thrust < 1):
            raise UnfitForBridge(config.mapping.robot, f"hover thrust {config.hover_thrust}", "0 < --hover-thrust < 1")
        if not 1 <= config.system <= 255:
            raise UnfitForBridge(config.mapping.robot, f"system id {config.system}", "--system from 1 to 255")
        self._link, self._timeout_s = link, card.limits.timeout_s
        self._n_sent, self._n_silent = 0, 0
        odometry = [channel for channel in config.mapping.observations if channel.type == ODOMETRY]
        self._commands = config.mapping.commands[0]
        self._publish = [(_whole(channel), link.publisher(channel.topic, ODOMETRY, "stream")) for channel in odometry]
        self._tell = link.publisher("bridge/state", STATE_TYPE, "notice")
        self._told: tuple[object, ...] = ()
        transport = open_transport(config.address, config.allow_network)
        self._vehicle = Vehicle(transport, config.system, card.command_hz, self._pass_on)
        link.on_clear(self._vehicle.close)
        state = self._vehicle.open(config.heartbeat_s, config.address)
        if self._kind == "body_rate" and not self._vehicle.takes_thrust(config.heartbeat_s):
            problem = "this ArduPilot takes thrust for a climb rate, or did not answer for GUID_OPTIONS"
            raise UnfitForBridge(config.mapping.robot, problem, "bit 3 of its parameter GUID_OPTIONS: add 8")
        link.info(f"vehicle {config.system}: {'armed' if state.armed else 'not armed'}, mode {state.mode}")
        link.subscribe(self._commands.topic, TWIST, "order", self._take)
        link.serve("bridge/report", self._report)
        self._loop = Loop("bridge", 1.0 / card.command_hz, self.tick)

    def activate(self) -> None:
        """Take commands from now on."""
        self._command = None
        with self._sending:
            self._active = True
        if self._loop is not None:
            self._loop.start()

    def deactivate(self) -> None:
        """Send nothing more, at once."""
        with self._sending:
            self._active = False
        if self._loop is not None:
            self._loop.stop()

    def tick(self, now_s: float) -> None:
        """Do one command period: send the newest command where it is fresh and the vehicle is there."""
        state, command = self._vehicle.state(), self._command
        n_commanders = self._link.n_publishers(self._commands.topic)
        self._tell_change(state.armed, state.mode, state.is_lost, n_commanders)
        if command is None or now_s - command[0] > self._timeout_s or state.is_lost or n_commanders > 1:
            self._n_silent += 1
            return
        linear, angular = command[1][:3].tolist(), command[1][3:].tolist()
        with self._sending:
            if not self._active:
                return
            if self._kind == "velocity":
                self._vehicle.send_velocity(linear, angular[2])
            else:
                self._vehicle.send_body_rate(thrust_share(linear[2], self._config.hover_thrust or 0.0), angular)
        self._n_sent += 1

    def _pass_on(self, estimate: Estimate) -> None:
        """Publish an estimate, stamped with the time of its receipt."""
        stamp = self._link.stamp()
        values = {name: np.asarray(getattr(estimate, name)) for name in PLACES}
        for channel, publish in self._publish:
            message = channel.write(values, stamp)
            message.child_frame_id = BODY_FRAME
            publish(message)

    def _take(self, message: Any) -> None:
        channel = self._commands
        if channel.frame_id and message.header.frame_id != channel.frame_id:
            problem = f"its frame is {message.header.frame_id!r}"
            raise InvalidMessage(repr(channel.topic), problem, f"frame {channel.frame_id!r}")
        twist = message.twist
        values = [getattr(part, axis) for part in (twist.linear, twist.angular) for axis in "xyz"]
        if not all(abs(value) <= LARGEST for value in values):  # False for NaN.
            raise InvalidMessage(repr(channel.topic), "it holds NaN or infinity", "finite numbers")
        self._command = (time.monotonic(), np.array(values))

    def _tell_change(self, armed: bool, mode: str, is_lost: bool, n_commanders: int) -> None:
        """Tell the vehicle's state, and who commands it, when that changes."""
        if (armed, mode, is_lost, n_commanders) == self._told:
            return
        self._told = (armed, mode, is_lost, n_commanders)
        text = f"vehicle: {'armed' if armed else 'not armed'}, mode {mode}"
        text += ", lost: no heartbeat" if is_lost else ""
        text += f", {n_commanders} commanders: nothing is sent until one is left" if n_commanders > 1 else ""
        (self._link.error if is_lost or n_commanders > 1 else self._link.info)(text)
        self._tell(_text({"armed": armed, "mode": mode, "lost": is_lost, "commanders": n_commanders}))

    def health(self) -> Health:
        """Say how the vehicle is, and whether commands reach it."""
        state = self._vehicle.state()
        facts = {"armed": state.armed, "mode": state.mode, "sent": self._n_sent, "silent": self._n_silent}
        if state.is_lost:
            return Health("error", f"no heartbeat of the vehicle for {state.heartbeat_age_s:.1f} s", facts)
        if self._command is None or time.monotonic() - self._command[0] > self._timeout_s:
            return Health("ok", "no fresh command; nothing is sent", facts)
        return Health("ok", "commands reach the vehicle", facts)

    def _report(self) -> Answer:
        state = self._vehicle.state()
        facts = {
            "armed": state.armed,
            "mode": state.mode,
            "heartbeat_age_s": round(state.heartbeat_age_s, 3),
            "lost": state.is_lost,
            "sent": self._n_sent,
            "silent": self._n_silent,
            "refused": self._link.take_refused(),
            "refused_of_vehicle": dict(self._vehicle.refused),
            "misses": self._loop.pacer.take_missed() if self._loop else 0,
        }
        return Answer(True, facts)


def command_kind(mapping: RobotMapping) -> Kind:
    """Tell by the fields of its one command topic what a mapping commands: body rates and thrust, or a velocity.

    Raises:
        UnfitForBridge: the topics are others than those that the bridge serves.
    """
    expected = f"one {TWIST} with linear.z and angular (thrust and body rates), or linear and angular.z (velocity)"
    if not any(channel.type == ODOMETRY for channel in mapping.observations):
        raise UnfitForBridge(mapping.robot, "no observation is an odometry", f"a topic of {ODOMETRY}")
    if len(mapping.commands) != 1 or mapping.commands[0].type != TWIST:
        raise UnfitForBridge(mapping.robot, f"commands {[c.type for c in mapping.commands]}", expected)
    served = (mapping.commands[0], *(channel for channel in mapping.observations if channel.type == ODOMETRY))
    scaled = [binding.feature for channel in served for binding in channel.bindings if binding.scale != 1.0]
    if scaled:
        raise UnfitForBridge(mapping.robot, f"a scale on {scaled}", "none: the bridge's messages are in SI")
    fields = {binding.field for binding in mapping.commands[0].bindings}
    if fields == {"linear.z", "angular"}:
        return "body_rate"
    if "linear" in fields and fields <= {"linear", "angular.z"}:
        return "velocity"
    raise UnfitForBridge(mapping.robot, f"command fields {sorted(fields)}", expected)


def _whole(channel: Channel) -> Channel:
    """Make the channel that fills every part of an odometry, whichever of them the mapping's features use."""
    bindings = tuple(Binding(name, place) for name, place in PLACES.items())
    return Channel(channel.topic, ODOMETRY, bindings, channel.frame_id)


def _text(facts: dict[str, object]) -> Any:
    message = message_class(STATE_TYPE)()
    message.data = json.dumps(facts)
    return message


def make(argv: Sequence[str]) -> tuple[BridgeWork, str]:
    """Read the command line of the bridge's process."""
    parser = argparse.ArgumentParser(prog="ashore-bridge", description="Fly a PX4 or ArduPilot vehicle over MAVLink.")
    add_bundle(parser, "whose commands it takes")
    parser.add_argument("--mapping", required=True, help="name or file of the robot's mapping")
    parser.add_argument("--namespace", default="", help="the robot's ROS namespace")
    parser.add_argument("--address", default="udpin:127.0.0.1:14540", help="udpin:, udpout:HOST:PORT, serial:DEV:BAUD")
    parser.add_argument("--system", type=int, default=1, help="the vehicle's MAVLink system id")
    parser.add_argument("--hover-thrust", type=float, help="share of the largest thrust that hovers, 0 to 1")
    parser.add_argument("--heartbeat-s", type=float, default=5.0, help="how long to wait for the vehicle")
    parser.add_argument("--allow-network", action="store_true", help="take an address beyond this host")
    given = parser.parse_args(argv)
    config = BridgeConfig(
        bundle_file(given),
        RobotMapping.named(given.mapping),
        given.address,
        given.system,
        given.hover_thrust,
        given.heartbeat_s,
        given.allow_network,
    )
    return BridgeWork(config), given.namespace


def main(argv: Sequence[str] | None = None) -> int:
    """Run the bridge's process; returns its exit code."""
    return run_node("bridge", make, argv)


if __name__ == "__main__":
    sys.exit(main())
