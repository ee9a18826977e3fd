"""A ROS 2 node as the rest of real/ sees it: publish, subscribe, serve, log; rclpy stays in here."""

from __future__ import annotations

import importlib
import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ashore.real.clock import REAL_TIME, Clock, SimulatedClock
from ashore.real.errors import InvalidMessage, InvalidParameter, MissingRos
from ashore.real.messages import message_class
from ashore.real.nodes import simulated_time

if TYPE_CHECKING:
    from rclpy.node import Node

Quality = Literal["stream", "order", "notice"]
"""stream: newest sample, losses allowed (observations); order: newest sample, delivered (proposals, commands);
notice: delivered to late comers too (outcomes)."""


def load_rclpy() -> Any:
    """Import rclpy.

    Raises:
        MissingRos: it is not installed or does not load; says how to get it.
    """
    try:
        return importlib.import_module("rclpy")
    except ImportError as error:
        raise MissingRos("rclpy", str(error)) from error


@dataclass(frozen=True)
class Answer:
    """What a service says: whether it did as asked, and facts as JSON."""

    success: bool
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class Setting:
    """A node's parameter: its default, its range, and what it does."""

    default: int | float
    low: float
    high: float
    description: str


class Link:
    """One node's connections; a wrong message is refused, counted and logged once a second at most."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.n_refused = 0
        self.clock: Clock = REAL_TIME
        """The node's time; chosen when it is configured."""
        self.ended = threading.Event()
        """Set when the process ends, for who waits in a callback."""
        self._last_refusal_s = float("-inf")
        self._undo: list[Callable[[], object]] = []

    def choose_clock(self) -> None:
        """Take the node's time from /clock, until clear(), where the parameter use_sim_time asks for it."""
        self.on_clear(simulated_time.hold(self.node))
        self.clock = REAL_TIME
        if simulated_time.is_asked_for(self.node):
            self.clock, unfollow = simulated_time.follow(self.node)
            self.on_clear(unfollow)

    def require_clock(self) -> None:
        """See that the node's time is told.

        Raises:
            NoClock: it comes from /clock, where nobody tells it.
        """
        if isinstance(self.clock, SimulatedClock):
            simulated_time.require(self.node, self.clock, self.ended)

    def publisher(self, topic: str, type_name: str, quality: Quality) -> Callable[[Any], None]:
        """Make the function that publishes on a topic."""
        sent = quality_profile("order" if quality == "stream" else quality)
        publisher = self.node.create_publisher(message_class(type_name), topic, sent)
        self._undo.append(lambda: self.node.destroy_publisher(publisher))
        return publisher.publish

    def subscribe(self, topic: str, type_name: str, quality: Quality, take: Callable[[Any], None]) -> None:
        """Call take(message) for every message of a topic; it may refuse one with InvalidMessage."""

        def guarded(message: Any) -> None:
            try:
                take(message)
            except InvalidMessage as error:
                self.refuse(str(error))

        subscription = self.node.create_subscription(message_class(type_name), topic, guarded, quality_profile(quality))
        self._undo.append(lambda: self.node.destroy_subscription(subscription))

    def serve(self, name: str, answer: Callable[[], Answer]) -> None:
        """Offer a std_srvs/Trigger service whose message is the answer's facts in JSON."""
        services = importlib.import_module("std_srvs.srv")

        def handle(request: Any, response: Any) -> Any:
            given = answer()
            response.success, response.message = given.success, json.dumps(given.facts)
            return response

        service = self.node.create_service(services.Trigger, name, handle)
        self._undo.append(lambda: self.node.destroy_service(service))

    def on_clear(self, undo: Callable[[], object]) -> None:
        """Call this too when everything is taken down."""
        self._undo.append(undo)

    def clear(self) -> None:
        """Take down everything that was connected here."""
        while self._undo:
            self._undo.pop()()

    def parameter(self, name: str, setting: Setting) -> Any:
        """Give a node parameter's present value, declaring it with its range when first asked for.

        Raises:
            InvalidParameter: what was given is of another type, or outside of the range.
        """
        if not self.node.has_parameter(name):
            messages, exceptions = map(importlib.import_module, ("rcl_interfaces.msg", "rclpy.exceptions"))
            told = messages.ParameterDescriptor(description=setting.description)
            if isinstance(setting.default, float):
                told.floating_point_range = [messages.FloatingPointRange(from_value=setting.low, to_value=setting.high)]
            else:
                told.integer_range = [messages.IntegerRange(from_value=int(setting.low), to_value=int(setting.high))]
            try:
                self.node.declare_parameter(name, setting.default, told)
            except (exceptions.InvalidParameterValueException, exceptions.InvalidParameterTypeException) as error:
                raise InvalidParameter(name, str(error), setting.low, setting.high, setting.description) from error
        return self.node.get_parameter(name).value

    def n_publishers(self, topic: str) -> int:
        """Count who publishes on a topic now."""
        return self.node.count_publishers(topic)

    def stamp(self) -> Any:
        """The ROS time now, for a header."""
        return self.node.get_clock().now().to_msg()

    def refuse(self, problem: str) -> None:
        """Count a message that was not used, and say so at most once a second."""
        self.n_refused += 1
        now_s = time.monotonic()
        if now_s - self._last_refusal_s > 1.0:
            self._last_refusal_s = now_s
            self.node.get_logger().warning(f"{problem} ({self.n_refused} refused so far)")

    def take_refused(self) -> int:
        """Hand over the count of refused messages and start afresh."""
        refused, self.n_refused = self.n_refused, 0
        return refused

    def info(self, text: str) -> None:
        """Log a fact."""
        self.node.get_logger().info(text)

    def error(self, text: str) -> None:
        """Log a fault."""
        self.node.get_logger().error(text)


def packed(message: Any) -> bytes:
    """Give a message as it travels, which a publisher takes too: half the work of sending is done then."""
    return bytes(importlib.import_module("rclpy.serialization").serialize_message(message))


def quality_profile(quality: Quality, depth: int | None = None) -> Any:
    """Make the ROS 2 profile of a quality; with another depth of its queue where one is given."""
    qos = importlib.import_module("rclpy.qos")
    reliable, latched = quality != "stream", quality == "notice"
    return qos.QoSProfile(
        depth=depth if depth is not None else 10 if latched else 1,
        reliability=qos.ReliabilityPolicy.RELIABLE if reliable else qos.ReliabilityPolicy.BEST_EFFORT,
        durability=qos.DurabilityPolicy.TRANSIENT_LOCAL if latched else qos.DurabilityPolicy.VOLATILE,
    )


def split_ros_args(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split a command line into our arguments and those of ROS, from --ros-args on."""
    at = argv.index("--ros-args") if "--ros-args" in argv else len(argv)
    return list(argv[:at]), list(argv[at:])
