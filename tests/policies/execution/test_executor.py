"""Which action plays when: rows by their time, whatever arrives late, twice, out of order or not at all."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ashore.datasets.contract import Contract, Feature
from ashore.policies.errors import ChunkMismatch
from ashore.policies.execution.executor import ChunkExecutor

CONTRACT = Contract("test", "test", (Feature("x", (1,), "m", "none"),), (Feature("u", (1,), "m", "none"),), 10.0)
P = CONTRACT.period_s
TO, TA, TP = 2, 3, 6
LONG = 8
ONE = np.array([0])


def chunk(offset: float = 0.0) -> np.ndarray:
    """Give rows 0, 1, 2, ... plus an offset, (1, Tp, 1)."""
    return (np.arange(TP, dtype=np.float32) + np.float32(offset))[None, :, None]


def started() -> ChunkExecutor:
    """One that changes from chunk to chunk at once, so that rows can be told."""
    executor = ChunkExecutor(CONTRACT, TO, TA, 1, blend_rows=0)
    executor.observe(np.array([[5.0]]), 0.0)
    return executor


def test_before_any_chunk_there_is_no_action_and_its_age_is_infinite() -> None:
    executor = ChunkExecutor(CONTRACT, TO, TA, 2)
    assert not executor.due(0.0).any()
    action, age = executor.action(0.0)
    assert np.isnan(action).all() and np.isinf(age).all()


def test_first_observation_fills_the_history() -> None:
    executor = started()
    assert executor.history().ravel().tolist() == [5.0, 5.0]
    executor.observe(np.array([[6.0]]), P)
    assert executor.history().ravel().tolist() == [5.0, 6.0]
    executor.reset(ONE)
    executor.observe(np.array([[7.0]]), 2 * P)
    assert executor.history().ravel().tolist() == [7.0, 7.0]


def test_rows_play_by_time_and_hold_for_a_period() -> None:
    executor = started()
    assert executor.due(0.0)[0]
    executor.accept(ONE, chunk(), np.zeros(1), 0.0)
    for now, row in [(0.0, 1), (0.5 * P, 1), (P, 2), (2.4 * P, 3), (3 * P, 4), (4 * P, 5), (50 * P, 5)]:
        assert executor.action(now)[0][0, 0] == row


def test_late_rows_are_skipped() -> None:
    executor = started()
    executor.accept(ONE, chunk(), np.zeros(1), 1.5 * P)
    assert executor.action(1.5 * P)[0][0, 0] == 2


def test_a_clock_that_ticks_a_little_early_still_reaches_the_next_row() -> None:
    executor = started()
    executor.accept(ONE, chunk(), np.zeros(1), 0.0)
    assert executor.action(P - 0.05 * P)[0][0, 0] == 2
    assert executor.due(3 * P - 0.05 * P)[0] and not executor.due(2.8 * P)[0]


def test_age_grows_only_beyond_the_action_horizon() -> None:
    executor = started()
    executor.accept(ONE, chunk(), np.zeros(1), 0.0)
    assert executor.action(TA * P)[1][0] == 0.0
    assert executor.action(TA * P + 0.2)[1][0] == pytest.approx(0.2)
    executor.accept(ONE, chunk(), np.array([TA * P]), TA * P + 0.2)
    assert executor.action(TA * P + 0.2)[1][0] == 0.0


def test_what_is_older_broken_or_from_the_future_is_not_taken() -> None:
    executor = started()
    assert executor.accept(ONE, chunk(10), np.array([P]), P)[0]
    assert not executor.accept(ONE, chunk(20), np.array([0.0]), 2 * P)[0]
    assert not executor.accept(ONE, chunk(np.nan), np.array([2 * P]), 2 * P)[0]
    assert not executor.accept(ONE, chunk(30), np.array([1e9]), 2 * P)[0]
    assert executor.action(P)[0][0, 0] == 11


def test_robots_are_independent() -> None:
    executor = ChunkExecutor(CONTRACT, TO, TA, 3)
    executor.observe(np.zeros((3, 1)), 0.0)
    executor.accept(np.array([2, 0]), np.concatenate([chunk(20), chunk(0)]), np.zeros(2), 0.0)
    action = executor.action(0.0)[0][:, 0]
    assert action[0] == 1 and np.isnan(action[1]) and action[2] == 21
    assert executor.due(0.0).tolist() == [False, True, False]
    executor.reset(ONE)
    assert np.isnan(executor.action(0.0)[0][0, 0]) and executor.action(0.0)[0][2, 0] == 21


def test_a_chunk_of_another_width_is_refused() -> None:
    with pytest.raises(ChunkMismatch, match=r"expected \(K, Tp, 1\) with Tp at least 4"):
        started().accept(ONE, np.zeros((1, 3, 1)), np.zeros(1), 0.0)


@given(st.lists(st.tuples(st.floats(-1, 3), st.floats(0, 0.5)), min_size=1, max_size=20))
def test_playing_follows_the_newest_stamp_whatever_the_order_of_arrival(arrivals: list[tuple[float, float]]) -> None:
    executor, newest, now = started(), -np.inf, 0.0
    for stamp, wait in arrivals:
        now += wait
        executor.accept(ONE, chunk(100 * stamp), np.array([stamp]), now)
        if newest <= stamp <= now + P:
            newest = stamp
        action, age = executor.action(now)
        if np.isfinite(newest):
            row = np.clip(np.floor((now - newest) / P + 0.1), 0, TP - TO) + TO - 1
            assert action[0, 0] == pytest.approx(row + 100 * newest, abs=1e-3)
            assert age[0] == pytest.approx(max(0.0, now - newest - TA * P))


def played(
    executor: ChunkExecutor, chunks: list[np.ndarray], n: int, every: int, contract: Contract = CONTRACT
) -> np.ndarray:
    """Play n steps, with a new chunk every so many of them."""
    rows = []
    for step in range(n):
        now = step * contract.period_s
        if step % every == 0:
            executor.accept(ONE, chunks[step // every], np.array([now]), now)
        rows.append(executor.action(now)[0][0])
    return np.array(rows)


def test_a_new_chunk_begins_where_the_one_before_would_have_gone_on_and_ends_in_itself() -> None:
    def flat(value: float) -> np.ndarray:
        return np.full((1, 12, 1), value, np.float32)

    chunks = [flat(0.0), flat(1.0), flat(1.0), flat(1.0)]
    naive = played(ChunkExecutor(CONTRACT, TO, LONG, 1, blend_rows=0), chunks, 24, LONG)[:, 0]
    smooth = played(ChunkExecutor(CONTRACT, TO, LONG, 1), chunks, 24, LONG)[:, 0]
    assert naive.tolist() == [0.0] * 8 + [1.0] * 16
    assert np.all(np.diff(smooth) >= 0) and smooth[7] == 0.0 and np.all(smooth[12:] == 1.0)
    assert np.abs(np.diff(smooth, 3)).max() < np.abs(np.diff(naive, 3)).max() / 4


def test_rates_and_short_chunks_change_at_once() -> None:
    rate = Contract("test", "test", CONTRACT.observations, (Feature("v", (1,), "m/s", "none"),), 10.0)
    chunks = [np.full((1, 12, 1), value, np.float32) for value in (0.0, 1.0)]
    assert played(ChunkExecutor(rate, TO, LONG, 1), chunks, 10, LONG, rate)[:, 0].tolist() == [0.0] * 8 + [1.0] * 2
    assert played(ChunkExecutor(CONTRACT, TO, 7, 1), chunks, 9, 7)[:, 0].tolist() == [0.0] * 7 + [1.0] * 2


def test_a_decision_is_no_seam() -> None:
    gripper = Feature("gripper_target_m", (1,), "m", "none", low=(0.0,), high=(0.08,))
    contract = Contract("test", "test", CONTRACT.observations, (gripper,), 10.0)
    chunks = [np.full((1, 12, 1), value, np.float32) for value in (0.08, 0.0)]
    told = played(ChunkExecutor(contract, TO, LONG, 1), chunks, 10, LONG)[:, 0].tolist()
    assert told == [np.float32(0.08)] * 8 + [0.0] * 2


@given(st.integers(0, 1000), st.booleans())
def test_blended_quaternions_stay_rotations_on_the_short_way(seed: int, flipped: bool) -> None:
    rng = np.random.default_rng(seed)
    quat = Feature("tool_quat_base_wxyz", (4,), "1", "base")
    contract = Contract("test", "test", CONTRACT.observations, (quat,), 10.0)
    first = rng.normal(size=4)
    first /= np.linalg.norm(first)
    second = first + 0.1 * rng.normal(size=4)
    second *= (-1 if flipped else 1) / np.linalg.norm(second)
    chunks = [np.broadcast_to(np.float32(q), (1, 12, 4)) for q in (first, second)]
    told = played(ChunkExecutor(contract, TO, LONG, 1), chunks, 16, LONG)
    assert np.allclose(np.linalg.norm(told, axis=1), 1.0, atol=1e-5)
    ends = np.abs(told @ second)  # Both signs are one rotation.
    assert np.all(np.diff(ends[7:]) >= -1e-5)
