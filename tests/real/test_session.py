"""A session on a robot, with keys: the twin stands in for it in a process of its own, in a domain of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="the ROS 2 packages are not installed")
pytest.importorskip("pybullet", reason="pybullet is not installed")

from ashore.cli.main import main
from ashore.datasets.store import EpisodeStore
from ashore.policies.bundle import read_bundle
from ashore.real.cameras import CameraSpec
from ashore.real.conductor import Conductor
from ashore.real.errors import ProcessEnded, RobotTaken, TransitionRefused
from ashore.real.mapping import RobotMapping
from ashore.real.network import applied, environment, own_domain, own_robot
from ashore.real.plan import Deployment, process_plan
from ashore.real.session import SessionConfig, hold_session
from ashore.real.supervision import Supervision
from benchmarks.linear_bundles import circling_arm


@pytest.fixture(scope="module")
def circling_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An arm whose tool is led around a circle: held for a moment it goes on, which a quadrotor would not."""
    return circling_arm(tmp_path_factory.mktemp("session") / "circling.ashore")


@pytest.fixture
def robot(circling_bundle: Path, tmp_path: Path) -> Iterator[tuple[int, Conductor]]:
    """An arm in its own process: its domain, and a node to look at it with."""
    with own_domain() as domain_id, applied(environment("loopback", domain_id)):
        plan = process_plan(Deployment(read_bundle(circling_bundle), "twin/panda", None, 0, "loopback", domain_id))[:1]
        with (
            Supervision(plan, tmp_path / "robot") as supervision,
            Conductor("panda", domain_id, supervision) as conductor,
        ):
            conductor.transition("twin", "configure")
            conductor.transition("twin", "activate")
            yield domain_id, conductor


def keys_at(*presses: tuple[float, str]) -> Iterator[str]:
    """Press keys so many seconds after one another, and look after the recording meanwhile."""
    for wait_s, key in presses:
        until_s = time.monotonic() + wait_s
        while time.monotonic() < until_s:
            time.sleep(0.05)
            yield ""
        yield key


def activated(said: list[str]) -> Iterator[str]:
    """Press the key until it is done: on a busy machine topics come too slowly now and then, which is refused."""
    until_s, before = time.monotonic() + 30.0, said.count("active")
    while said.count("active") == before and time.monotonic() < until_s:
        yield from keys_at((0.5, "a"))


def moves(heard: list[np.ndarray]) -> np.ndarray:
    """Tell which commands differ from the one before."""
    return np.abs(np.diff(heard, axis=0)).max(1) > 1e-4 if len(heard) > 1 else np.zeros(0, bool)


def test_nothing_moves_before_a_person_says_so_and_a_stop_lasts(
    circling_bundle: Path, film: CameraSpec, robot: tuple[int, Conductor], tmp_path: Path
) -> None:
    domain_id, conductor = robot
    channel, heard = RobotMapping.named("panda").commands[0], []
    heard_s: list[float] = []

    def hear(message: Any) -> None:
        heard.append(channel.read(message)["joint_target_rad"])
        heard_s.append(time.monotonic())

    conductor.link.subscribe(channel.topic, channel.type, "order", hear)
    said: list[str] = []
    counts: dict[str, int] = {}

    def keys() -> Iterator[str]:
        yield from keys_at((1.0, ""))
        counts["before"] = len(heard)
        yield from activated(said)
        until_s = time.monotonic() + 20.0
        while moves(heard).sum() < 10 and time.monotonic() < until_s:
            yield from keys_at((0.1, ""))
        yield from keys_at((0.0, " "), (0.5, ""))
        counts["stopped at"] = len(heard)
        yield from keys_at((0.5, "d"), (0.2, "a"), (0.2, "r"))
        counts["let go"] = len(heard)
        yield from activated(said)
        yield from keys_at((1.5, "y"), (0.3, "q"))

    config = SessionConfig(
        read_bundle(circling_bundle),
        "panda",
        domain_id,
        record=tmp_path / "store",
        cameras=(film,),
        despite_evidence=True,
        log_dir=tmp_path / "logs",
    )
    hold_session(config, keys(), said.append)
    events = [json.loads(line) for line in (tmp_path / "logs/events.jsonl").read_text().splitlines()]
    assert events[0]["facts"]["robot"] == "panda" and events[-1]["text"] == "ended"
    told = [each["text"] for each in events if (each["node"], each["kind"]) == ("panda", "deployment")]
    assert [text for text in said if text in told] == said[1:]
    logged = [each["text"] for each in events if (each["node"], each["kind"]) == ("panda/guard", "log")]
    assert any(text.startswith("stop: ") and "operator_stop" in text for text in logged)
    assert any(text.startswith("activate refused") and "operator's stop is pressed" in text for text in logged)
    assert counts["before"] == 0
    assert moves(heard[: counts["stopped at"]]).sum() >= 10
    assert not moves(heard[counts["stopped at"] : counts["let go"]]).any()
    assert any("not active" in text and "operator's stop is pressed" in text for text in said), said
    assert said.count("active") == 2 and any("succeeded" in text for text in said)
    with EpisodeStore.open(tmp_path / "store", readonly=True) as store:
        metas = [store.read_meta(index) for index in store.indices]
        assert len(store.read(store.indices[-1]).streams["wrist_rgb"]) > 20
    changes = np.diff([*heard[: counts["let go"]]], axis=0)  # The stop brakes: it does not stand at once.
    limits = read_bundle(circling_bundle).card.limits
    most = np.array(limits.max_acceleration[:7]) / 50.0**2
    # A busy machine loses some on the way to us: only what was sent in a row tells an acceleration.
    in_a_row = np.abs(np.diff(heard_s[: counts["let go"]]) - 0.02) < 0.01
    bends = np.abs(np.diff(changes, axis=0))[in_a_row[1:] & in_a_row[:-1]]
    assert len(bends) > 20 and np.all(bends <= most * (1 + 1e-6) + 1e-9)
    assert np.all(np.abs(heard[-1] - heard[-2]) <= most)  # So does a deactivate: the last word stands still.
    assert {meta.source for meta in metas} == {"real"} and metas[-1].success is True and metas[0].truncated


