"""Listening to a robot's topics for some seconds: who sends and takes them, with which quality, and every message."""

from __future__ import annotations

import importlib
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ashore.datasets.progress import Progress, silent
from ashore.real.mapping import Channel, RobotMapping
from ashore.real.messages import message_class
from ashore.real.nodes.link import load_rclpy, quality_profile

KEPT = 20_000
"""Messages kept of one topic: 20 s of a topic at 1 kHz."""
TICK_S = 0.2
LONGEST_S = 1e9
"""Durations from here on stand for infinity."""
NODE = "ashore_doctor"


@dataclass(frozen=True)
class Endpoint:
    """One node's end of a topic."""

    node: str
    type: str
    """Such as sensor_msgs/JointState."""
    problem: str
    """Why its quality of service does not fit ours; empty where it does."""


@dataclass(frozen=True)
class Sample:
    """A message with the times of its receipt."""

    at_s: float
    """Monotonic."""
    wall_ns: int
    """Of this host's clock, as stamps are."""
    message: Any


@dataclass
class Heard:
    """What was found out about one topic."""

    channel: Channel
    name: str
    """The topic's whole name."""
    is_command: bool
    senders: tuple[Endpoint, ...] = ()
    takers: tuple[Endpoint, ...] = ()
    samples: list[Sample] = field(default_factory=list)
    alike: tuple[str, ...] = ()
    """Other topics of this graph that hold the same type."""


def listen(mapping: RobotMapping, namespace: str, seconds: float, progress: Progress = silent) -> list[Heard]:
    """Listen to every topic of a mapping in the ROS graph of the caller's environment.

    Raises:
        MissingRos: ROS 2 is not installed.
    """
    with _node(namespace) as (node, serve):
        topics = [*((c, False) for c in mapping.observations), *((c, True) for c in mapping.commands)]
        heard = [Heard(c, node.resolve_topic_name(c.topic), is_command) for c, is_command in topics]
        for each in heard:
            take = partial(_keep, each.samples)
            # As the deployment's own nodes ask for it, but for the depth: here each message counts.
            asked = quality_profile("stream", depth=100)
            node.create_subscription(message_class(each.channel.type), each.channel.topic, take, asked)
        began_s = time.monotonic()
        thread = threading.Thread(target=serve, name="doctor", daemon=True)
        thread.start()
        while (passed_s := time.monotonic() - began_s) < seconds:
            progress(int(10 * passed_s), int(10 * seconds), f"{sum(len(each.samples) for each in heard)} messages")
            time.sleep(min(TICK_S, seconds - passed_s))
        for each in heard:
            _look(node, each)
    progress(int(10 * seconds), int(10 * seconds), f"{sum(len(each.samples) for each in heard)} messages")
    return heard


@contextmanager
def _node(namespace: str) -> Iterator[tuple[Any, Any]]:
    """Make a node in a context of its own, and the function that serves it until the block is left."""
    rclpy = load_rclpy()
    context, halt = rclpy.Context(), threading.Event()
    rclpy.init(context=context, signal_handler_options=rclpy.signals.SignalHandlerOptions.NO)
    node = rclpy.create_node(NODE, namespace=namespace, context=context)
    executor = importlib.import_module("rclpy.executors").SingleThreadedExecutor(context=context)
    executor.add_node(node)
    served = threading.Event()

    def serve() -> None:
        while not halt.is_set():
            executor.spin_once(timeout_sec=TICK_S)
        served.set()

    try:
        yield node, serve
        halt.set()
        served.wait(2.0)
    finally:
        halt.set()
        executor.shutdown(timeout_sec=1.0)
        node.destroy_node()
        rclpy.try_shutdown(context=context)


def _keep(samples: list[Sample], message: Any) -> None:
    if len(samples) < KEPT:
        samples.append(Sample(time.monotonic(), time.time_ns(), message))


def _look(node: Any, heard: Heard) -> None:
    """Ask the graph who is at a topic's ends, and where else its type is found."""
    senders, takers = _senders(node, heard.name), _takers(node, heard.name)
    ours = quality_profile("order" if heard.is_command else "stream")
    heard.senders = tuple(_endpoint(info, info.qos_profile, ours) for info in senders)
    heard.takers = tuple(_endpoint(info, ours if heard.is_command else None, info.qos_profile) for info in takers)
    ends = _takers if heard.is_command else _senders
    named = [name for name, types in node.get_topic_names_and_types() if heard.channel.type in map(_plain, types)]
    heard.alike = tuple(sorted(name for name in named if name != heard.name and ends(node, name)))


def _senders(node: Any, topic: str) -> list[Any]:
    return _others(node.get_publishers_info_by_topic(topic))


def _takers(node: Any, topic: str) -> list[Any]:
    return _others(node.get_subscriptions_info_by_topic(topic))


def _others(ends: Sequence[Any]) -> list[Any]:
    """Leave out our own ends."""
    return [info for info in ends if info.node_name != NODE]


def _endpoint(info: Any, offered: Any, requested: Any) -> Endpoint:
    return Endpoint(
        f"{info.node_namespace.rstrip('/')}/{info.node_name}", _plain(info.topic_type), clash(offered, requested)
    )


def clash(offered: Any, requested: Any) -> str:
    """Say why a sender's quality does not satisfy a taker; empty where it does or nothing is offered.

    By the rules of DDS; rclpy's own comparison takes the infinite durations of a discovered end for finite ones.
    """
    if offered is None:
        return ""
    found = []
    for name, weak, strong in (
        ("reliability", "BEST_EFFORT", "RELIABLE"),
        ("durability", "VOLATILE", "TRANSIENT_LOCAL"),
        ("liveliness", "AUTOMATIC", "MANUAL_BY_TOPIC"),
    ):
        if (getattr(offered, name).name, getattr(requested, name).name) == (weak, strong):
            found.append(f"{name} {strong} is asked for, {weak} offered")
    for name in ("deadline", "liveliness_lease_duration"):
        asked_s, given_s = _finite_s(getattr(requested, name)), _finite_s(getattr(offered, name))
        if asked_s < given_s:
            found.append(f"{name} of {asked_s:g} s is asked for, {given_s:g} s offered")
    return "; ".join(found)


def _finite_s(duration: Any) -> float:
    """Give a duration in seconds; infinite where it is unset (0) or the middleware's largest."""
    seconds = 1e-9 * float(duration.nanoseconds)
    return seconds if 0 < seconds < LONGEST_S else float("inf")


def _plain(type_name: str) -> str:
    """Turn sensor_msgs/msg/JointState into sensor_msgs/JointState."""
    return type_name.replace("/msg/", "/")
