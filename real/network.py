"""Staying on this host: settings that keep ROS 2 to shared memory, the check that they worked, an own domain."""

import fcntl
import ipaddress
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree

from ashore.datasets.errors import UnreadableFile
from ashore.real.errors import NoFreeDomain, OpenToNetwork, RobotTaken, SecurityNotEnforced

Network = Literal["loopback", "ambient"]
"""loopback: shared memory alone, no socket at all; ambient: as the caller's environment says, for `ros2 launch`."""
LOOPBACK = {"FASTDDS_BUILTIN_TRANSPORTS": "SHM", "ROS_AUTOMATIC_DISCOVERY_RANGE": "SYSTEM_DEFAULT"}
"""Measured with ss: no UDP or TCP socket; LOCALHOST as range would bring UDP on 0.0.0.0 back."""
PROFILES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")
"""The caller's XML file of transports, under its new and its old name."""
UNWANTED = (
    *PROFILES,
    "ROS_STATIC_PEERS",
    "ROS_DISCOVERY_SERVER",
)
"""Settings of the caller that would open sockets again."""
PROTOCOLS = ("tcp", "tcp6", "udp", "udp6", "udplite", "udplite6", "raw", "raw6")
NETWORK_KEY = "ASHORE_NETWORK"
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  # Where the system keeps it; nothing is made here.
SEGMENT = re.compile(r"fastdds_[0-9a-f]{16}")
DOMAINS = range(1, 102)
"""ROS domains that are safe on Linux, without 0, which everybody uses."""


def environment(network: Network, domain_id: int | None) -> dict[str, str]:
    """Give the environment variables of every process of a deployment.

    Raises:
        SecurityNotEnforced: the caller switched security on, but not for everybody.
        UnreadableFile: the caller's transports are asked for, and their file is missing or no XML.
    """
    check_security()
    settings: dict[str, str] = {NETWORK_KEY: network}
    if network == "loopback":
        settings |= LOOPBACK
    else:
        check_profiles()
    if domain_id is not None:
        settings["ROS_DOMAIN_ID"] = str(domain_id)
    return settings


@contextmanager
def applied(settings: Mapping[str, str]) -> Iterator[None]:
    """Put these settings into our own environment for as long as the block runs: the middleware reads it there."""
    before = {name: os.environ.get(name) for name in (*settings, *UNWANTED)}
    if settings.get(NETWORK_KEY) == "loopback":
        for name in UNWANTED:
            os.environ.pop(name, None)
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def own_domain(domains: range = DOMAINS) -> Iterator[int]:
    """Reserve a ROS domain that no other deployment on this host uses; released when the block or the process ends.

    Raises:
        NoFreeDomain: all are taken.
    """
    folder = _domains_folder()
    folder.mkdir(mode=0o700, exist_ok=True)
    # Always the lowest that is free: the middleware leaves small files a domain in shared memory, and uses them again.
    for domain_id in domains:
        with (folder / str(domain_id)).open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield domain_id
            return
    raise NoFreeDomain(domains)


@contextmanager
def own_robot(domain_id: int, namespace: str) -> Iterator[None]:
    """Be the one session of this user on this host that commands a robot, for as long as the block runs.

    Raises:
        RobotTaken: another session does.
    """
    folder = _domains_folder()
    folder.mkdir(mode=0o700, exist_ok=True)
    with (folder / f"robot-{domain_id}-{namespace}").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RobotTaken(namespace, domain_id) from None
        yield


def running_domains() -> list[int]:
    """List the ROS domains that deployments of this user hold on this host now."""
    held = []
    for path in _domains_folder().glob("[0-9]*"):
        with path.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                held.append(int(path.name))
    return sorted(held)


def _domains_folder() -> Path:
    return Path(tempfile.gettempdir()) / f"ashore-domains-{os.getuid()}"


def sweep_segments(folder: Path = SHARED_MEMORY) -> int:
    """Remove the middleware's shared memory whose owners are gone, half a megabyte each; returns how many.

    A living owner holds an exclusive flock on the file NAME_el beside its segment NAME; the middleware itself removes
    what a dead one leaves only when it is told to.
    """
    removed = 0
    for lock_path in folder.glob("fastdds_*_el"):
        segment = lock_path.with_name(lock_path.name.removesuffix("_el"))
        if SEGMENT.fullmatch(segment.name) is None:
            continue
        try:
            with lock_path.open("rb+") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                segment.unlink(missing_ok=True)
                lock_path.unlink(missing_ok=True)
        except OSError:  # Its owner lives, or belongs to another user.
            continue
        removed += 1
    return removed


def check_security() -> None:
    """Check that whoever switched ROS 2's security on gets it.

    Raises:
        SecurityNotEnforced: a node without keys would run unsecured.
    """
    strategy = os.environ.get("ROS_SECURITY_STRATEGY")
    if os.environ.get("ROS_SECURITY_ENABLE") == "true" and strategy != "Enforce":
        raise SecurityNotEnforced(strategy)


def check_profiles() -> None:
    """Check that the file of transports that the environment names, if any, is there and is XML.

    Without it the middleware says so on one line and opens sockets on every interface.

    Raises:
        UnreadableFile: names the file.
    """
    for name in PROFILES:
        path = os.environ.get(name)
        if path is None:
            continue
        try:
            ElementTree.parse(path)  # noqa: S314  # The middleware reads the same file.
        except (OSError, ElementTree.ParseError) as error:
            expected = f"the XML profiles of Fast DDS that {name} names"
            raise UnreadableFile(path, expected, str(error), f"Correct or unset {name}.") from error


def check_loopback() -> None:
    """Check that this process is as closed as its environment asks for: on loopback, no socket beyond this host.

    Raises:
        OpenToNetwork: names the sockets.
        SecurityNotEnforced: see check_security.
        UnreadableFile: the file that would close it is missing or no XML.
    """
    check_security()
    if os.environ.get(NETWORK_KEY) != "loopback":
        check_profiles()
        return
    found = open_sockets()
    if found:
        raise OpenToNetwork(found)


def open_sockets() -> list[str]:
    """List this process's IP sockets that are bound to anything but loopback, as protocol address:port."""
    own = {_inode(path) for path in Path("/proc/self/fd").iterdir()} - {None}
    found = []
    for protocol in PROTOCOLS:
        table = Path("/proc/self/net") / protocol
        for line in table.read_text().splitlines()[1:] if table.exists() else ():
            columns = line.split()
            address, port = _address(columns[1])
            if columns[9] in own and not address.is_loopback:
                found.append(f"{protocol} {address}:{port}")
    return found


def _inode(path: Path) -> str | None:
    try:
        target = os.readlink(path)
    except OSError:
        return None
    return target.removeprefix("socket:[").removesuffix("]") if target.startswith("socket:[") else None


def _address(text: str) -> tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, int]:
    """Read an address of /proc/net: hexadecimal words in the machine's (little-endian) order."""
    digits, port = text.split(":")
    words = [bytes.fromhex(digits[i : i + 8])[::-1] for i in range(0, len(digits), 8)]
    return ipaddress.ip_address(b"".join(words)), int(port, 16)
