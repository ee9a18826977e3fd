"""The bridge against a vehicle in a process of its own that speaks MAVLink over UDP: what it hears, tells, refuses."""

import json
import math
import os
import pty
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="the ROS 2 packages are not installed")
pytest.importorskip("pymavlink", reason="pymavlink is not installed")

from ashore.real.conductor import Conductor
from ashore.real.drivers.mavlink import Estimate, Vehicle, thrust_share
from ashore.real.drivers.transport import open_transport
from ashore.real.errors import InvalidAddress, NoVehicle, TransitionRefused, UnfitForBridge
from ashore.real.mapping import RobotMapping
from ashore.real.network import applied, environment, own_domain
from ashore.real.nodes.bridge import command_kind
from ashore.real.plan import Process
from ashore.real.supervision import Supervision

PEER = Path(__file__).with_name("vehicle_process.py")
MAPPING = RobotMapping.named("crazyflie")
HOVER = 0.4


def wait_until(ready: Callable[[], bool], limit_s: float = 20.0) -> None:
    deadline_s = time.monotonic() + limit_s
    while not ready():
        assert time.monotonic() < deadline_s, "not in time"
        time.sleep(0.01)


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Peer:
    """The vehicle's process, and what it was told."""

    def __init__(self, port: int, system: int = 1, *hover: str) -> None:
        pipe = subprocess.PIPE
        words = [sys.executable, str(PEER), str(port), str(system), *hover]
        self._process = subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True)
        self.told: list[dict[str, Any]] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.told.append(json.loads(line))

    def say(self, word: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [each for each in self.told if each["mavpackettype"] == kind]

    def is_silent_for(self, kind: str, seconds: float) -> bool:
        told = self.of(kind)
        return bool(told) and time.monotonic() - told[-1]["at_s"] > seconds

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, *fault: object) -> None:
        self._process.kill()
        self._process.wait()


@contextmanager
def bridge(bundle: Path, port: int, folder: Path, *extra: str, beside: tuple[str, ...] = ()) -> Iterator[Conductor]:
    shared = ("--bundle", str(bundle), "--mapping", "crazyflie", "--namespace", "crazyflie")
    arguments = (*shared, "--address", f"udpin:127.0.0.1:{port}", *extra)
    with own_domain() as domain_id, applied(environment("loopback", domain_id)):
        plan = [Process("bridge", "crazyflie", "ashore.real.nodes.bridge", arguments)]
        plan += [Process(name, "crazyflie", f"ashore.real.nodes.{name}", shared) for name in beside]
        with Supervision(plan, folder) as supervision, Conductor("crazyflie", domain_id, supervision) as conductor:
            yield conductor
    assert "failed" not in (folder / "bridge.log").read_text()


class Commander:
    """Publishes a command at a steady rate, as the guard does."""

    def __init__(self, conductor: Conductor) -> None:
        self._publish = conductor.link.publisher(MAPPING.commands[0].topic, MAPPING.commands[0].type, "order")
        self._stamp = conductor.link.stamp
        self.thrust_m_s2: float | None = None
        self._halt = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self._halt.wait(0.02):
            if self.thrust_m_s2 is not None:
                values = {
                    "thrust_body_m_s2": np.array([self.thrust_m_s2]),
                    "rate_body_rad_s": np.array([0.1, 0.2, 0.3]),
                }
                self._publish(MAPPING.commands[0].write(values, self._stamp()))

    def __enter__(self) -> "Commander":
        self._thread.start()
        return self

    def __exit__(self, *fault: object) -> None:
        self._halt.set()
        self._thread.join()


