"""Camera and recorder as processes beside a twin: what a camera saw is in the store, and neither stops the robot."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="the ROS 2 packages are not installed")
pytest.importorskip("pybullet", reason="pybullet is not installed")
pytest.importorskip("cv2", reason="opencv-python is not installed")


from ashore.cli.main import main
from ashore.datasets.store import EpisodeStore
from ashore.real.cameras import CameraSpec
from ashore.real.drivers.camera import Camera
from ashore.real.errors import NoCamera
from benchmarks.fault_graph import Graph, Watching
from benchmarks.faults import follower
from benchmarks.linear_bundles import circling_arm


@pytest.fixture
def watched(marked_bundle: Path, film: CameraSpec, tmp_path: Path) -> Iterator[Graph]:
    with Graph(marked_bundle, "crazyflie", tmp_path / "logs", watching=Watching((film,), tmp_path / "seen")) as graph:
        graph.start()
        yield graph


def until(is_so: Callable[[], bool], limit_s: float = 10.0) -> bool:
    until_s = time.monotonic() + limit_s
    while not is_so() and time.monotonic() < until_s:
        time.sleep(0.05)
    return is_so()


def says(graph: Graph, node: str) -> str:
    health = graph.station.health().get(f"crazyflie/{node}")
    return health.text if health is not None else ""


def still_follows(graph: Graph) -> bool:
    graph.judge.heard.clear()
    time.sleep(0.5)
    followed = graph.judge.followed(follower("crazyflie", graph.judge))
    # A busy machine may make the guard stop for a moment now and then.
    return len(followed) > 10 and np.mean([each for _, each in followed]) > 0.5


def test_marks_make_episodes_with_pictures_at_their_own_rate(watched: Graph, tmp_path: Path) -> None:
    assert watched.station.mark("success") == "no episode is being recorded"
    assert not watched.station.mark("begin")
    time.sleep(1.5)
    assert not watched.station.mark("success")
    assert until(lambda: len(EpisodeStore.open(tmp_path / "seen", readonly=True)) == 1)
    episode = EpisodeStore.open(tmp_path / "seen", readonly=True).read(0)
    assert episode.meta.source == "twin" and episode.meta.success is True
    assert "bundle_sha256" in episode.meta.versions
    stream = episode.streams["wrist_rgb"]
    frames = stream.values
    assert 5 < len(frames) < len(episode.time_s), "a busy machine loses some"
    assert np.all(stream.receive_s >= stream.capture_s)
    red = [int(np.argmax(np.asarray(frame)[48, :, 0] > 200)) for frame in frames]
    assert len(set(red)) > 5, "the dot moves, and is red in rgb"


def test_a_camera_or_a_recorder_that_dies_stops_nobody_else(watched: Graph, tmp_path: Path) -> None:
    assert not watched.station.mark("begin")
    time.sleep(0.5)
    os.kill(watched.supervision.pids["camera_wrist"], signal.SIGKILL)
    assert still_follows(watched)
    os.kill(watched.supervision.pids["recorder"], signal.SIGKILL)
    assert still_follows(watched)
    assert until(lambda: "silent" in says(watched, "recorder") and "silent" in says(watched, "camera_wrist"))
    assert main(["datasets", "recover", str(tmp_path / "seen")]) == 0
    assert len(EpisodeStore.open(tmp_path / "seen", readonly=True).read(0).time_s) > 10


def test_a_camera_and_a_recorder_that_stand_still_stop_nobody_else(watched: Graph, tmp_path: Path) -> None:
    assert not watched.station.mark("begin")
    time.sleep(0.5)
    frozen = [watched.supervision.pids[name] for name in ("camera_wrist", "recorder")]
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    assert all(still_follows(watched) for _ in range(4))
    for pid in frozen:
        os.kill(pid, signal.SIGCONT)
    assert until(lambda: says(watched, "recorder") == "recording")
    assert not watched.station.mark("success")
    assert until(lambda: len(EpisodeStore.open(tmp_path / "seen", readonly=True)) == 1)


def test_a_verdict_outlives_the_end_of_the_recorder(watched: Graph, tmp_path: Path) -> None:
    assert not watched.station.mark("begin")
    time.sleep(0.5)
    assert not watched.station.mark("success")
    os.kill(watched.supervision.pids["recorder"], signal.SIGTERM)
    assert until(lambda: len(EpisodeStore.open(tmp_path / "seen", readonly=True)) == 1)
    assert EpisodeStore.open(tmp_path / "seen", readonly=True).read(0).meta.success is True


def test_a_camera_that_is_gone_is_told_and_comes_back(marked_bundle: Path, film: CameraSpec, tmp_path: Path) -> None:
    short = tmp_path / "short.avi"
    short.write_bytes(Path(film.device).read_bytes())
    wrist = replace(film, device=str(short))
    with Graph(marked_bundle, "crazyflie", tmp_path / "logs", watching=Watching((wrist,))) as graph:
        graph.start()
        assert until(lambda: says(graph, "camera_wrist") == "pictures come")
        short.unlink()
        assert until(lambda: says(graph, "camera_wrist").startswith("no picture comes"))
        assert still_follows(graph)
        short.write_bytes(Path(film.device).read_bytes())
        assert until(lambda: says(graph, "camera_wrist") == "pictures come")


@pytest.mark.parametrize(
    ("device", "size", "told"),
    [("none.avi", (128, 96), "it gives no picture"), ("film", (64, 48), "its pictures are 128x96, not 64x48")],
)
def test_a_camera_that_is_not_as_told_is_refused(
    film: CameraSpec, tmp_path: Path, device: str, size: tuple[int, int], told: str
) -> None:
    path = film.device if device == "film" else str(tmp_path / device)
    with pytest.raises(NoCamera, match=told):
        Camera(CameraSpec("wrist", path, *size))


FILL = """
import sys, time
from pathlib import Path

