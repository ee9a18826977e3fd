"""Freshness by receipt, each topic by itself; plans from before a stop never come out."""

import threading

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="the ROS 2 packages are not installed")

from ashore.datasets.contract import Contract, Feature
from ashore.real.errors import InvalidMessage
from ashore.real.mapping import RobotMapping
from ashore.real.messages import message_class
from ashore.real.nodes.senses import Senses
from ashore.real.nodes.thinking import Thinking
from ashore.real.vector import element_names, from_vector, to_vector

FEATURES = (
    Feature("pos_world_m", (3,), "m", "world"),
    Feature("quat_world_wxyz", (4,), "1", "world"),
    Feature("goal_pos_world_m", (3,), "m", "world"),
)
MAPPING = RobotMapping.named("crazyflie")


def stamp(seconds: int):
    return message_class("builtin_interfaces/Time")(sec=seconds)


def odometry(at_s: int):
    channel = MAPPING.observations[0]
    values = {binding.feature: np.zeros(3) for binding in channel.bindings}
    return channel.write(values | {"quat_world_wxyz": np.array([1.0, 0, 0, 0])}, stamp(at_s))


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_the_oldest_topic_decides_the_age_and_nothing_is_known_before_all_have_come() -> None:
    clock = Clock()
    senses = Senses(FEATURES, MAPPING.observations, clock)
    assert senses.measured() is None and senses.age_s(100.0) == np.inf
    goal = MAPPING.observations[1].write({"goal_pos_world_m": np.ones(3)}, stamp(1))
    senses.take(1, goal)
    assert senses.measured() is None and senses.first_age_s(100.0) is None
    clock.now_s = 100.1
    senses.take(0, odometry(1))
    measured = senses.measured()
    assert measured is not None and set(measured) == {feature.name for feature in FEATURES}
    assert measured["goal_pos_world_m"].shape == (1, 3)
    assert senses.age_s(100.15) == pytest.approx(0.15) and senses.first_age_s(100.15) == pytest.approx(0.05)
    senses.forget()
    assert senses.measured() is None


def test_a_clock_that_jumped_back_makes_messages_old_until_a_person_activates_again() -> None:
    clock = Clock()
    senses = Senses(FEATURES[:2], MAPPING.observations[:1], clock)
    senses.take(0, odometry(50))
    clock.now_s += 1.0
    with pytest.raises(InvalidMessage, match="not newer than the one before"):
        senses.take(0, odometry(49))
    clock.now_s += 2.0
    senses.take(0, odometry(51))
    assert senses.age_s(clock.now_s) == pytest.approx(2.0, abs=0.01)
    senses.forget()
    senses.take(0, odometry(49))
    assert senses.age_s(clock.now_s) == 0.0


def test_when_our_clock_jumps_back_all_is_too_old_and_what_comes_from_then_on_counts() -> None:
    clock = Clock()
    senses = Senses(FEATURES[:2], MAPPING.observations[:1], clock)
    senses.take(0, odometry(100))
    senses.outdate()
    clock.now_s = 1.0
    # Still known, so that a guard can stop by it.
    assert senses.measured() is not None and senses.age_s(1.0) == np.inf and senses.first_age_s(1.0) is None
    senses.take(0, odometry(1))
    assert senses.age_s(1.0) == 0.0 and senses.first_age_s(1.0) == 0.0


@pytest.mark.parametrize("second", [4, 5])
def test_a_message_not_newer_than_the_one_before_is_refused(second: int) -> None:
    senses = Senses(FEATURES, MAPPING.observations)
    senses.take(0, odometry(5))
    with pytest.raises(InvalidMessage, match="'odometry' was refused: it is not newer than the one before"):
        senses.take(0, odometry(second))


def test_a_message_that_travelled_longer_than_others_is_as_old_as_that() -> None:
    clock = Clock()
    senses = Senses(FEATURES[:2], MAPPING.observations[:1], clock)
    for arrival_s, made_s, age_s in ((100.0, 5, 0.0), (101.0, 6, 0.0), (102.2, 7, 0.2), (103.0, 8, 0.0)):
        clock.now_s = arrival_s  # The sender's clock is 95 s behind ours, and that does not matter.
        senses.take(0, odometry(made_s))
        assert senses.age_s(arrival_s) == pytest.approx(age_s, abs=5e-4)  # Less what clocks may drift.
        assert senses.age_s(arrival_s + 0.1) == pytest.approx(age_s + 0.1, abs=5e-4)


def test_a_named_vector_is_read_in_our_order_or_refused() -> None:
    names = element_names((Feature("a", (2,), "m", "none", ("x", "y")), Feature("b", (1,), "m", "none")))
    assert names == ("a.x", "a.y", "b.0")
    message = to_vector(("b.0", "a.x", "a.y"), np.array([3.0, 1.0, 2.0]), stamp(1))
    assert from_vector(message, names, "'proposal'").tolist() == [1.0, 2.0, 3.0]
    with pytest.raises(InvalidMessage, match="its names are"):
        from_vector(message, ("a.x", "a.y", "c"), "'proposal'")
    message.position = [1.0]
    with pytest.raises(InvalidMessage, match="1 numbers for 3 names"):
        from_vector(message, names, "'proposal'")


class SlowPlanner:
    """A planner that answers when the test lets it."""

    contract = Contract("r", "t", (Feature("o", (1,), "m", "none"),), (Feature("a", (1,), "m", "none"),), 10.0)
    card = None
    obs_horizon, prediction_horizon, action_horizon = 1, 2, 1
    noise_shape = (2, 1)

    def __init__(self) -> None:
        self.go = threading.Event()

    def plan(self, obs, noise):
        self.go.wait(5.0)
        return np.repeat(obs, 2, axis=1)


def test_a_plan_comes_with_its_stamp_and_one_from_before_a_stop_never_comes() -> None:
    planner = SlowPlanner()
    thinking = Thinking(planner, seed=0)
    thinking.ask(np.full((1, 1, 1), 7.0, np.float32), 1.0)
    assert thinking.busy and thinking.take(0.01) is None
    thinking.stop()
    thinking.ask(np.full((1, 1, 1), 9.0, np.float32), 2.0)
    planner.go.set()
    plan = thinking.take(5.0)
    assert plan is not None and (plan.stamp_s, plan.chunk[0, 0, 0]) == (2.0, 9.0)
    assert not thinking.busy and thinking.take(0.0) is None
    assert len(thinking.latencies.take_ms()) == 2


def test_clocks_that_drift_apart_for_hours_make_no_message_old() -> None:
    clock = Clock()
    senses = Senses(FEATURES[:2], MAPPING.observations[:1], clock)
    for made_s in range(1, 7200, 10):
        clock.now_s = made_s * (1 + 5e-5)  # The sender's clock is slower by 50 parts in a million.
        senses.take(0, odometry(made_s))
        assert senses.age_s(clock.now_s) < 0.01
