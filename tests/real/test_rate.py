"""Pacing by deadlines: no drift, no bursts, every miss counted; phase locked to what arrives."""

import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ashore.real.rate import SLACK_S, Loop, Pacer, PhaseLock, Samples, first_tick_s, period_error_ms, wait_until


class FakeClock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_ticks_stay_on_the_grid_whatever_the_body_takes() -> None:
    clock, ticks = FakeClock(), []
    pacer = Pacer(0.02, clock)
    pacer.start(clock.now_s)
    for work_s in (0.001, 0.019, 0.025, 0.002, 0.0, 0.01):
        clock.now_s += pacer.wait_s()
        ticks.append(round(clock.now_s - 100.0, 6))
        clock.now_s += work_s
    assert ticks == [0.0, 0.02, 0.04, 0.065, 0.08, 0.1]
    assert pacer.missed == 0


@given(st.lists(st.floats(0.0, 0.2), min_size=1, max_size=50))
def test_a_stall_is_counted_in_periods_and_never_made_up_for(work: list[float]) -> None:
    clock = FakeClock()
    pacer = Pacer(0.02, clock)
    pacer.start(clock.now_s)
    ticks = []
    for work_s in work:
        clock.now_s += pacer.wait_s()
        ticks.append(clock.now_s)
        clock.now_s += work_s
    # Every grid point up to the last tick was either ticked or counted as missed.
    assert len(ticks) + pacer.take_missed() == pytest.approx((ticks[-1] - 100.0) / 0.02 + 1, abs=1.0)
    assert pacer.missed == 0


def test_phase_lock_brings_ticks_to_their_lag_behind_the_messages() -> None:
    lock, age_s = PhaseLock(0.02, 0.002), 0.013
    rng = np.random.default_rng(0)
    for _ in range(900):
        age_s = (age_s + lock.shift_s(age_s + rng.uniform(0, 0.0002))) % 0.02
    assert age_s == pytest.approx(0.002, abs=SLACK_S + 0.0002)


@given(st.floats(-0.99 * SLACK_S, 0.99 * SLACK_S), st.integers(-3, 3))
def test_a_message_a_little_early_or_late_moves_no_deadline(early_s: float, periods: int) -> None:
    assert PhaseLock(0.02, 0.002).shift_s(0.002 + early_s + 0.02 * periods) == 0.0


@pytest.mark.parametrize("ahead_s", [-1.0, 0.0, 5e-5, 2e-3])
def test_a_moment_is_waited_for_and_never_missed_by_waking_early(ahead_s: float) -> None:
    at_s = time.monotonic() + ahead_s
    wait_until(at_s)
    assert time.monotonic() >= at_s


@given(st.floats(0.0, 0.2), st.floats(0.0, 0.02))
def test_the_first_tick_comes_lag_behind_a_message_and_within_a_period(age_s: float, lag_s: float) -> None:
    wait_s = first_tick_s(50.0, age_s, 0.02, lag_s) - 50.0
    assert -1e-9 <= wait_s <= 0.02 + 1e-9
    assert (age_s + wait_s - lag_s) / 0.02 == pytest.approx(round((age_s + wait_s - lag_s) / 0.02), abs=1e-6)


def test_samples_skip_a_pause_and_are_handed_over_once() -> None:
    samples = Samples()
    for now_s in (1.0, 1.02):
        samples.mark(now_s)
    samples.lift()
    for now_s in (9.0, 9.021):
        samples.mark(now_s)
    taken = samples.take_ms()
    assert taken == [20.0, 21.0] and samples.take_ms() == []
    assert period_error_ms(taken, 0.02, 100) == pytest.approx(1.0)
    assert np.isnan(period_error_ms([], 0.02, 99))


def test_a_loop_ticks_until_stopped_and_can_start_again() -> None:
    count = threading.Semaphore(0)
    loop = Loop("test", 0.002, lambda now_s: count.release())
    for _ in range(2):
        loop.start()
        assert all(count.acquire(timeout=5.0) for _ in range(5))
        loop.stop()
        while count.acquire(blocking=False):
            continue
        time.sleep(0.01)
        assert not count.acquire(blocking=False)
    assert len(loop.periods.take_ms()) >= 6


def test_a_fault_in_the_body_reaches_the_thread_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    caught: list[type[BaseException]] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: caught.append(args.exc_type))

    def body(now_s: float) -> None:
        raise ZeroDivisionError

    loop = Loop("test", 0.002, body)
    loop.start()
    deadline_s = time.monotonic() + 5.0
    while not caught and time.monotonic() < deadline_s:
        time.sleep(0.002)
    loop.stop()
    assert caught == [ZeroDivisionError]


def test_real_time_is_asked_for_and_its_refusal_is_told() -> None:
    code = (
        "import os; from ashore.real.rate import ask_for_realtime; granted = ask_for_realtime();"
        "assert granted == (os.sched_getscheduler(0) == os.SCHED_RR)"
    )
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_RTPRIO, (0, 0)); {code}"
    for program in (code, limited):
        subprocess.run([sys.executable, "-c", program], check=True, timeout=30)
