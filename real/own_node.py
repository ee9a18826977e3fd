"""A ROS node of ours beside those of a deployment, in a context of its own, served on a thread of its own."""

from __future__ import annotations

import importlib
import threading
from types import TracebackType
from typing import Any, Self

from ashore.real.nodes.link import load_rclpy

POLL_S = 0.05


class OwnNode:
    """A block in which the node is there; it handles no signal, those are the program's."""

    def __init__(self, name: str, namespace: str, domain_id: int | None) -> None:
        self._name, self._namespace, self._domain_id = name, namespace, domain_id
        self._rclpy = load_rclpy()
        self._halt = threading.Event()

    def __enter__(self) -> Self:
        rclpy = self._rclpy
        self._context = rclpy.Context()
        no_handlers = rclpy.signals.SignalHandlerOptions.NO
        rclpy.init(context=self._context, domain_id=self._domain_id, signal_handler_options=no_handlers)
        self.node: Any = rclpy.create_node(self._name, namespace=self._namespace, context=self._context)
        executors = importlib.import_module("rclpy.executors")
        self._executor = executors.SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._serve, name=self._name, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._halt.set()
        self._thread.join(timeout=2.0)
        self._executor.shutdown(timeout_sec=1.0)
        self.node.destroy_node()
        self._rclpy.try_shutdown(context=self._context)

    def _serve(self) -> None:
        while not self._halt.is_set():
            self._executor.spin_once(timeout_sec=POLL_S)
