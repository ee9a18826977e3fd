"""A PX4 or ArduPilot vehicle over MAVLink: its estimate in, set-points out, in ENU, FLU and SI on our side.

It never arms, disarms or changes the mode: that is the operator's, from the remote control or the ground station.
Messages: mavlink.io/en/messages/common.html, from pymavlink's generated dialect.
"""

from __future__ import annotations

import importlib
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ashore.real.drivers.frames import Quaternion, Vector, swap_attitude, swap_frd_flu, swap_ned_enu
from ashore.real.drivers.transport import Transport
from ashore.real.errors import MissingMavlink, NoVehicle

GRAVITY_M_S2 = 9.80665
POLL_S = 0.1
HEARTBEAT_S = 1.0
LOST_S = 3.0
"""Three heartbeats missed: the vehicle counts as lost."""
STALE_ATTITUDE_S = 0.2
"""A position is told only with an attitude that is younger."""
NORM_TOLERANCE = 0.02
AUTOPILOT_COMPONENT, OWN_COMPONENT = 1, 191
"""MAV_COMP_ID_AUTOPILOT1 and MAV_COMP_ID_ONBOARD_COMPUTER."""
ONBOARD_CONTROLLER, NO_AUTOPILOT, ACTIVE, ARMED = 18, 8, 4, 128
SET_MESSAGE_INTERVAL, LOCAL_POSITION_NED, ATTITUDE_QUATERNION = 511, 32, 31
THRUST_OPTIONS, THRUST_IS_THRUST = "GUID_OPTIONS", 1 << 3
"""ArduCopter's parameter, and its bit without which it takes the thrust of a set-point for a climb rate."""
ASK_AGAIN_S = 0.5
LOCAL_NED = 1
IGNORE_ATTITUDE = 1 << 7
"""Of ATTITUDE_TARGET_TYPEMASK: body rates and thrust hold."""
IGNORE_ALL_BUT_VELOCITY = (7 << 0) | (7 << 6) | (1 << 10)
"""Of POSITION_TARGET_TYPEMASK: velocity and yaw rate hold."""
PX4, ARDUPILOT = 12, 3
PX4_MODES = {1: "MANUAL", 2: "ALTCTL", 3: "POSCTL", 4: "AUTO", 5: "ACRO", 6: "OFFBOARD", 7: "STABILIZED"}
"""Main modes of PX4, px4_custom_mode.h."""
COPTER_MODES = {0: "STABILIZE", 2: "ALT_HOLD", 3: "AUTO", 4: "GUIDED", 5: "LOITER", 6: "RTL", 9: "LAND"}
"""Those of ArduCopter that an operator meets most, mode.h."""


@dataclass(frozen=True)
class Estimate:
    """The autopilot's estimate of its own state: world is ENU at its local origin, body is FLU."""

    pos_world_m: Vector
    quat_world_wxyz: Quaternion
    linvel_world_m_s: Vector
    angvel_body_rad_s: Vector


@dataclass(frozen=True)
class VehicleState:
    """What the newest heartbeat says."""

    armed: bool
    mode: str
    heartbeat_age_s: float

    @property
    def is_lost(self) -> bool:
        """Whether heartbeats stay away."""
        return self.heartbeat_age_s > LOST_S


