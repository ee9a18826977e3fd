"""Whatever a policy proposes and whatever is observed, what leaves the guard is finite and within the limits."""

from dataclasses import replace

import numpy as np
import pytest
from guard_cases import CARD, LIMITS, SMOOTH, card_with
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ashore.datasets.errors import UnknownName
from ashore.policies.errors import InvalidCommand, InvalidLimits
from ashore.policies.execution.guard import LATCHES, Guard, Verdict
from ashore.policies.execution.limits import bounds_of
from ashore.sim.interfaces import make_interface
from ashore.sim.robot import RobotCard
from ashore.sim.robots import make_robot
from benchmarks.guard import NAMES, attack

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
    for step, command in enumerate([[0.0, 0.04, 1.0], [0.01, 0.041, 1.05], [-0.01, 0.04, 1.0]]):
        verdict = judged(guard, command, 0.01 * step)
        assert verdict.command.tolist() == [command]
        assert not verdict.intervened[0] and not verdict.stopped[0] and not why(verdict)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_one_component_that_is_not_finite_stops_the_whole_command(bad: float) -> None:
    guard = Guard(CARD, 1)
    judged(guard, [0.0, 0.04, 1.0], 0.0)
    verdict = judged(guard, [0.01, bad, 1.0], 0.01)
    assert verdict.command.tolist() == [[0.0, 0.04, 1.0]]
    assert verdict.stopped[0] and verdict.intervened[0] and why(verdict) == {"command_not_finite"}


def test_position_motion_and_lead_are_limited_and_named() -> None:
    guard = Guard(CARD, 1)
    assert why(judged(guard, [0.0, 5.0, 0.0], 0.0)) == {"position"}
    verdict = judged(guard, [0.0, 0.08, 1.0], 0.01)
    assert why(verdict) == {"motion"} and verdict.command[0, 2] == pytest.approx(0.1)
    fresh = judged(Guard(CARD, 1), [0.9, 0.0, 0.0], 0.0, q=0.5)
    assert why(fresh) == {"lead", "motion"} and fresh.command[0, 0] == pytest.approx(0.52)
    assert fresh.intervened[0] and not fresh.stopped[0]


def test_position_and_motion_win_over_lead() -> None:
    guard = Guard(CARD, 1)
    judged(guard, [0.0, 0.0, 0.0], 0.0)
    verdict = judged(guard, [0.0, 0.0, 0.0], 0.01, q=3.0)
    assert verdict.command[0, 0] == pytest.approx(0.02)


def test_what_is_switched_on_stands_where_it_is() -> None:
    guard = Guard(SMOOTH, 1)
    sent = [judged(guard, [0.9, 0.0, 0.0], 0.01 * step, q=0.5).command[0, 0] for step in range(3)]
    assert 0.5 <= sent[0] < 0.502 and np.all(np.diff(sent) > 0)


def test_a_stop_brakes_within_the_limits_and_stays() -> None:
    guard = Guard(SMOOTH, 1)
    for step in range(30):
        last = judged(guard, [0.02 * step - 0.4, 0.04, 1.0], 0.01 * step, q=0.02 * step - 0.4).command[0, 0]
    sent = [last]
    for step in range(60):
        sent.append(judged(guard, [np.nan] * 3, 0.3 + 0.01 * step, q=sent[-1]).command[0, 0])
    assert sent[1] > last  # It cannot stand at once.
    assert np.all(np.abs(np.diff(sent, 2)) <= SMOOTH.limits.max_acceleration[0] * 1e-4 + 1e-12)
    assert sent[-1] == sent[-20] < last + 0.4


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


@pytest.mark.parametrize("reason", LATCHES)
def test_what_the_guard_is_told_stops_until_reset(reason: str) -> None:
    guard = Guard(CARD, 2)
    guard.latch(reason, np.array([1]))
    command, ages = np.zeros((2, 3)), np.zeros(2)
    for step in range(3):
        verdict = guard.filter(command, observed(2), 0.01 * step, ages)
        assert verdict.stopped.tolist() == [False, True] and why(verdict) == {reason}
    guard.reset(np.array([1]))
    assert not guard.filter(command, observed(2), 0.03, ages).stopped.any()
    with pytest.raises(UnknownName, match="operator_stop"):
        guard.latch("operator_stopp", np.array([0]))