def test_the_vehicle_is_heard_and_told_only_while_active_and_only_what_is_fresh_and_finite(
    hover_bundle: Path, tmp_path: Path
) -> None:
    port, heard = free_port(), []
    with (
        Peer(port) as vehicle,
        bridge(hover_bundle, port, tmp_path, "--hover-thrust", str(HOVER)) as conductor,
        Commander(conductor) as commander,
    ):
        odometry = MAPPING.observations[0]
        conductor.link.subscribe(odometry.topic, odometry.type, "stream", heard.append)
        conductor.transition("bridge", "configure")
        wait_until(lambda: len(heard) > 5)
        seen = odometry.read(heard[-1])
        np.testing.assert_allclose(seen["pos_world_m"], [2.0, 1.0, 3.0], atol=1e-6)
        np.testing.assert_allclose(np.abs(seen["quat_world_wxyz"]), [1.0, 0.0, 0.0, 0.0], atol=1e-6)
        np.testing.assert_allclose(seen["linvel_world_m_s"], [0.2, 0.1, 0.3], atol=1e-6)
        np.testing.assert_allclose(seen["angvel_body_rad_s"], [0.01, -0.02, -0.03], atol=1e-6)
        assert heard[-1].child_frame_id == "base_link"

        commander.thrust_m_s2 = 9.80665
        time.sleep(0.5)
        assert vehicle.of("SET_ATTITUDE_TARGET") == []
        conductor.transition("bridge", "activate")
        wait_until(lambda: len(vehicle.of("SET_ATTITUDE_TARGET")) > 10)
        target = vehicle.of("SET_ATTITUDE_TARGET")[-1]
        assert (target["target_system"], target["target_component"], target["type_mask"]) == (1, 1, 128)
        assert target["thrust"] == pytest.approx(HOVER, abs=1e-6)
        rates = [target[f"body_{axis}_rate"] for axis in ("roll", "pitch", "yaw")]
        np.testing.assert_allclose(rates, [0.1, -0.2, -0.3], atol=1e-6)

        # NaN is no command: the stream ends with the last good one's age, and goes on with the next good one.
        commander.thrust_m_s2 = math.nan
        wait_until(lambda: vehicle.is_silent_for("SET_ATTITUDE_TARGET", 0.5))
        report = conductor.ask("bridge/report")
        assert report["refused"] > 0 and report["silent"] > 0
        assert (report["armed"], report["mode"], report["lost"]) == (True, "OFFBOARD", False)
        assert all(math.isfinite(each["thrust"]) for each in vehicle.of("SET_ATTITUDE_TARGET"))
        told = len(vehicle.of("SET_ATTITUDE_TARGET"))
        commander.thrust_m_s2 = 1e300
        time.sleep(0.3)
        assert len(vehicle.of("SET_ATTITUDE_TARGET")) == told
        commander.thrust_m_s2 = 5.0
        wait_until(lambda: len(vehicle.of("SET_ATTITUDE_TARGET")) > told)
        commander.thrust_m_s2 = None
        wait_until(lambda: vehicle.is_silent_for("SET_ATTITUDE_TARGET", 0.5))

        commander.thrust_m_s2 = 5.0
        wait_until(lambda: not vehicle.is_silent_for("SET_ATTITUDE_TARGET", 0.5))
        conductor.transition("bridge", "deactivate")
        wait_until(lambda: vehicle.is_silent_for("SET_ATTITUDE_TARGET", 0.5))

        before = len(heard)
        conductor.transition("bridge", "cleanup")
        conductor.transition("bridge", "configure")
        wait_until(lambda: len(heard) > before + 5)

        # Its heart goes on beating, and nothing that it ever sent could arm or change a mode.
        assert len(vehicle.of("HEARTBEAT")) > 1
        assert {each["command"] for each in vehicle.of("COMMAND_LONG")} <= {511}
        kinds = {each["mavpackettype"] for each in vehicle.told}
        assert kinds <= {"HEARTBEAT", "COMMAND_LONG", "SET_ATTITUDE_TARGET"}


def test_a_vehicles_nan_is_passed_to_nobody_and_two_commanders_are_one_too_many(
    hover_bundle: Path, tmp_path: Path
) -> None:
    port, heard = free_port(), []
    with (
        Peer(port) as vehicle,
        bridge(hover_bundle, port, tmp_path, "--hover-thrust", str(HOVER)) as conductor,
        Commander(conductor) as commander,
    ):
        conductor.link.subscribe(MAPPING.observations[0].topic, MAPPING.observations[0].type, "stream", heard.append)
        conductor.transition("bridge", "configure")
        conductor.transition("bridge", "activate")
        commander.thrust_m_s2 = 9.0
        wait_until(lambda: len(vehicle.of("SET_ATTITUDE_TARGET")) > 5)
        vehicle.say("nan")
        second = conductor.link.publisher(MAPPING.commands[0].topic, MAPPING.commands[0].type, "order")
        wait_until(lambda: vehicle.is_silent_for("SET_ATTITUDE_TARGET", 0.5))
        assert "2 commanders" in (tmp_path / "bridge.log").read_text() and second is not None
        wait_until(lambda: "a position that is not finite" in conductor.ask("bridge/report")["refused_of_vehicle"])
        assert all(math.isfinite(message.pose.pose.position.y) for message in heard)


