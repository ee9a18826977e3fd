"""Staying on this host: settings applied and taken back, sockets read, domains never shared."""

import fcntl
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from ashore.real.errors import NoFreeDomain, OpenToNetwork
from ashore.real.network import applied, check_loopback, environment, open_sockets, own_domain, sweep_segments


def test_settings_hold_inside_the_block_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTDDS_DEFAULT_PROFILES_FILE", "open.xml")
    monkeypatch.delenv("FASTDDS_BUILTIN_TRANSPORTS", raising=False)
    with applied(environment("loopback", 7)):
        assert os.environ["FASTDDS_BUILTIN_TRANSPORTS"] == "SHM" and os.environ["ROS_DOMAIN_ID"] == "7"
        assert "FASTDDS_DEFAULT_PROFILES_FILE" not in os.environ
    assert os.environ["FASTDDS_DEFAULT_PROFILES_FILE"] == "open.xml"
    assert "FASTDDS_BUILTIN_TRANSPORTS" not in os.environ


@pytest.mark.parametrize(("address", "is_open"), [("127.0.0.1", False), ("0.0.0.0", True)])
def test_only_sockets_beyond_loopback_are_found(address: str, is_open: bool) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        own.bind((address, 0))
        name = f"udp {address}:{own.getsockname()[1]}"
        assert (name in open_sockets()) is is_open


def test_an_open_socket_refuses_to_arm_and_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as own:
        own.bind(("::", 0))
        own.listen()
        port = own.getsockname()[1]
        check_loopback()
        monkeypatch.setenv("ASHORE_NETWORK", "loopback")
        with pytest.raises(OpenToNetwork, match=f"tcp6 :::{port}.*--network ambient"):
            check_loopback()


def test_a_domain_is_not_given_twice_and_is_free_again_after_the_process() -> None:
    domains = range(231, 232)
    code = "from ashore.real.network import own_domain\nwith own_domain(range(231, 232)) as d:\n"
    code += "    print(d, flush=True)\n    input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None and other.stdout.readline() == b"231\n"
        with pytest.raises(NoFreeDomain, match="231 to 231 are all taken"), own_domain(domains):
            pass
        other.kill()
        other.wait()
    with own_domain(domains) as domain_id:
        assert domain_id == 231


def test_only_shared_memory_without_a_living_owner_is_swept(tmp_path: Path) -> None:
    dead, alive, other = "fastdds_0123456789abcdef", "fastdds_fedcba9876543210", "fastdds_port7411"
    for name in (dead, alive, other):
        (tmp_path / name).write_bytes(b"data")
        (tmp_path / f"{name}_el").touch()
    with (tmp_path / f"{alive}_el").open() as owner:
        fcntl.flock(owner, fcntl.LOCK_EX)
        assert sweep_segments(tmp_path) == 1
    assert {path.name for path in tmp_path.iterdir()} == {alive, f"{alive}_el", other, f"{other}_el"}
