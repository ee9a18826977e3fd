"""Where an arm may not be: whatever is proposed, no link enters a box or another link, braking included."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ashore.policies.errors import InvalidLimits
from ashore.policies.execution.guard import Guard
from ashore.policies.execution.space import APART_M, ArmSpace
from ashore.sim.interfaces import make_interface
from ashore.sim.kinematics import Chain
from ashore.sim.robots import make_robot

RADIUS_M = 0.07
WALL = {"low": [0.55, -1.0, -1.0], "high": [1.5, 1.0, 1.5]}
PANDA = make_robot("panda").card
CARD = replace(
    PANDA,
    space={"link_radius_m": [RADIUS_M] * 7, "keep_out_m": [WALL]},
    limits=replace(PANDA.limits, observed_low={}, observed_high={}),
)
HOME = np.array([0.0, -0.1848, 0.0, -2.4967, 0.0, 2.3119, 0.7854, 0.08])
CHAIN = Chain.from_mapping(CARD.interface["chain"])


def dense_clearance(joints: np.ndarray) -> np.ndarray:
    """Distances (N,) again, from many points and no bounds: what the guard's own may not exceed."""
    origins = CHAIN.origins(joints)
    share = np.linspace(0, 1, 25)[:, None]
    points = origins[:, :-1, None] * (1 - share) + origins[:, 1:, None] * share
    low, high = np.array(WALL["low"]), np.array(WALL["high"])
    gap = np.linalg.norm(np.maximum(np.maximum(low - points, points - high), 0), axis=-1)
    found = gap.min((1, 2)) - RADIUS_M
    lengths = np.linalg.norm(np.diff(CHAIN.origins(np.zeros((1, 7)))[0], axis=0), axis=1)
    for i in range(7):
        for j in range(i + 1, 7):
            if lengths[i + 1 : j].sum() > 2 * RADIUS_M + APART_M:
                apart = np.linalg.norm(points[:, i, :, None] - points[:, j, None, :], axis=-1).min((1, 2))
                found = np.minimum(found, apart - 2 * RADIUS_M)
    return found


def still(joints: np.ndarray) -> dict[str, np.ndarray]:
    measured = {
        "joint_pos_rad": joints,
        "joint_vel_rad_s": 0 * joints,
        "gripper_width_m": np.full((len(joints), 1), 0.08),
    }
    return make_interface(CARD.interface).derive(measured)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_what_is_called_clear_is_clear(seed: int) -> None:
    rng = np.random.default_rng(seed)
    commands = rng.uniform(CARD.limits.low, CARD.limits.high, (20, 8))
    told, true = ArmSpace(CARD).clearance(commands), dense_clearance(commands[:, :7])
    inside = true < -RADIUS_M + 1e-9  # Within the wall the two measure depth in different ways.
    assert np.all(told[~inside] <= true[~inside] + 1e-9) and np.all(told[inside] < 0)
    assert np.median(true - told) < 0.05


def test_far_is_told_without_kinematics_and_never_wrongly() -> None:
    space, rng = ArmSpace(CARD), np.random.default_rng(0)
    at = np.repeat(HOME[None], 50, axis=0)
    for _ in range(60):
        at = np.clip(at + 0.03 * rng.normal(size=at.shape), CARD.limits.low, CARD.limits.high)
        distance = np.abs(0.05 * rng.normal(size=at.shape))
        far = space.is_far(at, distance)
        moved = at + rng.uniform(-1, 1, at.shape) * distance
        assert np.all(dense_clearance(moved[far][:, :7]) > 0)


def test_no_command_leads_into_a_wall_or_the_arm_itself_and_the_way_back_is_open() -> None:
    n, rng = 24, np.random.default_rng(1)
    guard, hits = Guard(CARD, n), 0
    joints = np.repeat(HOME[None, :7], n, axis=0)
    target = rng.uniform(CARD.limits.low, CARD.limits.high, (n, 8))
    for step in range(200):
        if step % 40 == 0:
            target = rng.uniform(CARD.limits.low, CARD.limits.high, (n, 8))
        reach = 0.9 * np.array([lead for lead in CARD.limits.max_lead if lead is not None])
        command = np.concatenate([joints + np.clip(target[:, :7] - joints, -reach, reach), target[:, 7:]], axis=1)
        verdict = guard.filter(command, still(joints), step / CARD.command_hz, np.zeros(n))
        hits += int(dict(verdict.reasons)["space"].sum())
        joints = joints + 0.5 * (verdict.command[:, :7] - joints)
        assert dense_clearance(verdict.command[:, :7]).min() >= -1e-9
    assert hits > 50
    for step in range(200, 320):  # Home again, from wherever they were held.
        command = np.concatenate([joints + np.clip(HOME[:7] - joints, -0.1, 0.1), np.full((n, 1), 0.08)], axis=1)
        verdict = guard.filter(command, still(joints), step / CARD.command_hz, np.zeros(n))
        joints = joints + 0.5 * (verdict.command[:, :7] - joints)
    assert np.mean(np.abs(joints - HOME[:7]).max(1) < 0.3) > 0.5


@pytest.mark.parametrize(
    ("space", "told"),
    [
        ({"link_radius_m": [0.07] * 6}, "expected 7 numbers"),
        ({"link_radius_m": [0.07] * 6 + [float("nan")]}, "expected 7 numbers"),
        ({"link_radius": [0.07] * 7}, "unknown keys"),
        ({"link_radius_m": [0.07] * 7, "keep_out_m": [{"low": [0, 0, 0], "high": [1, 1, -1]}]}, "below `high`"),
        ({"link_radius_m": [0.07] * 7, "keep_out_m": [{"low": [0, 0]}]}, "KeyError"),
    ],
)
def test_a_space_that_cannot_be_is_refused(space: dict[str, object], told: str) -> None:
    with pytest.raises(InvalidLimits, match=told):
        Guard(replace(CARD, space=space), 1)