bundle, disk, logs = (Path(word) for word in sys.argv[1:4])


def fill():
    with (disk / "ballast").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass


"""
NODE = """
from benchmarks.fault_graph import Graph, Watching
from benchmarks.faults import follower

with Graph(bundle, "crazyflie", logs, watching=Watching((), disk / "seen")) as graph:
    graph.start()
    graph.station.mark("begin")
    time.sleep(0.5)
    fill()
    until_s = time.monotonic() + 20
    told = ""
    while "not recording" not in told and time.monotonic() < until_s:
        time.sleep(0.1)
        told = graph.station.health()["crazyflie/recorder"].text
    graph.judge.heard.clear()
    time.sleep(0.5)
    followed = graph.judge.followed(follower("crazyflie", graph.judge))
    (disk / "ballast").unlink()
    again = [graph.station.mark("begin"), time.sleep(1.0), graph.station.mark("success"), time.sleep(1.0)]
print(told)
print(len(followed) > 10 and sum(each for _, each in followed) > len(followed) / 2, again)
"""
SESSION = """
from ashore.real.conductor import Conductor
from ashore.real.errors import TransitionRefused
from ashore.real.mapping import RobotMapping
from ashore.real.network import applied, environment, own_domain
from ashore.policies.bundle import read_bundle
from ashore.real.plan import Deployment, parts_of, process_plan
from ashore.real.session import SessionConfig, hold_session
from ashore.real.supervision import Supervision

said, heard = [], []


def keys():
    until_s = time.monotonic() + 30
    while "active" not in said and time.monotonic() < until_s:
        time.sleep(0.5)
        yield "a"
    time.sleep(1.0)
    fill()
    until_s = time.monotonic() + 20
    while time.monotonic() < until_s:
        time.sleep(0.05)
        yield ""


with own_domain() as domain_id, applied(environment("loopback", domain_id)):
    bundle = read_bundle(bundle)
    twin = parts_of(process_plan(Deployment(bundle, "twin/panda", domain_id=domain_id)), ("twin",))
    with Supervision(twin, logs / "robot") as robot, Conductor("panda", domain_id, robot) as conductor:
        conductor.transition("twin", "configure")
        conductor.transition("twin", "activate")
        channel = RobotMapping.named("panda").commands[0]
        conductor.link.subscribe(channel.topic, channel.type, "order", lambda message: heard.append(time.monotonic()))
        config = SessionConfig(
            bundle, "panda", domain_id, record=disk / "seen", despite_evidence=True, log_dir=logs / "session"
        )
        try:
            hold_session(config, keys(), said.append)
            print("the session ended as if nothing were")
        except Exception as fault:
            print(type(fault).__name__, str(fault).replace(chr(10), " "))
        ended_s = time.monotonic()
        time.sleep(1.0)
print("active" in said and heard[-1] < ended_s)
"""


def in_a_small_disk(script: str, bundle: Path, tmp_path: Path) -> list[str]:
    """Run a script whose disk has 400 kB; gives the lines that it printed."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = 'mount -t tmpfs -o size=400k tmpfs "$3" && exec "$0" -c "$1" "$2" "$3" "$4"'
    words = [sys.executable, FILL + script, str(bundle), str(disk), str(tmp_path / "logs")]
    asked = ["unshare", "--mount", "--map-root-user", "sh", "-c", mount, *words]
    done = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode and ("unshare" in done.stderr or "mount" in done.stderr):
        pytest.skip(f"no file system of its own for a process here: {done.stderr.strip()[-200:]}")
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()


def test_a_full_disk_ends_the_recording_and_nothing_else(marked_bundle: Path, tmp_path: Path) -> None:
    told, goes_on = in_a_small_disk(NODE, marked_bundle, tmp_path)[-2:]
    assert "not recording" in told and "Free some space" in told
    assert goes_on == "True ['', None, '', None]", "and the next mark records again"


def test_a_full_disk_ends_a_session_with_the_robot_inactive(tmp_path: Path) -> None:
    told, is_silent = in_a_small_disk(SESSION, circling_arm(tmp_path / "circling.ashore"), tmp_path)[-2:]
    assert told.startswith("StorageFailed") and "Free some space" in told
    assert is_silent == "True"
