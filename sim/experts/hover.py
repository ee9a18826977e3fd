"""A geometric flight controller: from position and speed errors to thrust and body rates, from the true state alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.rotations import matrix_from_quat, quat_from_vector, quat_multiply
from ashore.sim.interfaces.body_rate import level_rates

Array = NDArray[Any]


@dataclass(frozen=True)
class HoverExpertConfig:
    """Gains and limits of the controller."""

    low: tuple[float, ...]
    high: tuple[float, ...]
    """Bounds of the action (Da,): thrust over mass m/s2, body rates rad/s."""
    position_gain_per_s2: tuple[float, float, float] = (4.0, 4.0, 11.0)
    """Along world x, y, z. The vertical one is high: a share missing from the thrust costs that share of g / gain."""
    speed_gain_per_s: tuple[float, float, float] = (3.2, 3.2, 5.8)
    attitude_gain_per_s: float = 6.0
    yaw_gain_per_s: float = 2.0
    lead_s: float = 0.09
    """The state is taken this far ahead, at its present speeds: the motors' lag, and some for late data."""
    max_error_m: tuple[float, float, float] = (0.6, 0.6, 0.25)
    """A larger position error counts as this much."""
    max_tilt_rad: float = 0.6
    gravity_m_s2: float = 9.81


class HoverExpert:
    """Fly to the goal, turn to yaw zero and stay; a function of the true state, without memory.

    Source: Lee, Leok and McClamroch, Geometric Tracking Control of a Quadrotor UAV on SE(3), CDC 2010: thrust and its
    direction. The attitude part ends in body rates here, since the rate loop is on board, and tilt comes before yaw.
    """

    def __init__(self, config: HoverExpertConfig) -> None:
        self._config = config

    def act(self, truth: Mapping[str, Array], time_s: float) -> Array:
        """Return thrust over mass and body rates (N, 4) for the true observations at this control step."""
        config = self._config
        ahead = quat_from_vector(config.lead_s * truth["angvel_body_rad_s"])
        rotation = matrix_from_quat(quat_multiply(truth["quat_world_wxyz"], ahead))
        error = truth["goal_pos_world_m"] - truth["pos_world_m"] - config.lead_s * truth["linvel_world_m_s"]
        error = np.clip(error, np.negative(config.max_error_m), config.max_error_m)
        wanted = np.array(config.position_gain_per_s2) * error - config.speed_gain_per_s * truth["linvel_world_m_s"]
        wanted[:, 2] = np.maximum(wanted[:, 2] + config.gravity_m_s2, 0.3 * config.gravity_m_s2)
        wanted[:, :2] *= self._within_tilt(wanted)
        rates = level_rates(rotation, wanted, config.attitude_gain_per_s)
        yaw = np.arctan2(rotation[:, 1, 0], rotation[:, 0, 0])
        rates -= config.yaw_gain_per_s * yaw[:, None] * rotation[:, 2]
        thrust = np.sum(wanted * rotation[..., 2], axis=-1, keepdims=True)
        return np.asarray(np.clip(np.concatenate([thrust, rates], axis=-1), config.low, config.high))

    def _within_tilt(self, wanted: Array) -> Array:
        level = np.linalg.norm(wanted[:, :2], axis=1)
        most = wanted[:, 2] * np.tan(self._config.max_tilt_rad)
        return np.asarray(np.minimum(1.0, most / np.maximum(level, 1e-9))[:, None])
