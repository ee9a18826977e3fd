"""The processes of a real deployment, seen from outside: none has a socket beyond this host unless it was asked for."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="the ROS 2 packages are not installed")
pytest.importorskip("pybullet", reason="pybullet is not installed")

from ashore.datasets.errors import UnreadableFile
from ashore.policies.bundle import read_bundle
from ashore.real.conductor import Conductor
from ashore.real.errors import SecurityNotEnforced
from ashore.real.network import Network, applied, check_loopback, environment, own_domain
from ashore.real.plan import Deployment, process_plan
from ashore.real.supervision import Supervision

ROBOT, PROFILE = "twin/crazyflie", "quadrotor_mild"
NODES = ("twin", "policy", "guard")
INODE = {"packet": 8}
"""Column of a socket's inode in a table of /proc; the tables of IP have it in column 9."""
OPEN = """<?xml version="1.0"?>
<dds xmlns="http://www.eprosima.com"><profiles>
<transport_descriptors><transport_descriptor>
<transport_id>open</transport_id><type>UDPv4</type>
</transport_descriptor></transport_descriptors>
<participant profile_name="open" is_default_profile="true"><rtps>
<userTransports><transport_id>open</transport_id></userTransports>
<useBuiltinTransports>false</useBuiltinTransports>
</rtps></participant></profiles></dds>
"""


def sockets_of(pid: int) -> list[str]:
    """Every IP and packet socket of a process, as protocol and hexadecimal address:port, from /proc alone."""
    own = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            own.add(os.readlink(link))
        except FileNotFoundError:
            continue
    found = []
    for protocol in ("tcp", "tcp6", "udp", "udp6", "udplite", "udplite6", "raw", "raw6", "packet"):
        table = Path(f"/proc/{pid}/net/{protocol}")
        for line in table.read_text().splitlines()[1:] if table.exists() else ():
            columns = line.split()
            if f"socket:[{columns[INODE.get(protocol, 9)]}]" in own:
                found.append(f"{protocol} {columns[1]}")
    return found


def all_sockets(supervision: Supervision) -> dict[str, list[str]]:
    return {name: sockets_of(pid) for name, pid in supervision.pids.items()}


@contextmanager
def started(bundle: Path, logs: Path, network: Network = "loopback") -> Iterator[tuple[Supervision, int]]:
    with own_domain() as domain_id, applied(environment(network, domain_id)):
        plan = process_plan(Deployment(read_bundle(bundle), ROBOT, PROFILE, 0, network, domain_id))
        with Supervision(plan, logs) as supervision:
            yield supervision, domain_id


def test_the_judge_sees_a_socket_where_there_is_one() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        own.bind(("0.0.0.0", 0))
        assert f"udp 00000000:{own.getsockname()[1]:04X}" in sockets_of(os.getpid())


def test_a_deployment_at_work_has_no_socket_at_all(
    hover_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What the caller's shell may hold, all of which would open sockets.
    (tmp_path / "open.xml").write_text(OPEN)
    monkeypatch.setenv("FASTDDS_DEFAULT_PROFILES_FILE", str(tmp_path / "open.xml"))
    monkeypatch.setenv("FASTRTPS_DEFAULT_PROFILES_FILE", str(tmp_path / "missing.xml"))
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "SUBNET")
    monkeypatch.setenv("ROS_STATIC_PEERS", "192.0.2.1")
    before = sockets_of(os.getpid())
    with (
        started(hover_bundle, tmp_path) as (supervision, domain_id),
        Conductor("crazyflie", domain_id, supervision) as conductor,
    ):
        for node in NODES:
            conductor.transition(node, "configure")
        conductor.transition("twin", "activate")
        conductor.ask("twin/reset")
        conductor.transition("policy", "activate")
        conductor.transition("guard", "activate")
        conductor.wait_for("commands", lambda: conductor.ask("guard/report")["ticks"] > 0, 30.0)
        assert all_sockets(supervision) == {name: [] for name in NODES}
        assert sockets_of(os.getpid()) == before


