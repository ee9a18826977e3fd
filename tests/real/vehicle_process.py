"""A process that speaks MAVLink over UDP as a vehicle does, and writes down whatever it is told.

It is a peer with real datagrams and real framing, not PX4: no failsafe, no mode logic. It stands still, or flies as a
point with an attitude once it is told a first set-point, all in NED and FRD.

Usage: python vehicle_process.py PORT SYSTEM [HOVER [GUID_OPTIONS]]. With HOVER, the share of thrust that hovers, it
flies; with GUID_OPTIONS it says that it is an ArduPilot with this parameter. Lines on standard input: `quiet` ends its
heartbeats, `nan` breaks its position. Each message that it is told, and the truth in flight, goes to standard output
as JSON.
"""

import json
import math
import select
import socket
import sys
import time

import numpy as np
from pymavlink.dialects.v20 import common

POSITION_NED = (1.0, 2.0, -3.0)
VELOCITY_NED = (0.1, 0.2, -0.3)
YAW_RAD = math.pi / 2
"""About down: its nose points east."""
RATES_FRD = (0.01, 0.02, 0.03)
PERIOD_S, STEP_S, LAG_S = 0.02, 0.002, 0.03
GRAVITY_M_S2 = 9.80665


class Still:
    """Stands where it is."""

    def __init__(self):
        self.position, self.velocity, self.rates = np.array(POSITION_NED), np.array(VELOCITY_NED), np.array(RATES_FRD)
        self.attitude = np.array([math.cos(YAW_RAD / 2), 0.0, 0.0, math.sin(YAW_RAD / 2)])

    def told(self, message):
        pass

    def step(self):
        pass


class Flying(Still):
    """Follows body rates with a lag, and thrust at once."""

    def __init__(self, hover):
        super().__init__()
        self.position, self.velocity, self.rates = np.array([0.0, 0.0, -1.0]), np.zeros(3), np.zeros(3)
        self._hover, self._target = hover, None

    def told(self, message):
        rates = [message.body_roll_rate, message.body_pitch_rate, message.body_yaw_rate]
        self._target = (message.thrust / self._hover * GRAVITY_M_S2, np.array(rates))

    def step(self):
        if self._target is None:
            return
        thrust, rates = self._target
        for _ in range(round(PERIOD_S / STEP_S)):
            self.rates += (rates - self.rates) * STEP_S / LAG_S
            w, x, y, z = self.attitude
            p, q, r = 0.5 * STEP_S * self.rates
            self.attitude += [
                -x * p - y * q - z * r,
                w * p + y * r - z * q,
                w * q - x * r + z * p,
                w * r + x * q - y * p,
            ]
            self.attitude /= np.linalg.norm(self.attitude)
            w, x, y, z = self.attitude
            down = np.array([2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)])
            self.velocity += STEP_S * (np.array([0, 0, GRAVITY_M_S2]) - thrust * down)
            self.position += STEP_S * self.velocity
        tell({"mavpackettype": "TRUTH", "ned": self.position.tolist()})


def tell(facts):
    sys.stdout.write(json.dumps({**facts, "at_s": time.monotonic()}) + "\n")
    sys.stdout.flush()


def beat(mav, is_ardupilot):
    armed = common.MAV_MODE_FLAG_SAFETY_ARMED | common.MAV_MODE_FLAG_CUSTOM_MODE_ENABLED
    autopilot, mode = (common.MAV_AUTOPILOT_ARDUPILOTMEGA, 4) if is_ardupilot else (common.MAV_AUTOPILOT_PX4, 6 << 16)
    return mav.heartbeat_encode(common.MAV_TYPE_QUADROTOR, autopilot, armed, mode, 4)


def main(port, system, vehicle, options=None):
    line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    line.bind(("127.0.0.1", 0))
    mav, parser = common.MAVLink(None, srcSystem=system, srcComponent=1), common.MAVLink(None)
    began_s, next_beat_s, is_quiet, is_broken = time.monotonic(), 0.0, False, False

    def send(message):
        line.sendto(message.pack(mav), ("127.0.0.1", port))
        mav.seq = (mav.seq + 1) % 256

    until_s = time.monotonic()
    while True:
        now_s = time.monotonic()
        if now_s > next_beat_s and not is_quiet:
            send(beat(mav, options is not None))
            next_beat_s = now_s + 0.25
        vehicle.step()
        boot_ms = int(1e3 * (now_s - began_s))
        position = vehicle.position * (math.nan if is_broken else 1.0)
        send(mav.attitude_quaternion_encode(boot_ms, *vehicle.attitude, *vehicle.rates))
        send(mav.local_position_ned_encode(boot_ms, *position, *vehicle.velocity))
        until_s = max(until_s + PERIOD_S, now_s)
        while (left_s := until_s - time.monotonic()) > 0:
            for ready in select.select([line, sys.stdin], [], [], left_s)[0]:
                if ready is line:
                    for message in parser.parse_buffer(line.recv(2048)) or ():
                        tell(message.to_dict())
                        if message.get_type() == "SET_ATTITUDE_TARGET":
                            vehicle.told(message)
                        if message.get_type() == "PARAM_REQUEST_READ" and message.param_id == "GUID_OPTIONS":
                            send(mav.param_value_encode(b"GUID_OPTIONS", options, common.MAV_PARAM_TYPE_INT32, 1, 0))
                else:
                    word = sys.stdin.readline().strip()
                    if not word:
                        return
                    is_quiet, is_broken = word == "quiet" or is_quiet, word == "nan" or is_broken


if __name__ == "__main__":
    hover, guid_options = (*map(float, sys.argv[3:]), None, None)[:2]
    main(int(sys.argv[1]), int(sys.argv[2]), Still() if hover is None else Flying(hover), guid_options)