def test_a_vehicle_without_heartbeats_is_lost_and_told_nothing_more(hover_bundle: Path, tmp_path: Path) -> None:
    port = free_port()
    with (
        Peer(port) as vehicle,
        bridge(hover_bundle, port, tmp_path, "--hover-thrust", str(HOVER)) as conductor,
        Commander(conductor) as commander,
    ):
        conductor.transition("bridge", "configure")
        conductor.transition("bridge", "activate")
        commander.thrust_m_s2 = 9.0
        wait_until(lambda: len(vehicle.of("SET_ATTITUDE_TARGET")) > 5)
        vehicle.say("quiet")
        wait_until(lambda: conductor.ask("bridge/report")["lost"])
        wait_until(lambda: vehicle.is_silent_for("SET_ATTITUDE_TARGET", 0.5))
        assert "lost: no heartbeat" in (tmp_path / "bridge.log").read_text()


def test_policy_and_guard_fly_it_to_its_goal_through_both_conversions(hover_bundle: Path, tmp_path: Path) -> None:
    port, goal_enu_m, channel = free_port(), np.array([0.4, -0.3, 1.3]), MAPPING.observations[1]
    halt = threading.Event()
    with (
        Peer(port, 1, str(HOVER)) as vehicle,
        bridge(hover_bundle, port, tmp_path, "--hover-thrust", str(HOVER), beside=("policy", "guard")) as conductor,
    ):
        publish = conductor.link.publisher(channel.topic, channel.type, "stream")

        def set_goal() -> None:
            while not halt.wait(0.02):
                publish(channel.write({"goal_pos_world_m": goal_enu_m}, conductor.link.stamp()))

        planner = threading.Thread(target=set_goal)
        planner.start()
        try:
            for transition in ("configure", "activate"):
                for node in ("bridge", "policy", "guard"):
                    conductor.transition(node, transition)

            def missed_m() -> float:
                truth = vehicle.of("TRUTH")
                north, east, down = truth[-1]["ned"] if truth else (math.inf, 0.0, 0.0)
                return float(np.linalg.norm(np.array([east, north, -down]) - goal_enu_m))

            wait_until(lambda: missed_m() < 0.1, 30.0)
        finally:
            halt.set()
            planner.join()


@pytest.mark.parametrize(
    ("peer", "extra", "reason"),
    [
        ((1, "0.4", "0"), ("--hover-thrust", "0.4"), "takes thrust for a climb rate"),
        ((), ("--hover-thrust", "0.4", "--heartbeat-s", "0.5"), "no heartbeat of vehicle 1"),
        ((7,), ("--hover-thrust", "0.4", "--heartbeat-s", "1"), "What came instead: of system 7"),
        ((1,), ("--hover-thrust", "0.4", "--system", "300"), "system id 300"),
        ((1,), (), "hover thrust None. Expected 0 < --hover-thrust < 1"),
        ((1,), ("--hover-thrust", "0.4", "--address", "udpin:0.0.0.0:0"), "beyond this host"),
    ],
)
def test_what_cannot_fly_is_refused_at_configure(
    peer: tuple[Any, ...], extra: tuple[str, ...], reason: str, hover_bundle: Path, tmp_path: Path
) -> None:
    port = free_port()
    with bridge(hover_bundle, port, tmp_path, *extra) as conductor:
        if not peer:
            with pytest.raises(TransitionRefused, match=reason):
                conductor.transition("bridge", "configure")
            return
        with Peer(port, *peer), pytest.raises(TransitionRefused, match=reason):
            conductor.transition("bridge", "configure")


def test_a_velocity_in_enu_is_told_in_ned_and_a_yaw_rate_about_down() -> None:
    port, estimates = free_port(), list[Estimate]()
    vehicle = Vehicle(open_transport(f"udpin:127.0.0.1:{port}"), 1, 50.0, estimates.append)
    with Peer(port) as peer:
        try:
            assert vehicle.open(10.0, "here").armed
            wait_until(lambda: len(estimates) > 0)
            vehicle.send_velocity((1.0, 2.0, 3.0), 0.5)
            wait_until(lambda: len(peer.of("SET_POSITION_TARGET_LOCAL_NED")) == 1)
        finally:
            vehicle.close()
    told = peer.of("SET_POSITION_TARGET_LOCAL_NED")[0]
    assert (told["coordinate_frame"], told["type_mask"]) == (1, 0b010111000111)
    assert (told["vx"], told["vy"], told["vz"], told["yaw_rate"]) == (2.0, 1.0, -3.0, -0.5)


@pytest.mark.parametrize(("options", "takes"), [("0", False), ("7", False), ("8", True), ("13", True)])
def test_an_ardupilot_that_takes_thrust_for_a_climb_rate_is_told_by_its_parameter(options: str, takes: bool) -> None:
    port = free_port()
    vehicle = Vehicle(open_transport(f"udpin:127.0.0.1:{port}"), 1, 50.0, lambda estimate: None)
    with Peer(port, 1, str(HOVER), options):
        try:
            assert vehicle.open(10.0, "here").mode == "GUIDED"
            assert vehicle.takes_thrust(10.0) is takes
        finally:
            vehicle.close()


