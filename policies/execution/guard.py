"""The last word before the robot: whatever a policy proposes, what leaves here is finite, within limits, and fresh."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.errors import UnknownName
from ashore.policies.errors import InvalidCommand
from ashore.policies.execution.checks import Observed, absent
from ashore.policies.execution.limits import Box, bounds_of
from ashore.policies.execution.motion import Motion, within
from ashore.policies.execution.space import ArmSpace
from ashore.sim.interfaces import make_interface
from ashore.sim.robot import RobotCard

Array = NDArray[Any]
LATCHES = ("operator_stop", "operator_gone", "two_commanders")
"""Stops that are told to the guard, and held until reset."""
STOPS = ("command_not_finite", "stale", "observed_not_finite", "observed_out_of_bounds", *LATCHES)
"""Reasons that replace the command by the robot's stop."""
LIMITS = ("lead", "position", "space", "motion")
"""Reasons that only shorten the command; the last one only smooths it."""
REASONS = (*STOPS, *LIMITS)


@dataclass(frozen=True)
class Verdict:
    """What may be sent, and why it is not what was proposed."""

    command: Array
    """(N, Dc) float64, finite and within limits."""
    intervened: Array
    """(N,) whether it was not let pass: stopped, or shortened by a limit other than "motion"."""
    stopped: Array
    """(N,) whether the robot's stop took the command's place."""
    reasons: tuple[tuple[str, Array], ...]
    """(name, (N,) bool) for every name of REASONS, in that order."""


class Guard:
    """Judges the commands of N robots of one kind; holds no word of what kind that is.

    First the stops: a command that is not finite or too old, observations that are not finite or out of bounds, and
    what the guard is told from outside (the last two are latched until reset). Then the limits, on commands and stops
    alike: the distance from the measured value, the position, and the motion from the last command on: rate,
    acceleration and jerk. Where they exclude each other, position and motion win over lead, so that the command
    approaches the measured value as fast as it may. The first command is the measured value where the command leads
    one: a robot that is switched on does not move by that.
    """

    def __init__(self, card: RobotCard, n: int, speed: float = 1.0) -> None:
        """Make a guard from a card.

        Args:
            card: limits, and the robot's own stop.
            n: number of robots.
            speed: share of an arm's speed that passes, over 0 to 1.

        Raises:
            InvalidLimits: the card's limits contradict themselves, or the speed does; lists every fault.
            UnknownName: the card names an interface that does not exist.
        """
        self._card = card
        self._box = Box(card, n)
        self._observed = Observed(card.limits, n)
        self._interface = make_interface(card.interface)
        self._needed = {*self._box.names, *card.limits.observed_low, *card.limits.observed_high}
        self._motion = Motion(bounds_of(card, speed), n, 1.0 / card.command_hz, ArmSpace(card) if card.space else None)
        self._latched = np.zeros((1 + len(LATCHES), n), bool)
        """Rows: observed out of bounds, then LATCHES."""

    def latch(self, name: str, ids: Array) -> None:
        """Stop the robots ids (K,) from now until reset, for one of LATCHES.

        Raises:
            UnknownName: there is no such reason.
        """
        if name not in LATCHES:
            raise UnknownName("reason to stop", name, LATCHES)
        self._latched[1 + LATCHES.index(name), ids] = True

    def reset(self, ids: Array) -> None:
        """Forget the last commands of the robots ids (K,), and release their latches."""
        self._motion.reset(ids)
        self._latched[:, ids] = False

    def is_moving(self) -> Array:
        """Say which robots (N,) were last told set-points that are still on their way to rest."""
        return self._motion.is_moving()

    def filter(self, command: Array, observed: Mapping[str, Array], now_s: float, command_age_s: Array) -> Verdict:
        """Judge one command period.

        Args:
            command: (N, Dc) what was proposed, in the order and units of the card's commands.
            observed: {name: (N, *shape)} measured and derived observations.
            now_s: the time now, of a clock that never jumps; a call before a command period is over changes nothing.
            command_age_s: (N,) how overdue the command is; NaN counts as too old.

        Raises:
            InvalidCommand: a width or a number of robots is wrong, or an observation that the limits need is missing.
        """
        proposed = self._checked(command, observed, command_age_s)
        hits = np.empty((len(REASONS), len(proposed)), bool)
        hits[0] = ~np.logical_and.reduce(np.isfinite(proposed), axis=1)
        hits[1] = ~(np.asarray(command_age_s, np.float64) <= self._card.limits.timeout_s)
        hits[2], outside = self._observed.judge(observed)
        self._latched[0] |= outside
        hits[3 : len(STOPS)] = self._latched
        stopped = np.logical_or.reduce(hits[: len(STOPS)], axis=0)
        led, wanted = self._box.led(observed), proposed
        if np.count_nonzero(stopped):
            wanted = np.where(stopped[:, None], self._stop(observed, led), proposed)
        sent, hits[len(STOPS) :] = self._limit(wanted, stopped, led, now_s)
        intervened = np.logical_or.reduce(hits[:-1], axis=0)
        return Verdict(sent, intervened, stopped, tuple(zip(REASONS, hits, strict=True)))

    def _checked(self, command: Array, observed: Mapping[str, Array], command_age_s: Array) -> Array:
        proposed = np.asarray(command, np.float64)
        expected = self._motion.position.shape
        faults = [] if proposed.shape == expected else [f"command: shape {proposed.shape}, expected {expected}"]
        if np.shape(command_age_s) != expected[:1]:
            faults.append(f"command_age_s: shape {np.shape(command_age_s)}, expected {expected[:1]}")
        faults += absent(self._needed, observed, expected[0])
        if faults:
            raise InvalidCommand(faults)
        return proposed

    def _stop(self, observed: Mapping[str, Array], led: Array) -> Array:
        """Ask the robot's own stop (N, Dc); where even that is not finite, stay with the last command."""
        last = self._rest(led)
        with np.errstate(all="ignore"):  # The observations may be what is wrong.
            stop = np.asarray(self._interface.stop(observed, last), np.float64)
        return np.where(np.isfinite(stop).all(axis=1, keepdims=True), stop, last)

    def _rest(self, led: Array) -> Array:
        """The last commands (N, Dc); before the first one what comes nearest to nothing: the measured value, or 0."""
        start = within(np.where(np.isfinite(led), led, 0.0), self._box.low, self._box.high)
        return np.where(np.isfinite(self._motion.position), self._motion.position, start)

    def _limit(self, wanted: Array, stopped: Array, led: Array, now_s: float) -> tuple[Array, tuple[Array, ...]]:
        """Bring finite commands (N, Dc) within the limits, and tell which LIMITS shortened them, each (N,)."""
        near = self._box.near(wanted, led)
        inside = within(near, self._box.low, self._box.high)
        self._motion.start(led, inside)
        sent, blocked = self._motion.step(inside, stopped, now_s)
        return sent, (_differ(near, wanted), _differ(inside, near), blocked, _differ(sent, inside))


def _differ(one: Array, other: Array) -> Array:
    """Say which rows (N,) are not the same."""
    return np.asarray(np.logical_or.reduce(one != other, axis=1))
