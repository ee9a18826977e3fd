"""Real processes over real DDS in shared memory: episodes, a killed policy, refusals, Ctrl-C."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="the ROS 2 packages are not installed")
pytest.importorskip("pybullet", reason="pybullet is not installed")

from ashore.datasets.errors import ContractMismatch, UnknownName
from ashore.datasets.store import EpisodeStore
from ashore.policies.bundle import read_bundle
from ashore.real.conductor import Conductor
from ashore.real.deploy import DeployConfig, deploy
from ashore.real.errors import ProcessEnded, RobotMismatch, TransitionRefused
from ashore.real.mapping import RobotMapping
from ashore.real.network import applied, environment, own_domain
from ashore.real.plan import Deployment, process_plan
from ashore.real.supervision import Supervision

ROBOT, PROFILE = "twin/crazyflie", "quadrotor_mild"
YAW_MARK = 0.125
ROOT = Path(__file__).resolve().parents[2]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def node_pids(bundle: Path) -> list[int]:
    """Processes of nodes that were started with this bundle."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if str(bundle).encode() in words and any(word.startswith(b"ashore.real.nodes") for word in words):
            found.append(int(folder.name))
    return found


def wait_until(ready: Callable[[], bool], limit_s: float = 30.0) -> None:
    deadline_s = time.monotonic() + limit_s
    while not ready():
        assert time.monotonic() < deadline_s, "not in time"
        time.sleep(0.01)


def test_an_episode_is_flown_judged_and_recorded_as_the_robot_saw_it(hover_bundle: Path, tmp_path: Path) -> None:
    notes: list[tuple[int, int, str]] = []
    config = DeployConfig(
        read_bundle(hover_bundle), ROBOT, PROFILE, 1, tmp_path / "store", seed=3, log_dir=tmp_path / "logs"
    )
    report = deploy(config, lambda *note: notes.append(note))
    assert node_pids(hover_bundle) == []
    outcome = report.episodes[0]
    assert outcome.seed == 3 and outcome.truncated and not outcome.terminated, report.summary()
    assert outcome.metrics["crashed"] == 0.0
    assert outcome.guard_ticks > 200
    summary = report.summary()
    assert summary["n_episodes"] == 1 and summary["inference_ms_p99"] > 0
    assert summary["command_period_ms_p50"] == pytest.approx(20.0, abs=5.0)
    assert len(report.bare_period_ms) > 100 and len(report.received_period_ms) > 100
    assert notes[-1][:2] == (1, 1)
    bundle = read_bundle(hover_bundle)
    contract, card = bundle.contract, bundle.card
    with EpisodeStore.open(tmp_path / "store", readonly=True) as store:
        assert store.contract == contract and len(store) == 1
        episode = store.read(0)
    assert episode.meta.versions["bundle_sha256"] == hashlib.sha256(hover_bundle.read_bytes()).hexdigest()
    assert episode.meta.source == "twin" and episode.meta.seed == 3 and episode.meta.success is outcome.success
    assert len(episode) > 200 and episode.commands is not None
    assert episode.commands.shape == (len(episode), card.command_width)
    np.testing.assert_allclose(np.median(np.diff(episode.time_s)), 0.02, atol=0.005)
    # Within limits that do not bind, what was sent is what the policy told at that very step, where it came in time.
    told = np.concatenate([episode.actions[feature.name] for feature in contract.actions], axis=1)
    assert np.mean(np.abs(told - episode.commands).max(axis=1) < 1e-5) > 0.3


