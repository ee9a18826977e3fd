"""Vehicles told by collective thrust and body rates: what follows from their measurements, and how they stop."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.rotations import matrix_from_quat

Array = NDArray[Any]


@dataclass(frozen=True)
class BodyRateConfig:
    """Which actions make the command, and how the vehicle levels and descends when it must stop."""

    thrust: str
    """Action and command: collective thrust over mass, m/s2, one element."""
    rate: str
    """Action and command: body rates, rad/s, three elements."""
    low: tuple[float, ...]
    high: tuple[float, ...]
    """Bounds of the stop's commands (Dc,), those of the card."""
    gravity_m_s2: float = 9.81
    descent_m_s: float = 0.3
    max_tilt_rad: float = 0.26
    """Lean that the stop may use to lose its level speed: 15 degrees."""
    level_gain_per_s: float = 4.0
    """Body rate asked for a lean error of 1 rad."""
    speed_gain_per_s: float = 3.0
    """Acceleration asked for a speed error of 1 m/s."""


class BodyRate:
    """Pass set-points through; add attitude and speed in body axes; stop by levelling and descending."""

    derived: tuple[str, ...] = ("rot6d_world", "up_body", "linvel_body_m_s", "goal_error_body_m")

    def __init__(self, config: BodyRateConfig) -> None:
        self._config = config

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> "BodyRate":
        """Make one from a card's interface entry; its "kind" is left aside."""
        fields: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in spec.items()}
        fields.pop("kind", None)
        return cls(BodyRateConfig(**fields))

    def derive(self, measured: Mapping[str, Array]) -> dict[str, Array]:
        """Add to the measurements {name: (N, *shape)} what follows from them.

        rot6d_world (N, 6) holds the body's x and y axes in the world; up_body (N, 3) the world's up axis in body axes;
        goal_error_body_m (N, 3), where the measurements name a goal, points from the body to it.
        """
        rotation = matrix_from_quat(measured["quat_world_wxyz"])
        observed = dict(measured)
        observed["rot6d_world"] = np.concatenate([rotation[..., 0], rotation[..., 1]], axis=-1)
        observed["up_body"] = rotation[..., 2, :]
        observed["linvel_body_m_s"] = _into_body(rotation, measured["linvel_world_m_s"])
        if "goal_pos_world_m" in measured:
            error = measured["goal_pos_world_m"] - measured["pos_world_m"]
            observed["goal_error_body_m"] = _into_body(rotation, error)
        return observed

    def decode(self, action: Mapping[str, Array], observed: Mapping[str, Array]) -> Array:
        """Join thrust (N, 1) and rates (N, 3) to commands (N, 4)."""
        return np.concatenate([action[self._config.thrust], action[self._config.rate]], axis=-1)

    def stop(self, observed: Mapping[str, Array], last_command: Array) -> Array:
        """Give the command (N, 4) that levels, loses level speed with at most max_tilt_rad, and descends.

        A vehicle whose attitude or speed is not finite gets no rates and a little less thrust than its weight.
        """
        config = self._config
        rotation = matrix_from_quat(observed["quat_world_wxyz"])
        velocity = np.asarray(observed["linvel_world_m_s"], dtype=np.float64)
        wanted = -config.speed_gain_per_s * velocity
        most = config.gravity_m_s2 * np.tan(config.max_tilt_rad)
        level = np.linalg.norm(wanted[:, :2], axis=1, keepdims=True)
        wanted[:, :2] *= np.minimum(1.0, most / np.maximum(level, 1e-9))
        wanted[:, 2] -= config.speed_gain_per_s * config.descent_m_s
        wanted[:, 2] = np.maximum(wanted[:, 2] + config.gravity_m_s2, 0.3 * config.gravity_m_s2)
        rates = level_rates(rotation, wanted, config.level_gain_per_s)
        thrust = np.sum(wanted * rotation[..., 2], axis=-1, keepdims=True)
        command = np.clip(np.concatenate([thrust, rates], axis=-1), config.low, config.high)
        blind = np.array([0.95 * config.gravity_m_s2, 0.0, 0.0, 0.0])
        return np.where(np.all(np.isfinite(command), axis=-1, keepdims=True), command, blind)


def level_rates(rotation: Array, wanted_world: Array, gain_per_s: float) -> Array:
    """Give body rates (N, 3) that turn the thrust axis towards a wanted direction by the shortest way, without yaw.

    Args:
        rotation: (N, 3, 3) body axes in the world, T_world_body's.
        wanted_world: (N, 3) direction of the wanted acceleration, any length.
        gain_per_s: rad/s for an error of 1 rad.
    """
    length = np.linalg.norm(wanted_world, axis=-1, keepdims=True)
    direction = _into_body(rotation, wanted_world / np.maximum(length, 1e-9))
    # The cross product of body z with the direction: its length is the sine of the angle between them.
    sine = np.stack([-direction[:, 1], direction[:, 0], np.zeros(len(direction))], axis=-1)
    angle = np.arctan2(np.linalg.norm(sine[:, :2], axis=-1), direction[:, 2])
    return np.asarray(gain_per_s * sine / np.maximum(np.sinc(angle / np.pi), 1e-3)[:, None])


def _into_body(rotation: Array, vector_world: Array) -> Array:
    return np.asarray(np.einsum("...ji,...j->...i", rotation, vector_world))
