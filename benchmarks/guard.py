"""The guard under attack: hostile commands and observations in great numbers, a judge of its own, and what it costs."""

import gc
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.progress import Progress, silent
from ashore.policies.execution.guard import Guard
from ashore.real.rate import ask_for_realtime
from ashore.sim.interfaces import make_interface
from ashore.sim.robot import RobotCard
from ashore.sim.robots import ARMS, ROBOTS, make_robot
from benchmarks.row import Row

Array = NDArray[Any]
NAMES = sorted((*ARMS, *ROBOTS))
STEPS, QUICK_STEPS, PARALLEL = 10_000_000, 20_000, 1000
COST_GOAL_MS = 0.2
TIMED, QUICK_TIMED = 20_000, 500
TOLERANCE = 1e-9
"""Of a limit, for the judge's own rounding."""
BAD = (np.nan, np.inf, -np.inf, 1e308, -1e308, 5e-324, -0.0)


@dataclass(frozen=True)
class Attack:
    """What became of it."""

    steps: int
    """Commands that were judged, one a robot and period."""
    stops: int
    fresh_starts: int
    not_finite: int
    """Numbers that left the guard and were NaN or infinite."""
    violations: int
    """Numbers that broke a bound of position, rate, acceleration or jerk."""
    worst: float
    """Largest share of any bound that was used."""


