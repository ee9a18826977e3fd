"""Bytes to and from a vehicle: UDP or a serial line, and which addresses are taken without being told to."""

import ipaddress
import os
import re
import select
import socket
import termios
import tty
from abc import ABC, abstractmethod
from contextlib import suppress

from ashore.real.errors import InvalidAddress

LARGEST = 65_535
UDP = re.compile(r"(udpin|udpout):([0-9.]+):(\d{1,5})")
SERIAL = re.compile(r"serial:(/[^:]+):(\d+)")


class Transport(ABC):
    """Both directions to one peer."""

    @abstractmethod
    def send(self, data: bytes) -> None:
        """Send, or drop where nobody is there yet."""

    @abstractmethod
    def receive(self, timeout_s: float) -> bytes:
        """Wait for bytes; empty after timeout_s."""

    @abstractmethod
    def answer_here(self) -> None:
        """Hold on to the peer of what was received last: send to it, and take nothing of others."""

    @abstractmethod
    def close(self) -> None:
        """Close; receive then gives nothing more."""


def open_transport(address: str, allow_network: bool = False) -> Transport:
    """Open udpin:HOST:PORT (wait there for the vehicle), udpout:HOST:PORT (speak first) or serial:DEVICE:BAUD.

    Args:
        address: such as udpin:127.0.0.1:14540 or serial:/dev/ttyACM0:921600.
        allow_network: whether an address beyond this host is taken: MAVLink is neither encrypted nor signed here.

    Raises:
        InvalidAddress: another form, beyond this host, or it cannot be opened.
    """
    udp, serial = UDP.fullmatch(address), SERIAL.fullmatch(address)
    if udp is None and serial is None:
        raise InvalidAddress(address, "it has another form")
    try:
        if serial is not None:
            return _Serial(serial[1], int(serial[2]))
        if udp is not None:
            host = ipaddress.IPv4Address(udp[2])
            if not (host.is_loopback or allow_network):
                raise InvalidAddress(address, "it lies beyond this host, which needs --allow-network")
            return _Udp(str(host), int(udp[3]), speaks_first=udp[1] == "udpout")
    except (OSError, ValueError, OverflowError, termios.error) as error:
        raise InvalidAddress(address, str(error)) from error
    raise InvalidAddress(address, "it has another form")


class _Udp(Transport):
    def __init__(self, host: str, port: int, speaks_first: bool) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        own = ("127.0.0.1", 0) if ipaddress.IPv4Address(host).is_loopback else ("", 0)
        try:
            self._socket.bind(own if speaks_first else (host, port))
        except BaseException:
            self._socket.close()
            raise
        self._peer = (host, port) if speaks_first else None
        self._last: tuple[str, int] | None = None
        self._is_held = speaks_first

    def send(self, data: bytes) -> None:
        if self._peer is not None:
            with suppress(OSError):  # A network that is away for a moment: heartbeats tell when it stays away.
                self._socket.sendto(data, self._peer)

    def receive(self, timeout_s: float) -> bytes:
        if not _is_readable(self._socket.fileno(), timeout_s):
            return b""
        data, sender = self._socket.recvfrom(LARGEST)
        if self._is_held and sender != self._peer:
            return b""
        self._last = sender
        return data

    def answer_here(self) -> None:
        if not self._is_held:
            self._peer, self._is_held = self._last, True

    def close(self) -> None:
        self._socket.close()


class _Serial(Transport):
    def __init__(self, device: str, baud: int) -> None:
        speed = getattr(termios, f"B{baud}", None)
        if speed is None:
            raise ValueError(f"{baud} baud is no rate of this system")
        self._line = os.open(device, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            tty.setraw(self._line)
            settings = termios.tcgetattr(self._line)
            settings[4] = settings[5] = speed
            termios.tcsetattr(self._line, termios.TCSANOW, settings)
        except BaseException:
            os.close(self._line)
            raise
        self._is_open = True

    def send(self, data: bytes) -> None:
        try:
            os.write(self._line, data)
        except BlockingIOError:  # The line is full: this one is old when it is free again.
            return

    def receive(self, timeout_s: float) -> bytes:
        return os.read(self._line, LARGEST) if self._is_open and _is_readable(self._line, timeout_s) else b""

    def answer_here(self) -> None:
        """Do nothing: a line has one peer."""

    def close(self) -> None:
        if self._is_open:
            self._is_open = False
            os.close(self._line)


def _is_readable(descriptor: int, timeout_s: float) -> bool:
    return descriptor >= 0 and bool(select.select([descriptor], [], [], timeout_s)[0])