def test_observations_that_are_not_finite_stop_while_they_last() -> None:
    guard = Guard(CARD, 1)
    judged(guard, [0.0, 0.04, 1.0], 0.0)
    verdict = judged(guard, [0.01, 0.04, 1.0], 0.01, q=np.nan)
    assert why(verdict) == {"observed_not_finite"} and verdict.command.tolist() == [[0.0, 0.04, 1.0]]
    assert not judged(guard, [0.11, 0.04, 1.0], 0.02).stopped[0]


def test_a_pause_or_a_clock_that_jumps_opens_no_door_to_a_leap() -> None:
    guard = Guard(CARD, 1)
    judged(guard, [0.0, 0.0, 0.0], 0.0)
    for now_s in (3600.0, 0.0, -1e9, np.nan, np.inf):
        before = guard.filter(np.zeros((1, 3)), observed(), now_s, np.zeros(1)).command.copy()
        after = judged(guard, [0.0, 0.0, 2.0], now_s).command
        assert np.all(np.abs(after - before) <= RATE / CARD.command_hz + 1e-12)


def test_calls_that_come_too_often_move_nothing_faster() -> None:
    guard = Guard(CARD, 1)
    sent = [judged(guard, [1.0, 0.0, 0.0], 0.001 * step).command[0, 0] for step in range(101)]
    assert sent[-1] <= RATE[0] * 0.1 + 2 * RATE[0] / CARD.command_hz
    assert len(set(sent)) <= 12
    late = judged(guard, [1.0, 0.0, 0.0], 0.135).command[0, 0]  # A pause is no credit.
    assert late - sent[-1] <= RATE[0] / CARD.command_hz + 1e-12


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
    with pytest.raises(InvalidLimits, match=r"max_jerk of element 1: nan(.|\n)*max_jerk of element 2: -1"):
        Guard(card_with(max_jerk=(None, np.nan, -1.0)), 1)
    with pytest.raises(InvalidLimits, match="max_acceleration: 1 values for 3"):
        Guard(card_with(max_acceleration=(1.0,)), 1)


