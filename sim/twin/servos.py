"""The joint servos of the twin: where an implicit step of MuJoCo's servo would bring a joint, and with what force."""

from collections.abc import Sequence
from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from ashore.sim.twin.model import read_servos
from ashore.sim.twin.settings import TwinSettings
from ashore.sim.twin.urdf import HINGE

Array = NDArray[np.float64]


@dataclass(frozen=True)
class JointOrder:
    """What each joint is to do in one substep, as PyBullet's velocity motors take it."""

    velocity: Array
    """(J,) velocity at the end of the substep, rad/s or m/s."""
    force: Array
    """(J,) largest force to spend on it, N m or N."""


class ServoBank:
    """Position servos, damping and armature of the joints of one tree; joints without a servo are damped alone.

    PyBullet has no armature and its explicit torques are unstable at a servo's damping. So each substep solves the
    implicit step of MuJoCo's implicitfast integrator, (M + A + h (Kv + D)) v' = (M + A) v + h (kp (target - q) - c),
    hands v' to PyBullet's velocity motors, and limits their force to what the servo itself would give at q and v:
    a blocked joint then presses with kp (target - q), as in MuJoCo.
    """

    def __init__(self, model: mujoco.MjModel, joints: Sequence[str], settings: TwinSettings) -> None:
        n = len(joints)
        self.n_joints = n
        self._kp, self._kv = np.zeros(n), np.zeros(n)
        self._actuator, self._driven = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=bool)
        self._scale, self._offset = np.zeros(n), np.zeros(n)
        self._low, self._high = np.full(n, -np.inf), np.full(n, np.inf)
        self._damping, self._armature, self._friction = np.zeros(n), np.zeros(n), np.zeros(n)
        self._control_low, self._control_high = np.full(n, -np.inf), np.full(n, np.inf)
        for row, name in enumerate(joints):
            self._read_joint(model, row, name, settings)
        for servo in read_servos(model):
            if servo.joint not in joints:
                continue
            row = list(joints).index(servo.joint)
            self._driven[row], self._actuator[row] = True, servo.actuator
            self._kp[row] = servo.kp * settings.position_gain_scale
            self._kv[row] = servo.kv * settings.velocity_gain_scale
            self._scale[row], self._offset[row] = servo.scale, servo.offset
            self._low[row], self._high[row] = servo.force_low, servo.force_high
            if model.actuator_ctrllimited[servo.actuator]:
                self._control_low[row], self._control_high[row] = model.actuator_ctrlrange[servo.actuator]

    def targets(self, controls: Array) -> Array:
        """Where the servos pull the joints (J,), for the controls (Nu,)."""
        if not np.any(self._driven):
            return np.zeros(self.n_joints)
        clipped = np.clip(controls[self._actuator], self._control_low, self._control_high)
        return np.where(self._driven, self._scale * clipped + self._offset, 0.0)

    def drive(
        self, targets: Array, pos: Array, vel: Array, dynamics: tuple[Array, Array], timestep_s: float
    ) -> JointOrder:
        """Solve one implicit substep.

        Args:
            targets: (J,) of targets(), or positions to hold.
            pos: (J,) rad or m.
            vel: (J,) rad/s or m/s.
            dynamics: mass matrix (J, J) and bias forces (J,) at pos and vel.
            timestep_s: one substep.
        """
        mass, bias = dynamics
        pull = self._kp * np.where(self._driven, targets - pos, 0.0)
        explicit = np.clip(pull - self._kv * vel, self._low, self._high)
        saturated = (explicit <= self._low) | (explicit >= self._high)
        drag = self._damping + self._friction / np.maximum(np.abs(vel), FRICTION_SPEED)
        give = np.where(saturated, 0.0, self._kv) + drag
        inertia = mass + np.diag(self._armature)
        pushed = np.where(saturated, explicit, pull) - bias
        velocity = np.linalg.solve(inertia + timestep_s * np.diag(give), inertia @ vel + timestep_s * pushed)
        force = np.abs(explicit - drag * vel) + np.abs(drag * velocity)
        return JointOrder(np.asarray(velocity), np.asarray(force))

    def _read_joint(self, model: mujoco.MjModel, row: int, name: str, settings: TwinSettings) -> None:
        joint = model.joint(name)
        dof = int(joint.dofadr[0])
        added = settings.joint_damping_n_m_s_rad if int(joint.type[0]) == HINGE else 0.0
        self._damping[row] = float(np.ravel(model.dof_damping[dof])[0]) + added
        self._armature[row] = float(model.dof_armature[dof])
        self._friction[row] = float(model.dof_frictionloss[dof])


FRICTION_SPEED = 0.01
"""Speed (rad/s or m/s) above which dry friction is spent in full; below it, it fades, so that nothing chatters."""