def test_a_policy_that_dies_ends_the_session_and_what_was_recorded_stays(
    circling_bundle: Path, robot: tuple[int, Conductor], tmp_path: Path
) -> None:
    said: list[str] = []

    def keys() -> Iterator[str]:
        yield from activated(said)
        yield from keys_at((1.5, ""))
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                words = (folder / "cmdline").read_bytes().split(b"\0")
                if b"ashore.real.nodes.policy" in words and str(circling_bundle).encode() in words:
                    os.kill(int(folder.name), signal.SIGKILL)
        yield from keys_at((5.0, ""))

    config = SessionConfig(
        read_bundle(circling_bundle),
        "panda",
        robot[0],
        record=tmp_path / "store",
        despite_evidence=True,
        log_dir=tmp_path / "logs",
    )
    with pytest.raises(ProcessEnded, match="'policy' was ended by signal 9"):
        hold_session(config, keys(), said.append)
    with EpisodeStore.open(tmp_path / "store", readonly=True) as store:
        assert store.abandoned_journals() == [] and store.read_meta(0).truncated


def test_a_bundle_that_no_ranking_speaks_for_is_refused_by_the_policys_own_process(
    circling_bundle: Path, robot: tuple[int, Conductor], tmp_path: Path
) -> None:
    config = SessionConfig(read_bundle(circling_bundle), "panda", robot[0], log_dir=tmp_path / "logs")
    with pytest.raises(TransitionRefused, match="it was never ranked"):
        hold_session(config, iter(()), print)


def test_a_camera_that_sees_nothing_keeps_the_robot_inactive(
    circling_bundle: Path, robot: tuple[int, Conductor], tmp_path: Path
) -> None:
    cv2 = pytest.importorskip("cv2", reason="opencv-python is not installed")
    path, said = tmp_path / "dark.avi", list[str]()
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30.0, (128, 96))
    for _ in range(30):
        writer.write(np.zeros((96, 128, 3), np.uint8))
    writer.release()
    config = SessionConfig(
        read_bundle(circling_bundle),
        "panda",
        robot[0],
        cameras=(CameraSpec("wrist", str(path), 128, 96),),
        despite_evidence=True,
        log_dir=tmp_path / "logs",
    )
    hold_session(config, keys_at((3.0, "a"), (0.2, "q")), said.append)
    assert any("not active: panda/camera_wrist: nothing is to be seen: brightness 0 of 255" in text for text in said), (
        said
    )
    assert "active" not in said


def test_a_robot_has_one_session(circling_bundle: Path, tmp_path: Path) -> None:
    config = SessionConfig(read_bundle(circling_bundle), "panda", 99, log_dir=tmp_path)
    with own_robot(99, "panda"), pytest.raises(RobotTaken, match="another session commands 'panda' in ROS domain 99"):
        hold_session(config, iter(()), print)
    with own_robot(99, "panda"):
        pass


def test_in_the_shadow_nothing_is_sent(circling_bundle: Path, robot: tuple[int, Conductor]) -> None:
    domain_id, conductor = robot
    channel, heard = RobotMapping.named("panda").commands[0], []
    conductor.link.subscribe(channel.topic, channel.type, "order", heard.append)
    command = [sys.executable, "-m", "ashore.cli.main", "deploy", str(circling_bundle), "--robot", "panda"]
    options = ["--shadow", "--domain", str(domain_id), "--despite-evidence"]
    with subprocess.Popen([*command, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin is not None and child.stdout is not None
        for line in child.stdout:
            if "SPACE stop" in line:
                break
        os.write(child.stdin.fileno(), b"a")
        for line in child.stdout:  # As above: what is not ready yet is refused, and asked again.
            if line.strip() == "active":
                break
            if line.startswith("not active"):
                time.sleep(0.5)
                os.write(child.stdin.fileno(), b"a")
        time.sleep(1.0)
        os.write(child.stdin.fileno(), b"q")
        told = child.stdout.read()
    assert child.returncode == 0 and not heard
    assert "no command was heard" in told


def test_a_bundle_that_no_ranking_speaks_for_is_refused(
    marked_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["deploy", str(marked_bundle), "--robot", "crazyflie"]) == 2
    assert "EvidenceMissing" in capsys.readouterr().err
