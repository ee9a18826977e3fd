"""Plays chunks of actions by the clock: what has been observed, when to plan again, and which action is for now."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.contract import Contract
from ashore.policies.errors import ChunkMismatch

Array = NDArray[Any]
BLEND_ROWS = 4
TOLERANCE = 0.1
"""Part of a control period by which a tick may come early and still count as the next step: a robot's clock jitters."""


class ChunkExecutor:
    """Histories and chunks of N robots; reads no clock and draws no chance.

    To = 2, Ta = 3, inference takes one step and a half; p is the control period, o the newest observation's time:

        time        o        o+p      o+2p     o+3p     o+4p
        observed    x        x        x        x        x
        plan 1      asked ───────┐
        row played  (plan 0)  (plan 0)    To+1     To+2  then plan 2, asked at o+3p = o + Ta p and as late as plan 1
                                 └ arrives: rows To-1 and To are late and skipped

    Row To-1+k of a chunk is for the time o + k p and holds for one period. While the next chunk is late the present one
    plays on, then holds its last row; meanwhile the age grows, so that the guard can end it.

    A new chunk goes over into its own rows, from those that the one before it had for the same times, within
    blend_rows, so that the seam is no jerk; where less than twice as many are played it does not, since feedback would
    come late: with Ta = 4 that cost an arm's diffusion policy 10 points of success. Rates change at once, since a
    robot's own inertia smooths them and feedback must not wait; so does an element that would change by more than half
    its range: that is a decision.
    """

    def __init__(
        self, contract: Contract, obs_horizon: int, action_horizon: int, n: int, blend_rows: int = BLEND_ROWS
    ) -> None:
        self._decided = _decided(contract)
        self._quats = [place for name, place in contract.action_slices.items() if name.endswith("_wxyz")]
        self._weights = _weights(blend_rows if action_horizon >= 2 * blend_rows else 0)
        self._period_s = contract.period_s
        self._action_horizon = action_horizon
        self._obs_horizon = obs_horizon
        self._width = contract.action_width
        self._history = np.zeros((n, obs_horizon, contract.observation_width), np.float32)
        self._is_observed = np.zeros(n, bool)
        self._chunks = np.full((n, obs_horizon, self._width), np.nan, np.float32)
        self._stamps_s = np.full(n, -np.inf)

    def reset(self, ids: Array) -> None:
        """Forget the histories and chunks of the robots ids (K,)."""
        self._is_observed[ids] = False
        self._chunks[ids] = np.nan
        self._stamps_s[ids] = -np.inf

    def observe(self, obs: Array, now_s: float) -> None:
        """Take in one step's observations (N, Do); called once a control period. The first one fills the history."""
        self._history[:, :-1] = self._history[:, 1:]
        self._history[:, -1] = obs
        is_new = ~self._is_observed
        self._history[is_new] = self._history[is_new, -1:]
        self._is_observed[:] = True

    def due(self, now_s: float) -> Array:
        """Tell who needs a plan now (N,) bool: who has none, or has played Ta steps of it."""
        return self._is_observed & (self._step(now_s) >= self._action_horizon)

    def history(self) -> Array:
        """Give the last To observations (N, To, Do), oldest first; a copy."""
        return self._history.copy()

    def accept(self, ids: Array, chunks: Array, stamps_s: Array, now_s: float) -> Array:
        """Replace chunks by newer ones.

        Args:
            ids: (K,) the robots they are for.
            chunks: (K, Tp, Da) actions in contract units, row 0 for the oldest observation.
            stamps_s: (K,) time of the newest observation that each was planned from.
            now_s: time of arrival.

        Returns:
            (K,) bool, which were taken: not those that hold NaN or infinity, are older than what plays, or come from
            the future.

        Raises:
            ChunkMismatch: the shape is not that of this contract and these horizons.
        """
        chunks, stamps_s = np.asarray(chunks), np.asarray(stamps_s, np.float64)
        needed = self._obs_horizon - 1 + self._action_horizon
        if chunks.ndim != 3 or chunks.shape[2] != self._width or chunks.shape[1] < needed:
            raise ChunkMismatch(chunks.shape, needed, self._width)
        taken = np.isfinite(chunks).all((1, 2)) & (stamps_s >= self._stamps_s[ids])
        taken &= stamps_s <= now_s + self._period_s
        if chunks.shape[1] != self._chunks.shape[1]:
            self._chunks = _resized(self._chunks, chunks.shape[1])
        self._chunks[ids[taken]] = self._joined(ids, chunks, stamps_s, now_s)[taken]
        self._stamps_s[ids[taken]] = stamps_s[taken]
        return np.asarray(taken)

    def action(self, now_s: float) -> tuple[Array, Array]:
        """Give the actions for now and how overdue they are.

        Returns:
            actions (N, Da), NaN where no chunk has arrived yet; and age_s (N,): 0 within the Ta steps that a chunk is
            meant for, then the time since their end, infinite where there is no chunk.
        """
        rows = self._row(self._stamps_s, now_s, self._chunks.shape[1])
        actions = self._chunks[np.arange(len(rows)), rows]
        age_s = np.maximum(0.0, now_s - self._stamps_s - self._action_horizon * self._period_s)
        return actions, age_s

    def _step(self, now_s: float) -> Array:
        """How many steps of each chunk have begun before this one (N,) float; infinite without a chunk."""
        return np.floor((now_s - self._stamps_s) / self._period_s + TOLERANCE)

    def _row(self, stamps_s: Array, now_s: float, length: int) -> Array:
        """Give the rows (K,) that are for now, of chunks of this length and these stamps (K,)."""
        steps = np.floor((now_s - stamps_s) / self._period_s + TOLERANCE)
        return np.asarray(np.minimum(self._obs_horizon - 1 + np.clip(steps, 0, None), length - 1), np.int64)

    def _joined(self, ids: Array, chunks: Array, stamps_s: Array, now_s: float) -> Array:
        """Let chunks (K, Tp, Da) go over into themselves from those that play, from the row for now on."""
        joined, robots, last = np.array(chunks, np.float32), np.arange(len(chunks)), chunks.shape[1] - 1
        rows, rows_before = (self._row(at_s, now_s, last + 1) for at_s in (stamps_s, self._stamps_s[ids]))
        for ahead, weight in enumerate(self._weights):
            at = np.minimum(rows + ahead, last)
            before = self._chunks[ids, np.minimum(rows_before + ahead, last)]
            gap = np.nan_to_num(_turned(before, joined[robots, at], self._quats) - joined[robots, at])
            gap[np.abs(gap) > self._decided] = 0.0
            joined[robots, at] += np.float32(weight) * np.where(rows[:, None] + ahead <= last, gap, 0.0)
        for place in self._quats:
            joined[..., place] /= np.linalg.norm(joined[..., place], axis=-1, keepdims=True)
        return joined


