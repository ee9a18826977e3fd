"""The ROS side of a deployment: it drives the nodes' lifecycles, asks their services and hears outcomes and steps."""

from __future__ import annotations

import importlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from ashore.real.errors import NoAnswer, TransitionRefused
from ashore.real.nodes.link import Link
from ashore.real.own_node import OwnNode
from ashore.real.supervision import Supervision

POLL_S = 0.05
TRANSITIONS = {"configure": 1, "cleanup": 2, "activate": 3, "deactivate": 4}
"""Of lifecycle_msgs/Transition."""


@dataclass(frozen=True)
class Patience:
    """How long the conductor waits, in seconds, before it gives up on an answer."""

    start_s: float = 60.0
    """A process's start and its configure, which loads the bundle and builds the scene."""
    answer_s: float = 10.0


class Conductor:
    """Our own node in the robot's namespace; every wait also watches that the processes live."""

    def __init__(
        self, namespace: str, domain_id: int | None, supervision: Supervision, patience: Patience | None = None
    ) -> None:
        self._own = OwnNode("conductor", namespace, domain_id)
        self._supervision = supervision
        self._patience = patience if patience is not None else Patience()
        self._clients: dict[str, Any] = {}

    def __enter__(self) -> Self:
        self._own.__enter__()
        self.link = Link(self._own.node)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._own.__exit__(kind, fault, trace)

    def transition(self, node: str, transition: str) -> None:
        """Drive a node through one lifecycle transition.

        Raises:
            TransitionRefused: the node said no; carries its log's end.
            NoAnswer, ProcessEnded: it is not there or did not answer.
        """
        self._finish(node, transition, self._ask_for(node, transition))

    def configure(self, nodes: Sequence[str]) -> None:
        """Configure nodes side by side: what each one loads takes time, and none needs another for it.

        Raises:
            TransitionRefused, NoAnswer, ProcessEnded: see transition; of the first in this order.
        """
        asked = [(node, self._ask_for(node, "configure")) for node in nodes]
        for node, future in asked:
            self._finish(node, "configure", future)

    def ask(self, service: str) -> dict[str, Any]:
        """Call a Trigger service of one of our nodes and return the facts in its answer."""
        services = importlib.import_module("std_srvs.srv")
        response = self._call(services.Trigger, service, services.Trigger.Request())
        facts: dict[str, Any] = json.loads(response.message)
        return facts

    def set_parameters(self, node: str, values: Mapping[str, int]) -> None:
        """Set integer parameters of a node."""
        services, messages = (
            importlib.import_module("rcl_interfaces.srv"),
            importlib.import_module("rcl_interfaces.msg"),
        )
        request = services.SetParameters.Request()
        for name, value in values.items():
            content = messages.ParameterValue(type=messages.ParameterType.PARAMETER_INTEGER, integer_value=value)
            request.parameters.append(messages.Parameter(name=name, value=content))
        self._call(services.SetParameters, f"{node}/set_parameters", request)

    def wait_for(self, what: str, ready: Callable[[], bool], limit_s: float, node: str | None = None) -> None:
        """Wait until ready() says so; a node's own process must live as well, whatever its end means for the others.

        Raises:
            NoAnswer: not within limit_s.
            ProcessEnded: a process ended meanwhile.
        """
        deadline_s = time.monotonic() + limit_s
        while not ready():
            self._supervision.check(node)
            if time.monotonic() > deadline_s:
                raise NoAnswer(what, limit_s, self._supervision.log_dir)
            time.sleep(POLL_S / 5)

    def _ask_for(self, node: str, transition: str) -> Any:
        services = importlib.import_module("lifecycle_msgs.srv")
        request = services.ChangeState.Request()
        request.transition.id = TRANSITIONS[transition]
        return self._send(services.ChangeState, f"{node}/change_state", request, self._limit_s(transition), node)

    def _finish(self, node: str, transition: str, future: Any) -> None:
        self.wait_for(f"the service '{node}/change_state'", future.done, self._limit_s(transition), node)
        if not future.result().success:
            time.sleep(POLL_S)
            raise TransitionRefused(node, transition, self._supervision.tail(node))

    def _limit_s(self, transition: str) -> float:
        return self._patience.start_s if transition == "configure" else self._patience.answer_s

    def _call(self, kind: Any, service: str, request: Any) -> Any:
        future = self._send(kind, service, request, self._patience.answer_s)
        self.wait_for(f"the service {service!r}", future.done, self._patience.answer_s)
        return future.result()

    def _send(self, kind: Any, service: str, request: Any, limit_s: float, node: str | None = None) -> Any:
        """Ask a service once it is there; returns the future of its answer."""
        if service not in self._clients:
            self._clients[service] = self._own.node.create_client(kind, service)
        client = self._clients[service]
        self.wait_for(f"the service {service!r}", client.service_is_ready, limit_s, node)
        return client.call_async(request)