def test_a_twin_stands_behind_the_topics_of_ones_own_mapping(hover_bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    shipped = (ROOT / "real/robots/crazyflie.yaml").read_text()
    path.write_text(shipped.replace("odometry:", "state/odometry:").replace("setpoint/body_rate:", "told:"))
    report = deploy(
        DeployConfig(read_bundle(hover_bundle), f"twin/{path}", PROFILE, 1, seed=3, log_dir=tmp_path / "logs")
    )
    assert report.episodes[0].truncated and report.episodes[0].guard_ticks > 200


def test_a_killed_policy_is_a_stop_and_nothing_moves_before_the_guard_is_active(
    marked_bundle: Path, tmp_path: Path
) -> None:
    channel = RobotMapping.named("crazyflie").commands[0]
    heard: list[tuple[float, float]] = []

    def judge(message: object) -> None:
        heard.append((time.monotonic(), float(channel.read(message)["rate_body_rad_s"][2])))

    with own_domain() as domain_id, applied(environment("loopback", domain_id)):
        plan = process_plan(Deployment(read_bundle(marked_bundle), ROBOT, PROFILE, 0, "loopback", domain_id))
        with Supervision(plan, tmp_path) as supervision, Conductor("crazyflie", domain_id, supervision) as conductor:
            conductor.link.subscribe(channel.topic, channel.type, "order", judge)
            for node in ("twin", "policy", "guard"):
                conductor.transition(node, "configure")
            conductor.transition("twin", "activate")
            conductor.transition("policy", "activate")
            time.sleep(0.5)
            assert heard == []
            conductor.transition("guard", "activate")
            wait_until(lambda: len(heard) > 25)
            assert all(rate == pytest.approx(YAW_MARK) for _, rate in heard[5:])
            os.kill(supervision.pids["policy"], signal.SIGKILL)
            killed_s = time.monotonic()
            wait_until(lambda: heard[-1][0] > killed_s + 1.0)
            last_of_policy_s = max(at_s for at_s, rate in heard if rate == pytest.approx(YAW_MARK))
            # The card's timeout is 0.1 s; the rest is room for a busy machine.
            assert last_of_policy_s - killed_s < 0.4
            with pytest.raises(ProcessEnded, match="'policy' was ended by signal 9"):
                conductor.transition("guard", "deactivate")


def test_a_twin_of_another_contract_refuses_and_says_which_field(slower_bundle: Path, tmp_path: Path) -> None:
    config = DeployConfig(read_bundle(slower_bundle), ROBOT, PROFILE, log_dir=tmp_path)
    with pytest.raises(TransitionRefused, match=r"'twin' refused to configure(.|\n)*control_hz: 50.0 against 25.0"):
        deploy(config)
    assert node_pids(slower_bundle) == []


def test_what_cannot_fit_is_refused_before_a_process_starts(hover_bundle: Path) -> None:
    with pytest.raises(RobotMismatch, match="made for robot 'crazyflie' and meets robot 'panda'"):
        deploy(DeployConfig(read_bundle(hover_bundle), "twin/panda", "arm_mild"))
    with pytest.raises(UnknownName, match="no robot 'twin/cracyflie'"):
        deploy(DeployConfig(read_bundle(hover_bundle), "twin/cracyflie"))
    with pytest.raises(UnknownName, match="no reality profile 'quadrotor_mad'"):
        deploy(DeployConfig(read_bundle(hover_bundle), ROBOT, "quadrotor_mad"))


def test_a_store_of_another_contract_is_refused(hover_bundle: Path, slower_bundle: Path, tmp_path: Path) -> None:
    EpisodeStore.create(tmp_path / "store", read_bundle(slower_bundle).contract)
    with pytest.raises(ContractMismatch, match="control_hz"):
        deploy(DeployConfig(read_bundle(hover_bundle), ROBOT, PROFILE, 1, tmp_path / "store"))


def test_ctrl_c_leaves_no_process_and_keeps_what_was_recorded(hover_bundle: Path, tmp_path: Path) -> None:
    code = f"""
from pathlib import Path
from ashore.policies.bundle import read_bundle
from ashore.real.deploy import DeployConfig, deploy
store = Path({str(tmp_path / "store")!r})
bundle = read_bundle({str(hover_bundle)!r})
deploy(DeployConfig(bundle, {ROBOT!r}, {PROFILE!r}, 5, store, log_dir=Path({str(tmp_path)!r})))
"""
    recording = tmp_path / "store"

    def is_recording() -> bool:
        return any(path.is_file() and path.stat().st_size > 20_000 for path in recording.rglob("*journal*"))

    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE) as running:
        wait_until(lambda: len(node_pids(hover_bundle)) == 3)
        wait_until(is_recording)
        pids = node_pids(hover_bundle)
        running.send_signal(signal.SIGINT)
        threading.Timer(0.2, running.send_signal, (signal.SIGINT,)).start()
        assert running.wait(20.0) != 0
        assert not any(is_alive(pid) for pid in pids)
    with EpisodeStore.open(recording, readonly=True) as store:
        assert store.abandoned_journals() == [] and len(store) == 1
        assert store.read_meta(0).truncated and store.read_meta(0).success is None
