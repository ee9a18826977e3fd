"""How a T slides when a finger pushes it, and which push of many brings it nearest to its goal; N times K at once.

Quasi-static pushing with a contact that sticks, under an ellipsoid that bounds the table's friction force and moment:
the point that is pushed moves as the finger does, and force and motion are normal to each other's surface.
Source: Lynch, Maekawa, Tanie, Manipulation and active sensing by pushing using tactile feedback (IROS 1992), section 3.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.sim.tasks.tee import BARS, rotated

Array = NDArray[Any]
BAR_LOW_M, BAR_HIGH_M = float(BARS[0, 1] - BARS[0, 3]), float(BARS[0, 1] + BARS[0, 3])
BAR_HALF_M, STEM_HALF_M = float(BARS[0, 2]), float(BARS[1, 2])
STEM_LOW_M = float(BARS[1, 1] - BARS[1, 3])


@dataclass(frozen=True)
class Pushes:
    """K pushes, in the frame of the T."""

    points: Array
    """(K, 2) m, of an edge."""
    normals: Array
    """(K, 2) into the T."""
    directions: Array
    """(K, 2) where the finger goes."""
    begins: Array
    """(K, 2) m, where the tool goes down."""


@dataclass(frozen=True)
class PushModel:
    """The numbers of the model and the pushes that are tried."""

    friction_radius_m: float = 0.045
    """Largest moment over largest force of the T's friction on the table."""
    yaw_weight_m: float = 0.045
    """Distance that a yaw error of 1 rad counts as."""
    face_half_m: float = 0.01
    """Half the width of the closed fingers: the T turns about the corner of their face that is nearest its middle."""
    room_m: float = 0.021
    """Half the width of what the tool needs to go down beside the T."""
    slants_rad: tuple[float, ...] = (-0.35, 0.0, 0.35)
    """Directions of a push against the normal of its face."""
    step_m: float = 0.01
    n_steps: int = 14

    def twist(self, contact: Array, direction: Array) -> tuple[Array, Array]:
        """Motion of the T for a unit of the finger's way: (..., 2) of its centre and (...,) its turn, in its frame.

        Args:
            contact: (..., 2) m, from the centre of mass.
            direction: (..., 2) unit vectors.
        """
        x, y = contact[..., 0], contact[..., 1]
        ux, uy = direction[..., 0], direction[..., 1]
        radius = self.friction_radius_m**2
        scale = 1.0 / (radius + x**2 + y**2)
        vx = scale * ((radius + x**2) * ux + x * y * uy)
        vy = scale * (x * y * ux + (radius + y**2) * uy)
        return np.stack([vx, vy], axis=-1), (x * vy - y * vx) / radius

    def felt(self, point: Array, normal: Array) -> Array:
        """Where a flat finger face presses (..., 2) that is centred at a point of an edge with this inward normal."""
        tangent = np.stack([-normal[..., 1], normal[..., 0]], axis=-1)
        side = np.sum(point * tangent, axis=-1)
        inner = np.sign(side) * np.maximum(np.abs(side) - self.face_half_m, 0.0)
        return np.asarray(point + (inner - side)[..., None] * tangent)

    def error(self, away: Array, yaw: Array) -> Array:
        """How far off a pose is (...,) m: away (..., 2) from the goal and turned by yaw (...,) against it."""
        return np.asarray(np.sqrt(np.sum(away**2, axis=-1) + (self.yaw_weight_m * yaw) ** 2))

    def slide(self, pose: Array, contact: Array, direction: Array) -> Array:
        """Poses (N, K, S, 3) that pushes lead to, step by step.

        Args:
            pose: (N, 3) x, y, yaw of the T.
            contact: (K, 2) where it is pressed, in its frame.
            direction: (K, 2) where the finger goes, in the frame of the T as it lies at first.
        """
        n, k = len(pose), len(contact)
        turned, moved, poses = np.zeros((n, k)), np.zeros((n, k, 2)), []
        for _ in range(self.n_steps):
            velocity, rate = self.twist(contact, rotated(direction, -turned))
            moved = moved + self.step_m * rotated(velocity, turned + 0.5 * self.step_m * rate)
            turned = turned + self.step_m * rate
            poses.append(np.concatenate([moved, turned[..., None]], axis=-1))
        local = np.stack(poses, axis=2)
        place = pose[:, None, None, :2] + rotated(local[..., :2], pose[:, None, None, 2])
        return np.concatenate([place, (pose[:, 2, None, None] + local[..., 2])[..., None]], axis=-1)

    def rest_after_best(self, away: Array, yaw_error: Array, yaw: Array, contact: Array, direction: Array) -> Array:
        """The error (...,) m that the best straight push of K leaves, to first order, of poses that are off."""
        velocity, rate = self.twist(contact, direction)
        norm = np.sqrt(np.sum(velocity**2, axis=-1) + (self.yaw_weight_m * rate) ** 2)
        # Seen from the T's own frame, the way to the goal is a vector of three; so is each push. Summed element by
        # element: how a matrix product rounds depends on the batch.
        local, turn = rotated(-away, -yaw), -self.yaw_weight_m * yaw_error
        best = np.zeros_like(turn)
        for (x, y), z in zip(velocity / norm[:, None], self.yaw_weight_m * rate / norm, strict=True):
            np.maximum(best, local[..., 0] * x + local[..., 1] * y + turn * z, out=best)
        whole = local[..., 0] ** 2 + local[..., 1] ** 2 + turn**2
        return np.asarray(np.sqrt(np.maximum(whole - best**2, 0.0)))


def pushes(model: PushModel, gap_m: float) -> Pushes:
    """Every push that is tried: each point in each direction, where the tool has room at this gap from its edge."""
    points, normals = _edge_points()
    slants = np.array(model.slants_rad)
    points, normals = np.repeat(points, len(slants), axis=0), np.repeat(normals, len(slants), axis=0)
    directions = rotated(normals, np.tile(slants, len(points) // len(slants)))
    begins = points - gap_m * directions
    over = np.all(np.abs(begins[:, None] - BARS[:, :2]) < BARS[:, 2:] + model.room_m, axis=2)
    free = ~np.any(over, axis=1)
    return Pushes(points[free], normals[free], directions[free], begins[free])


def _edge_points() -> tuple[Array, Array]:
    """Points (K, 2) of the T's edges where a finger fits, and the inward normals there (K, 2)."""
    wing, room = np.array([0.044, 0.052]), np.linspace(STEM_LOW_M + 0.012, BAR_LOW_M - 0.022, 5)
    side = BAR_LOW_M + np.array([0.008, 0.015, 0.022])
    edges = [([x, BAR_HIGH_M], [0.0, -1.0]) for x in np.linspace(-0.05, 0.05, 9)]
    edges += [([s * x, BAR_LOW_M], [0.0, 1.0]) for s in (-1.0, 1.0) for x in wing]
    edges += [([s * BAR_HALF_M, y], [-s, 0.0]) for s in (-1.0, 1.0) for y in side]
    edges += [([s * STEM_HALF_M, y], [-s, 0.0]) for s in (-1.0, 1.0) for y in room]
    edges += [([x, STEM_LOW_M], [0.0, 1.0]) for x in (-0.007, 0.0, 0.007)]
    return np.array([point for point, _ in edges]), np.array([normal for _, normal in edges])
