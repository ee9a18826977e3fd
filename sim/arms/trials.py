"""Trials of an arm in the cell of the tasks, on MuJoCo: does it hold at home, how do its joints follow a step."""

from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from ashore.datasets.rotations import matrix_from_quat
from ashore.sim.arms.arm import Arm
from ashore.sim.arms.model import servo_torques
from ashore.sim.arms.spec import Box
from ashore.sim.arms.task import cell
from ashore.sim.interfaces.tool_space import damped_step
from ashore.sim.kinematics import Chain

Array = NDArray[Any]
STEP_RAD = 0.1
STEP_S = 1.5
REACHED = 1.0 - np.exp(-1.0)
"""Share of a step that a first-order lag has come after its time constant."""

GRID = (6, 5, 4)
REACH_M, REACH_RAD = 0.002, 0.02
"""A place is reached when the tool is this near to it, and this near to straight down."""
N_ITERATIONS, LARGEST_RAD = 150, 0.2
"""Of the inverse kinematics, and the most that one of them turns a joint by."""


@dataclass(frozen=True)
class Reach:
    """Which places of a box the tool can come to, pointing straight down."""

    n_places: int
    missed: Array
    """(M, 3) places out of reach."""
    singular: float
    """Least singular value of the Jacobian where the tool came; near zero the arm is stretched or folded."""

    @property
    def share(self) -> float:
        """Share that is reached."""
        return 1.0 - len(self.missed) / self.n_places


@dataclass(frozen=True)
class Hold:
    """What a second of holding at home shows, each joint (J,)."""

    sag_rad: Array
    drift_rad_s: Array
    effort: Array
    """Share of its largest torque that the servo spends at the end; 0 where it has no limit."""


@dataclass(frozen=True)
class Response:
    """How one joint follows a step of its set-point from home."""

    joint: str
    step_rad: float
    time_s: Array
    """(T,)."""
    moved: Array
    """(T,) share of the step that is done."""
    saturated: float
    """Share of the time at the torque limit."""

    @property
    def rise_s(self) -> float:
        """Time to 63 % of the step, a first-order lag's time constant; infinite where it never comes."""
        there = np.flatnonzero(self.moved >= REACHED)
        return float(self.time_s[there[0]]) if len(there) else float("inf")

    @property
    def overshoot(self) -> float:
        """Largest excess over the step, as a share of it."""
        return float(max(0.0, np.max(self.moved) - 1.0))

    @property
    def error(self) -> float:
        """What is missing or too much at the end, as a share of the step."""
        return float(abs(self.moved[-1] - 1.0))


