"""What happens as events: any message is one line of strict JSON, and a real deployment tells its whole story."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("rclpy", reason="the ROS 2 packages are not installed")
pytest.importorskip("pybullet", reason="pybullet is not installed")

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rcl_interfaces.msg import Log
from std_msgs.msg import Header

from ashore.policies.bundle import read_bundle
from ashore.real.deploy import DeployConfig, deploy
from ashore.real.errors import TransitionRefused
from ashore.real.event_log import EventLog
from ashore.real.events import Changes, Event, fact, health_event, log_event
from ashore.real.health import LEVELS, STALE_S, Health
from ashore.real.network import applied, environment, own_domain
from ashore.real.own_node import OwnNode
from ashore.real.station import Station
from benchmarks.fault_graph import Graph

ROBOT, PROFILE = "twin/crazyflie", "quadrotor_mild"
FIELDS = ["time", "node", "kind", "level", "text", "facts"]
LIMIT_S = 60.0
ANY_TEXT = st.text(st.characters())
"""Lone surrogates too, which no UTF-8 holds."""
STAMPS = st.builds(Time, sec=st.integers(-(2**31), 2**31 - 1), nanosec=st.integers(0, 2**32 - 1))


def strict(line: str) -> dict[str, Any]:
    """Read a line as a reader would that takes nothing beyond the standard."""

    def refuse(word: str) -> None:
        raise ValueError(f"{word} is no JSON")

    read: dict[str, Any] = json.loads(line, parse_constant=refuse)
    assert list(read) == FIELDS and line.isascii() and line.splitlines() == [line]
    assert datetime.fromisoformat(read["time"]).utcoffset() is not None
    return read


def events_of(path: Path) -> list[dict[str, Any]]:
    return [strict(line) for line in path.read_text().splitlines()]


def texts(events: list[dict[str, Any]], kind: str, node: str) -> list[tuple[str, str]]:
    """Give the levels and texts of a node's events."""
    return [(each["level"], each["text"]) for each in events if (each["kind"], each["node"]) == (kind, node)]


def told(text: str, level: str = "ok", stamp_s: int = 5, **facts: object) -> DiagnosticArray:
    """Make what a node says of itself."""
    values = [KeyValue(key=key, value=str(value)) for key, value in facts.items()]
    status = DiagnosticStatus(name="panda/guard", level=bytes([LEVELS.index(level)]), message=text, values=values)
    return DiagnosticArray(header=Header(stamp=Time(sec=stamp_s)), status=[status])


@given(STAMPS, st.integers(0, 255), ANY_TEXT, ANY_TEXT)
def test_any_log_message_is_one_line_of_strict_json(stamp: Time, level: int, name: str, text: str) -> None:
    read = strict(log_event(Log(stamp=stamp, level=level, name=name, msg=text)).line())
    assert read["text"] == text and read["kind"] == "log" and read["facts"] == {}
    assert read["level"] in ("debug", "info", "warning", "error", "fatal")


@given(ANY_TEXT, st.dictionaries(ANY_TEXT, ANY_TEXT | st.floats() | st.integers() | st.booleans()))
def test_any_health_is_one_line_of_strict_json(text: str, facts: Mapping[str, Any]) -> None:
    read = strict(health_event("panda/guard", Health("ok", text, facts), time.time_ns()).line())
    assert read["text"] == text and read["facts"].keys() == facts.keys()


@given(st.integers(-(10**14), 10**14) | st.floats() | st.booleans())
def test_figures_are_numbers_again(value: float) -> None:
    read = fact(str(value))
    assert read is None if value != value or abs(value) == float("inf") else read == value
    assert isinstance(read, type(value) | None)


@pytest.mark.parametrize(
    "text", ["", " 1", "1_000", "007", "+1", "0x10", ".5", "1.", "١٢", "1\n", "12345678901234567890", "nano", "active"]
)
def test_what_only_looks_like_a_number_stays_text(text: str) -> None:
    assert fact(text) == text