def test_no_bytes_end_the_hearing() -> None:
    port, rng = free_port(), np.random.default_rng(0)
    vehicle = Vehicle(open_transport(f"udpin:127.0.0.1:{port}"), 1, 50.0, lambda estimate: None)
    frame = bytes.fromhex("fd0900000001bf000000000000001208000403aec6")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        for size in range(300):
            broken = bytearray(frame)
            broken[rng.integers(len(frame))] ^= 1 << rng.integers(8)
            line.sendto(rng.bytes(size), ("127.0.0.1", port))
            line.sendto(bytes(broken[: 1 + size % len(frame)]), ("127.0.0.1", port))
    with Peer(port):
        try:
            assert vehicle.open(10.0, "here").mode == "OFFBOARD"
        finally:
            vehicle.close()
    assert vehicle.refused["no MAVLink"] > 0


def test_hover_is_the_hover_thrust_and_no_share_leaves_its_range() -> None:
    assert thrust_share(9.80665, 0.3) == pytest.approx(0.3)
    assert (thrust_share(-1.0, 0.3), thrust_share(100.0, 0.3)) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("udpin:0.0.0.0:14540", "beyond this host"),
        ("udpout:192.168.1.10:14550", "beyond this host"),
        ("tcp:127.0.0.1:5760", "another form"),
        ("udpin:localhost:14540", "another form"),
        ("udpin:127.0.0.1:99999", "must be 0-65535"),
        ("udpin:300.0.0.1:14540", "not permitted"),
        ("serial:/dev/no_such_line:115200", "No such file"),
        ("serial:/dev/null:12345", "no rate"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_with_the_forms(address: str, reason: str) -> None:
    with pytest.raises(InvalidAddress, match=reason) as caught:
        open_transport(address)
    assert "serial:DEVICE:BAUD" in str(caught.value)


def test_an_address_beyond_this_host_is_taken_when_told_to() -> None:
    transport = open_transport(f"udpin:0.0.0.0:{free_port()}", allow_network=True)
    transport.close()


def test_a_serial_line_carries_bytes_both_ways() -> None:
    ours, theirs = pty.openpty()
    transport = open_transport(f"serial:{os.ttyname(theirs)}:115200")
    try:
        os.write(ours, b"\xfd\x00\n")
        assert transport.receive(1.0) == b"\xfd\x00\n" and transport.receive(0.01) == b""
        transport.send(b"\x03\r")
        assert os.read(ours, 10) == b"\x03\r"
    finally:
        transport.close()
        os.close(ours)
        os.close(theirs)
    assert transport.receive(0.01) == b""


def test_once_a_vehicle_is_found_others_are_not_heard() -> None:
    port = free_port()
    transport = open_transport(f"udpin:127.0.0.1:{port}")
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as two,
    ):
        one.sendto(b"one", ("127.0.0.1", port))
        assert transport.receive(1.0) == b"one"
        transport.answer_here()
        two.sendto(b"two", ("127.0.0.1", port))
        assert transport.receive(1.0) == b""
        transport.send(b"answer")
        one.settimeout(1.0)
        assert one.recv(10) == b"answer"
    transport.close()


def test_no_vehicle_leaves_no_thread() -> None:
    before = threading.active_count()
    vehicle = Vehicle(open_transport(f"udpin:127.0.0.1:{free_port()}"), 1, 50.0, lambda estimate: None)
    with pytest.raises(NoVehicle, match=r"no heartbeat of vehicle 1 at here within 0\.2 s"):
        vehicle.open(0.2, "here")
    vehicle.close()
    assert threading.active_count() == before


def test_what_a_mapping_commands_is_told_by_its_fields() -> None:
    assert command_kind(MAPPING) == command_kind(RobotMapping.named("mavlink")) == "body_rate"
    assert command_kind(RobotMapping.named("mavros")) == "velocity"
    channel = MAPPING.commands[0]
    scaled = replace(channel, bindings=tuple(replace(binding, scale=2.0) for binding in channel.bindings))
    with pytest.raises(UnfitForBridge, match="a scale on"):
        command_kind(replace(MAPPING, commands=(scaled,)))
    for name in ("panda", "crazyswarm2"):
        with pytest.raises(UnfitForBridge, match=r"Start from real/robots/mavlink\.yaml"):
            command_kind(RobotMapping.named(name))
