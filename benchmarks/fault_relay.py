"""A process between two topics that does to messages what a bad network or a broken driver would; told how on stdin.

Each line of standard input is a JSON object with the faults from then on; an empty one heals all. It answers "ready".
"""

import heapq
import importlib
import json
import math
import sys
import threading
import time
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np

from ashore.real.messages import message_class
from ashore.real.parent import end_with_parent


@dataclass(frozen=True)
class Faults:
    """What is done to the messages of one topic."""

    drop: float = 0.0
    """Share that is lost."""
    duplicate: float = 0.0
    """Share that comes twice."""
    reorder: float = 0.0
    """Share that comes 50 ms late, after its followers."""
    delay_s: float = 0.0
    """Time that all are late."""
    stamp_offset_s: float = 0.0
    """What is added to the stamps: the sender's clock has jumped."""
    nan: bool = False
    """Whether the first number of each is NaN."""
    shuffle: bool = False
    """Whether names and numbers come in another order."""
    missing: bool = False
    """Whether the first name is missing."""
    second: bool = False
    """Whether somebody else proposes too."""


REORDERED_S = 0.05


class Relay:
    """Passes messages on as the faults say."""

    def __init__(self, node: Any, topic: str, type_name: str, is_stream: bool) -> None:
        self.faults = Faults()
        self._waiting: list[tuple[float, int, Any]] = []
        self._count = 0
        self._lock = threading.Condition()
        self._rng = np.random.default_rng(0)
        kind, qos = message_class(type_name), importlib.import_module("rclpy.qos")
        quality = qos.QoSProfile(depth=10, reliability=qos.ReliabilityPolicy.RELIABLE)
        heard = qos.QoSProfile(depth=10, reliability=qos.ReliabilityPolicy.BEST_EFFORT) if is_stream else quality
        self._publisher = node.create_publisher(kind, topic, quality)
        node.create_subscription(kind, f"raw/{topic}", self._take, heard)
        threading.Thread(target=self._send, daemon=True).start()

    def _take(self, message: Any) -> None:
        faults, rng, now_s = self.faults, self._rng, time.monotonic()
        if rng.random() < faults.drop:
            return
        self._put(now_s + faults.delay_s + REORDERED_S * (rng.random() < faults.reorder), _broken(message, faults))
        if rng.random() < faults.duplicate:
            self._put(now_s + faults.delay_s, _broken(message, faults))
        if faults.second:
            other = deepcopy(message)
            other.position[-1] += 1.0  # Its source.
            self._put(now_s, other)

    def _put(self, at_s: float, message: Any) -> None:
        with self._lock:
            self._count += 1
            heapq.heappush(self._waiting, (at_s, self._count, message))
            self._lock.notify()

    def _send(self) -> None:
        while True:
            with self._lock:
                while not self._waiting or self._waiting[0][0] > time.monotonic():
                    wait_s = self._waiting[0][0] - time.monotonic() if self._waiting else None
                    self._lock.wait(wait_s)
                message = heapq.heappop(self._waiting)[2]
            self._publisher.publish(message)


def _broken(message: Any, faults: Faults) -> Any:
    if not (faults.stamp_offset_s or faults.nan or faults.shuffle or faults.missing):
        return message
    made = deepcopy(message)
    if faults.stamp_offset_s:
        stamp = made.header.stamp
        moved_ns = stamp.sec * 1_000_000_000 + stamp.nanosec + round(1e9 * faults.stamp_offset_s)
        stamp.sec, stamp.nanosec = divmod(moved_ns, 1_000_000_000)
    if faults.nan and hasattr(made, "position"):
        made.position[0] = math.nan
    elif faults.nan:
        made.pose.pose.position.x = math.nan
    if (faults.shuffle or faults.missing) and hasattr(made, "name"):
        order = list(range(len(made.name)))[::-1] if faults.shuffle else list(range(1, len(made.name)))
        for part in ("name", "position", "velocity"):
            values = list(getattr(made, part))
            if values:
                setattr(made, part, [values[i] for i in order])
    return made


def main() -> int:
    """Relay the topics of the command line, NAME:TYPE:stream or NAME:TYPE:order, in a namespace."""
    rclpy = importlib.import_module("rclpy")
    end_with_parent()
    namespace, *topics = sys.argv[1:]
    rclpy.init()
    node = rclpy.create_node("relay", namespace=namespace)
    relays = {}
    for text in topics:
        topic, type_name, quality = text.split(":")
        relays[topic] = Relay(node, topic, type_name, quality == "stream")
    threading.Thread(target=rclpy.spin, args=(node,), daemon=True).start()
    print("ready", flush=True)  # noqa: T201
    for line in sys.stdin:
        told = json.loads(line)
        for topic, relay in relays.items():
            relay.faults = Faults(**told.get(topic, {}))
        print("ready", flush=True)  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
