"""Simulated time that the twin makes: as many seconds a real second as asked for, or fewer, told on /clock."""

import threading
import time
from collections.abc import Callable

from ashore.real.clock import Clock
from ashore.real.messages import message_class
from ashore.real.nodes.link import Link, Setting
from ashore.real.nodes.simulated_time import TOPIC, TYPE

REAL_TIME_FACTOR = Setting(
    1.0,
    0.1,
    10.0,
    "Simulated seconds a real second; 1 keeps real time and says nothing on /clock, another one needs use_sim_time.",
)
CLOCK_HZ = 250.0
"""Times a simulated second that the time is told at least."""
START_S = 1.0
"""The first time: 0 is ROS's word for no time yet."""


class TwinTime(Clock):
    """Time that passes while the twin plays or sleeps, step by step; one thread does that.

    A period of four clock steps, two physics steps each:

    physics    | |  | |  | |  | |       a clock step passes after each two, the last one while the twin's loop sleeps
    /clock     0    1    2    3    4
    """

    def __init__(self, factor: float, period_s: float, physics_steps: int, link: Link) -> None:
        """Begin at START_S.

        Args:
            factor: simulated seconds a real second, at most.
            period_s: of the twin's loop.
            physics_steps: how many of them a period has.
            link: what tells the time.
        """
        super().__init__()
        self.now_s = self._now
        self._played_a_step = _divisor(physics_steps, period_s * CLOCK_HZ)
        self._step_s = period_s * self._played_a_step / physics_steps
        self._real_step_s, self._real_period_s = self._step_s / factor, period_s / factor
        self._publish = link.publisher(TOPIC, TYPE, "order")
        self._message, self._stamp = message_class(TYPE), message_class("builtin_interfaces/Time")
        self._n_steps, self._n_played = 0, 0
        self._lost_s = 0.0
        self.begin()
        self._told = (self._due_s, 0)

    def begin(self) -> None:
        """Begin to pass now, after a pause that was meant."""
        self._due_s = time.monotonic()

    def stamp(self) -> object:
        """Give the time now, for a header."""
        seconds, nanoseconds = divmod(round(1e9 * self._now()), 1_000_000_000)
        return self._stamp(sec=seconds, nanosec=nanoseconds)

    def physics_step(self) -> None:
        """Hear that a physics step was played: now and then time passes."""
        self._n_played += 1
        if self._n_played % self._played_a_step == 0:
            self._pass()

    def sleeper(self, halt: threading.Event, most_s: float) -> Callable[[float], object]:
        """Make the function that lets so many seconds pass, until halt."""

        def sleep(seconds: float) -> None:
            self._n_played = 0
            for _ in range(round(seconds / self._step_s)):
                if halt.is_set():
                    return
                self._pass()

        return sleep

    def take_speed(self) -> float:
        """Say how many simulated seconds a real second has had since this was last asked."""
        before_s, before = self._told
        self._told = now_s, n_steps = time.monotonic(), self._n_steps
        return (n_steps - before) * self._step_s / max(now_s - before_s, 1e-9)

    def take_missed(self) -> int:
        """Hand over for how many periods real time was too short, and start afresh."""
        lost_s, self._lost_s = self._lost_s, 0.0
        return int(lost_s / self._real_period_s)

    def _pass(self) -> None:
        """Let a step pass when it is due; what is late by more than a period is not made up for."""
        self._due_s += self._real_step_s
        ahead_s = self._due_s - time.monotonic()
        if ahead_s < -self._real_period_s:
            self._lost_s -= ahead_s
            self._due_s -= ahead_s
        time.sleep(max(0.0, ahead_s))
        self._n_steps += 1
        self._publish(self._message(clock=self.stamp()))

    def _now(self) -> float:
        return START_S + self._n_steps * self._step_s


def _divisor(whole: int, least_parts: float) -> int:
    """Give the largest divisor of a number that leaves at least so many parts; 1 where none does."""
    return max((each for each in range(1, whole + 1) if whole % each == 0 and whole / each >= least_parts), default=1)
