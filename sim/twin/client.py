"""One PyBullet client with one copy of the scene: states and placements by MJCF names, and one substep of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import pybullet
from numpy.typing import NDArray

from ashore.datasets.errors import UnknownName
from ashore.datasets.rotations import upper_half
from ashore.sim.twin.motors import MotorBank
from ashore.sim.twin.scene import LinkIndex, TwinScene, load_scene
from ashore.sim.twin.servos import ServoBank
from ashore.sim.twin.settings import TwinSettings
from ashore.sim.twin.urdf import UrdfTree

Array = NDArray[Any]

SOLVER_ITERATIONS = 100
TOUCH_M = 5e-4
"""Bullet lists pairs that are merely near; nearer than this counts as touching."""
WILD = 1e3
"""A position (m, rad) or velocity (m/s, rad/s) beyond this has diverged."""
LIGHT_DIRECTION = (0.6, -0.4, 1.6)
LIGHT_DISTANCE_M = 10.0


@dataclass(frozen=True)
class _Arm:
    """A tree with moving joints."""

    tree: int
    links: tuple[int, ...]
    servos: ServoBank


class TwinClient:
    """One simulation; every pose is of the MJCF body's frame, quaternions wxyz."""

    idle: bool
    """Whether the joints hold and the motors rest, until controls come."""

    def __init__(self, model: mujoco.MjModel, trees: Sequence[UrdfTree], folder: Path, settings: TwinSettings) -> None:
        """Load the trees' URDF files, which are named 0.urdf, 1.urdf, ... in folder."""
        self.idle = True
        self._id = pybullet.connect(pybullet.DIRECT)
        self._timestep_s = float(model.opt.timestep)
        pybullet.setPhysicsEngineParameter(
            fixedTimeStep=self._timestep_s,
            numSolverIterations=SOLVER_ITERATIONS,
            numSubSteps=0,
            deterministicOverlappingPairs=1,
            physicsClientId=self._id,
        )
        self._scene = load_scene(self._id, model, trees, folder, settings)
        self._motors = MotorBank(model, settings)
        self._arms = _arms(model, self._scene, settings)
        self._hold: list[Array] = []
        self._first_state = pybullet.saveState(physicsClientId=self._id)
        self.rest()

    def reset(self) -> None:
        """Put everything where it was after loading, contacts forgotten."""
        pybullet.restoreState(self._first_state, physicsClientId=self._id)
        self.rest()

    def joint_states(self, names: Sequence[str]) -> tuple[Array, Array]:
        """Positions and velocities of joints, (J,) each."""
        found = np.zeros((2, len(names)))
        for column, name in enumerate(names):
            tree, link = self._joint(name)
            found[:, column] = pybullet.getJointState(tree, link, physicsClientId=self._id)[:2]
        return found[0], found[1]

    def body_pose(self, name: str) -> Array:
        """Pose (7,) of a body's frame in the world; of a rotation's two quaternions the one with w >= 0."""
        pos, quat_xyzw = self._frame(self._body(name))
        return np.concatenate((pos, upper_half(np.array([quat_xyzw[3], *quat_xyzw[:3]]))))

    def body_velocity(self, name: str) -> Array:
        """Velocity (6,) of a body's frame origin: linear in world axes, angular in body axes."""
        index = self._body(name)
        body = index.tree
        if index.link < 0:
            centre = pybullet.getBasePositionAndOrientation(body, physicsClientId=self._id)[0]
            linear, angular = pybullet.getBaseVelocity(body, physicsClientId=self._id)
        else:
            state = pybullet.getLinkState(body, index.link, 1, 1, physicsClientId=self._id)
            centre, linear, angular = state[0], state[6], state[7]
        pos, quat_xyzw = self._frame(index)
        linear = np.add(linear, _cross(angular, np.subtract(pos, centre).tolist()))
        return np.concatenate((linear, _matrix(quat_xyzw).T @ np.asarray(angular)))

    def touches(self, name: str) -> bool:
        """Whether a body touches anything."""
        index = self._body(name)
        points = pybullet.getContactPoints(bodyA=index.tree, linkIndexA=index.link, physicsClientId=self._id)
        return any(point[8] < TOUCH_M for point in points)

    def place_joints(self, names: Sequence[str], values: Array) -> None:
        """Set joint positions (J,) and zero those joints' velocities."""
        for name, value in zip(names, values.tolist(), strict=True):
            tree, link = self._joint(name)
            pybullet.resetJointState(tree, link, value, 0.0, physicsClientId=self._id)

    def place_body(self, name: str, pose: Array, velocity: Array) -> None:
        """Set the pose (7,) and velocity (6,) of a tree's root body."""
        index = self._body(name)
        if index.link >= 0:
            roots = [body for body, each in self._scene.bodies.items() if each.link < 0]
            raise UnknownName("free body", name, roots)
        body = index.tree
        info = pybullet.getDynamicsInfo(body, -1, physicsClientId=self._id)
        quat_xyzw = [*pose[4:].tolist(), float(pose[3])]
        centre, turned = pybullet.multiplyTransforms(pose[:3].tolist(), quat_xyzw, info[3], info[4])
        pybullet.resetBasePositionAndOrientation(body, centre, turned, physicsClientId=self._id)
        if self._scene.trees[index.tree]:
            return
        angular = _matrix(quat_xyzw) @ velocity[3:]
        linear = velocity[:3] + _cross(angular.tolist(), np.subtract(centre, pose[:3]).tolist())
        pybullet.resetBaseVelocity(body, linear.tolist(), angular.tolist(), physicsClientId=self._id)

    def rest(self) -> None:
        """Take the controls away: joints hold where they are, motors rest."""
        self.idle = True
        self._motors.rest()
        self._hold = [self._arm_state(arm)[0] for arm in self._arms]

    def substep(self, controls: Array) -> None:
        """Advance by one substep under the controls (Nu,)."""
        for arm, hold in zip(self._arms, self._hold, strict=True):
            self._drive(arm, hold if self.idle else arm.servos.targets(controls))
        self._push(controls)
        pybullet.stepSimulation(physicsClientId=self._id)

    def is_sound(self) -> bool:
        """Whether every position and velocity is finite and within reason."""
        values = [value for arm in self._arms for part in self._arm_state(arm) for value in part.tolist()]
        for tree, fixed in self._scene.trees.items():
            if not fixed:
                values += pybullet.getBasePositionAndOrientation(tree, physicsClientId=self._id)[0]
                values += [v for part in pybullet.getBaseVelocity(tree, physicsClientId=self._id) for v in part]
        return bool(np.all(np.abs(values) < WILD))

    def image(self, size: tuple[int, int], view: Sequence[float], projection: Sequence[float]) -> tuple[Array, Array]:
        """Draw the scene with the software renderer, at (width, height).

        Returns:
            Colours (H, W, 3) uint8, and where there is nothing but background (H, W) bool.
        """
        width, height = size
        pixels, _, segments = pybullet.getCameraImage(
            width,
            height,
            viewMatrix=view,
            projectionMatrix=projection,
            lightDirection=LIGHT_DIRECTION,
            lightDistance=LIGHT_DISTANCE_M,
            lightAmbientCoeff=0.6,
            lightDiffuseCoeff=0.45,
            lightSpecularCoeff=0.03,
            shadow=1,
            renderer=pybullet.ER_TINY_RENDERER,
            physicsClientId=self._id,
        )[2:]
        colours = np.reshape(np.asarray(pixels, dtype=np.uint8), (height, width, 4))[:, :, :3]
        return colours, np.reshape(np.asarray(segments), (height, width)) < 0

    def close(self) -> None:
        """Disconnect."""
        if pybullet.isConnected(self._id):
            pybullet.disconnect(self._id)

    def _drive(self, arm: _Arm, targets: Array) -> None:
        pos, vel = self._arm_state(arm)
        mass = pybullet.calculateMassMatrix(arm.tree, pos.tolist(), physicsClientId=self._id)
        still = [0.0] * len(arm.links)
        bias = pybullet.calculateInverseDynamics(arm.tree, pos.tolist(), vel.tolist(), still, physicsClientId=self._id)
        dynamics = np.asarray(mass), np.asarray(bias)
        drive = arm.servos.drive(targets, pos, vel, dynamics, self._timestep_s)
        pybullet.setJointMotorControlArray(
            arm.tree,
            arm.links,
            pybullet.VELOCITY_CONTROL,
            targetVelocities=drive.velocity.tolist(),
            velocityGains=[1.0] * len(arm.links),
            forces=drive.force.tolist(),
            physicsClientId=self._id,
        )

    def _push(self, controls: Array) -> None:
        """Apply the motors' wrenches and the weights that Bullet's own gravity leaves out."""
        for name, weight in self._scene.weights_n.items():
            index = self._scene.bodies[name]
            centre = self._centre(index)
            pybullet.applyExternalForce(
                index.tree, index.link, weight.tolist(), centre, pybullet.WORLD_FRAME, physicsClientId=self._id
            )
        asked = np.zeros_like(controls) if self.idle else controls
        for name, wrench in self._motors.substep(asked).items():
            index = self._body(name)
            pos, quat_xyzw = self._frame(index)
            turn, centre = _matrix(quat_xyzw), self._centre(index)
            force = turn @ wrench[:3]
            torque = turn @ wrench[3:] - _cross(np.subtract(centre, pos).tolist(), force.tolist())
            where = (index.tree, index.link)
            pybullet.applyExternalForce(*where, force.tolist(), centre, pybullet.WORLD_FRAME, physicsClientId=self._id)
            pybullet.applyExternalTorque(*where, torque.tolist(), pybullet.WORLD_FRAME, physicsClientId=self._id)

    def _arm_state(self, arm: _Arm) -> tuple[Array, Array]:
        states = pybullet.getJointStates(arm.tree, arm.links, physicsClientId=self._id)
        found = np.array([state[:2] for state in states])
        return found[:, 0], found[:, 1]

    def _centre(self, index: LinkIndex) -> tuple[float, ...]:
        """Centre of mass of a body in the world (3,)."""
        if index.link < 0:
            found = pybullet.getBasePositionAndOrientation(index.tree, physicsClientId=self._id)
        else:
            found = pybullet.getLinkState(index.tree, index.link, 0, 1, physicsClientId=self._id)
        return tuple(found[0])

    def _frame(self, index: LinkIndex) -> tuple[Sequence[float], Sequence[float]]:
        """Position (3,) and quaternion xyzw (4,) of an MJCF body's frame in the world."""
        if index.link < 0:
            centre, turned = pybullet.getBasePositionAndOrientation(index.tree, physicsClientId=self._id)
            back = self._scene.base_frames[index.tree]
            if back is not None:
                centre, turned = pybullet.multiplyTransforms(centre, turned, *back)
            return centre, turned
        state = pybullet.getLinkState(index.tree, index.link, 0, 1, physicsClientId=self._id)
        anchor = [-value for value in index.anchor_m]
        pos, quat_xyzw = pybullet.multiplyTransforms(state[4], state[5], anchor, [0.0, 0.0, 0.0, 1.0])
        return pos, quat_xyzw

    def _body(self, name: str) -> LinkIndex:
        if name not in self._scene.bodies:
            raise UnknownName("body", name, tuple(self._scene.bodies))
        return self._scene.bodies[name]

    def _joint(self, name: str) -> tuple[int, int]:
        if name not in self._scene.joints:
            raise UnknownName("joint", name, tuple(self._scene.joints))
        return self._scene.joints[name]


def _arms(model: mujoco.MjModel, scene: TwinScene, settings: TwinSettings) -> list[_Arm]:
    found = []
    for tree in scene.trees:
        members = sorted((link, name) for name, (owner, link) in scene.joints.items() if owner == tree)
        if members:
            links, names = tuple(link for link, _ in members), [name for _, name in members]
            found.append(_Arm(tree, links, ServoBank(model, names, settings)))
    return found


def _matrix(quat_xyzw: Sequence[float]) -> Array:
    return np.reshape(pybullet.getMatrixFromQuaternion(quat_xyzw), (3, 3))


def _cross(left: Sequence[float], right: Sequence[float]) -> Array:
    """Cross product of two vectors (3,); numpy's own takes ten times as long for a single one."""
    (a, b, c), (x, y, z) = left, right
    return np.array([b * z - c * y, c * x - a * z, a * y - b * x])
