"""Whatever a policy proposes and whatever is observed, what leaves the guard is finite and within the limits."""

import copy

import numpy as np
import pytest
from guard_cases import CARD, LIMITS, card_with
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ashore.policies.errors import InvalidCommand, InvalidLimits
from ashore.policies.execution.guard import Guard, Verdict
from ashore.sim.robots import ROBOTS, make_robot

LOW, HIGH, RATE = np.array(LIMITS.low), np.array(LIMITS.high), np.array(LIMITS.max_rate)
WILD = st.one_of(
    st.floats(width=64), st.sampled_from([1.0, -1.0, np.nextafter(1.0, 2), 0.0, -0.0, 5e-324, 1e308, np.nan, np.inf])
)


def observed(n: int = 1, q: float = 0.0, height: float = 1.0) -> dict[str, np.ndarray]:
    return {"q": np.full((n, 2), q), "height": np.full((n, 1), height)}


def judged(guard: Guard, command: list[float], now_s: float, age_s: float = 0.0, **seen: float) -> Verdict:
    return guard.filter(np.array([command]), observed(1, **seen), now_s, np.array([age_s]))


def why(verdict: Verdict) -> set[str]:
    return {name for name, hit in verdict.reasons if hit.any()}


def test_commands_within_the_limits_pass_untouched() -> None:
    guard = Guard(CARD, 1)
    for step, command in enumerate([[0.1, 0.04, 1.0], [0.11, 0.041, 1.05], [0.09, 0.04, 1.0]]):
        verdict = judged(guard, command, 0.01 * step)
        assert verdict.command.tolist() == [command]
        assert not verdict.intervened[0] and not verdict.stopped[0] and not why(verdict)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_one_component_that_is_not_finite_stops_the_whole_command(bad: float) -> None:
    guard = Guard(CARD, 1)
    judged(guard, [0.1, 0.04, 1.0], 0.0)
    verdict = judged(guard, [0.11, bad, 1.0], 0.01)
    assert verdict.command.tolist() == [[0.1, 0.04, 1.0]]
    assert verdict.stopped[0] and verdict.intervened[0] and why(verdict) == {"command_not_finite"}


def test_position_rate_and_lead_are_limited_and_named() -> None:
    guard = Guard(CARD, 1)
    assert why(judged(guard, [0.0, 5.0, 0.0], 0.0)) == {"position"}
    verdict = judged(guard, [0.0, 0.08, 1.0], 0.01)
    assert why(verdict) == {"rate"} and verdict.command[0, 2] == pytest.approx(0.1)
    fresh = judged(Guard(CARD, 1), [0.9, 0.0, 0.0], 0.0, q=0.5)
    assert why(fresh) == {"lead"} and fresh.command[0, 0] == pytest.approx(0.7)
    assert fresh.intervened[0] and not fresh.stopped[0]


def test_position_and_rate_win_over_lead() -> None:
    guard = Guard(CARD, 1)
    judged(guard, [0.0, 0.0, 0.0], 0.0)
    verdict = judged(guard, [0.0, 0.0, 0.0], 0.01, q=3.0)
    assert verdict.command[0, 0] == pytest.approx(0.02)


@pytest.mark.parametrize("age_s", [0.101, np.inf, np.nan])
def test_a_stale_command_stops_until_a_fresh_one_comes(age_s: float) -> None:
    guard = Guard(CARD, 1)
    judged(guard, [0.1, 0.04, 1.0], 0.0)
    assert why(judged(guard, [0.11, 0.04, 1.0], 0.01, age_s)) == {"stale"}
    assert not judged(guard, [0.11, 0.04, 1.0], 0.02, 0.1).stopped[0]


def test_leaving_the_bounds_stops_until_reset() -> None:
    guard = Guard(CARD, 2)
    command, ages = np.array([[0.1, 0.04, 1.0]] * 2), np.zeros(2)
    seen = {"q": np.zeros((2, 2)), "height": np.array([[2.1], [1.0]])}
    assert guard.filter(command, seen, 0.0, ages).stopped.tolist() == [True, False]
    verdict = guard.filter(command, observed(2), 0.01, ages)
    assert verdict.stopped.tolist() == [True, False] and why(verdict) >= {"observed_out_of_bounds"}
    guard.reset(np.array([0]))
    assert not guard.filter(command, observed(2), 0.02, ages).stopped.any()


def test_observations_that_are_not_finite_stop_while_they_last() -> None:
    guard = Guard(CARD, 1)
    judged(guard, [0.1, 0.04, 1.0], 0.0)
    verdict = judged(guard, [0.11, 0.04, 1.0], 0.01, q=np.nan)
    assert why(verdict) == {"observed_not_finite"} and verdict.command.tolist() == [[0.1, 0.04, 1.0]]
    assert not judged(guard, [0.11, 0.04, 1.0], 0.02).stopped[0]


