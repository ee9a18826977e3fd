"""Coverage of one T by another: exact where it is known, and near a count of points everywhere."""

from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from ashore.sim.tasks import make_task
from ashore.sim.tasks.tee import AREA_M2, BARS, GOAL_POS_BASE_M, GOAL_YAW_RAD, coverage

Array = NDArray[Any]


def _inside(points: Array) -> Array:
    return np.any(np.all(np.abs(points[:, None] - BARS[:, :2]) <= BARS[:, 2:], axis=2), axis=1)


def test_a_t_covers_itself_and_nothing_far_away() -> None:
    np.testing.assert_allclose(coverage(np.zeros((3, 2)), np.array([0.0, 2 * np.pi, -2 * np.pi])), 1.0, atol=1e-9)
    away = np.array([[0.2, 0.0], [0.0, -0.2], [-5.0, 5.0]])
    np.testing.assert_allclose(coverage(away, np.array([0.0, 1.0, 2.0])), 0.0, atol=1e-12)


def test_coverage_is_exact_along_an_axis_and_the_same_from_both_sides() -> None:
    shift = np.linspace(0.0, 0.01, 6)
    side = np.column_stack([shift, np.zeros(6)])
    # Moved aside, bar and stem each lose their height times the way; what one T loses the other gains nowhere.
    np.testing.assert_allclose(coverage(side, np.zeros(6)), 1.0 - shift * 0.12 / AREA_M2, atol=1e-9)
    np.testing.assert_allclose(coverage(-side, np.zeros(6)), coverage(side, np.zeros(6)), atol=1e-12)
    rng = np.random.default_rng(0)
    offset, yaw = rng.uniform(-0.06, 0.06, (50, 2)), rng.uniform(-np.pi, np.pi, 50)
    cos, sin = np.cos(-yaw), np.sin(-yaw)
    back = -np.column_stack([cos * offset[:, 0] - sin * offset[:, 1], sin * offset[:, 0] + cos * offset[:, 1]])
    np.testing.assert_allclose(coverage(back, -yaw), coverage(offset, yaw), atol=1e-9)


def test_coverage_agrees_with_counted_points() -> None:
    rng = np.random.default_rng(1)
    offset, yaw = rng.uniform(-0.06, 0.06, (40, 2)), rng.uniform(-np.pi, np.pi, 40)
    offset[:4], yaw[:4] = 0.0, [0.0, np.pi / 2, np.pi, 1e-13]
    axis = np.arange(-0.09, 0.09, 0.001) + 0.0005
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    ours = grid[_inside(grid)]
    counted = []
    for place, angle in zip(offset, yaw, strict=True):
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        counted.append(np.mean(_inside((ours - place) @ turn)))
    np.testing.assert_allclose(coverage(offset, yaw), counted, atol=0.02)


def test_what_is_not_finite_covers_nothing_known() -> None:
    assert not np.any(coverage(np.array([[np.nan, 0.0], [0.0, 0.0]]), np.array([0.0, np.nan])) >= 0.0)


def test_the_scene_has_the_same_t_and_its_mark_is_the_goal() -> None:
    model = make_task("arm/push-t").scene().compile()
    for geom, mark, bar in zip(("bar", "stem"), ("bar", "stem"), BARS, strict=True):
        solid, flat = model.geom(f"object_{geom}"), model.geom(f"goal_{mark}")
        for found in (solid, flat):
            np.testing.assert_allclose([*found.pos[:2], *found.size[:2]], bar, atol=1e-6)
    body = model.body("object")
    np.testing.assert_allclose(body.ipos, 0.0, atol=1e-6)
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    np.testing.assert_allclose(data.body("goal").xpos[:2], GOAL_POS_BASE_M[:2], atol=1e-9)
    x_axis = data.body("goal").xmat.reshape(3, 3)[:2, 0]
    np.testing.assert_allclose(x_axis, [np.cos(GOAL_YAW_RAD), np.sin(GOAL_YAW_RAD)], atol=1e-6)