def test_times_are_those_of_the_message_and_names_those_of_nodes() -> None:
    event = log_event(Log(stamp=Time(sec=1, nanosec=234567890), level=Log.WARN, name="panda.guard", msg="a\nb"))
    read = strict(event.line())
    assert read["time"] == "1970-01-01T00:00:01.234567+00:00"
    assert (read["node"], read["level"], read["text"]) == ("panda/guard", "warning", "a\nb")
    untold = strict(log_event(Log(level=Log.INFO, name="driver", msg="")).line())
    assert abs((datetime.fromisoformat(untold["time"]) - datetime.now(UTC)).total_seconds()) < 60.0


def test_only_changes_of_level_text_or_state_are_events() -> None:
    changes = Changes()

    def new(message: DiagnosticArray) -> list[Event]:
        return list(changes.told(message))

    first = new(told("commands pass", state="active", ticks=50, latency_ms="nan", armed=True))
    assert first[0].facts == {"state": "active", "ticks": 50, "latency_ms": None, "armed": True}
    assert first[0].time_ns == 5 * 10**9
    assert not new(told("commands pass", state="active", ticks=100))
    assert new(told("commands pass", "warning", state="active"))[0].level == "warning"
    assert new(told("stopped: stale", "warning", state="active"))[0].text == "stopped: stale"
    assert new(told("stopped: stale", "warning", state="inactive"))[0].facts == {"state": "inactive"}
    assert not list(changes.silent(time.monotonic()))
    later_s = time.monotonic() + STALE_S + 1.0
    assert [(each.level, "before: stopped: stale" in each.text) for each in changes.silent(later_s)] == [
        ("stale", True)
    ]
    assert not list(changes.silent(later_s + 1.0))
    assert len(new(told("stopped: stale", "warning", state="inactive"))) == 1


