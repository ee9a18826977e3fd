"""The frame of every process of a deployment: a lifecycle node that says why it refuses and always ends cleanly.

Start     ends with its parent (PR_SET_PDEATHSIG), own handlers for SIGINT and SIGTERM, further signals ignored.
Refusals  a fault of configure or activate is logged in full and answered FAILURE: rclpy alone would swallow it.
End       deactivate, cleanup, destroy; a fault on any thread is logged and ends the process with code 1.
"""

from __future__ import annotations

import gc
import importlib
import signal
import sys
import threading
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from types import FrameType, TracebackType
from typing import Any

from ashore.datasets.errors import AshoreError
from ashore.real.health import HZ, Health, Teller, worse
from ashore.real.network import check_loopback
from ashore.real.nodes.link import Link, load_rclpy, split_ros_args
from ashore.real.parent import end_with_parent

POLL_S = 0.1
STILL_S = 1.0
"""Real time after which simulated time that does not go on is told."""
SWITCH_S = 2e-4
"""How long a thread may keep the interpreter while another waits; the default of 5 ms would be the loops' jitter."""


class Work(ABC):
    """What a node does in each state; the frame calls these, one at a time."""

    @abstractmethod
    def configure(self, link: Link) -> None:
        """Load and check everything, and connect to topics; raises AshoreError where something does not fit."""

    @abstractmethod
    def activate(self) -> None:
        """Begin to act, from a clean state."""

    @abstractmethod
    def deactivate(self) -> None:
        """Stop acting; may be called when already stopped."""

    @abstractmethod
    def health(self) -> Health:
        """Say how it is while active, since it was last asked."""


class _Reported:
    """A block whose fault is logged before it travels on."""

    def __init__(self, link: Link, what: str) -> None:
        self._link = link
        self._what = what

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        if fault is not None:
            text = str(fault) if isinstance(fault, AshoreError) else "".join(traceback.format_exception(fault))
            self._link.error(f"{self._what} failed:\n{text}")


def run_node(name: str, make: Callable[[Sequence[str]], tuple[Work, str]], argv: Sequence[str] | None) -> int:
    """Run one lifecycle node until it is told to end.

    Args:
        name: the node's name.
        make: parses our part of the command line into the work and the namespace; may raise AshoreError.
        argv: the command line without the program's name; sys.argv's where None.

    Returns:
        The exit code: 0 when told to end, 1 after a fault on any thread, 2 for a wrong command line.
    """
    own, ros = split_ros_args(sys.argv[1:] if argv is None else list(argv))
    ended = _Ending()
    sys.setswitchinterval(SWITCH_S)
    try:
        work, namespace = make(own)
        rclpy = load_rclpy()
    except AshoreError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    options = rclpy.signals.SignalHandlerOptions.NO
    rclpy.init(args=ros or None, signal_handler_options=options)
    node = make_node(name, namespace, work)
    ended.link = node.link
    node.link.ended = ended.event
    try:
        with serve([node], ended.event):
            # A plain wait in the main thread lets Python run the signal handlers at once.
            while not ended.event.wait(POLL_S * 5):
                continue
    finally:
        try:
            end_node(node, work)
        finally:
            rclpy.try_shutdown()
            # At once, not when the interpreter ends: else the middleware's shared memory can outlive us.
            rclpy.get_default_context().destroy()
    return ended.code


