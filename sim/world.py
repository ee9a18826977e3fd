"""N simulations of one MJCF scene on MuJoCo's batched engine, each with its own model fields; an Engine.

Same seed, same draw, same result, bit for bit, whatever N or the number of threads.
"""

from collections.abc import Sequence
from typing import Any

import mujoco
import numpy as np
from mujoco import batch
from numpy.typing import NDArray

from ashore.sim.errors import NoSimulations, UnknownModelName
from ashore.sim.randomization import Draw, Randomization
from ashore.sim.randomization.model_fields import OBJECTS, ModelFields
from ashore.sim.scene import Scene, as_spec

Array = NDArray[Any]
VELOCITY, NOTHING = mujoco.mjtStage.mjSTAGE_VEL, mujoco.mjtStage.mjSTAGE_NONE
FREE = int(mujoco.mjtJoint.mjJNT_FREE)
UNSTABLE = (mujoco.mjtWarning.mjWARN_BADQPOS, mujoco.mjtWarning.mjWARN_BADQVEL, mujoco.mjtWarning.mjWARN_BADQACC)
CONTACT_FOUND = (1, 0, 1)
"""Parameters of a contact sensor that counts contacts: data "found", no reduction, one slot."""


class World:
    """N simulations, stepped in C by n_threads threads (0: all cores)."""

    def __init__(self, scene: Scene, n: int, n_threads: int = 0) -> None:
        if n < 1:
            raise NoSimulations(n)
        self.model = _model_with_contact_sensors(scene)
        self.n = n
        self.timestep_s = float(self.model.opt.timestep)
        self._batch = batch.Batch(self.model, nsim=n, nthread=n_threads)
        bind = self._batch.bind
        self._qpos, self._qvel, self._ctrl = bind("qpos"), bind("qvel"), bind("ctrl")
        self._mocap_pos, self._mocap_quat = bind("mocap_pos"), bind("mocap_quat")
        self._xpos, self._xquat, self._sensordata = bind("xpos"), bind("xquat"), bind("sensordata")
        self._fields = ModelFields(self.model, self._batch)
        self._joints: dict[tuple[str, ...], tuple[Array, Array]] = {}
        self._warned = np.zeros((n, len(UNSTABLE)), dtype=np.int64)
        self._frozen = np.zeros(n, dtype=bool)
        self._stale = np.ones(n, dtype=bool)
        """Where something was placed or changed, of which nothing has been computed yet."""
        self._late = False
        """Whether poses and sensors are those before the last substep: they are computed when somebody looks."""
        self.reset(np.arange(n))

    def reset(self, ids: Array) -> None:
        """Put simulations ids (K,) into the model's first state: at rest, without controls or warm starts, thawed."""
        chosen = self._mask(ids)
        self._batch.reset(chosen, stage=NOTHING)
        self._warned[chosen] = self._warnings()[chosen]
        self._frozen &= ~chosen
        self._stale |= chosen

    def snapshot(self, ids: Array) -> Array:
        """Copy the state (K, S) of simulations ids (K,) out: all that a step depends on but the model's fields."""
        return np.array(self._batch.state[np.asarray(ids)])

    def restore(self, ids: Array, states: Array) -> None:
        """Put simulations ids (K,) into states (K, S) that a snapshot gave; what follows is the same, bit for bit."""
        self._batch.state[np.asarray(ids)] = states
        self._stale |= self._mask(ids)

    def check(self, randomization: Randomization) -> None:
        """Find every field and object that a randomization names, and whether its values make sense there.

        Raises:
            InvalidRandomization: lists each fault.
        """
        self._fields.check(randomization)

    def randomize(self, ids: Array, draws: Sequence[Draw], randomization: Randomization) -> None:
        """Set the model fields of simulations ids (K,) from their draws, always starting at the nominal values."""
        if self._fields.set(np.asarray(ids), draws, randomization):
            self._batch.set_const(self._mask(ids))
            self._stale |= self._mask(ids)

    def joint_pos(self, names: Sequence[str]) -> Array:
        """Joint positions (N, J), rad or m, in the order of names."""
        return np.asarray(self._qpos[:, self._addresses(names)[0]])

    def joint_vel(self, names: Sequence[str]) -> Array:
        """Joint velocities (N, J), rad/s or m/s, in the order of names."""
        return np.asarray(self._qvel[:, self._addresses(names)[1]])

    def body_pose(self, name: str) -> Array:
        """Pose of a body's frame in the world (N, 7): position m, quaternion wxyz."""
        body = self._id("body", name)
        if self._is_free(body):
            return np.array(self._qpos[:, self._free_address(name)[0]])
        self._look()
        return np.concatenate([self._xpos[:, body], self._xquat[:, body]], axis=1)

    def body_velocity(self, name: str) -> Array:
        """Velocity of a body's frame origin (N, 6): linear m/s in world axes, angular rad/s in body axes."""
        body = self._id("body", name)
        if self._is_free(body):
            return np.array(self._qvel[:, self._free_address(name)[1]])
        self._look()
        linear, angular = self._batch.jac(body, np.array(self._xpos[:, body]))
        turn = np.einsum("nij,nj->ni", angular, self._qvel)
        turned = np.empty_like(turn)
        for row, quat in enumerate(self._xquat[:, body]):
            mujoco.mju_rotVecQuat(turned[row], turn[row], quat * [1.0, -1.0, -1.0, -1.0])
        return np.concatenate([np.einsum("nij,nj->ni", linear, self._qvel), turned], axis=1)

    def contact(self, body: str) -> Array:
        """Whether a body touches anything (N,) bool.

        Raises:
            UnknownModelName: there is no such body, or nothing can touch it.
        """
        self._id("body", body)
        sensor = mujoco.mj_name2id(self.model, mujoco.mjtObj.mjOBJ_SENSOR, _sensor_name(body))
        if sensor < 0:
            touchable = [name for name in self._names("body") if _has(self.model, _sensor_name(name))]
            raise UnknownModelName("body with colliding geoms", body, touchable)
        self._look()
        return np.asarray(self._sensordata[:, int(self.model.sensor_adr[sensor])] > 0.0)

    def place_joints(self, ids: Array, names: Sequence[str], values: Array) -> None:
        """Set joint positions (K, J) of the simulations ids (K,) and zero those joints' velocities."""
        positions, velocities = self._addresses(names)
        self._qpos[np.asarray(ids)[:, None], positions[None, :]] = values
        self._qvel[np.asarray(ids)[:, None], velocities[None, :]] = 0.0
        self._stale |= self._mask(ids)

    def place_body(self, ids: Array, name: str, pose: Array, velocity: Array | None = None) -> None:
        """Set a free body's pose (K, 7) and velocity (K, 6, as body_velocity; zero if None) of the simulations ids.

        A mocap body, a mark or a fixture that stays where it is, is put there likewise, with all that hangs on it.
        """
        self._stale |= self._mask(ids)
        mocap = int(self.model.body_mocapid[self._id("body", name)])
        if mocap >= 0:
            self._mocap_pos[ids, mocap], self._mocap_quat[ids, mocap] = pose[:, :3], pose[:, 3:]
            return
        position, motion = self._free_address(name)
        turn = pose[:, 3:] / np.linalg.norm(pose[:, 3:], axis=1, keepdims=True)
        self._qpos[ids, position] = np.concatenate([pose[:, :3], turn], axis=1)
        self._qvel[ids, motion] = 0.0 if velocity is None else velocity

    def actuate(self, controls: Array) -> None:
        """Set the actuators' controls (N, Nu) in the order of the MJCF; held until the next call."""
        self._ctrl[:] = controls

    def advance(self, n_substeps: int) -> None:
        """Step every simulation that is not frozen."""
        self._refresh()
        runs = None if not self._frozen.any() else ~self._frozen
        self._batch.step(runs, nstep=n_substeps, stage=NOTHING)
        self._late = True

    def freeze(self, frozen: Array) -> None:
        """Let time stand still in these simulations (N,) bool until their reset: their episodes are over."""
        self._frozen |= frozen

    def diverged(self) -> Array:
        """Which simulations became unstable since their last reset (N,) bool."""
        return np.asarray(np.any(self._warnings() > self._warned, axis=1))

    def view(
        self, index: int, model: mujoco.MjModel | None = None, data: mujoco.MjData | None = None
    ) -> tuple[mujoco.MjModel, mujoco.MjData]:
        """Copy one simulation's model and state out, for rendering or to step it alone; into those given, if any."""
        self._look()
        model = self._batch.get_model(index, model)
        data = mujoco.MjData(model) if data is None else data
        return model, self._batch.get_data(index, data)

    def _refresh(self) -> None:
        """Compute what follows from placed positions and randomized fields, where something was changed."""
        if self._stale.any():
            self._batch.forward(self._stale)
            self._stale[:] = False

    def _look(self) -> None:
        """Bring poses and sensors up to the state."""
        self._refresh()
        if self._late:
            self._batch.forward(stage=VELOCITY)
            self._late = False

    def _mask(self, ids: Array) -> Array:
        mask = np.zeros(self.n, dtype=bool)
        mask[ids] = True
        return mask

    def _warnings(self) -> Array:
        return np.asarray(self._batch.warning)[:, [int(kind) for kind in UNSTABLE], 1]

    def _id(self, kind: str, name: str) -> int:
        index = mujoco.mj_name2id(self.model, OBJECTS[kind][0], name)
        if index < 0:
            raise UnknownModelName(kind, name, self._names(kind))
        return int(index)

    def _names(self, kind: str) -> list[str]:
        object_kind, count = OBJECTS[kind]
        names = [mujoco.mj_id2name(self.model, object_kind, i) for i in range(getattr(self.model, count))]
        return [name for name in names if name]

    def _addresses(self, names: Sequence[str]) -> tuple[Array, Array]:
        key = tuple(names)
        if key not in self._joints:
            ids = [self._id("jnt", name) for name in key]
            self._joints[key] = self.model.jnt_qposadr[ids].copy(), self.model.jnt_dofadr[ids].copy()
        return self._joints[key]

    def _is_free(self, body: int) -> bool:
        joint = int(self.model.body_jntadr[body])
        return joint >= 0 and int(self.model.jnt_type[joint]) == FREE

    def _free_address(self, body: str) -> tuple[slice, slice]:
        index = self._id("body", body)
        if not self._is_free(index):
            free = [name for name in self._names("body") if self._is_free(self._id("body", name))]
            raise UnknownModelName("free body", body, free)
        joint = int(self.model.body_jntadr[index])
        qpos, dof = int(self.model.jnt_qposadr[joint]), int(self.model.jnt_dofadr[joint])
        return slice(qpos, qpos + 7), slice(dof, dof + 6)


def _model_with_contact_sensors(scene: Scene) -> mujoco.MjModel:
    """Compile a scene, with one sensor for each moving body that can touch something; sensors change no motion."""
    spec = as_spec(scene)
    for body in spec.bodies[1:]:
        if any(geom.contype or geom.conaffinity for geom in body.geoms):
            spec.add_sensor(
                name=_sensor_name(body.name),
                type=mujoco.mjtSensor.mjSENS_CONTACT,
                objtype=mujoco.mjtObj.mjOBJ_BODY,
                objname=body.name,
                intprm=list(CONTACT_FOUND),
            )
    return spec.compile()


def _sensor_name(body: str) -> str:
    return f"ashore/contact/{body}"


def _has(model: mujoco.MjModel, sensor: str) -> bool:
    return int(mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_SENSOR, sensor)) >= 0
