"""Rotations in batches: the few quaternion formulas that robots, tasks and the twin share, in numpy alone.

Source: Diebel, Representing Attitude: Euler Angles, Unit Quaternions, and Rotation Vectors (2006).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def matrix_from_quat(quat_wxyz: Array) -> Array:
    """Turn quaternions (..., 4) into rotation matrices (..., 3, 3); a quaternion is normalized first."""
    q = quat_wxyz / np.maximum(np.linalg.norm(quat_wxyz, axis=-1, keepdims=True), 1e-12)
    w, x, y, z = np.moveaxis(q, -1, 0)
    rows = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    )
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def quat_from_matrix(matrix: Array) -> Array:
    """Turn rotation matrices (..., 3, 3) into unit quaternions wxyz (..., 4) of either sign.

    The four products of the quaternion with one of its own elements are linear in the matrix; the largest row is the
    best conditioned. Source: Shepperd, Quaternion from Rotation Matrix, Journal of Guidance and Control 1 (1978).
    """
    m = np.asarray(matrix, dtype=np.float64)
    xx, yy, zz = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    wx, wy, wz = m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]
    xy, xz, yz = m[..., 1, 0] + m[..., 0, 1], m[..., 0, 2] + m[..., 2, 0], m[..., 2, 1] + m[..., 1, 2]
    products = np.stack(
        [
            np.stack([1 + xx + yy + zz, wx, wy, wz], axis=-1),
            np.stack([wx, 1 + xx - yy - zz, xy, xz], axis=-1),
            np.stack([wy, xy, 1 - xx + yy - zz, yz], axis=-1),
            np.stack([wz, xz, yz, 1 - xx - yy + zz], axis=-1),
        ],
        axis=-2,
    )
    best = np.argmax(np.diagonal(products, axis1=-2, axis2=-1), axis=-1)
    row = np.take_along_axis(products, best[..., None, None], axis=-2)[..., 0, :]
    return np.asarray(row / np.linalg.norm(row, axis=-1, keepdims=True))


def quat_from_vector(rotation_rad: Array) -> Array:
    """Turn rotation vectors (..., 3), axis times angle, into quaternions wxyz (..., 4)."""
    half = 0.5 * np.linalg.norm(rotation_rad, axis=-1, keepdims=True)
    # sin(half) / angle, finite at zero: numpy's sinc is sin(pi x) / (pi x).
    scale = 0.5 * np.sinc(half / np.pi)
    return np.concatenate([np.cos(half), scale * rotation_rad], axis=-1)


def quat_multiply(left_wxyz: Array, right_wxyz: Array) -> Array:
    """Multiply quaternions (..., 4): the rotation of right first, then of left."""
    w1, x1, y1, z1 = np.moveaxis(left_wxyz, -1, 0)
    w2, x2, y2, z2 = np.moveaxis(right_wxyz, -1, 0)
    return np.stack(
        [
            w1 * w2 - x1 * x2 - y1 * y2 - z1 * z2,
            w1 * x2 + x1 * w2 + y1 * z2 - z1 * y2,
            w1 * y2 - x1 * z2 + y1 * w2 + z1 * x2,
            w1 * z2 + x1 * y2 - y1 * x2 + z1 * w2,
        ],
        axis=-1,
    )


def upper_half(quat_wxyz: Array) -> Array:
    """Choose the sign of quaternions (..., 4) that has w >= 0: one rotation, one set of numbers."""
    return np.where(quat_wxyz[..., :1] < 0, -quat_wxyz, quat_wxyz)


def quat_inverse(quat_wxyz: Array) -> Array:
    """Invert unit quaternions (..., 4)."""
    return np.asarray(quat_wxyz * np.array([1.0, -1.0, -1.0, -1.0]))


def vector_from_quat(quat_wxyz: Array) -> Array:
    """Turn unit quaternions (..., 4) into rotation vectors (..., 3) of at most half a turn."""
    q = upper_half(quat_wxyz)
    sine = np.linalg.norm(q[..., 1:], axis=-1, keepdims=True)
    angle = 2.0 * np.arctan2(sine, q[..., :1])
    # angle / sin(angle / 2), 2 at zero.
    scale = np.divide(angle, sine, out=np.full_like(angle, 2.0), where=sine > 1e-12)
    return np.asarray(scale * q[..., 1:])
