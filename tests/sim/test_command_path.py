"""The way of a command: late, lost, offset, smoothed, with play; each row by itself, nothing where none is drawn."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ashore.sim.command_path import BACKLASH, BIAS, DELAY, JITTER, LAG, LOSS, CommandPath
from ashore.sim.randomization import Draw
from ashore.sim.robot import CommandLimits

Array = NDArray[Any]
PERIOD_S = 0.02
LIMITS = CommandLimits(
    low=(-1.0,) * 3, high=(1.0,) * 3, max_rate=(9.0,) * 3, max_lead=(1.0, 1.0, None), lead_of=(("q", 0), ("q", 1), None)
)
"""Two led elements and one that drives nothing measured, as a gripper."""


def _play(draws: list[Draw], commands: Array, calls: int = 1, seeds: list[int] | None = None) -> Array:
    """Send commands (T, Dc) to every row; returns what acted (T * calls, N, Dc)."""
    n = len(draws)
    path = CommandPath(LIMITS, n, PERIOD_S / calls, calls)
    path.reset([{k: np.asarray(v) for k, v in draw.items()} for draw in draws], seeds or list(range(n)), len(commands))
    return np.array([path.pass_on(np.tile(row, (n, 1))) for row in commands for _ in range(calls)])


def _ramp(n: int) -> Array:
    return np.repeat(np.arange(float(n))[:, None], 3, axis=1)


def test_without_anything_drawn_commands_pass_bit_for_bit() -> None:
    commands = np.random.default_rng(0).normal(size=(7, 3))
    np.testing.assert_array_equal(_play([{}, {DELAY: 0.0, LOSS: 0.0}], commands)[:, 1], commands)


def test_dead_time_shifts_whole_periods_and_mixes_shares() -> None:
    acted = _play([{DELAY: 0.04}, {DELAY: 0.005}], _ramp(6))
    assert acted[:, 0, 0].tolist() == [0, 0, 0, 1, 2, 3]
    np.testing.assert_allclose(acted[:, 1, 0], [0, 0.75, 1.75, 2.75, 3.75, 4.75])


def test_dead_time_is_as_fine_as_the_drive() -> None:
    acted = _play([{DELAY: 0.01}], _ramp(4), calls=4)
    assert acted[:, 0, 0].tolist() == [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3]


def test_a_lost_command_leaves_the_one_before_and_the_first_is_never_lost() -> None:
    acted = _play([{LOSS: 0.3}] * 3, _ramp(200))[:, :, 0]
    lost = np.diff(acted, axis=0) == 0
    assert 0.2 < lost.mean() < 0.4 and not np.array_equal(lost[:, 0], lost[:, 1])
    assert np.all(acted[1:][~lost] == np.broadcast_to(np.arange(1, 200)[:, None], lost.shape)[~lost])
    assert _play([{LOSS: 1.0}], _ramp(5))[:, 0, 0].tolist() == [0] * 5


def test_jitter_makes_commands_late_by_unlike_times() -> None:
    late = _ramp(300)[:, 0] - _play([{JITTER: 0.02}], _ramp(300))[:, 0, 0]
    assert late[3:].min() >= 0 and 0.4 < late.mean() < 1.2 and late.std() > 0.3


def test_a_lag_comes_nearer_by_its_time_constant() -> None:
    step = np.vstack([np.zeros((1, 3)), np.ones((30, 3))])
    acted = _play([{LAG: 0.1}], step)[:, 0, 0]
    np.testing.assert_allclose(acted[1:], 1 - np.exp(-PERIOD_S / 0.1 * np.arange(1, 31)), atol=1e-12)


def test_single_numbers_of_bias_and_play_leave_the_gripper_alone_and_vectors_do_not() -> None:
    acted = _play([{BIAS: 0.1}, {BIAS: np.array([0.1, 0.2, 0.3])}], np.zeros((2, 3)))
    np.testing.assert_allclose(acted[-1], [[0.1, 0.1, 0.0], [0.1, 0.2, 0.3]])
    there_and_back = np.array([0.0, 1.0, 0.9, 0.5])[:, None] * np.ones(3)
    acted = _play([{BACKLASH: 0.4}], there_and_back)[:, 0]
    np.testing.assert_allclose(acted[:, 0], [0.0, 0.8, 0.8, 0.7])
    np.testing.assert_allclose(acted[:, 2], there_and_back[:, 2])


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                DELAY: st.floats(0, 0.3),
                LOSS: st.floats(0, 1),
                JITTER: st.floats(0, 0.1),
                LAG: st.floats(0, 0.5),
                BIAS: st.floats(-1, 1),
                BACKLASH: st.floats(0, 1),
            },
        ),
        min_size=2,
        max_size=4,
    )
)
def test_a_row_is_the_same_alone_and_among_others(draws: list[dict[str, float]]) -> None:
    commands = np.random.default_rng(1).normal(size=(12, 3))
    together = _play(draws, commands, calls=2)
    for row, draw in enumerate(draws):
        np.testing.assert_array_equal(together[:, row], _play([draw], commands, calls=2, seeds=[row])[:, 0])


def test_a_restarted_row_forgets_what_was_under_way_and_the_other_does_not() -> None:
    draws = [{DELAY: np.asarray(0.04)}] * 2
    path = CommandPath(LIMITS, 2, PERIOD_S, 1)
    path.reset(draws, [0, 1], 8)
    acted = []
    for number in range(8):
        if number == 4:
            path.reset(draws[1:], [1], 8, np.array([1]))
        acted.append(path.pass_on(np.full((2, 3), float(number)))[:, 0])
    assert np.array(acted)[:, 0].tolist() == [0, 0, 0, 1, 2, 3, 4, 5]
    assert np.array(acted)[:, 1].tolist() == [0, 0, 0, 1, 4, 4, 4, 5]


@pytest.mark.parametrize("late_s", [0.5, 3.0])
def test_nothing_is_later_than_the_longest_dead_time(late_s: float) -> None:
    acted = _play([{DELAY: late_s}], _ramp(40))[:, 0, 0]
    np.testing.assert_array_equal(acted, np.maximum(np.arange(40.0) - 25, 0))