class Bench:
    """An arm on the table of the cell, gripper open, servos at home."""

    def __init__(self, arm: Arm) -> None:
        self.arm = arm
        self.model = cell_with(arm).compile()
        self.joints = [int(self.model.joint(name).id) for name in arm.spec.joints]
        self._qpos, self._dofs = self.model.jnt_qposadr[self.joints], self.model.jnt_dofadr[self.joints]
        self._actuators = [int(self.model.actuator(name).id) for name in (*arm.servos, arm.spec.gripper.actuator)]

    def start(self) -> mujoco.MjData:
        """The state that every trial starts from."""
        data, gripper = mujoco.MjData(self.model), self.arm.spec.gripper
        data.qpos[self._qpos] = self.arm.spec.home_rad
        for name in gripper.fingers:
            data.joint(name).qpos = gripper.width_m / len(gripper.fingers)
        data.ctrl[self._actuators] = [*self.arm.spec.home_rad, gripper.width_m]
        mujoco.mj_forward(self.model, data)
        return data

    def hold(self, duration_s: float = 1.0) -> Hold:
        """Command home, and wait."""
        data = self.start()
        mujoco.mj_step(self.model, data, round(duration_s / self.model.opt.timestep))
        limits = self.torque_limits()
        effort = np.abs(data.actuator_force[self._actuators[:-1]]) / limits
        return Hold(data.qpos[self._qpos] - self.arm.spec.home_rad, data.qvel[self._dofs].copy(), effort)

    def step(self, number: int) -> Response:
        """Move one joint's set-point by STEP_RAD, towards the middle of its range."""
        data, home = self.start(), self.arm.spec.home_rad[number]
        low, high = self.model.jnt_range[self.joints[number]]
        step = min(STEP_RAD, 0.25 * float(high - low)) * (1.0 if home <= 0.5 * (low + high) else -1.0)
        actuator, limit = self._actuators[number], self.torque_limits()[number]
        data.ctrl[actuator] += step
        count = round(STEP_S / self.model.opt.timestep)
        angles, full = np.zeros(count + 1), 0
        for tick in range(1, count + 1):
            mujoco.mj_step(self.model, data)
            angles[tick] = data.qpos[self._qpos[number]] - home
            full += int(abs(data.actuator_force[actuator]) >= 0.999 * limit)
        time_s = np.arange(count + 1) * self.model.opt.timestep
        return Response(self.arm.written.joints[number], step, time_s, angles / step, full / count)

    def half_open(self, duration_s: float = 2.0) -> float:
        """The gripper's width over its largest, when half of that is commanded."""
        data, gripper = self.start(), self.arm.spec.gripper
        data.ctrl[self._actuators[-1]] = 0.5 * gripper.width_m
        mujoco.mj_step(self.model, data, round(duration_s / self.model.opt.timestep))
        return sum(float(data.joint(name).qpos[0]) for name in gripper.fingers) / gripper.width_m

    def close_gripper_s(self, duration_s: float = 3.0) -> float:
        """Time in which the gripper has closed by 90 %; infinite where it has not."""
        data, gripper = self.start(), self.arm.spec.gripper
        data.ctrl[self._actuators[-1]] = 0.0
        for tick in range(round(duration_s / self.model.opt.timestep)):
            mujoco.mj_step(self.model, data)
            if sum(float(data.joint(name).qpos[0]) for name in gripper.fingers) < 0.1 * gripper.width_m:
                return float((tick + 1) * self.model.opt.timestep)
        return float("inf")

    def torque_limits(self) -> Array:
        """Largest torque of each joint (J,), N m; infinite where there is none."""
        return servo_torques(self.model, self.joints, self._actuators[:-1])


def cell_with(arm: Arm) -> mujoco.MjSpec:
    """The cell of the tasks with an arm and nothing else."""
    return arm.stand_in(cell())


def try_reach(arm: Arm, chain: Chain, box: Box) -> Reach:
    """Solve the inverse kinematics for a grid of places in a box, from home and within the joints' limits."""
    limits = arm.card.limits
    axes = [np.linspace(low, high, count) for low, high, count in zip(box.low, box.high, GRID, strict=True)]
    goals = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    joints = np.repeat(np.array([arm.spec.home_rad]), len(goals), axis=0)
    still, down = np.zeros_like(joints), np.diag([1.0, -1.0, -1.0])
    for _ in range(N_ITERATIONS):
        pos, quat, jacobian = chain.jacobian(joints)
        turn = 0.5 * np.sum(np.cross(matrix_from_quat(quat), down[None], axis=1), axis=2)
        step = damped_step(jacobian, np.concatenate([goals - pos, turn], axis=1), still, 0.02)
        joints = np.clip(joints + np.clip(step, -LARGEST_RAD, LARGEST_RAD), limits.low[:-1], limits.high[:-1])
    pos, quat, jacobian = chain.jacobian(joints)
    tilt = np.arccos(np.clip(-matrix_from_quat(quat)[:, 2, 2], -1.0, 1.0))
    there = (np.linalg.norm(pos - goals, axis=1) < REACH_M) & (tilt < REACH_RAD)
    singular = float(np.linalg.svd(jacobian[there])[1].min()) if np.any(there) else 0.0
    return Reach(len(goals), goals[~there], singular)
