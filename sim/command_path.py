"""What befalls a command on its way to a robot's own controller: lost, late, offset, smoothed, swallowed by play.

Parameters of the draw, each absent or 0 where nothing happens:

    command_loss         probability that a command is lost; the one before it stays in force
    command_delay_s      dead time; of a share of a drive period the old and the new command act by that share
    command_jitter_s     standard deviation of what a command is late beyond that, half-normal, new for each command
    command_bias         added, in the command's unit
    command_lag_s        time constant of a first-order lag
    command_backlash     width of the play between command and joint

The first three are single numbers. The others are one number or one a command element; a single bias or backlash is of
the elements that drive a measured joint, where the card tells any, so that a gripper keeps its width.
Chance is drawn a whole episode ahead from the episode's own seed, so that it does not depend on how many run together.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.sim.randomization import Draw
from ashore.sim.randomization.readings import Reading
from ashore.sim.robot import CommandLimits

Array = NDArray[Any]
LOSS, DELAY, JITTER = "command_loss", "command_delay_s", "command_jitter_s"
BIAS, LAG, BACKLASH = "command_bias", "command_lag_s", "command_backlash"
NAMES = (LOSS, DELAY, JITTER, BIAS, LAG, BACKLASH)
MAX_DELAY_S = 0.5
"""Longest dead time, jitter included; what would be later comes then."""
STREAM = 2
"""Which of an episode's streams of chance is the path's."""


def path_readings(limits: CommandLimits) -> tuple[Reading, ...]:
    """What the path of such commands reads from a draw."""
    number, numbers = ((),), ((), (len(limits.low),))
    return (
        Reading(LOSS, number, 0.0, 1.0),
        Reading(DELAY, number, 0.0, MAX_DELAY_S),
        Reading(JITTER, number, 0.0, MAX_DELAY_S),
        Reading(BIAS, numbers),
        Reading(LAG, numbers, 0.0),
        Reading(BACKLASH, numbers, 0.0),
    )


class CommandPath:
    """The way of N robots' commands; a call a drive period."""

    def __init__(self, limits: CommandLimits, n: int, period_s: float, calls_a_command: int) -> None:
        width = len(limits.low)
        led = np.array([lead is not None for lead in limits.lead_of])
        self._led = led if led.any() else np.ones(width, dtype=bool)
        self._period_s, self._calls = period_s, calls_a_command
        self._longest = int(np.ceil(MAX_DELAY_S / period_s)) + 2
        self._active = np.zeros(n, dtype=bool)
        self._call = np.zeros(n, dtype=np.int64)
        self._line = np.zeros((n, self._longest, width))
        self._heard, self._moved, self._played = (np.zeros((n, width)) for _ in range(3))
        self._bias, self._share, self._play = np.zeros((n, width)), np.ones((n, width)), np.zeros((n, width))
        self._lost, self._late_s = np.zeros((n, 1), dtype=bool), np.zeros((n, 1))

    def reset(self, draws: Sequence[Draw], seeds: Sequence[int], n_commands: int, ids: Array | None = None) -> None:
        """Start the ways of episodes ids (K,), all where None, of at most n_commands commands."""
        rows = np.arange(len(self._active)) if ids is None else ids
        if self._lost.shape[1] != n_commands:
            shape = len(self._active), n_commands
            self._lost, self._late_s = np.zeros(shape, dtype=bool), np.zeros(shape)
        self._call[rows] = 0
        for row, draw, seed in zip(rows.tolist(), draws, seeds, strict=True):
            self._active[row] = any(np.any(draw[name]) for name in NAMES if name in draw)
            if self._active[row]:
                self._start(row, draw, np.random.default_rng([seed, STREAM]))

    def pass_on(self, command: Array) -> Array:
        """Take commands (N, Dc) in, and give those (N, Dc) that act during this drive period."""
        passed = np.array(command, dtype=np.float64)
        rows = np.flatnonzero(self._active)
        if len(rows):
            passed[rows] = self._late(rows, self._received(rows, passed[rows]))
            passed[rows] = self._followed(rows, passed[rows] + self._bias[rows])
        self._call += 1
        return passed

    def _start(self, row: int, draw: Draw, rng: np.random.Generator) -> None:
        n_commands = self._lost.shape[1]
        chance, lateness = rng.random(n_commands), np.abs(rng.standard_normal(n_commands))
        self._lost[row] = chance < float(draw.get(LOSS, 0.0))
        self._lost[row, 0] = False
        late_s = float(draw.get(DELAY, 0.0)) + float(draw.get(JITTER, 0.0)) * lateness
        self._late_s[row] = np.clip(late_s, 0.0, MAX_DELAY_S)
        self._bias[row] = np.where(self._of_all(draw, BIAS), draw.get(BIAS, 0.0), 0.0)
        self._play[row] = np.where(self._of_all(draw, BACKLASH), draw.get(BACKLASH, 0.0), 0.0)
        lag_s = np.broadcast_to(np.asarray(draw.get(LAG, 0.0), dtype=np.float64), self._share[row].shape)
        with np.errstate(divide="ignore", over="ignore"):
            self._share[row] = np.where(lag_s > 0, -np.expm1(-self._period_s / lag_s), 1.0)

    def _of_all(self, draw: Draw, name: str) -> Array:
        """The elements that a value acts on: all of a vector, the led ones of a single number."""
        return self._led if np.ndim(draw.get(name, 0.0)) == 0 else np.ones_like(self._led)

    def _received(self, rows: Array, command: Array) -> Array:
        """Leave out the lost ones."""
        command_number = np.minimum(self._call[rows] // self._calls, self._lost.shape[1] - 1)
        lost = self._lost[rows, command_number]
        self._heard[rows] = np.where(lost[:, None], self._heard[rows], command)
        return np.asarray(self._heard[rows])

    def _late(self, rows: Array, received: Array) -> Array:
        """Let them wait in line; before the first one arrives it acts already, as a robot holds what it is told."""
        call = self._call[rows]
        first = call == 0
        self._line[rows[first]] = received[first][:, None]
        self._line[rows, call % self._longest] = received
        command_number = np.minimum(call // self._calls, self._late_s.shape[1] - 1)
        behind = self._late_s[rows, command_number] / self._period_s
        whole = np.floor(behind + 1e-9).astype(np.int64)
        share = np.maximum(behind - whole, 0.0)[:, None]
        newer = self._line[rows, np.maximum(call - whole, 0) % self._longest]
        older = self._line[rows, np.maximum(call - whole - 1, 0) % self._longest]
        return np.asarray(np.where(share > 1e-9, (1 - share) * newer + share * older, newer))

    def _followed(self, rows: Array, asked: Array) -> Array:
        """Smooth, and take up the play."""
        first = (self._call[rows] == 0)[:, None]
        share, before = self._share[rows], np.where(first, asked, self._moved[rows])
        self._moved[rows] = np.where(share < 1.0, before + share * (asked - before), asked)
        half, moved = self._play[rows] / 2, self._moved[rows]
        before = np.where(first, moved, self._played[rows])
        self._played[rows] = np.clip(before, moved - half, moved + half)
        return np.asarray(self._played[rows])
