"""What runs on the quadrotor's own board: the body rate loop and the mixer, from set-points to four thrusts."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.sim.engine import Engine

Array = NDArray[Any]


@dataclass(frozen=True)
class RateLoopConfig:
    """The airframe as its own board believes it to be, and the gain of its loop."""

    period_s: float = 0.002
    body: str = "crazyflie"
    mass_kg: float = 0.029
    inertia_kg_m2: tuple[float, float, float] = (1.66e-5, 1.66e-5, 2.93e-5)
    """About body x, y, z."""
    arm_m: float = 0.0325
    """Distance of each motor from the body's x and from its y axis."""
    torque_per_thrust_m: float = 0.006
    """Reaction torque about z in N m for a thrust of 1 N."""
    max_thrust_n: float = 0.12
    """Of one motor."""
    rate_gain_per_s: tuple[float, float, float] = (12.0, 12.0, 6.0)
    """Angular acceleration asked for a rate error of 1 rad/s. With a motor lag T the loop is s (T s + 1) + gain:
    12 / s and 0.07 s give a damping of 0.55."""


class RateLoop:
    """Follow collective thrust and body rates: proportional rate control, gyroscopic torque, torques before thrust.

    It keeps no state: an integral would need a reset with every episode, and the model is known but for a few per cent.
    """

    def __init__(self, config: RateLoopConfig) -> None:
        self._config = config
        self.period_s = config.period_s
        self._inertia = np.array(config.inertia_kg_m2)
        self._gain = np.array(config.rate_gain_per_s)
        self._share = _torque_shares(config)

    def control(self, command: Array, engine: Engine) -> Array:
        """Turn set-points into motor thrusts.

        Args:
            command: (N, 4) collective thrust over mass m/s2, then body rates rad/s.
            engine: where the true body rate is read, as a gyroscope would.

        Returns:
            (N, 4) thrusts in N, motors m1 to m4, within 0 and max_thrust_n.
        """
        rate = engine.body_velocity(self._config.body)[:, 3:]
        torque = self._inertia * self._gain * (command[:, 1:] - rate) + np.cross(rate, self._inertia * rate)
        return self.mix(command[:, 0] * self._config.mass_kg, torque)

    def mix(self, collective_n: Array, torque_n_m: Array) -> Array:
        """Share collective thrust (N,) and body torques (N, 3) among the motors (N, 4), each within its limits.

        Where both do not fit, roll and pitch come first, then the collective, then yaw: what keeps it upright wins.
        """
        limit = self._config.max_thrust_n
        # Products by hand: how a matrix product rounds depends on how many rows it has.
        tilt = torque_n_m[:, :1] * self._share[0] + torque_n_m[:, 1:2] * self._share[1]
        tilt *= np.minimum(1.0, limit / np.maximum(np.ptp(tilt, axis=1), 1e-9))[:, None]
        base = np.clip(0.25 * collective_n, -tilt.min(axis=1), limit - tilt.max(axis=1))
        thrust = base[:, None] + tilt
        yaw = torque_n_m[:, 2:] * self._share[2]
        room = np.where(yaw > 0, limit - thrust, thrust)
        scale = np.min(room / np.maximum(np.abs(yaw), 1e-9), axis=1).clip(0.0, 1.0)
        return np.asarray(np.clip(thrust + scale[:, None] * yaw, 0.0, limit))


def _torque_shares(config: RateLoopConfig) -> Array:
    """Thrust of each motor for one N m about x, y, z (3, 4): the pseudo-inverse of the X layout."""
    roll = np.array([-1.0, -1.0, 1.0, 1.0]) / (4 * config.arm_m)
    pitch = np.array([-1.0, 1.0, 1.0, -1.0]) / (4 * config.arm_m)
    yaw = np.array([-1.0, 1.0, -1.0, 1.0]) / (4 * config.torque_per_thrust_m)
    return np.stack([roll, pitch, yaw])
