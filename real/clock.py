"""A node's time: the monotonic clock, or a simulator's, which has a speed of its own, stands still and jumps.

What concerns people is never told by it: the operator's stop and sign of life, marks, patience, diagnostics.
"""

import threading
import time
from collections.abc import Callable

EARLY_S = 1e-6
"""How much before its end a sleep may be over, since a time in seconds is rounded."""
POLL_S = 0.001
LONGEST_S = 1.0
"""Real time after which a wait for another thread ends although simulated time stands still."""


class Clock:
    """The monotonic clock. Its parts are plain functions, so that a loop pays nothing for having a choice."""

    can_jump = False

    def __init__(self) -> None:
        self.now_s: Callable[[], float] = time.monotonic
        self.wait_for: Callable[[threading.Condition, Callable[[], bool], float], object] = threading.Condition.wait_for
        """Wait on a condition that is held until ready() or for so many seconds."""

    def sleeper(self, halt: threading.Event, most_s: float) -> Callable[[float], object]:
        """Make the function that sleeps so many seconds; where time can stand still, until halt and wake() too.

        Args:
            halt: set before wake() to end a sleep.
            most_s: no sleep by a clock that can jump is longer.
        """
        return time.sleep

    def wake(self) -> None:
        """Let everybody who sleeps look at their halt."""

    def still_s(self) -> float:
        """Say for how many real seconds this clock has stood still."""
        return 0.0

    def on_return(self, begin_anew: Callable[[], object]) -> None:
        """Call this before the clock jumps back: all that is stamped then is of the future."""


REAL_TIME = Clock()


class SimulatedClock(Clock):
    """Time as it is told from outside; one thread tells it, others read and sleep."""

    can_jump = True

    def __init__(self) -> None:
        super().__init__()
        self.now_s = self._now
        self.wait_for = self._wait_for
        self.is_heard = False
        """Whether any time was told yet."""
        self._time_s = 0.0
        self._moved = threading.Condition()
        self._moved_s = time.monotonic()
        self._begin_anew: list[Callable[[], object]] = []

    def tell(self, time_s: float) -> None:
        """Set the time; one before the present begins everything anew."""
        if self.is_heard and time_s < self._time_s:
            for begin_anew in self._begin_anew:
                begin_anew()
        with self._moved:
            if time_s != self._time_s:
                self._moved_s = time.monotonic()
            self._time_s, self.is_heard = time_s, True
            self._moved.notify_all()

    def sleeper(self, halt: threading.Event, most_s: float) -> Callable[[float], object]:
        """Make the function that sleeps by this clock; a jump back begins the sleep anew."""

        def sleep(seconds: float) -> None:
            seconds = min(seconds, most_s)
            with self._moved:
                began_s = self._time_s
                while self._time_s < began_s + seconds - EARLY_S and not halt.is_set():
                    self._moved.wait()
                    began_s = min(began_s, self._time_s)

        return sleep

    def wake(self) -> None:
        """Let everybody who sleeps look at their halt."""
        with self._moved:
            self._moved.notify_all()

    def still_s(self) -> float:
        """Say for how many real seconds this clock has stood still."""
        return time.monotonic() - self._moved_s

    def on_return(self, begin_anew: Callable[[], object]) -> None:
        """Call this before the clock jumps back."""
        self._begin_anew.append(begin_anew)

    def _now(self) -> float:
        return self._time_s

    def _wait_for(self, condition: threading.Condition, ready: Callable[[], bool], seconds: float) -> None:
        until_s, at_last_s = self._time_s + seconds, time.monotonic() + LONGEST_S
        while not ready() and self._time_s < until_s and time.monotonic() < at_last_s:
            condition.wait(POLL_S)
