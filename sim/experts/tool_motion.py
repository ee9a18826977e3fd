"""How experts move a tool: limited speeds, one funnel over every place, upright turns; for N arms at once."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class ToolMotion:
    """Speeds and heights; every method is a function of its arguments alone."""

    servo_time_s: float = 0.1
    """The tool moves at (target - tool) / servo_time_s."""
    speed_m_s: float = 0.3
    turn_rad_s: float = 1.2
    approach_per_s: float = 6.0
    """Speed asked for a distance of 1 m, below the largest speed."""
    turn_per_s: float = 5.0
    hover_m: float = 0.09
    """Height above a place at which the tool travels."""
    funnel: float = 3.0
    """Height of the travel over distance that remains."""
    aligned_m: float = 0.005
    """A distance within which the tool may be all the way down."""
    yaw_weight_m: float = 0.03
    """Distance that a yaw error of 1 rad counts as."""

    def through_funnel(self, offset: Array, yaw_error: Array) -> Array:
        """Velocity (N, 3) towards an aim at an offset (N, 3): up first where it is low, down where it is aligned."""
        side = np.linalg.norm(offset[:, :2], axis=1) + self.yaw_weight_m * yaw_error
        height = np.clip(self.funnel * (side - self.aligned_m), 0.0, self.hover_m)
        climb = offset[:, 2] + height
        free = np.clip(1.5 - climb / (0.4 * self.hover_m), 0.0, 1.0)
        return self.straight(np.column_stack([offset[:, :2] * free[:, None], climb]))

    def straight(self, offset: Array) -> Array:
        """Velocity (N, 3) straight along an offset (N, 3), at a limited speed."""
        velocity = self.approach_per_s * offset
        speed = np.linalg.norm(velocity, axis=1, keepdims=True)
        return np.asarray(velocity * np.minimum(1.0, self.speed_m_s / np.maximum(speed, 1e-9)))

    def turn(self, rotation: Array, yaw_error: Array) -> Array:
        """Angular velocity (N, 3) that turns by a yaw error (N,) and keeps the tool (N, 3, 3) pointing down."""
        axis = rotation[..., 2]
        upright = np.cross(axis, np.broadcast_to([0.0, 0.0, -1.0], axis.shape))
        upright[:, 2] = yaw_error
        turn = self.turn_per_s * upright
        rate = np.linalg.norm(turn, axis=1, keepdims=True)
        return np.asarray(turn * np.minimum(1.0, self.turn_rad_s / np.maximum(rate, 1e-9)))

    def target(self, tool_pos: Array, velocity: Array) -> Array:
        """The tool position (N, 3) to ask for, so that the tool moves at this velocity (N, 3)."""
        return np.asarray(tool_pos + self.servo_time_s * velocity)


def yaw_of(rotation: Array) -> Array:
    """Yaw (N,) of frames (N, 3, 3), the direction of their x axes in the plane."""
    return np.asarray(np.arctan2(rotation[:, 1, 0], rotation[:, 0, 0]))


def folded(angle: Array, fold: int) -> Array:
    """The smallest of an angle's (N,) equals under a symmetry of so many turns a revolution."""
    period = 2 * np.pi / fold
    return np.asarray(angle - period * np.round(angle / period))