def run(quick: bool, folder: Path, progress: Progress) -> list[Row]:
    """Attack the guard of every robot, and time it at one robot's pace."""
    rows = []
    for name in NAMES:
        card = make_robot(name).card
        steps = QUICK_STEPS if quick else STEPS
        n = PARALLEL if not quick else 100
        found = attack(card, n, steps // n, 0, progress)
        rows += [
            Row.of(f"{name}: limit violations in {found.steps:,} hostile steps", found.violations, "1", "<=", 0),
            Row.of(f"{name}: commands out that are not finite", found.not_finite, "1", "<=", 0),
            Row.of(f"{name}: largest share of a bound that was used", found.worst, "1", "<=", 1 + TOLERANCE),
        ]
        with as_in_its_process():
            walls_ms = cost_ms(card, QUICK_TIMED if quick else TIMED)
        rows += [
            Row.of(f"{name}: a step of one robot, p50", float(np.percentile(walls_ms, 50)), "ms"),
            Row.of(f"{name}: a step of one robot, p99", float(np.percentile(walls_ms, 99)), "ms", "<=", COST_GOAL_MS),
        ]
    return rows


def attack(card: RobotCard, n: int, periods: int, seed: int, progress: Progress = silent) -> Attack:
    """Send n robots' guards whatever does harm, and judge what comes out by finite differences.

    Commands jump, oscillate at Nyquist, walk along the limits, run away, and hold NaN, infinities and denormals;
    observations too; ages pass the timeout; guards are reset while they move.
    """
    rng, guard, judge = np.random.default_rng(seed), Guard(card, n), _Judge(card, n)
    hostile = _Hostile(card, n, rng)
    stops = fresh_starts = 0
    for period in range(periods):
        restarted = np.flatnonzero(rng.random(n) < 0.003)
        guard.reset(restarted)
        judge.forget(restarted)
        fresh_starts += len(restarted)
        ages_s = np.where(rng.random(n) < 0.02, rng.uniform(0, 3 * card.limits.timeout_s, n), 0.0)
        verdict = guard.filter(hostile.commands(period), hostile.observed(), period / card.command_hz, ages_s)
        stops += int(verdict.stopped.sum())
        judge.see(verdict.command)
        if period % 1000 == 0:
            progress(period, periods, f"{card.name}: {judge.violations} violations")
    return Attack(n * periods, stops, fresh_starts, judge.not_finite, judge.violations, judge.worst)


@contextmanager
def as_in_its_process() -> Iterator[None]:
    """Give this process what the guard's own has: its priority where the system allows it, and a swept heap."""
    gc.collect()
    gc.freeze()
    before, told = os.sched_getscheduler(0), os.sched_getparam(0)
    ask_for_realtime()
    try:
        yield
    finally:
        os.sched_setscheduler(0, before, told)
        gc.unfreeze()


def cost_ms(card: RobotCard, n_steps: int) -> Array:
    """Time one robot's guard, period by period, on commands that swing through half of what is allowed."""
    guard, interface, limits = Guard(card, 1), make_interface(card.interface), card.limits
    low, high = np.array(limits.low), np.array(limits.high)
    observed = interface.derive(_still(card, 1))
    walls_ms = []
    for step in range(n_steps):
        swing = np.sin(2 * np.pi * 0.1 * step / card.command_hz + np.arange(len(low)))
        command = ((low + high) / 2 + 0.25 * (high - low) * swing)[None]
        began_s = time.perf_counter()
        guard.filter(command, observed, step / card.command_hz, np.zeros(1))
        walls_ms.append(1e3 * (time.perf_counter() - began_s))
    return np.array(walls_ms)


class _Judge:
    """Knows the limits and the commands that left; shares no code with the guard."""

    def __init__(self, card: RobotCard, n: int) -> None:
        limits, period_s = card.limits, 1.0 / card.command_hz
        free = (None,) * card.command_width
        self._low, self._high = np.array(limits.low), np.array(limits.high)
        rows = (limits.max_rate, limits.max_acceleration or free, limits.max_jerk or free)
        self._most = [
            np.array([np.inf if value is None else value for value in row]) * period_s**order
            for order, row in enumerate(rows, start=1)
        ]
        self._sent = np.full((4, n, card.command_width), np.nan)
        """The newest four commands, newest last; NaN before the first, and at rest where it began."""
        self.not_finite = self.violations = 0
        self.worst = 0.0

    def forget(self, ids: Array) -> None:
        """Begin anew with the robots ids (K,)."""
        self._sent[:, ids] = np.nan

    def see(self, command: Array) -> None:
        """Judge the commands (N, Dc) of one period."""
        self._sent = np.concatenate([self._sent[1:], command[None]])
        self.not_finite += int((~np.isfinite(command)).sum())
        self.violations += int(((command < self._low) | (command > self._high)).sum())
        for order, most in enumerate(self._most, start=1):
            change = np.abs(np.diff(self._sent, order, axis=0)[-1])
            share = np.where(np.isnan(change), 0.0, change / (most + 1e-12))
            self.violations += int((share > 1 + TOLERANCE).sum())
            self.worst = max(self.worst, float(share.max()))


class _Hostile:
    """Makes what the guard must withstand."""

    def __init__(self, card: RobotCard, n: int, rng: np.random.Generator) -> None:
        self._card, self._n, self._rng = card, n, rng
        self._low, self._high = np.array(card.limits.low), np.array(card.limits.high)
        self._interface = make_interface(card.interface)
        shape = (n, len(self._low))
        self._walk = rng.uniform(self._low, self._high, shape)
        self._draw(shape)

    def _draw(self, shape: tuple[int, ...]) -> None:
        rng = self._rng
        self._mode = rng.integers(0, 6, shape)
        self._size = (self._high - self._low) * 10.0 ** rng.uniform(-4, 1, shape)
        self._pace = 10.0 ** rng.uniform(-2, 0.5, shape)
        self._phase = rng.uniform(0, 6, shape)

    def commands(self, period: int) -> Array:
        """Make one period's commands (N, Dc); the manner changes every 64 periods."""
        rng, shape = self._rng, self._walk.shape
        if period % 64 == 0:
            self._draw(shape)
        middle = (self._low + self._high) / 2
        self._walk = np.clip(self._walk + 0.01 * self._size * rng.normal(size=shape), self._low, self._high)
        swing = np.sin(self._pace * period + self._phase)
        edge = np.where(swing > 0, self._high, self._low)
        choices = [
            self._walk,
            middle + self._size * np.sign(swing),
            middle + self._size * (1 if period % 2 else -1),
            middle + self._size * swing,
            np.nextafter(edge, np.where(rng.random(shape) < 0.5, np.inf, -np.inf)),
            rng.normal(size=shape) * 10.0 ** rng.uniform(-3, 3, shape),
        ]
        made = np.select([self._mode == i for i in range(len(choices))], choices)
        bad = rng.random(shape) < 0.002
        made[bad] = rng.choice(BAD, int(bad.sum()))
        return np.asarray(made)

    def observed(self) -> dict[str, Array]:
        """Make one period's observations: mostly of a robot at rest, some of them far off or no numbers."""
        seen = _still(self._card, self._n)
        for value in seen.values():
            wild = self._rng.random(self._n) < 0.003
            value[wild] = self._rng.normal(size=value[wild].shape) * 10.0 ** self._rng.uniform(-2, 6)
            value[self._rng.random(self._n) < 0.003] = np.nan
        with np.errstate(all="ignore"):
            return self._interface.derive(seen)


def _still(card: RobotCard, n: int) -> dict[str, Array]:
    """Give what a robot measures of itself in the middle of its limits."""
    robot = make_robot(card.name)
    derived, limits = make_interface(card.interface).derived, card.limits
    seen = {}
    for feature in robot.observations:
        if feature.name in derived:
            continue
        value = np.zeros(feature.size)
        if feature.name in limits.observed_low and feature.name in limits.observed_high:
            value = (np.array(limits.observed_low[feature.name]) + np.array(limits.observed_high[feature.name])) / 2
        if feature.name.endswith("_wxyz"):
            value[0] = 1.0
        seen[feature.name] = np.tile(value, (n, 1))
    return seen