@settings(deadline=None)
@given(
    st.sampled_from([CARD, SMOOTH]),
    arrays(np.float64, (12, 3), elements=WILD),
    arrays(np.float64, (12, 3), elements=WILD),
    arrays(np.float64, 12, elements=st.floats(-0.1, 0.6)),
    arrays(np.float64, 12, elements=st.floats(0, 0.2)),
)
def test_laws_hold_for_adversarial_input(
    card: RobotCard, commands: np.ndarray, seen: np.ndarray, waits_s: np.ndarray, ages_s: np.ndarray
) -> None:
    guard, sent_before, now_s = Guard(card, 1), [], 0.0
    for command, values, wait_s, age_s in zip(commands, seen, waits_s, ages_s, strict=True):
        now_s += wait_s
        world = {"q": values[None, :2], "height": values[None, 2:]}
        verdict = guard.filter(command[None], world, now_s, age_s[None])
        sent = verdict.command[0]
        assert np.isfinite(sent).all() and np.all(sent >= LOW) and np.all(sent <= HIGH)
        assert verdict.intervened[0] or np.isfinite(command).all()
        assert np.array_equal(sent, command) or verdict.intervened[0] or why(verdict) == {"motion"}
        if not sent_before or not np.array_equal(sent, sent_before[-1]):
            sent_before.append(sent)
        assert not np.any(np.abs(np.diff(sent_before[-2:], axis=0)) > RATE / card.command_hz * (1 + 1e-9) + 1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_hostile_commands_never_leave_the_limits_of_a_real_robot(name: str) -> None:
    found = attack(make_robot(name).card, n=500, periods=400, seed=0)
    assert found.steps == 200_000 and found.stops > 1000 and found.fresh_starts > 100
    assert found.not_finite == 0 and found.worst <= 1 + 1e-9, found


def test_an_observation_of_another_width_than_its_bounds_is_refused() -> None:
    guard = Guard(card_with(observed_low={"height": (0.0,), "q": (-1.0,)}), 1)
    with pytest.raises(InvalidCommand, match=r"observation q: 2 values, 1 bounds"):
        judged(guard, [0.0, 0.04, 1.0], 0.0)


def test_an_observation_with_fewer_elements_than_are_led_is_refused() -> None:
    card = make_robot("panda").card
    seen = {"joint_pos_rad": np.zeros((1, 1)), "joint_vel_rad_s": np.zeros((1, 7)), "gripper_width_m": np.zeros((1, 1))}
    with pytest.raises(InvalidCommand, match="observation joint_pos_rad: 1 values, commands lead 7"):
        Guard(replace(card, limits=replace(card.limits, observed_low={}, observed_high={})), 1).filter(
            np.zeros((1, card.command_width)), seen, 0.0, np.zeros(1)
        )


@pytest.mark.parametrize("speed", [0.1, 0.5])
def test_an_arm_at_a_share_of_its_speed_moves_within_that_share_and_gets_there(speed: float) -> None:
    card = make_robot("panda").card
    guard, full = Guard(card, 1, speed), Guard(card, 1)
    limits, joints = card.limits, [source is not None for source in card.limits.lead_of]
    pose = np.array([0.0, -0.5, 0.0, -2.0, 0.0, 1.6, 0.8])
    interface, still = make_interface(card.interface), np.zeros((1, 7))
    told = pose + 0.3
    sent = {}
    for name, each in (("slow", guard), ("full", full)):
        at, path = pose.copy(), []
        for step in range(round(3 * card.command_hz / speed)):
            seen = {"joint_pos_rad": at[None], "joint_vel_rad_s": still, "gripper_width_m": np.full((1, 1), 0.04)}
            seen = dict(interface.derive(seen))
            command = np.array([*told, 0.04])[None]
            verdict = each.filter(command, seen, step / card.command_hz, np.zeros(1))
            at = verdict.command[0, :7]
            path.append(verdict.command[0])
        sent[name] = np.array(path)
    rates = {name: np.abs(np.diff(path[:, joints], axis=0)).max(0) * card.command_hz for name, path in sent.items()}
    assert np.all(rates["slow"] <= speed * np.array(limits.max_rate)[joints] * (1 + 1e-9))
    assert np.all(rates["slow"] < 0.75 * rates["full"])
    assert np.allclose(sent["slow"][-1, :7], told, atol=1e-6)
    brakes = [bounds_of(card, share).farthest(share * bounds_of(card).rate, np.zeros(8))[:7] for share in (speed, 1.0)]
    assert np.all(brakes[0] < speed * brakes[1]), "what is slower stops sooner"


def test_a_speed_that_means_nothing_is_refused() -> None:
    for speed in (0.0, -1.0, 1.5, np.nan):
        with pytest.raises(InvalidLimits, match=r"speed: .*must be over 0, and 1 at most"):
            Guard(CARD, 1, speed)
    with pytest.raises(InvalidLimits, match="none of its commands leads a measured position"):
        Guard(make_robot("crazyflie").card, 1, 0.5)


def test_a_torque_beyond_its_limit_stops_until_reset_where_it_is_measured() -> None:
    guard = Guard(card_with(measured_high={"torque": (10.0, 5.0)}), 1)
    command, age_s = np.array([[0.0, 0.04, 1.0]]), np.zeros(1)
    assert not guard.filter(command, observed(), 0.0, age_s).stopped[0]
    for step, (torque, is_stopped) in enumerate([((9.0, -5.0), False), ((0.0, -5.1), True), ((0.0, 0.0), True)]):
        verdict = guard.filter(command, {**observed(), "torque": np.array([torque])}, 0.01 * (step + 1), age_s)
        assert verdict.stopped[0] == is_stopped
    assert "observed_out_of_bounds" in why(verdict)
    guard.reset(np.array([0]))
    assert not guard.filter(command, observed(), 0.1, age_s).stopped[0]
    with pytest.raises(InvalidLimits, match=r"measured_high\.torque: expected positive, finite numbers"):
        Guard(card_with(measured_high={"torque": (10.0, np.nan)}), 1)


def test_the_arms_know_their_torques() -> None:
    assert make_robot("panda").card.limits.measured_high["joint_torque_n_m"] == (87.0,) * 4 + (12.0,) * 3
    assert make_robot("ur5e").card.limits.measured_high["joint_torque_n_m"] == (150.0,) * 3 + (28.0,) * 3