class _Ending:
    """Why and when this process ends: a signal, the parent's death, or a fault on any thread."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.code = 0
        self.link: Link | None = None
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._told)
        if not end_with_parent():
            self.event.set()
        threading.excepthook = self._fault

    def _told(self, number: int, frame: FrameType | None) -> None:
        self.event.set()

    def _fault(self, fault: threading.ExceptHookArgs) -> None:
        text = "".join(traceback.format_exception(fault.exc_type, fault.exc_value, fault.exc_traceback))
        if self.link is not None:
            self.link.error(f"a thread failed:\n{text}")
        self.code = 1
        self.event.set()


@contextmanager
def serve(nodes: Sequence[Any], ended: threading.Event) -> Iterator[None]:
    """Serve the callbacks of nodes of one context on a thread of their own, until the end of the block is told.

    The events executor is marked experimental, yet it takes a message with a fraction of the Python of the others,
    which build their wait set anew each time and keep the control loop waiting for the interpreter meanwhile.
    """
    from rclpy.experimental.events_executor import EventsExecutor

    executor = EventsExecutor(context=nodes[0].context)
    for node in nodes:
        executor.add_node(node)

    def work() -> None:
        while not ended.is_set():
            executor.spin_once(timeout_sec=POLL_S)

    thread = threading.Thread(target=work, name="ros", daemon=True)
    thread.start()
    try:
        yield
    finally:
        thread.join(timeout=2.0)
        executor.shutdown(timeout_sec=1.0)


def end_node(node: Any, work: Work) -> None:
    """Bring a node's work to rest and take the node down; what fails is logged."""
    try:
        with _Reported(node.link, "the last deactivate"):
            work.deactivate()
            node.link.clear()
    finally:
        node.destroy_node()


class _Transitions:
    """Passes a node's transitions on to its work, says what went wrong with them, and tells its health."""

    def __init__(self, node: Any, work: Work) -> None:
        self.link = Link(node)
        self._work = work
        self._state = "unconfigured"
        self._teller = Teller(node)
        clocks = importlib.import_module("rclpy.clock")
        # Real seconds: else a simulation that pauses would look dead.
        node.create_timer(1.0 / HZ, self._tell_health, clock=clocks.Clock(clock_type=clocks.ClockType.STEADY_TIME))

    def do(self, what: str) -> bool:
        """Make a transition; False where it was refused, which is logged."""
        act, then = {
            "configure": (self._configure, "inactive"),
            "activate": (self._activate, "active"),
            "deactivate": (self._work.deactivate, "inactive"),
            "cleanup": (self._cleanup, "unconfigured"),
            "shutdown": (self._work.deactivate, "finalized"),
            "error": (self._cleanup, "unconfigured"),
        }[what]
        with _Reported(self.link, what):
            try:
                act()
            except AshoreError as error:
                self.link.error(f"{what} refused:\n{error}")
                if what == "configure":
                    self.link.clear()
                return False
        self._state = then
        return True

    def _configure(self) -> None:
        check_loopback()
        self.link.choose_clock()
        self._work.configure(self.link)

    def _activate(self) -> None:
        self.link.require_clock()
        gc.collect()
        gc.freeze()
        self._work.activate()

    def _cleanup(self) -> None:
        self._work.deactivate()
        self.link.clear()

    def _tell_health(self) -> None:
        health = self._work.health() if self._state == "active" else Health("ok", self._state, {})
        still_s = self.link.clock.still_s()
        if self._state == "active" and still_s > STILL_S:
            text = f"simulated time stands still for {still_s:.0f} s; before: {health.text}"
            health = Health(worse(health.level, "warning"), text, health.facts)
        self._teller.tell(replace(health, facts={"state": self._state, **health.facts}))


def make_node(name: str, namespace: str, work: Work, context: Any = None) -> Any:
    """Make the lifecycle node of a work; the class stands in here because its base comes with rclpy."""
    from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

    class ManagedNode(LifecycleNode):
        """Makes its transitions as the work says."""

        def __init__(self) -> None:
            super().__init__(name, namespace=namespace, context=context)
            self._transitions = _Transitions(self, work)
            self.link = self._transitions.link

        def _do(self, what: str) -> TransitionCallbackReturn:
            done = self._transitions.do(what)
            return TransitionCallbackReturn.SUCCESS if done else TransitionCallbackReturn.FAILURE

        def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
            return self._do("configure")

        def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
            return self._do("activate")

        def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
            return self._do("deactivate")

        def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
            return self._do("cleanup")

        def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
            return self._do("shutdown")

        def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
            return self._do("error")

    return ManagedNode()
