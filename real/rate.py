"""A loop at a steady rate: deadlines of the node's clock on a thread of its own, misses counted and periods kept."""

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

import numpy as np

from ashore.real.clock import EARLY_S, REAL_TIME, Clock

KEPT = 20_000
"""Samples kept of each kind: 7 minutes at 50 Hz, and 0.6 MB."""

SLACK_S = 5e-4
"""How far a loop may be out of phase: to follow every message's own delay would make the period as uneven."""
AWAKE_S = 1.5e-4
"""Before a moment that counts: most wake-ups are that late at most, and less than SWITCH_S of the nodes."""


class Pacer:
    """Deadlines one period apart; a late tick is counted and never made up for by a burst.

    deadline   |----|----|----|----|----|      the body of tick 2 takes 1.5 periods:
    tick       0    1    2       3 |    4      one miss, and tick 4 is back on the grid
    """

    def __init__(self, period_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.period_s = period_s
        self.missed = 0
        self._clock = clock
        self._next_s: float | None = None

    def start(self, at_s: float) -> None:
        """Set the first deadline to this time of the clock."""
        self._next_s = at_s

    @property
    def due_s(self) -> float:
        """When the present tick was due, by the clock."""
        return (self._clock() if self._next_s is None else self._next_s) - self.period_s

    def shift(self, seconds: float) -> None:
        """Move all further deadlines, to stay in phase with what arrives from another clock."""
        if self._next_s is not None:
            self._next_s += seconds

    def settle(self, now_s: float) -> None:
        """Take in when the present tick came, by a clock that may have jumped: what is lost is counted, and no burst.

        ahead    the deadlines that were passed while asleep are missed, but the last one: it is the present tick's
        back     one period is missed, and the grid begins anew with the present tick
        """
        if self._next_s is None:
            return
        ahead_s = now_s + EARLY_S - self._next_s  # A sleep may be over so early.
        late = int(ahead_s / self.period_s) + 1 if ahead_s >= 0 else 0
        self.missed += late
        self._next_s += late * self.period_s
        if self._next_s - now_s > 2 * self.period_s:
            self.missed += 1
            self._next_s = now_s + self.period_s

    def take_missed(self) -> int:
        """Hand over the count of missed deadlines and start afresh."""
        missed, self.missed = self.missed, 0
        return missed

    def wait_s(self) -> float:
        """Advance to the next deadline and return how long it is away, 0 where it has passed."""
        now_s = self._clock()
        if self._next_s is None:
            self._next_s = now_s
        wait = self._next_s - now_s
        if wait < -self.period_s:
            late = int(-wait / self.period_s)
            self.missed += late
            self._next_s += late * self.period_s
        self._next_s += self.period_s
        return max(0.0, wait)


class PhaseLock:
    """Keeps a loop's ticks a time, within SLACK_S, behind the messages that it waits for, by tiny shifts."""

    def __init__(self, period_s: float, lag_s: float, gain: float = 0.02, max_shift_s: float = 2e-5) -> None:
        self._period_s = period_s
        self._lag_s = lag_s
        self._gain = gain
        self._max_shift_s = max_shift_s

    def shift_s(self, age_s: float) -> float:
        """Say how far to move the deadlines, given the age of the newest message at this tick."""
        error = age_s - self._lag_s
        error -= self._period_s * round(error / self._period_s)
        error -= float(np.clip(error, -SLACK_S, SLACK_S))
        return float(np.clip(-self._gain * error, -self._max_shift_s, self._max_shift_s))


class Samples:
    """Measured durations, the newest KEPT of them, summed up in milliseconds."""

    def __init__(self) -> None:
        self._values_s: deque[float] = deque(maxlen=KEPT)
        self._last_s: float | None = None

    def add(self, seconds: float) -> None:
        """Take in one duration."""
        self._values_s.append(seconds)

    def mark(self, now_s: float) -> None:
        """Take in the time since the last mark; the first one only starts the count."""
        if self._last_s is not None:
            self._values_s.append(now_s - self._last_s)
        self._last_s = now_s

    def lift(self) -> None:
        """Forget the last mark, so that a pause is not taken for a period."""
        self._last_s = None

    def recent_ms(self, n: int = 50) -> float:
        """Give the longest of the newest n durations, in milliseconds; 0 without any."""
        return 1e3 * max(list(self._values_s)[-n:], default=0.0)

    def take_ms(self) -> list[float]:
        """Hand over all samples in milliseconds and start afresh."""
        values = []
        while self._values_s:  # One by one: the loop's thread may add samples meanwhile.
            values.append(round(1e3 * self._values_s.popleft(), 4))
        return values


class Loop:
    """Runs body(now_s) once a period on a thread of its own, from start() to stop().

    A fault of the body ends the thread and reaches threading.excepthook, which ends the process.
    """

    def __init__(self, name: str, period_s: float, body: Callable[[float], None], clock: Clock = REAL_TIME) -> None:
        self.pacer = Pacer(period_s, clock.now_s)
        self.periods = Samples()
        self._name = name
        self._body = body
        self._halt = threading.Event()
        self._clock, self._now_s = clock, clock.now_s
        self.sleep = clock.sleeper(self._halt, 2 * period_s)
        """Sleep for so many seconds of the loop's clock, within a tick; stop() ends it where time stands still."""
        self._thread: threading.Thread | None = None

    def start(self, first_s: float | None = None) -> None:
        """Start ticking, the first tick at first_s of the loop's clock or at once."""
        self.stop()
        self._halt.clear()
        self.periods.lift()
        self.pacer.start(self._now_s() if first_s is None else first_s)
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._thread.start()

    def wait_until(self, at_s: float) -> None:
        """Wait, within a tick, for a time of the loop's clock; of real time, the last of it awake."""
        if self._clock.can_jump:
            self.sleep(max(0.0, at_s - self._now_s()))
        else:
            wait_until(at_s)

    def stop(self) -> None:
        """Stop ticking; returns when the present tick is done."""
        self._halt.set()
        self._clock.wake()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
        self._thread = None

    def _run(self) -> None:
        while not self._halt.is_set():
            # Event.wait would cost a lock and up to a millisecond of jitter; stop() waits one period at most.
            self.sleep(self.pacer.wait_s())
            if self._halt.is_set():
                return
            now_s = self._now_s()
            if self._clock.can_jump:
                self.pacer.settle(now_s)
            self.periods.mark(now_s)
            self._body(now_s)


def ask_for_realtime() -> bool:
    """Put this process before all ordinary ones, and tell whether the system allows it.

    A user needs the limit `rtprio` for it; without it the process goes on as an ordinary one. Threads that are started
    later inherit it. Measured on two cores: the p99 error of a 50 Hz command falls from about 0.8 to 0.1 ms.
    """
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(os.sched_get_priority_min(os.SCHED_RR)))
    except PermissionError:
        return False
    return True


def wait_until(at_s: float) -> None:
    """Wait for a time of the monotonic clock, the last of it awake.

    A thread that sleeps wakes some time after it asked to, and then waits for the interpreter: that is over by then.
    """
    time.sleep(max(0.0, at_s - AWAKE_S - time.monotonic()))
    while time.monotonic() < at_s:
        pass


def first_tick_s(now_s: float, age_s: float | None, period_s: float, lag_s: float) -> float:
    """Say when a loop's first tick is: lag_s behind the next message, given the newest one's age; now without any."""
    if age_s is None:
        return now_s
    return now_s + (lag_s - age_s) % period_s


def period_error_ms(periods_ms: Sequence[float], period_s: float, percentile: float) -> float:
    """Give the percentile of |period - nominal| in milliseconds; NaN without samples."""
    if not periods_ms:
        return float("nan")
    return float(np.percentile(np.abs(np.asarray(periods_ms) - 1e3 * period_s), percentile))
