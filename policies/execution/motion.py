"""Set-points that move like a machine: position, rate, acceleration and jerk are bounded, and a stop always fits in.

Differences of the set-points that were sent are the motion: v = p - p before, a = v - v before, in command periods.
Each period takes the step nearest to what is wanted within the bounds; where the braking path from there would leave
what is allowed, it brakes at once instead. That path was allowed when the period before ended, so this second choice is
always there: by induction no bound is ever broken, whatever is wanted.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
MOST_PERIODS = 1000
"""Of a braking path that is followed; a longer one counts as leading anywhere, and is not taken."""
TOGETHER = 32
"""Robots whose braking paths are looked at together: more would need much memory for little time."""
ROUNDING = 1e-12
"""Of the largest rate: what rounding may leave over."""
EARLY = 0.5
"""How much before its time a period may begin, in periods: a loop's jitter, and no more than that."""


def within(values: Array, low: Array, high: Array) -> Array:
    """Clip; twice as quick as numpy's own on a few numbers."""
    return np.asarray(np.minimum(np.maximum(values, low), high))


@dataclass(frozen=True)
class Bounds:
    """What set-points may do, in units a period; each (Dc,), or repeated for what it is compared with."""

    low: Array
    high: Array
    rate: Array
    acceleration: Array
    jerk: Array

    @classmethod
    def of(
        cls, low: Array, high: Array, max_rate: Array, max_acceleration: Array, max_jerk: Array, period_s: float
    ) -> Self:
        """Take limits in units, units/s, units/s2 and units/s3; infinite where there is none."""
        rate = max_rate * period_s
        # From full rate one way to full rate the other way is all that can be asked for: no limit means that.
        acceleration = np.minimum(max_acceleration * period_s**2, 2 * rate)
        return cls(low, high, rate, acceleration, np.minimum(max_jerk * period_s**3, 2 * acceleration))

    def repeated(self, *counts: int) -> Self:
        """Give the same bounds in the shape (*counts, Dc): arrays of one shape cost a third of those that broadcast."""
        rows = (self.low, self.high, self.rate, self.acceleration, self.jerk)
        return type(self)(*(np.tile(row, (*counts, 1)) for row in rows))

    def brakeable(self, rate: Array) -> Array:
        """Give the largest acceleration against a rate >= 0 that ends together with the rate.

        Taking x and then ramping it down by the jerk lasts m + 1 periods, m = x // jerk, and changes the rate by
        (m + 1) x - m (m + 1) jerk / 2; this is its inverse.
        """
        m = np.floor(np.sqrt(rate * self._per_jerk + 0.25) - 0.5)
        return np.asarray(rate / (m + 1) + self._half_jerk * m)

    def stoppable(self, distance: Array) -> Array:
        """Give about the rate from which one stops within a distance >= 0: v^2 / 2a + v (1/2 + a / 2j) = distance."""
        return np.asarray(np.sqrt(distance * self._gain + self._square) - self._root)

    @cached_property
    def _lag(self) -> Array:
        return np.asarray(0.5 + self.acceleration / (2 * self.jerk))

    @cached_property
    def _gain(self) -> Array:
        return np.asarray(2 * self.acceleration)

    @cached_property
    def _square(self) -> Array:
        return np.asarray((self._lag * self.acceleration) ** 2)

    @cached_property
    def _root(self) -> Array:
        return np.asarray(np.sqrt(self._square))  # So that no distance is no rate, to the bit.

    @cached_property
    def _per_jerk(self) -> Array:
        return np.asarray(2 / self.jerk)

    @cached_property
    def _half_jerk(self) -> Array:
        return np.asarray(self.jerk / 2)

    def braking(self, v: Array, a: Array) -> tuple[Array, Array]:
        """Give rates and accelerations after a period of braking from v and a."""
        wanted = -np.sign(v) * np.minimum(self.brakeable(np.abs(v)), self.acceleration)
        a = within(wanted, a - self.jerk, a + self.jerk)
        v = v + a
        return np.where(np.abs(v) < ROUNDING * self.rate, 0.0, v), a  # Rounding would keep it from ever ending.

    def farthest(self, v: Array, a: Array) -> Array:
        """Bound from above how far a braking path leads, either way, without following it.

        The way on while the acceleration ends, |a| / jerk periods, with a rate that peaks meanwhile; from the peak the
        distance of `stoppable`; and one period at the peak for what periods round up.
        """
        most = np.abs(a)
        ramp = most / self.jerk + 1
        peak = np.abs(v) + most * ramp / 2
        return np.asarray(peak * (ramp + 1 + peak / (2 * self.acceleration) + self._lag))

    def braked(self, p: Array, v: Array, a: Array) -> Iterator[Array]:
        """Follow the braking path from positions p, period by period, to its end."""
        for _ in range(MOST_PERIODS):
            if not (v.any() or a.any()):
                return
            v, a = self.braking(v, a)
            p = p + v
            yield p
        yield np.where((v != 0.0) | (a != 0.0), np.inf, p)