def test_a_pause_or_a_clock_that_jumps_opens_no_door_to_a_leap() -> None:
    guard = Guard(CARD, 1)
    judged(guard, [0.0, 0.0, 0.0], 0.0)
    for now_s in (3600.0, 0.0, -1e9, np.nan, np.inf):
        before = guard.filter(np.zeros((1, 3)), observed(), now_s, np.zeros(1)).command.copy()
        after = judged(guard, [0.0, 0.0, 2.0], now_s).command
        assert np.all(np.abs(after - before) <= RATE * 2 / CARD.command_hz + 1e-12)


def test_the_first_command_without_a_history_is_near_the_measured_value() -> None:
    verdict = judged(Guard(CARD, 1), [np.nan, 0.0, 0.0], 0.0, q=0.3)
    assert verdict.command[0, 0] == pytest.approx(0.3)


def test_what_cannot_be_judged_is_refused_with_all_faults() -> None:
    with pytest.raises(
        InvalidCommand, match=r"command: shape \(1, 2\), expected \(2, 3\)(.|\n)*observation height: missing"
    ):
        Guard(CARD, 2).filter(np.zeros((1, 2)), {"q": np.zeros((2, 2))}, 0.0, np.zeros(2))


def test_limits_that_contradict_themselves_are_refused_with_all_faults() -> None:
    card = card_with(low=(2.0, 0.0, np.nan), max_rate=(0.0, 1.0, 1.0), timeout_s=np.inf)
    with pytest.raises(InvalidLimits, match=r"4 fault(.|\n)*NaN(.|\n)*2\.0 > 1\.0(.|\n)*positive(.|\n)*timeout_s"):
        Guard(card, 1)
    with pytest.raises(InvalidLimits, match="2 values for 3 command elements"):
        Guard(card_with(high=(1.0, 1.0)), 1)


@settings(deadline=None)
@given(
    arrays(np.float64, (12, 3), elements=WILD),
    arrays(np.float64, (12, 3), elements=WILD),
    arrays(np.float64, 12, elements=st.floats(-0.1, 0.6)),
    arrays(np.float64, 12, elements=st.floats(0, 0.2)),
)
def test_laws_hold_for_adversarial_input(
    commands: np.ndarray, seen: np.ndarray, waits_s: np.ndarray, ages_s: np.ndarray
) -> None:
    guard, last, last_s, now_s = Guard(CARD, 1), None, 0.0, 0.0
    for command, values, wait_s, age_s in zip(commands, seen, waits_s, ages_s, strict=True):
        now_s += wait_s
        before = copy.deepcopy(guard)
        world = {"q": values[None, :2], "height": values[None, 2:]}
        verdict = guard.filter(command[None], world, now_s, age_s[None])
        sent = verdict.command[0]
        assert np.isfinite(sent).all() and np.all(sent >= LOW) and np.all(sent <= HIGH)
        if last is not None:
            assert np.all(np.abs(sent - last) <= RATE * max(0.0, now_s - last_s) * (1 + 1e-9) + 1e-12)
        again = before.filter(verdict.command, world, now_s, age_s[None])
        assert np.array_equal(again.command, verdict.command) or again.stopped[0]
        assert verdict.intervened[0] == (not np.array_equal(sent, command))
        last, last_s = sent, now_s


@pytest.mark.parametrize("name", sorted(ROBOTS))
def test_a_million_random_commands_never_leave_the_limits_of_a_real_robot(name: str) -> None:
    card, n, rng = make_robot(name).card, 5000, np.random.default_rng(0)
    guard, limits = Guard(card, n), card.limits
    features = {feature.name: feature.size for feature in make_robot(name).observations}
    low, high, rate = np.array(limits.low), np.array(limits.high), np.array(limits.max_rate)
    last = np.full((n, len(low)), np.nan)
    for step in range(200):
        wild = rng.normal(size=(n, len(low))) * 10.0 ** rng.uniform(-3, 3, (n, 1))
        wild[rng.random((n, len(low))) < 0.01] = rng.choice([np.nan, np.inf, -np.inf, 1e308])
        seen = {key: rng.normal(size=(n, size)) for key, size in features.items()}
        for value in seen.values():
            value[rng.random(n) < 0.01] = np.nan
        restarted = np.flatnonzero(rng.random(n) < 0.2)
        guard.reset(restarted)
        last[restarted] = np.nan
        sent = guard.filter(wild, seen, step / card.command_hz, rng.uniform(0, 2 * limits.timeout_s, n)).command
        assert np.isfinite(sent).all() and np.all(sent >= low) and np.all(sent <= high)
        assert not np.any(np.abs(sent - last) > rate / card.command_hz * (1 + 1e-9) + 1e-12)
        last = sent.copy()