def _weights(n_rows: int) -> Array:
    """Fall from 1 to 0 over n_rows, with no rate and no acceleration at both ends; neither end is among them."""
    share = np.arange(1, n_rows + 1) / (n_rows + 1)
    return np.asarray(1 - share**3 * (share * (6 * share - 15) + 10))


def _decided(contract: Contract) -> Array:
    """Give the changes (Da,) beyond which there is no blending: of rates 0, else half of what an action may be."""
    parts = []
    for each in contract.actions:
        span = np.full(each.size, np.inf)
        if each.low is not None and each.high is not None:
            span = np.asarray(each.high, np.float64) - np.asarray(each.low, np.float64)
        parts.append(np.zeros(each.size) if "/s" in each.unit else span / 2)
    return np.concatenate(parts)


def _turned(quats_in: Array, like: Array, quats: list[slice]) -> Array:
    """Give the quaternions among actions (K, Da) the signs of others, since both signs mean one rotation."""
    turned = quats_in.copy()
    for place in quats:
        opposite = np.sum(turned[:, place] * like[:, place], axis=1) < 0
        turned[opposite, place] *= -1
    return turned


def _resized(chunks: Array, length: int) -> Array:
    """Give chunks (N, T, Da) this length; the last row is repeated or the end is cut off."""
    rows = np.minimum(np.arange(length), chunks.shape[1] - 1)
    return chunks[:, rows]
