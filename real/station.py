"""An operator's place at a running deployment: how every node is, a stop that stays pressed, start and end."""

from __future__ import annotations

import importlib
import json
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from ashore.real.conductor import TRANSITIONS
from ashore.real.errors import NoNode, NothingRuns
from ashore.real.events import Event, listen
from ashore.real.health import TOPIC, Health, Listener
from ashore.real.messages import message_class
from ashore.real.network import running_domains
from ashore.real.nodes.link import quality_profile
from ashore.real.nodes.operation import ALIVE_HZ, ALIVE_TOPIC, ALIVE_TYPE, STOP_TOPIC, STOP_TYPE
from ashore.real.own_node import POLL_S, OwnNode

ORDER = ("policy", "guard")
"""Of activation: the guard speaks last, and is silenced first."""
ANSWER_S = 5.0
HEARD_S = 5.0
"""How long a guard has to hear of the stop, the time to find it included."""


def find_domain(domain_id: int | None) -> int:
    """Give the ROS domain that is asked for, or that of the one deployment that runs on this host.

    Raises:
        NothingRuns: none is asked for, and not exactly one deployment runs.
    """
    if domain_id is not None:
        return domain_id
    found = running_domains()
    if len(found) != 1:
        raise NothingRuns(found)
    return found[0]


class Station:
    """Our own node beside a deployment's; it tells that an operator is there for as long as the block runs."""

    def __init__(self, domain_id: int, namespace: str = "", with_operator: bool = False) -> None:
        """Take a place.

        Args:
            domain_id: the deployment's ROS domain.
            namespace: the robot's.
            with_operator: send the sign of life that a guard with a deadman waits for.
        """
        self._own = OwnNode("operator", namespace, domain_id)
        self._namespace, self._with_operator = namespace, with_operator

    def __enter__(self) -> Self:
        node = self._own.__enter__().node
        self._listener = Listener(node)
        kind, sign = message_class(STOP_TYPE), message_class(ALIVE_TYPE)
        self._stop = node.create_publisher(kind, STOP_TOPIC, quality_profile("notice"))
        self._alive = node.create_publisher(sign, ALIVE_TOPIC, quality_profile("order"))
        if self._with_operator:
            node.create_timer(1.0 / ALIVE_HZ, lambda: self._alive.publish(sign()))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._own.__exit__(kind, fault, trace)

    def wait_until_heard(self) -> bool:
        """Wait until a guard listens to the sign of life; says whether one does."""
        return _within(HEARD_S, lambda: self._alive.get_subscription_count() > 0)

    def health(self) -> Mapping[str, Health]:
        """Give how every node that was heard of is now."""
        now_s = time.monotonic()
        return {name: heard.now(now_s) for name, heard in sorted(self._listener.heard.items())}

    def all_heard(self) -> bool:
        """Whether every node that was found has said how it is."""
        return len(self._listener.heard) >= int(self._own.node.count_publishers(TOPIC))

    def follow(self, take: Callable[[Event], None]) -> None:
        """Call take for everything that happens from now on, on our node's thread."""
        listen(self._own.node, take)

    def press(self, pressed: bool) -> bool:
        """Press the stop, which lasts, or let go of it, which starts nothing; says whether the guard has heard it."""
        self.tell_stop(pressed)
        until_s = time.monotonic() + HEARD_S
        while time.monotonic() < until_s:
            answer = self._call("std_srvs", "Trigger", "guard/pressed", until_s)
            if answer is not None and json.loads(answer.message)["pressed"] is pressed:
                return True
        return False

    def tell_stop(self, pressed: bool) -> None:
        """Press the stop or let go of it, without waiting for the guard's answer."""
        self._stop.publish(message_class(STOP_TYPE)(data=pressed))

    def mark(self, word: str) -> str:
        """Tell the recorder one of MARKS; says why it was not taken, nothing where it was."""
        answer = self._call("std_srvs", "Trigger", f"recorder/{word}", time.monotonic() + ANSWER_S)
        if answer is None:
            return "no recorder answers"
        return "" if answer.success else str(json.loads(answer.message)["refused"])

    def start(self) -> bool:
        """Activate policy and guard; says whether both did."""
        return all(self._change(node, "activate") for node in ORDER)

    def end(self) -> bool:
        """Deactivate guard and policy; says whether both did."""
        ended = [self._change(node, "deactivate") for node in reversed(ORDER)]  # The second, whatever the first says.
        return all(ended)

    def _change(self, node: str, transition: str) -> bool:
        until_s = time.monotonic() + ANSWER_S
        answer = self._call("lifecycle_msgs", "ChangeState", f"{node}/change_state", until_s, TRANSITIONS[transition])
        if answer is None:
            raise NoNode(node, self._namespace, sorted(self._listener.heard))
        return bool(answer.success)

    def _call(self, package: str, kind: str, name: str, until_s: float, transition: int | None = None) -> Any:
        """Call a service; None where nobody answers in time."""
        service = getattr(importlib.import_module(f"{package}.srv"), kind)
        client, request = self._own.node.create_client(service, name), service.Request()
        if transition is not None:
            request.transition.id = transition
        try:
            if not client.wait_for_service(timeout_sec=max(0.0, until_s - time.monotonic())):
                return None
            future = client.call_async(request)
            while not future.done() and time.monotonic() < until_s:
                time.sleep(POLL_S / 10)
            return future.result() if future.done() else None
        finally:
            self._own.node.destroy_client(client)


def _within(limit_s: float, is_so: Callable[[], bool]) -> bool:
    until_s = time.monotonic() + limit_s
    while not is_so() and time.monotonic() < until_s:
        time.sleep(POLL_S)
    return is_so()
