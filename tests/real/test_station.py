"""An operator's place at a running deployment: what the nodes say, a stop from the keyboard, and a deadman."""

import hashlib
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="the ROS 2 packages are not installed")
pytest.importorskip("pybullet", reason="pybullet is not installed")

from ashore.cli.main import main
from ashore.real.errors import NothingRuns, TransitionRefused
from ashore.real.network import own_domain, running_domains
from ashore.real.station import Station, find_domain
from benchmarks.fault_graph import Graph
from benchmarks.faults import follower


def ashore(*words: str, keys: str = "") -> tuple[int, str]:
    command = [sys.executable, "-m", "ashore.cli.main", *words]
    done = subprocess.run(command, input=keys, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


def test_status_and_a_stop_from_the_keyboard(marked_bundle: Path, tmp_path: Path) -> None:
    with Graph(marked_bundle, "crazyflie", tmp_path) as graph:
        graph.start()
        domain = ("--domain", str(graph.domain_id))
        code, told = ashore("status", "--once", *domain)
        assert code == 0, told
        assert all(node in told for node in ("crazyflie/twin", "crazyflie/policy", "crazyflie/guard")), told
        assert "commands pass" in told and "active" in told
        mark, health = hashlib.sha256(marked_bundle.read_bytes()).hexdigest()[:12], graph.station.health()
        assert {health[f"crazyflie/{node}"].facts["bundle"] for node in ("policy", "guard")} == {mark} and mark in told
        code, told = ashore("operate", "--robot", "crazyflie", *domain, keys=" ")
        assert code == 0 and "STOP is pressed" in told
        time.sleep(1.5)
        follows = follower("crazyflie", graph.judge)
        assert not any(followed for _, followed in graph.judge.followed(follows)[-20:])
        code, told = ashore("status", "--once", *domain)
        assert code == 1 and "stopped: operator_stop" in told


def test_a_guard_with_a_deadman_stops_without_an_operator(marked_bundle: Path, tmp_path: Path) -> None:
    with Graph(marked_bundle, "crazyflie", tmp_path, deadman_s=0.5) as graph:
        with pytest.raises(TransitionRefused, match="no operator was heard of yet"):
            graph.start()
        graph.conductor.transition("policy", "deactivate")
        with Station(graph.domain_id, "crazyflie", with_operator=True) as station:
            assert station.wait_until_heard()
            time.sleep(0.3)
            graph.start()
            assert graph.station.health()["crazyflie/guard"].text == "commands pass"
        time.sleep(2.0)
        assert not any(f for _, f in graph.judge.followed(follower("crazyflie", graph.judge))[-20:])
        assert "operator_gone" in graph.station.health()["crazyflie/guard"].text


def test_the_one_deployment_of_this_host_is_found() -> None:
    before = running_domains()
    with own_domain() as domain_id:
        assert domain_id in running_domains()
        if not before:
            assert find_domain(None) == domain_id
        with own_domain(), pytest.raises(NothingRuns, match="deployments run on this host"):
            find_domain(None)
    assert domain_id not in running_domains()
    assert find_domain(7) == 7


def test_without_a_deployment_status_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    if running_domains():
        pytest.skip("a deployment runs on this host")
    assert main(["status", "--once"]) == 2
    assert "ashore deploy" in capsys.readouterr().err