def test_the_same_processes_without_the_settings_are_open(hover_bundle: Path, tmp_path: Path) -> None:
    """The control: what the test above would see if the settings did not work."""
    with started(hover_bundle, tmp_path, "ambient") as (supervision, _):
        deadline_s = time.monotonic() + 30.0
        while not any("udp 00000000:" in found for one in all_sockets(supervision).values() for found in one):
            assert time.monotonic() < deadline_s, all_sockets(supervision)
            time.sleep(0.1)


REFUSED = """
import os, sys
from pathlib import Path
from ashore.policies.bundle import read_bundle
from ashore.real.conductor import Conductor
from ashore.real.errors import TransitionRefused
from ashore.real.network import applied, environment, own_domain
from ashore.real.plan import Deployment, process_plan
from ashore.real.supervision import Supervision
with own_domain() as domain_id, applied(environment("loopback", domain_id)):
    bundle = read_bundle(sys.argv[1])
    plan = process_plan(Deployment(bundle, "twin/crazyflie", "quadrotor_mild", 0, "loopback", domain_id))
    with Supervision(plan, Path("logs")) as supervision, Conductor("crazyflie", domain_id, supervision) as conductor:
        for process in plan:
            try:
                conductor.transition(process.name, "configure")
            except TransitionRefused as refused:
                print(process.name, "sockets beyond this host" in str(refused), flush=True)
"""


def test_transports_that_lie_in_the_working_folder_are_refused_by_every_node(
    hover_bundle: Path, tmp_path: Path
) -> None:
    """The middleware reads such a file unasked; the nodes then find the sockets and do not configure."""
    (tmp_path / "DEFAULT_FASTDDS_PROFILES.xml").write_text(OPEN)
    command = [sys.executable, "-c", REFUSED, str(hover_bundle)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False)
    assert done.stdout.splitlines() == [f"{name} True" for name in NODES], done.stdout + done.stderr


@pytest.mark.parametrize("strategy", [None, "Permissive", "enforce"])
def test_security_that_is_not_enforced_starts_nothing(monkeypatch: pytest.MonkeyPatch, strategy: str | None) -> None:
    monkeypatch.setenv("ROS_SECURITY_ENABLE", "true")
    if strategy is None:
        monkeypatch.delenv("ROS_SECURITY_STRATEGY", raising=False)
    else:
        monkeypatch.setenv("ROS_SECURITY_STRATEGY", strategy)
    for network in ("loopback", "ambient"):
        monkeypatch.setenv("ASHORE_NETWORK", network)
        with pytest.raises(SecurityNotEnforced, match="a node without keys runs unsecured"):
            environment(network, None)
        with pytest.raises(SecurityNotEnforced):
            check_loopback()
    monkeypatch.setenv("ROS_SECURITY_STRATEGY", "Enforce")
    check_loopback()


def test_enforced_security_without_keys_makes_no_node() -> None:
    """What the docs promise of the middleware: it ends, and does not go on unsecured."""
    security = {"ROS_SECURITY_ENABLE": "true", "ROS_SECURITY_STRATEGY": "Enforce"}
    settings = {**os.environ, **environment("loopback", None), **security}
    code = "import rclpy; rclpy.init(); rclpy.create_node('any'); print('made')"
    done = subprocess.run([sys.executable, "-c", code], env=settings, capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "made" not in done.stdout and "RCLError" in done.stderr


@pytest.mark.parametrize("content", [None, "<dds>", ""])
def test_a_missing_or_broken_file_of_transports_starts_nothing(
    hover_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    if content is not None:
        (tmp_path / "transports.xml").write_text(content)
    monkeypatch.setenv("FASTDDS_DEFAULT_PROFILES_FILE", str(tmp_path / "transports.xml"))
    assert environment("loopback", None)["FASTDDS_BUILTIN_TRANSPORTS"] == "SHM"
    with pytest.raises(UnreadableFile, match=r"transports\.xml.*unset FASTDDS_DEFAULT_PROFILES_FILE"):
        process_plan(Deployment(read_bundle(hover_bundle), ROBOT, PROFILE, 0, "ambient"))
    monkeypatch.setenv("ASHORE_NETWORK", "ambient")
    with pytest.raises(UnreadableFile, match=r"transports\.xml"):
        check_loopback()
    (tmp_path / "transports.xml").write_text(OPEN)
    check_loopback()
