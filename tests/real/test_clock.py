"""The node's time: as it is told, also where it stands still, jumps ahead or back; loops by it never burst or hang."""

import itertools
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ashore.real.clock import REAL_TIME, Clock, SimulatedClock
from ashore.real.rate import Loop, Pacer

PERIOD_S = 0.02


class Script(threading.Condition):
    """Tells a clock its next reading whenever somebody waits for one; at the end, says so."""

    def __init__(self, clock: SimulatedClock, readings_s: Iterator[float], end: Callable[[], None]) -> None:
        super().__init__()
        self.n_told = 0
        self._clock, self._readings_s, self._end = clock, readings_s, end

    def wait(self, timeout: float | None = None) -> bool:
        self.tell()
        return True

    def tell(self) -> None:
        at_s = next(self._readings_s, None)
        if at_s is None:
            self._end()
            return
        self.n_told += 1
        self._clock.tell(at_s)


def play(readings_s: list[float], busy: list[int]) -> tuple[list[tuple[int, float]], Pacer]:
    """Run a loop over a clock's readings, its nth tick lasting busy[n] of them: (readings told, time) of each tick."""
    clock, over = SimulatedClock(), threading.Event()
    lasting, ticks = iter(busy), []

    def end() -> None:
        over.set()
        loop.stop()

    def body(now_s: float) -> None:
        ticks.append((script.n_told, now_s))
        for _ in range(next(lasting, 0)):
            script.tell()

    script = Script(clock, iter(readings_s[1:]), end)
    clock._moved = script
    clock.tell(readings_s[0])
    loop = Loop("test", PERIOD_S, body, clock)
    loop.start()
    assert over.wait(20.0)
    loop.stop()
    return ticks, loop.pacer


def test_real_time_is_the_monotonic_clock_itself() -> None:
    assert REAL_TIME.now_s is time.monotonic
    assert REAL_TIME.sleeper(threading.Event(), 1.0) is time.sleep
    assert REAL_TIME.wait_for is threading.Condition.wait_for
    assert REAL_TIME.still_s() == 0.0


def test_a_loop_ticks_once_a_period_of_the_time_that_it_is_told() -> None:
    ticks, pacer = play([100.0 + 0.004 * index for index in range(251)], [])
    np.testing.assert_allclose([now_s for _, now_s in ticks], 100.0 + PERIOD_S * np.arange(51), atol=1e-9)
    assert pacer.missed == 0


def test_a_clock_as_coarse_as_the_period_loses_none() -> None:
    ticks, pacer = play([1.0 + 0.02 * index for index in range(100)], [])
    assert len(ticks) == 100 and pacer.missed == 0


def test_a_jump_ahead_is_so_many_periods_missed_and_one_tick() -> None:
    readings_s = [1.0, 1.01, 1.02, 1.03, 51.03, 51.034, 51.038, 51.044, 51.06]
    ticks, pacer = play(readings_s, [])
    assert [now_s for _, now_s in ticks] == [1.0, 1.02, 51.03, 51.044, 51.06]
    assert pacer.missed == 2499


def test_a_jump_back_is_one_period_missed_and_the_loop_goes_on_by_the_new_time() -> None:
    readings_s = [100.0, 100.02, 100.03, *(0.004 * index for index in range(26))]
    ticks, pacer = play(readings_s, [])
    assert [round(now_s, 3) for _, now_s in ticks] == [100.0, 100.02, 0.02, 0.04, 0.06, 0.08, 0.1]
    assert pacer.missed == 1


def test_a_jump_back_during_a_tick_is_the_same() -> None:
    ticks, pacer = play([100.0, 100.02, 7.0, *(7.0 + 0.01 * index for index in range(1, 12))], [0, 1])
    assert [round(now_s, 3) for _, now_s in ticks] == [100.0, 100.02, 7.04, 7.06, 7.08, 7.1]
    assert pacer.missed == 1


@settings(deadline=None)
@given(
    st.lists(st.one_of(st.floats(0.0, 0.05), st.floats(-5.0, 5.0)), min_size=1, max_size=60),
    st.lists(st.integers(0, 3), max_size=20),
)
def test_however_a_clock_jumps_no_two_ticks_come_at_one_reading(steps_s: list[float], busy: list[int]) -> None:
    readings_s = [1000.0]
    for step_s in steps_s:
        readings_s.append(max(0.0, readings_s[-1] + step_s))
    ticks, pacer = play(readings_s, busy)
    told = [n_told for n_told, _ in ticks]
    assert all(after > before for before, after in itertools.pairwise(told))
    if min(steps_s) >= 0:
        # Every deadline up to the last tick was kept, or counted as missed.
        n_deadlines = (ticks[-1][1] - readings_s[0]) / PERIOD_S + 1
        assert len(ticks) + pacer.missed == pytest.approx(n_deadlines, abs=1.01)


def test_a_loop_whose_clock_stands_still_does_nothing_and_stops_at_once() -> None:
    clock, ticks = SimulatedClock(), []
    clock.tell(5.0)

    def body(now_s: float) -> None:
        ticks.append(now_s)
        loop.sleep(0.002)

    loop = Loop("test", PERIOD_S, body, clock)
    for at_s in (5.0, 6.0):
        clock.tell(at_s)
        loop.start()
        time.sleep(0.05)
        # The first tick is due at once, and sleeps within.
        assert ticks[-1] == at_s
        loop.stop()
    assert ticks == [5.0, 6.0]
    assert clock.still_s() > 0.04


def test_who_keeps_times_hears_that_the_clock_returns_before_anybody_reads_it() -> None:
    clock, seen = SimulatedClock(), []
    clock.on_return(lambda: seen.append(clock.now_s()))
    for at_s in (5.0, 5.0, 9.0, 3.0, 4.0, 1.0):
        clock.tell(at_s)
    assert seen == [9.0, 4.0] and clock.now_s() == 1.0


def test_a_wait_for_another_thread_is_by_simulated_time_and_ends_where_that_stands_still() -> None:
    clock, condition = SimulatedClock(), threading.Condition()
    clock.tell(1.0)
    threading.Timer(0.05, clock.tell, (2.0,)).start()
    with condition:
        clock.wait_for(condition, lambda: False, 0.5)
        assert clock.now_s() == 2.0
        clock.wait_for(condition, lambda: False, 0.5)
        clock.wait_for(condition, lambda: True, 0.5)
    assert clock.now_s() == 2.0


def test_each_clock_is_told_apart_by_whether_it_can_jump() -> None:
    assert not Clock.can_jump and SimulatedClock.can_jump
