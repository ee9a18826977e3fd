"""The ROS clock as a node's time, where its parameter use_sim_time asks for it: what /clock says."""

from __future__ import annotations

import importlib
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ashore.real.clock import SimulatedClock
from ashore.real.errors import NoClock
from ashore.real.messages import message_class

if TYPE_CHECKING:
    from rclpy.node import Node

PARAMETER, TOPIC, TYPE = "use_sim_time", "/clock", "rosgraph_msgs/Clock"
PATIENCE_S = 5.0
"""Real time within which somebody must have told the time: a simulator may start beside us."""


def is_asked_for(node: Node) -> bool:
    """Whether a node is to keep the time of /clock."""
    return bool(node.get_parameter(PARAMETER).value)


def follow(node: Node) -> tuple[SimulatedClock, Callable[[], object]]:
    """Make a clock that tells a node's ROS time, and the function that ends this."""
    clocks, durations = (importlib.import_module(f"rclpy.{name}") for name in ("clock", "duration"))
    told, clock = node.get_clock(), SimulatedClock()

    def tell(jump: Any) -> None:
        clock.tell(1e-9 * told.now().nanoseconds)

    tick = durations.Duration(nanoseconds=1)
    every = clocks.JumpThreshold(
        min_forward=tick, min_backward=durations.Duration(nanoseconds=-1), on_clock_change=False
    )
    handle = told.create_jump_callback(every, post_callback=tell)
    if told.now().nanoseconds:  # 0 is ROS's word for no time yet.
        clock.tell(1e-9 * told.now().nanoseconds)
    return clock, handle.unregister


def require(node: Node, clock: SimulatedClock, ended: threading.Event) -> None:
    """Wait until the time was told at least once.

    This runs in a callback, while no other is served: it takes the message itself.

    Raises:
        NoClock: nobody told it.
    """
    if clock.is_heard:
        return
    subscription = node.create_subscription(message_class(TYPE), TOPIC, lambda message: None, 1)
    until_s = time.monotonic() + PATIENCE_S
    try:
        while time.monotonic() < until_s and not ended.wait(0.01):
            with subscription.handle:
                taken = subscription.handle.take_message(message_class(TYPE), False)
            if taken is not None:
                times = importlib.import_module("rclpy.time")
                told: Any = node.get_clock()
                told.set_ros_time_override(times.Time.from_msg(taken[0].clock))
                return
        raise NoClock(node.get_fully_qualified_name(), TOPIC, node.count_publishers(TOPIC), PATIENCE_S)
    finally:
        node.destroy_subscription(subscription)


def hold(node: Node) -> Callable[[], object]:
    """Refuse to change use_sim_time from now on, since the loops would go on as before; returns what ends this."""
    messages = importlib.import_module("rcl_interfaces.msg")
    chosen = is_asked_for(node)

    def check(parameters: Sequence[Any]) -> Any:
        changed = any(each.name == PARAMETER and each.value != chosen for each in parameters)
        why = f"{PARAMETER} is read when the node is configured: clean it up first" if changed else ""
        return messages.SetParametersResult(successful=not changed, reason=why)

    node.add_on_set_parameters_callback(check)
    return lambda: node.remove_on_set_parameters_callback(check)