@contextmanager
def deploying(bundle: Path, logs: Path) -> Iterator[subprocess.Popen[str]]:
    """Deploy to the twin as a user would, in a process of its own, and wait until commands flow."""
    command = [sys.executable, "-m", "ashore.cli.main", "deploy", str(bundle), "--robot", ROBOT, "--logs", str(logs)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        try:
            wait_until(lambda: "commands pass" in read(logs / "events.jsonl"))
            yield running
        finally:
            running.kill()


def read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def wait_until(ready: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + LIMIT_S
    while not ready():
        assert time.monotonic() < deadline_s, "not in time"
        time.sleep(0.05)


def test_a_deployment_tells_what_ran_why_the_guard_stopped_and_how_it_ended(hover_bundle: Path, tmp_path: Path) -> None:
    with deploying(hover_bundle, tmp_path) as running:
        began = events_of(tmp_path / "events.jsonl")[0]
        domain_id = began["facts"]["domain"]
        with applied(environment("loopback", domain_id)), Station(domain_id, "crazyflie") as station:
            assert station.press(True)
        _, said = running.communicate(timeout=LIMIT_S)
        assert running.returncode == 0, said
    events = events_of(tmp_path / "events.jsonl")
    assert began["kind"] == "deployment" and began["text"] == "started" and began["node"] == "crazyflie"
    assert began["facts"]["robot"] == ROBOT and len(began["facts"]["bundle_sha256"]) == 64
    assert ("info", "the operator's stop is pressed") in texts(events, "log", "crazyflie/guard")
    assert any("stop: " in text and "operator_stop" in text for _, text in texts(events, "log", "crazyflie/guard"))
    health = texts(events, "health", "crazyflie/guard")
    assert any(level == "error" and "operator_stop" in text for level, text in health), health
    story = ["started", "episode began", "episode ended", "ended"]
    assert texts(events, "deployment", "crazyflie") == [("info", text) for text in story]
    assert events[-1]["text"] == "ended"


def test_killed_at_any_moment_what_was_heard_stays(hover_bundle: Path, tmp_path: Path) -> None:
    with deploying(hover_bundle, tmp_path) as running:
        before = read(tmp_path / "events.jsonl")
        running.send_signal(signal.SIGKILL)
        running.wait(LIMIT_S)
    after = read(tmp_path / "events.jsonl")
    assert after.startswith(before)
    *whole, torn = after.split("\n")
    assert len([strict(line) for line in whole]) > 2 and '"text": "ended"' not in torn


def test_a_refusal_at_configure_is_heard_with_its_field(slower_bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(TransitionRefused) as refusal:
        deploy(DeployConfig(read_bundle(slower_bundle), ROBOT, PROFILE, log_dir=tmp_path))
    events = events_of(tmp_path / "events.jsonl")
    refusals = [text for level, text in texts(events, "log", "crazyflie/twin") if level == "error"]
    assert "configure refused" in refusals[0] and "control_hz: 50.0 against 25.0" in refusals[0]
    assert (events[-1]["kind"], events[-1]["level"]) == ("deployment", "error")
    assert events[-1]["text"] == f"TransitionRefused: {refusal.value}"


def test_a_full_disk_ends_the_events_and_nothing_else(
    slower_bundle: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "events.jsonl").symlink_to("/dev/full")
    with pytest.raises(TransitionRefused, match="control_hz"):
        deploy(DeployConfig(read_bundle(slower_bundle), ROBOT, PROFILE, log_dir=tmp_path))
    warnings = [record.getMessage() for record in caplog.records if "events.jsonl" in record.getMessage()]
    assert len(warnings) == 1 and "No space left on device" in warnings[0]


@contextmanager
def own_graph() -> Iterator[tuple[Any, Any]]:
    """Two nodes in a domain of their own: of whoever deploys, and of a driver."""
    with ExitStack() as stack:
        domain_id = stack.enter_context(own_domain())
        stack.enter_context(applied(environment("loopback", domain_id)))
        nodes = [stack.enter_context(OwnNode(*name, domain_id)) for name in (("deployer", "panda"), ("driver", ""))]
        yield nodes[0].node, nodes[1].node


def test_the_end_is_the_last_event_whoever_goes_on_talking(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with own_graph() as (deployer, driver):
        driver.create_timer(0.002, lambda: driver.get_logger().info("a line of a driver"))
        with pytest.raises(KeyboardInterrupt), EventLog(deployer, tmp_path, {"robot": "panda"}):
            wait_until(lambda: read(path).count("a line of a driver") > 10)
            raise KeyboardInterrupt
    first, *heard, last = events_of(path)
    assert (first["text"], first["facts"]) == ("started", {"robot": "panda"})
    assert {each["node"] for each in heard} == {"driver"}
    assert (last["node"], last["kind"], last["level"]) == ("panda", "deployment", "warning")
    assert last["text"] == "KeyboardInterrupt"


def test_a_disk_that_hangs_is_left_behind(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "events.jsonl"
    os.mkfifo(path)  # Opening it for writing waits for a reader.
    with own_graph() as (deployer, _), EventLog(deployer, tmp_path, {}) as events:
        events.tell("goes on", {})
    assert [record.getMessage().count("the disk hangs") for record in caplog.records] == [1]
    os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))


def test_status_tells_events_of_any_graph_until_nobody_reads_or_ctrl_c(hover_bundle: Path, tmp_path: Path) -> None:
    nodes = [f"crazyflie/{node}" for node in ("guard", "policy", "twin")]
    with Graph(hover_bundle, "crazyflie", tmp_path) as graph:
        graph.start()
        command = [sys.executable, "-m", "ashore.cli.main", "status", "--json", "--domain", str(graph.domain_id)]
        with telling([*command, "--once"]) as once, telling(command) as head, telling(command) as follow:
            lines, said = once.communicate(timeout=LIMIT_S)
            now = [strict(line) for line in lines.splitlines()]
            assert once.returncode == 0 and said == "" and [each["node"] for each in now] == nodes
            assert isinstance(now[0]["facts"]["ticks"], int) and now[0]["facts"]["state"] == "active"
            next_event(head)
            assert head.stdout is not None and head.stderr is not None
            head.stdout.close()
            assert head.wait(LIMIT_S) == 2 and head.stderr.read() == ""
            heard = set[str]()
            while not set(nodes) <= heard:
                heard.add(next_event(follow)["node"])
            graph.station.press(True)
            event = next_event(follow)
            while not (event["kind"] == "health" and "operator_stop" in event["text"]):
                event = next_event(follow)
            os.kill(follow.pid, signal.SIGINT)
            rest, said = follow.communicate(timeout=LIMIT_S)
            assert follow.returncode == 1 and said == "" and all(strict(line) for line in rest.splitlines())


def telling(command: list[str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def next_event(process: "subprocess.Popen[str]") -> dict[str, Any]:
    assert process.stdout is not None
    return strict(process.stdout.readline().rstrip("\n"))
