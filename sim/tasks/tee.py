"""The T of arm/push-t: its two bars, its goal, and how much of one T another covers."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
BARS = np.array([[0.0, 0.0257143, 0.06, 0.015], [0.0, -0.0342857, 0.015, 0.045]])
"""Centre x, y and half sizes x, y of bar and stem, m, about the centre of mass; as in push_t.xml."""
HALF_HEIGHT_M = 0.015
GOAL_POS_BASE_M = np.array([0.45, 0.0, HALF_HEIGHT_M])
GOAL_YAW_RAD = -np.pi / 4
"""Where the T shall come to lie; as in push_t.xml, whose mark shows it."""
AREA_M2 = float(np.sum(4.0 * BARS[:, 2] * BARS[:, 3]))
SIGNS = np.array([[1.0, 1.0], [-1.0, 1.0], [-1.0, -1.0], [1.0, -1.0]])
CORNERS = BARS[:, None, :2] + SIGNS * BARS[:, None, 2:]
"""Corners of both bars (2, 4, 2), counter-clockwise."""


def coverage(offset_m: Array, yaw_rad: Array) -> Array:
    """Tell which share of a T others cover (N,), as Push-T's reward does: area of the intersection over the area.

    Args:
        offset_m: (N, 2) their places in the frame of the T.
        yaw_rad: (N,) how they are turned against it.

    Source: Chi et al., Diffusion Policy (2023), section 5, where the score of Push-T is this share.
    """
    corners = rotated(CORNERS, np.asarray(yaw_rad)[:, None, None]) + offset_m[:, None, None]
    # (N, bar of theirs, bar of ours, corner, 2) in the frame of ours: the bars of one T share no area.
    seen = corners[:, :, None] - BARS[None, None, :, None, :2]
    return np.asarray(np.sum(_area_inside(seen, BARS[None, None, :, None, 2:]), axis=(1, 2)) / AREA_M2)


def rotated(vector: Array, angle: Array) -> Array:
    """Turn vectors (..., 2) by angles (...), each broadcast to the other."""
    cos, sin = np.cos(angle), np.sin(angle)
    x, y = vector[..., 0], vector[..., 1]
    return np.stack([cos * x - sin * y, sin * x + cos * y], axis=-1)


def _area_inside(polygon: Array, half: Array) -> Array:
    """Area (...) of polygons (..., C, 2) inside boxes of these half sizes (..., 1, 2) about the origin.

    Clamping every point of the plane to the box leaves the box as it is and takes the rest to its border, so the
    clamped outline encloses the area inside. It is straight between where an edge crosses one of the box's four lines.
    """
    along = np.roll(polygon, -1, axis=-2) - polygon
    moves = np.abs(along) > 1e-12
    lines = [np.divide(s * half - polygon, along, out=np.zeros_like(polygon), where=moves) for s in (-1.0, 1.0)]
    ends = np.broadcast_to([0.0, 1.0], polygon.shape)
    shares = np.sort(np.clip(np.concatenate([ends, *lines], axis=-1), 0.0, 1.0), axis=-1)
    points = polygon[..., None, :] + shares[..., None] * along[..., None, :]
    points = np.clip(points, -half[..., None, :], half[..., None, :])
    x, y = points[..., 0], points[..., 1]
    cross = x[..., :-1] * y[..., 1:] - x[..., 1:] * y[..., :-1]
    return np.asarray(0.5 * np.sum(cross, axis=(-1, -2)))
