"""Proposals to the guard: one commander, each newer than the one before, and an age that says so."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("rclpy", reason="the ROS 2 packages are not installed")

from ashore.datasets.contract import Feature
from ashore.real.errors import InvalidMessage
from ashore.real.messages import message_class
from ashore.real.nodes.proposals import Proposals
from ashore.real.vector import proposal_names, to_vector

COMMANDS = (Feature("joint_target_rad", (2,), "rad", "joint"),)
NOW = message_class("builtin_interfaces/Time")()


def proposal(value: float, number: float, source: float = 7.0, overdue_s: float = 0.0):
    return to_vector(proposal_names(COMMANDS), np.array([value, value, overdue_s, number, source]), NOW)


def refused(proposals: Proposals, message: object) -> str:
    with pytest.raises(InvalidMessage) as told:
        proposals.take(message)
    return str(told.value)


@given(st.lists(st.integers(0, 30), min_size=1, max_size=40))
def test_whatever_the_order_of_arrival_the_newest_counts_and_none_counts_twice(numbers: list[int]) -> None:
    proposals, taken = Proposals(COMMANDS, lambda: 0.0), []
    for number in numbers:
        try:
            proposals.take(proposal(float(number), number))
            taken.append(number)
        except InvalidMessage:
            pass
        assert proposals.newest is not None and proposals.newest.command.tolist() == [max(taken)] * 2
    assert taken == sorted(set(taken)) and taken[-1] == max(numbers)
    assert not proposals.contested


def test_a_second_commander_is_not_obeyed_and_is_told() -> None:
    proposals = Proposals(COMMANDS)
    proposals.take(proposal(0.1, 1))
    assert "second commander" in refused(proposals, proposal(0.9, 2, source=8.0))
    assert proposals.contested and proposals.newest is not None and proposals.newest.command[0] == 0.1
    proposals.take(proposal(0.2, 2))
    assert proposals.contested
    proposals.forget()
    proposals.take(proposal(0.9, 1, source=8.0))
    assert not proposals.contested


def test_its_age_counts_from_its_arrival_and_how_overdue_it_was() -> None:
    proposals = Proposals(COMMANDS, lambda: 10.0)
    proposals.take(proposal(0.1, 1, overdue_s=0.05))
    assert proposals.newest is not None and proposals.newest.age_s(10.1) == pytest.approx(0.15)


def test_when_our_clock_jumps_back_the_newest_is_too_old_until_the_same_commander_goes_on() -> None:
    now_s = [100.0]
    proposals = Proposals(COMMANDS, lambda: now_s[0])
    proposals.outdate()
    assert proposals.newest is None
    proposals.take(proposal(0.1, 1))
    proposals.outdate()
    now_s[0] = 1.0
    assert proposals.newest is not None and proposals.newest.age_s(1.0) == np.inf
    assert "second commander" in refused(proposals, proposal(0.9, 2, source=8.0))
    proposals.take(proposal(0.2, 2))
    assert proposals.newest.age_s(1.0) == 0.0


@pytest.mark.parametrize("overdue_s", [np.nan, -0.1, np.inf])
def test_an_age_that_cannot_be_is_refused(overdue_s: float) -> None:
    proposals = Proposals(COMMANDS)
    assert "its age" in refused(proposals, proposal(0.1, 1, overdue_s=overdue_s))
    assert "its number nan" in refused(proposals, proposal(0.1, np.nan))
    assert proposals.newest is None
