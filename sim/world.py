"""N simulations of one MJCF scene on MuJoCo's batched engine, each with its own model fields; an Engine.

Same seed, same draw, same result, bit for bit, whatever N or the number of threads.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
from mujoco import batch
from numpy.typing import NDArray

from ashore.sim.errors import UnknownModelName
from ashore.sim.randomization import Draw, Randomization, Target, stack

Array = NDArray[Any]
VELOCITY = mujoco.mjtStage.mjSTAGE_VEL
KINDS = {
    "body": mujoco.mjtObj.mjOBJ_BODY,
    "jnt": mujoco.mjtObj.mjOBJ_JOINT,
    "dof": mujoco.mjtObj.mjOBJ_JOINT,
    "geom": mujoco.mjtObj.mjOBJ_GEOM,
    "site": mujoco.mjtObj.mjOBJ_SITE,
    "actuator": mujoco.mjtObj.mjOBJ_ACTUATOR,
}
UNSTABLE = (mujoco.mjtWarning.mjWARN_BADQPOS, mujoco.mjtWarning.mjWARN_BADQVEL, mujoco.mjtWarning.mjWARN_BADQACC)


class World:
    """N simulations, stepped in C by n_threads threads (0: all cores)."""

    def __init__(self, scene_path: Path | str, n: int, n_threads: int = 0) -> None:
        self.model = mujoco.MjModel.from_xml_path(str(scene_path))
        self.n = n
        self.timestep_s = float(self.model.opt.timestep)
        self._batch = batch.Batch(self.model, nsim=n, nthread=n_threads)
        self._qpos, self._qvel = self._batch.bind("qpos"), self._batch.bind("qvel")
        self._ctrl = self._batch.bind("ctrl")
        self._xpos, self._xquat = self._batch.bind("xpos"), self._batch.bind("xquat")
        self._mocap_pos, self._mocap_quat = self._batch.bind("mocap_pos"), self._batch.bind("mocap_quat")
        self._touch = self._bind_touch()
        self._nominal: dict[str, Array] = {}
        self._expanded: dict[str, Array] = {}
        self._joints: dict[tuple[str, ...], tuple[Array, Array]] = {}
        self._warned = np.zeros((n, len(UNSTABLE)), dtype=np.int64)
        self.reset(np.arange(n))

    def reset(self, ids: Array) -> None:
        """Put simulations ids (K,) into the model's first state: velocities, controls and warm starts cleared."""
        self._batch.reset(np.asarray(ids, dtype=np.int32))
        self._batch.forward(np.asarray(ids, dtype=np.int32))
        self._warned[ids] = self._warnings()[ids]

    def randomize(self, ids: Array, draws: Sequence[Draw], randomization: Randomization) -> None:
        """Set the model fields of simulations ids (K,) from their draws, always starting at the nominal values.

        Raises:
            UnknownModelName: a target names no field or no object of the scene.
        """
        changes = [(target, p) for p in randomization.parameters for target in p.targets]
        for field in {target.field for target, _ in changes}:
            expanded = self._expand(field)
            expanded[ids] = self._nominal[field]
        for target, parameter in changes:
            rows, columns = self._elements(target)
            field = self._expanded[target.field]
            values = stack(draws, parameter.name).reshape(len(draws), -1)
            values = np.broadcast_to(values, (len(draws), len(rows))) if values.shape[1] == 1 else values
            for column in columns:
                where = (np.asarray(ids)[:, None], rows[None, :], *column)
                field[where] = _change(field[where], values, parameter.how)
        if changes:
            self._batch.set_const()

    def joint_pos(self, names: Sequence[str]) -> Array:
        """Joint positions (N, J), rad or m, in the order of names."""
        return np.asarray(self._qpos[:, self._addresses(names)[0]])

    def joint_vel(self, names: Sequence[str]) -> Array:
        """Joint velocities (N, J), rad/s or m/s, in the order of names."""
        return np.asarray(self._qvel[:, self._addresses(names)[1]])

    def body_pose(self, name: str) -> Array:
        """Pose of a body's frame in the world (N, 7): position m, quaternion wxyz."""
        body = self._id("body", name)
        return np.concatenate([self._xpos[:, body], self._xquat[:, body]], axis=1)

    def body_velocity(self, name: str) -> Array:
        """Velocity of a free body's frame origin (N, 6): linear m/s in world axes, angular rad/s in body axes."""
        return np.array(self._qvel[:, self._free_address(name)[1]])

    def contact(self, body: str) -> Array:
        """Whether a body touches anything (N,) bool, as its MJCF touch sensor `<body>_touch` tells.

        Raises:
            UnknownModelName: the scene has no such sensor.
        """
        if body not in self._touch:
            raise UnknownModelName("touch sensor", f"{body}_touch", [f"{name}_touch" for name in self._touch])
        return np.asarray(self._sensordata[:, self._touch[body]] > 0.0)

    def place_joints(self, ids: Array, names: Sequence[str], values: Array) -> None:
        """Set joint positions (K, J) of the simulations ids (K,) and zero those joints' velocities."""
        positions, velocities = self._addresses(names)
        self._qpos[np.asarray(ids)[:, None], positions[None, :]] = values
        self._qvel[np.asarray(ids)[:, None], velocities[None, :]] = 0.0

    def place_body(self, ids: Array, name: str, pose: Array, velocity: Array | None = None) -> None:
        """Set a free body's pose (K, 7) and velocity (K, 6, as body_velocity; zero if None) of the simulations ids.

        A mocap body, which marks a place and touches nothing, is put there likewise.
        """
        mocap = int(self.model.body_mocapid[self._id("body", name)])
        if mocap >= 0:
            self._mocap_pos[ids, mocap], self._mocap_quat[ids, mocap] = pose[:, :3], pose[:, 3:]
            return
        position, motion = self._free_address(name)
        self._qpos[ids, position] = pose
        self._qvel[ids, motion] = 0.0 if velocity is None else velocity

    def settle(self, ids: Array) -> None:
        """Compute what follows from placed positions (K,), so that measurements are current before the first step."""
        self._batch.forward(np.asarray(ids, dtype=np.int32))

    def actuate(self, controls: Array) -> None:
        """Set the actuators' controls (N, Nu) in the order of the MJCF; held until the next call."""
        self._ctrl[:] = controls

    def advance(self, n_substeps: int) -> None:
        """Step every simulation."""
        self._batch.step(nstep=n_substeps, stage=VELOCITY)

    def diverged(self) -> Array:
        """Which simulations became unstable since their last reset (N,) bool."""
        return np.asarray(np.any(self._warnings() > self._warned, axis=1))

    def view(self, index: int) -> tuple[mujoco.MjModel, mujoco.MjData]:
        """Copy one simulation's model and state out, for rendering or to step it alone."""
        model = self._batch.get_model(index)
        data = mujoco.MjData(model)
        self._batch.get_data(index, data)
        return model, data

    def _warnings(self) -> Array:
        return np.asarray(self._batch.warning)[:, [int(kind) for kind in UNSTABLE], 1]

    def _expand(self, field: str) -> Array:
        if field not in self._expanded:
            if not hasattr(self.model, field):
                raise UnknownModelName("model field", field, [str(name) for name in batch.MODEL_FIELDS])
            self._nominal[field] = np.array(getattr(self.model, field))
            self._expanded[field] = self._batch.expand(field)
        return self._expanded[field]

    def _elements(self, target: Target) -> tuple[Array, list[tuple[int, ...]]]:
        kind = target.field.split("_")[0]
        rows = [self._id(kind, name) for name in target.names]
        if kind == "dof":
            rows = [int(self.model.jnt_dofadr[row]) for row in rows]
        width = self._nominal[target.field].ndim
        columns: list[tuple[int, ...]] = [(c,) for c in target.columns]
        if not columns:
            columns = [()] if width == 1 else [(c,) for c in range(self._nominal[target.field].shape[1])]
        return np.asarray(rows), columns

    def _id(self, kind: str, name: str) -> int:
        index = mujoco.mj_name2id(self.model, KINDS[kind], name)
        if index < 0:
            counts = {"body": "nbody", "jnt": "njnt", "dof": "njnt", "geom": "ngeom", "site": "nsite", "actuator": "nu"}
            n = getattr(self.model, counts[kind])
            names = [mujoco.mj_id2name(self.model, KINDS[kind], i) or "" for i in range(n)]
            raise UnknownModelName(kind, name, [known for known in names if known])
        return int(index)

    def _addresses(self, names: Sequence[str]) -> tuple[Array, Array]:
        key = tuple(names)
        if key not in self._joints:
            ids = [self._id("jnt", name) for name in key]
            self._joints[key] = self.model.jnt_qposadr[ids].copy(), self.model.jnt_dofadr[ids].copy()
        return self._joints[key]

    def _free_address(self, body: str) -> tuple[slice, slice]:
        joint = int(self.model.body_jntadr[self._id("body", body)])
        if joint < 0 or int(self.model.jnt_type[joint]) != int(mujoco.mjtJoint.mjJNT_FREE):
            raise UnknownModelName("free body", body, self._free_bodies())
        qpos, dof = int(self.model.jnt_qposadr[joint]), int(self.model.jnt_dofadr[joint])
        return slice(qpos, qpos + 7), slice(dof, dof + 6)

    def _free_bodies(self) -> list[str]:
        free = np.flatnonzero(self.model.jnt_type == int(mujoco.mjtJoint.mjJNT_FREE))
        return [self.model.body(int(self.model.jnt_bodyid[joint])).name for joint in free]

    def _bind_touch(self) -> dict[str, int]:
        self._sensordata = self._batch.bind("sensordata")
        touch = np.flatnonzero(self.model.sensor_type == int(mujoco.mjtSensor.mjSENS_TOUCH))
        names = {self.model.sensor(int(i)).name: int(self.model.sensor_adr[i]) for i in touch}
        return {name.removesuffix("_touch"): address for name, address in names.items()}


def _change(nominal: Array, values: Array, how: str) -> Array:
    if how == "scale":
        return nominal * values
    return nominal + values if how == "shift" else values
