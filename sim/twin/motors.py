"""Motors at sites in the twin: a first-order lag, then a constant wrench on the body."""

import mujoco
import numpy as np
from numpy.typing import NDArray

from ashore.sim.twin.model import read_site_motors
from ashore.sim.twin.settings import TwinSettings

Array = NDArray[np.float64]


class MotorBank:
    """All site motors of one simulation, with the state of their lags."""

    def __init__(self, model: mujoco.MjModel, settings: TwinSettings) -> None:
        motors = read_site_motors(model)
        self.bodies = tuple(dict.fromkeys(motor.body for motor in motors))
        self._rows = {body: [i for i, motor in enumerate(motors) if motor.body == body] for body in self.bodies}
        self._actuator = np.array([motor.actuator for motor in motors], dtype=np.int64)
        wrenches = np.array([motor.wrench_body for motor in motors]).reshape(-1, 6)
        self._wrench = wrenches * settings.thrust_scale
        lag_s = np.array([motor.lag_s for motor in motors]) * settings.motor_lag_scale
        timestep_s = float(model.opt.timestep)
        self._rate = np.where(lag_s > 0, 1.0 - np.exp(-timestep_s / np.maximum(lag_s, 1e-9)), 1.0)
        self._lagged = lag_s > 0
        limited = np.asarray(model.actuator_ctrllimited)[self._actuator].astype(bool)
        ranges = np.asarray(model.actuator_ctrlrange)[self._actuator].reshape(-1, 2)
        self._low = np.where(limited, ranges[:, 0], -np.inf)
        self._high = np.where(limited, ranges[:, 1], np.inf)
        self._delivered = np.zeros(len(motors))

    def rest(self) -> None:
        """Stop the motors."""
        self._delivered[:] = 0.0

    def substep(self, controls: Array) -> dict[str, Array]:
        """Advance the lags by one substep and give {body: wrench (6,)} in body axes about its origin."""
        wanted = np.clip(controls[self._actuator], self._low, self._high)
        before = self._delivered.copy()
        self._delivered += self._rate * (wanted - before)
        thrust = np.where(self._lagged, before, wanted)
        return {body: thrust[rows] @ self._wrench[rows] for body, rows in self._rows.items()}
