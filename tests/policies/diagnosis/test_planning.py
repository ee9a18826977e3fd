"""Errors of chunks in contract units, and planning time against what the loop leaves."""

from itertools import count

import numpy as np
import pytest
from point_cases import CONTRACT, PointPlanner

from ashore.datasets.contract import Contract, Feature
from ashore.policies.diagnosis.planning import chunk_errors, draw_noise, measure_latency

RNG = np.random.default_rng(0)
EXECUTED = slice(1, 5)
OBS = RNG.uniform(-1, 1, (50, 2, 4)).astype(np.float32)


def goals(offset_m: float = 0.0) -> np.ndarray:
    return np.repeat(OBS[:, -1:, 2:], 8, axis=1) + np.float32(offset_m)


def planned(offset_m: float = 0.0) -> np.ndarray:
    planner = PointPlanner(offset_m)
    return planner.plan(OBS, draw_noise(planner.noise_shape, len(OBS), 0))


def test_errors_are_in_contract_units_by_row_and_element() -> None:
    demonstrated = goals()
    demonstrated[:, 5, 1] += 0.3
    errors = chunk_errors(CONTRACT, EXECUTED, (planned(), demonstrated), (planned(), goals()))
    assert errors.rms.shape == (8, 2)
    assert errors.rms[5, 1] == pytest.approx(0.3, abs=0.02)
    assert np.delete(errors.rms.ravel(), 11).max() < 0.02  # A hundredth of the noise is in every plan.
    assert errors.relative.max() < 0.04
    assert errors.executed_rms.max() < 0.02  # Row 5 is not executed.


def test_two_policies_are_compared_over_all_elements() -> None:
    good, bad = (chunk_errors(CONTRACT, EXECUTED, *[(planned(o), goals())] * 2) for o in (0.1, 0.4))
    assert bad.over(good) == pytest.approx(4.0, rel=0.05)
    assert good.over(good) == pytest.approx(1.0)


def test_both_signs_of_a_quaternion_are_one_rotation() -> None:
    quaternions = RNG.normal(size=(50, 8, 4)).astype(np.float32)
    contract = Contract(
        robot="test/hand",
        task="test/turn",
        observations=(Feature("pos_m", (4,), "m", "base"),),
        actions=(Feature("tool_quat_base_wxyz", (4,), "1", "base"),),
        control_hz=10.0,
    )
    errors = chunk_errors(contract, EXECUTED, *[(-quaternions, quaternions)] * 2)
    assert errors.rms.max() == 0.0


@pytest.mark.parametrize(
    ("seconds", "late", "keeps_up", "lasts"), [(0.05, 1, True, True), (0.35, 4, True, False), (0.5, 5, False, False)]
)
def test_latency_is_held_against_the_period_and_the_horizon(
    seconds: float, late: int, keeps_up: bool, lasts: bool
) -> None:
    ticks = count()
    speed = measure_latency(PointPlanner(), OBS, 20, lambda: seconds * next(ticks))  # 10 Hz, Ta 4, three rows to spare.
    assert speed.p50_s == pytest.approx(seconds) and len(speed.seconds) == 20
    assert (speed.late_steps, speed.keeps_up, speed.lasts) == (late, keeps_up, lasts)