class Space(Protocol):
    """What a robot as a whole must keep clear of, beside the bounds of each element."""

    def is_clear(self, positions: Array) -> Array:
        """Say of set-points (N, Dc) which of the N robots would be clear there."""

    def is_far(self, positions: Array, distance: Array) -> Array:
        """Say which of the N robots would stay clear within distances (N, Dc) of set-points; False where unsure."""


class Motion:
    """The motion of the set-points of N robots."""

    def __init__(self, bounds: Bounds, n: int, period_s: float, space: Space | None = None) -> None:
        self._bounds, self._thrice = bounds.repeated(n), bounds.repeated(3, n)
        self._period_s, self._space = period_s, space
        shape = (n, len(bounds.low))
        self.position = np.full(shape, np.nan)
        """(N, Dc) the last set-points; NaN before the first."""
        self._has_fresh = True
        self._v, self._a = np.zeros(shape), np.zeros(shape)
        self._wanted = np.full(shape, np.nan)
        self._due_s = np.full(n, np.nan)

    def reset(self, ids: Array) -> None:
        """Forget the motion of the robots ids (K,)."""
        self.position[ids], self._wanted[ids], self._due_s[ids] = np.nan, np.nan, np.nan
        self._v[ids], self._a[ids] = 0.0, 0.0
        self._has_fresh = True

    def is_moving(self) -> Array:
        """Say which robots (N,) have set-points that still move and cannot stand at once."""
        takes_time = self._bounds.acceleration < 2 * self._bounds.rate
        return np.asarray(((self._v != 0.0) & takes_time).any(1))

    def start(self, at: Array, otherwise: Array) -> None:
        """Begin, at rest, with set-points (N, Dc) where none was sent yet; with others where they are not finite."""
        if self._has_fresh:
            fresh, at = np.isnan(self.position), np.where(np.isfinite(at), at, otherwise)
            self.position = np.where(fresh, within(at, self._bounds.low, self._bounds.high), self.position)
            self._wanted = np.where(fresh, self.position, self._wanted)
            self._has_fresh = False

    def step(self, wanted: Array, stopping: Array, now_s: float) -> tuple[Array, Array]:
        """Advance by one period, or stand by where the last one is not over.

        Args:
            wanted: (N, Dc) finite set-points, within low and high.
            stopping: (N,) robots whose wanted set-points stand still, whatever was wanted before.
            now_s: the time, of a clock that never jumps; where it does, a period is lost.

        Returns:
            Set-points (N, Dc), and (N,) robots that brake because of the space that they must keep clear of.
        """
        p, v, a = self.position, self._v, self._a
        before = self._wanted
        if np.count_nonzero(stopping):
            before = np.where(stopping[:, None], wanted, before)
        next_p, next_v, next_a = self._nearest(wanted, before)
        next_p, next_v, next_a, blocked = self._allowed(next_p, next_v, next_a)
        due = self._due(now_s)
        if np.count_nonzero(due) == len(due):
            self.position, self._v, self._a, self._wanted = next_p, next_v, next_a, wanted.copy()
        else:
            turn = due[:, None]
            self.position, self._v = np.where(turn, next_p, p), np.where(turn, next_v, v)
            self._a, self._wanted = np.where(turn, next_a, a), np.where(turn, wanted, self._wanted)
        return self.position.copy(), blocked & due

    def _due(self, now_s: float) -> Array:
        """Say for which robots (N,) a period begins, and when their next one does."""
        due_s, period_s = self._due_s, self._period_s
        ahead = due_s - now_s
        if np.count_nonzero(np.abs(ahead) <= EARLY * period_s) == len(ahead):
            self._due_s = due_s + period_s
            return np.ones(len(due_s), bool)
        if not np.isfinite(now_s):
            return np.zeros(len(due_s), bool)
        is_first = np.isnan(due_s)
        ahead = np.where(is_first, 0.0, ahead)
        jumped = ahead > (1 + EARLY) * period_s
        due = (ahead <= EARLY * period_s) & ~jumped
        anchor = np.where(is_first | jumped | (ahead < -period_s), now_s, due_s)
        self._due_s = np.where(due | jumped, anchor + period_s, due_s)
        return np.asarray(due)

    def _nearest(self, wanted: Array, before: Array) -> tuple[Array, Array, Array]:
        """Give the motion after the period that comes nearest to what is wanted, and was a period before."""
        bounds, p, v, a = self._bounds, self.position, self._v, self._a
        moving, behind, ahead = wanted - before, before - p, wanted - p
        near, most, least = self._thrice.stoppable(self._stacked(np.abs(behind), bounds.high - p, p - bounds.low))
        is_near = (np.abs(behind) <= near) & (np.abs(moving) <= bounds.rate)
        rate = np.where(is_near, ahead, within(moving, -bounds.rate, bounds.rate) + within(behind, -near, near))
        rate = within(rate, -least, most)
        free = rate - v
        # A rate that is caught up with is met without acceleration, else it would be overrun.
        below, above, gentle = self._thrice.brakeable(self._stacked(bounds.rate + v, bounds.rate - v, np.abs(free)))
        low = np.maximum(np.maximum(a - bounds.jerk, -bounds.acceleration), -below)
        high = np.minimum(np.minimum(a + bounds.jerk, bounds.acceleration), above)
        next_a = within(np.where(is_near, free, within(free, -gentle, gentle)), low, high)
        is_met = next_a == free
        next_v = np.where(is_met, rate, v + next_a)
        return np.where(is_met & (rate == ahead), wanted, p + next_v), next_v, next_a

    def _stacked(self, *rows: Array) -> Array:
        """Stack three arrays (N, Dc) of what is left, which rounding must not make negative."""
        stack = np.empty(self._thrice.rate.shape)
        stack[0], stack[1], stack[2] = rows
        return np.asarray(np.maximum(stack, 0.0))

    def _allowed(self, p: Array, v: Array, a: Array) -> tuple[Array, Array, Array, Array]:
        """Replace motions by braking where their own braking paths are not allowed."""
        bounds = self._bounds
        far = bounds.farthest(v, a)
        if np.count_nonzero((p + far > bounds.high) | (p - far < bounds.low)):
            # A bound that is met exactly may be missed by rounding, which is cut off below.
            low, high = bounds.low - ROUNDING * bounds.rate, bounds.high + ROUNDING * bounds.rate
            outside = (p > high) | (p < low)
            for place in bounds.braked(p, v, a):
                outside |= (place > high) | (place < low)
            if np.count_nonzero(outside):
                p, v, a = self._braking_where(outside, p, v, a)
                far = bounds.farthest(v, a)
            p = within(p, bounds.low, bounds.high)
        blocked = np.zeros(len(p), bool)
        if self._space is not None and np.count_nonzero(self._space.is_far(p, far)) < len(p):
            blocked = ~self._keeps_clear(self._space, p, v, a)
            if np.count_nonzero(blocked):
                p, v, a = self._braking_where(np.broadcast_to(blocked[:, None], p.shape), p, v, a)
        return p, v, a, blocked

    def _keeps_clear(self, space: Space, p: Array, v: Array, a: Array) -> Array:
        """Say which robots (N,) are clear on their way to rest; what is cheap to tell is told first."""
        path = np.stack([p, *self._bounds.braked(p, v, a)])  # (T, N, Dc)
        clear = space.is_far(p, np.abs(path - p).max(0))
        unsure = np.flatnonzero(~clear)
        for start in range(0, len(unsure), TOGETHER):
            rows = unsure[start : start + TOGETHER]
            places = path[:, rows].reshape(-1, p.shape[1])
            clear[rows] = space.is_clear(places).reshape(len(path), len(rows)).all(0)
        return clear

    def _braking_where(self, chosen: Array, p: Array, v: Array, a: Array) -> tuple[Array, Array, Array]:
        braking_v, braking_a = self._bounds.braking(self._v, self._a)
        return (
            np.where(chosen, self.position + braking_v, p),
            np.where(chosen, braking_v, v),
            np.where(chosen, braking_a, a),
        )