class Vehicle:
    """One vehicle behind one transport; listens and sends our heartbeat on threads of its own from open to close."""

    def __init__(self, transport: Transport, system: int, rate_hz: float, take: Callable[[Estimate], None]) -> None:
        self.refused: Counter[str] = Counter()
        """Messages that were not used, by reason."""
        self._dialect = _load_dialect()
        self._transport = transport
        self._system = system
        self._interval_us = 1e6 / rate_hz
        self._take = take
        self._parser = self._dialect.MAVLink(None)
        self._parser.robust_parsing = True
        self._writer = self._dialect.MAVLink(None, srcSystem=system, srcComponent=OWN_COMPONENT)
        self._sending = threading.Lock()
        self._heard = threading.Event()
        self._halt = threading.Event()
        self._heartbeat: tuple[float, Any] | None = None
        self._attitude: tuple[float, Any] | None = None
        self._parameters: dict[str, float] = {}
        self._began_s = time.monotonic()
        self._threads = [threading.Thread(target=run, daemon=True) for run in (self._listen, self._beat)]

    def open(self, timeout_s: float, address: str) -> VehicleState:
        """Start, and wait for the vehicle's heartbeat.

        Raises:
            NoVehicle: none came in time; tells what came instead.
        """
        for thread in self._threads:
            thread.start()
        if not self._heard.wait(timeout_s):
            raise NoVehicle(address, self._system, timeout_s, sorted(self.refused))
        return self.state()

    def close(self) -> None:
        """Stop listening and sending."""
        self._halt.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()
        self._transport.close()

    def state(self) -> VehicleState:
        """Tell what the newest heartbeat said, and how old it is."""
        if self._heartbeat is None:
            return VehicleState(False, "unknown", math.inf)
        at_s, message = self._heartbeat
        return VehicleState(bool(message.base_mode & ARMED), _mode(message), time.monotonic() - at_s)

    def takes_thrust(self, timeout_s: float) -> bool:
        """Tell whether this autopilot takes a set-point's thrust for thrust; asks an ArduPilot how it is set.

        Source: ArduCopter/mode_guided.cpp, set_attitude_target_provides_thrust. No answer is a no.
        """
        if self._heartbeat is None or self._heartbeat[1].autopilot != ARDUPILOT:
            return True
        deadline_s = time.monotonic() + timeout_s
        while THRUST_OPTIONS not in self._parameters and time.monotonic() < deadline_s:
            asked = (self._system, AUTOPILOT_COMPONENT, THRUST_OPTIONS.encode(), -1)
            self._send(self._writer.param_request_read_encode(*asked))
            self._halt.wait(ASK_AGAIN_S)
        return bool(int(self._parameters.get(THRUST_OPTIONS, 0.0)) & THRUST_IS_THRUST)

    def send_body_rate(self, thrust_share: float, rate_body_rad_s: Sequence[float]) -> None:
        """Send collective thrust, 0 to 1 of the largest, and body rates in FLU."""
        roll, pitch, yaw = swap_frd_flu(rate_body_rad_s)
        target = (self._time_ms(), self._system, AUTOPILOT_COMPONENT)
        level = [1.0, 0.0, 0.0, 0.0]
        self._send(
            self._writer.set_attitude_target_encode(*target, IGNORE_ATTITUDE, level, roll, pitch, yaw, thrust_share)
        )

    def send_velocity(self, linvel_world_m_s: Sequence[float], yaw_rate_rad_s: float) -> None:
        """Send a velocity in ENU, and a yaw rate about up."""
        velocity, nothing = swap_ned_enu(linvel_world_m_s), (0.0, 0.0, 0.0)
        target = (self._time_ms(), self._system, AUTOPILOT_COMPONENT, LOCAL_NED, IGNORE_ALL_BUT_VELOCITY)
        self._send(
            self._writer.set_position_target_local_ned_encode(
                *target, *nothing, *velocity, *nothing, 0.0, -yaw_rate_rad_s
            )
        )

    def _listen(self) -> None:
        while not self._halt.is_set():
            for message in self._parser.parse_buffer(self._transport.receive(POLL_S)) or ():
                self._hear(message)

    def _hear(self, message: Any) -> None:
        """Take in one message of our vehicle's autopilot; all others are counted."""
        kind = message.get_type()
        if kind == "BAD_DATA":
            self.refused["no MAVLink"] += 1
        elif message.get_srcSystem() != self._system:
            self.refused[f"of system {message.get_srcSystem()}"] += 1
        elif message.get_srcComponent() != AUTOPILOT_COMPONENT:
            self.refused[f"of component {message.get_srcComponent()}"] += 1
        elif kind == "HEARTBEAT" and message.autopilot != NO_AUTOPILOT:
            self._heartbeat = (time.monotonic(), message)
            if not self._heard.is_set():
                self._transport.answer_here()
                self._heard.set()
        elif kind == "ATTITUDE_QUATERNION":
            self._take_attitude(message)
        elif kind == "LOCAL_POSITION_NED":
            self._take_position(message)
        elif kind == "PARAM_VALUE" and math.isfinite(message.param_value):
            self._parameters[message.param_id] = message.param_value

    def _take_attitude(self, message: Any) -> None:
        quat = (message.q1, message.q2, message.q3, message.q4)
        if not abs(math.hypot(*quat) - 1.0) <= NORM_TOLERANCE:
            self.refused["an attitude that is no rotation"] += 1
        elif not all(map(math.isfinite, (message.rollspeed, message.pitchspeed, message.yawspeed))):
            self.refused["a body rate that is not finite"] += 1
        else:
            self._attitude = (time.monotonic(), message)

    def _take_position(self, message: Any) -> None:
        at = (message.x, message.y, message.z)
        speed = (message.vx, message.vy, message.vz)
        if not all(map(math.isfinite, (*at, *speed))):
            self.refused["a position that is not finite"] += 1
        elif self._attitude is None or time.monotonic() - self._attitude[0] > STALE_ATTITUDE_S:
            self.refused["a position without an attitude"] += 1
        elif self._heard.is_set():
            turn = self._attitude[1]
            quat = swap_attitude((turn.q1, turn.q2, turn.q3, turn.q4))
            rate = swap_frd_flu((turn.rollspeed, turn.pitchspeed, turn.yawspeed))
            self._take(Estimate(swap_ned_enu(at), quat, swap_ned_enu(speed), rate))

    def _beat(self) -> None:
        """Send our heartbeat; ask for the estimate's messages while none comes."""
        while not self._halt.is_set():
            self._send(self._writer.heartbeat_encode(ONBOARD_CONTROLLER, NO_AUTOPILOT, 0, 0, ACTIVE))
            if self._attitude is None or time.monotonic() - self._attitude[0] > HEARTBEAT_S:
                for message_id in (LOCAL_POSITION_NED, ATTITUDE_QUATERNION):
                    asked = (SET_MESSAGE_INTERVAL, 0, message_id, self._interval_us, 0, 0, 0, 0, 0)
                    self._send(self._writer.command_long_encode(self._system, AUTOPILOT_COMPONENT, *asked))
            self._halt.wait(HEARTBEAT_S)

    def _send(self, message: Any) -> None:
        with self._sending:
            self._transport.send(message.pack(self._writer))
            self._writer.seq = (self._writer.seq + 1) % 256

    def _time_ms(self) -> int:
        return int(1e3 * (time.monotonic() - self._began_s)) & 0xFFFFFFFF


def thrust_share(thrust_m_s2: float, hover_thrust: float) -> float:
    """Turn collective thrust over mass into a share of the largest, by the share that hovers; kept within 0 to 1."""
    return min(1.0, max(0.0, hover_thrust * thrust_m_s2 / GRAVITY_M_S2))


def _mode(heartbeat: Any) -> str:
    custom = int(heartbeat.custom_mode)
    if heartbeat.autopilot == PX4:
        return PX4_MODES.get((custom >> 16) & 0xFF, f"PX4 mode {custom:#x}")
    if heartbeat.autopilot == ARDUPILOT:
        return COPTER_MODES.get(custom, f"ArduPilot mode {custom}")
    return f"mode {custom}"


def _load_dialect() -> Any:
    try:
        return importlib.import_module("pymavlink.dialects.v20.common")
    except ImportError as error:
        raise MissingMavlink(str(error)) from error
