"""Load a scene into a PyBullet client: bodies, contacts, friction, couplings and gravity as in its MJCF."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import pybullet
from numpy.typing import NDArray

from ashore.sim.twin.model import colliding_pairs, friction_factors, read_gears, weights_n
from ashore.sim.twin.settings import TwinSettings
from ashore.sim.twin.urdf import UrdfTree, body_name, joint_anchor

Array = NDArray[Any]

GEAR_FORCE_N = 1000.0


@dataclass(frozen=True)
class LinkIndex:
    """Where a body of the MJCF lies in PyBullet."""

    tree: int
    """PyBullet's number of the tree."""
    link: int
    """PyBullet's number of the link; -1 is the base."""
    anchor_m: tuple[float, ...]
    """Origin of the URDF link in the frame of the MJCF body (3,)."""


@dataclass(frozen=True)
class TwinScene:
    """The names of a loaded scene."""

    trees: Mapping[int, bool]
    """{PyBullet's number of a tree: whether its base stands still}."""
    base_frames: Mapping[int, tuple[Sequence[float], Sequence[float]] | None]
    """{tree: position and quaternion xyzw of its base link in the frame of its base's inertia}; None: they are one."""
    bodies: Mapping[str, LinkIndex]
    joints: Mapping[str, tuple[int, int]]
    """{moving joint: (tree, link)}."""
    weights_n: Mapping[str, Array]
    """{body: weight to apply by hand (3,) N in the world}; empty where Bullet's own gravity pulls."""


def load_scene(
    client: int, model: mujoco.MjModel, trees: Sequence[UrdfTree], folder: Path, settings: TwinSettings
) -> TwinScene:
    """Load the trees' URDF files, named 0.urdf, 1.urdf, ... in folder, and set what URDF cannot say."""
    loaded = {_load(client, tree, folder / f"{number}.urdf"): tree for number, tree in enumerate(trees)}
    bodies, joints = _index(client, model, loaded)
    fixed = {number: tree.fixed for number, tree in loaded.items()}
    frames = {number: _base_frame(client, number) for number in loaded}
    scene = TwinScene(fixed, frames, bodies, joints, _gravity(client, model, settings))
    _set_dynamics(client, model, scene, settings)
    _set_contacts(client, model, scene)
    _set_gears(client, model, scene)
    return scene


def _load(client: int, tree: UrdfTree, path: Path) -> int:
    w, x, y, z = tree.base_quat_world_wxyz
    return int(
        pybullet.loadURDF(
            str(path),
            basePosition=tree.base_pos_world_m,
            baseOrientation=(x, y, z, w),
            useFixedBase=tree.fixed,
            flags=pybullet.URDF_USE_INERTIA_FROM_FILE | pybullet.URDF_USE_SELF_COLLISION,
            physicsClientId=client,
        )
    )


def _base_frame(client: int, tree: int) -> tuple[Sequence[float], Sequence[float]] | None:
    info = pybullet.getDynamicsInfo(tree, -1, physicsClientId=client)
    if not np.any(info[3]) and info[4][3] == 1.0:
        return None
    pos, quat_xyzw = pybullet.invertTransform(info[3], info[4])
    return pos, quat_xyzw


def _index(
    client: int, model: mujoco.MjModel, loaded: Mapping[int, UrdfTree]
) -> tuple[dict[str, LinkIndex], dict[str, tuple[int, int]]]:
    anchors = {body_name(model, b): tuple(joint_anchor(model, b).tolist()) for b in range(model.nbody)}
    bodies: dict[str, LinkIndex] = {}
    joints: dict[str, tuple[int, int]] = {}
    for number, tree in loaded.items():
        if tree.base_body is not None:
            bodies[tree.base_body] = LinkIndex(number, -1, (0.0, 0.0, 0.0))
        for link in range(pybullet.getNumJoints(number, physicsClientId=client)):
            info = pybullet.getJointInfo(number, link, physicsClientId=client)
            name = info[12].decode()
            bodies[name] = LinkIndex(number, link, anchors[name])
            if info[2] != pybullet.JOINT_FIXED:
                joints[info[1].decode()] = (number, link)
    return bodies, joints


def _gravity(client: int, model: mujoco.MjModel, settings: TwinSettings) -> dict[str, Array]:
    """Let Bullet pull where nothing is compensated; else return what is left of each moving body's weight."""
    compensated = bool(np.any(model.body_gravcomp))
    gravity = np.zeros(3) if compensated else model.opt.gravity
    pybullet.setGravity(*gravity.tolist(), physicsClientId=client)
    if not compensated:
        return {}
    return {name: weight for name, weight in weights_n(model, settings.body_mass_scale).items() if np.any(weight)}


def _set_dynamics(client: int, model: mujoco.MjModel, scene: TwinScene, settings: TwinSettings) -> None:
    factors = friction_factors(model) * np.sqrt(settings.friction_scale)
    for body in range(model.nbody):
        index = scene.bodies[body_name(model, body)]
        pybullet.changeDynamics(
            index.tree,
            index.link,
            lateralFriction=float(factors[body]),
            linearDamping=0.0,
            angularDamping=0.0,
            jointDamping=0.0,
            restitution=0.0,
            physicsClientId=client,
        )
    for tree, link in scene.joints.values():
        pybullet.setJointMotorControl2(tree, link, pybullet.VELOCITY_CONTROL, force=0.0, physicsClientId=client)


def _set_contacts(client: int, model: mujoco.MjModel, scene: TwinScene) -> None:
    allowed = {frozenset((body_name(model, a), body_name(model, b))) for a, b in colliding_pairs(model)}
    names = list(scene.bodies)
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            a, b = scene.bodies[first], scene.bodies[second]
            enabled = int(frozenset((first, second)) in allowed)
            pybullet.setCollisionFilterPair(a.tree, b.tree, a.link, b.link, enabled, physicsClientId=client)


def _set_gears(client: int, model: mujoco.MjModel, scene: TwinScene) -> None:
    for gear in read_gears(model):
        (tree, leader), (_, follower) = scene.joints[gear.leader], scene.joints[gear.follower]
        constraint = pybullet.createConstraint(
            tree,
            leader,
            tree,
            follower,
            pybullet.JOINT_GEAR,
            [1, 0, 0],
            [0, 0, 0],
            [0, 0, 0],
            physicsClientId=client,
        )
        pybullet.changeConstraint(
            constraint, gearRatio=-1.0 / gear.ratio, erp=0.1, maxForce=GEAR_FORCE_N, physicsClientId=client
        )
