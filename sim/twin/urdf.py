"""Turn a compiled MuJoCo model into URDF, one file a kinematic tree, so that the twin runs the very scene of the task.

PyBullet's own MJCF loader drops class defaults, free joints, masses and actuators; URDF text carries all that matters.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from xml.sax.saxutils import quoteattr

import mujoco
import numpy as np
from numpy.typing import NDArray

from ashore.sim.errors import UnsupportedModel

Array = NDArray[np.float64]

PLANE_SIDE_M = 20.0
"""Side of the slab that stands for an endless plane."""
PLANE_THICKNESS_M = 0.2
UNLIMITED = 1.0e6
HINGE, SLIDE = int(mujoco.mjtJoint.mjJNT_HINGE), int(mujoco.mjtJoint.mjJNT_SLIDE)
FREE = int(mujoco.mjtJoint.mjJNT_FREE)
BOX, SPHERE = int(mujoco.mjtGeom.mjGEOM_BOX), int(mujoco.mjtGeom.mjGEOM_SPHERE)
CYLINDER, CAPSULE = int(mujoco.mjtGeom.mjGEOM_CYLINDER), int(mujoco.mjtGeom.mjGEOM_CAPSULE)
PLANE, ELLIPSOID = int(mujoco.mjtGeom.mjGEOM_PLANE), int(mujoco.mjtGeom.mjGEOM_ELLIPSOID)
LAST_VISIBLE_GROUP = 2
"""MuJoCo draws geom groups 0 to 2; later groups hold collision shapes that nobody wants to see."""


@dataclass(frozen=True)
class UrdfTree:
    """One kinematic tree as URDF."""

    name: str
    text: str
    fixed: bool
    """Whether its base stands still; a free body is not fixed."""
    base_pos_world_m: tuple[float, ...]
    base_quat_world_wxyz: tuple[float, ...]
    base_body: str | None
    """The MJCF body that is the URDF's base link; None where the base is an anchor that the MJCF does not have."""


@dataclass
class _Writer:
    model: mujoco.MjModel
    mass_scale: Mapping[str, float]
    lines: list[str] = field(default_factory=list)

    def link(self, body: int, name: str) -> None:
        shift = joint_anchor(self.model, body)
        self.lines.append(f"<link name={quoteattr(name)}>")
        self._inertial(body, name, shift)
        for geom in geoms_of(self.model, body):
            self._geom(geom, shift)
        self.lines.append("</link>")

    def joint(self, body: int, parent: str, pose: tuple[Array, Array]) -> None:
        model, name = self.model, body_name(self.model, body)
        joint = int(model.body_jntadr[body])
        kind, detail = "fixed", ""
        label = f"{name}_fixed"
        if joint >= 0:
            label = joint_name(model, joint)
            limited = bool(model.jnt_limited[joint])
            low, high = model.jnt_range[joint] - model.qpos0[model.jnt_qposadr[joint]]
            low, high = (low, high) if limited else (-UNLIMITED, UNLIMITED)
            kind = "prismatic" if int(model.jnt_type[joint]) == SLIDE else "revolute" if limited else "continuous"
            detail = (
                f'<axis xyz="{_numbers(model.jnt_axis[joint])}"/>'
                f'<limit lower="{low:.9g}" upper="{high:.9g}" effort="{UNLIMITED:g}" velocity="100"/>'
            )
        self.lines.append(
            f"<joint name={quoteattr(label)} type={quoteattr(kind)}><parent link={quoteattr(parent)}/>"
            f"<child link={quoteattr(name)}/>{_origin(*pose)}{detail}</joint>"
        )

    def _inertial(self, body: int, name: str, shift: Array) -> None:
        scale = self.mass_scale.get(name, 1.0)
        mass, (ixx, iyy, izz) = scale * self.model.body_mass[body], scale * self.model.body_inertia[body]
        self.lines.append(
            f"<inertial>{_origin(self.model.body_ipos[body] - shift, self.model.body_iquat[body])}"
            f'<mass value="{mass:.9g}"/><inertia ixx="{ixx:.9g}" iyy="{iyy:.9g}" izz="{izz:.9g}"'
            ' ixy="0" ixz="0" iyz="0"/></inertial>'
        )

    def _geom(self, geom: int, shift: Array) -> None:
        model = self.model
        shape = _shape(model, geom)
        pos = model.geom_pos[geom] - shift
        if int(model.geom_type[geom]) == PLANE:
            pos = pos - PLANE_THICKNESS_M / 2 * rotation(model.geom_quat[geom])[:, 2]
        origin = _origin(pos, model.geom_quat[geom])
        rgba = geom_rgba(model, geom)
        if rgba[3] > 0.0 and int(model.geom_group[geom]) <= LAST_VISIBLE_GROUP:
            colour = f'<material name="geom_{geom}"><color rgba="{_numbers(rgba)}"/></material>'
            self.lines.append(f"<visual>{origin}<geometry>{shape}</geometry>{colour}</visual>")
        if collides(model, geom):
            self.lines.append(f"<collision>{origin}<geometry>{shape}</geometry></collision>")


def make_urdf_trees(model: mujoco.MjModel, mass_scale: Mapping[str, float] | None = None) -> list[UrdfTree]:
    """Write every kinematic tree of a model as URDF; the world's own geoms come first.

    Args:
        model: compiled MJCF; hinge, slide and free joints, at most one a body, primitive geoms.
        mass_scale: {body name: factor} on masses and inertias.

    Raises:
        UnsupportedModel: lists every body, joint and geom that URDF or the twin cannot express.
    """
    faults = list(_faults(model))
    if faults:
        raise UnsupportedModel(faults)
    scale = {} if mass_scale is None else mass_scale
    trees = [_tree(model, 0, scale)]
    trees += [_tree(model, body, scale) for body in range(1, model.nbody) if int(model.body_parentid[body]) == 0]
    return trees


def body_name(model: mujoco.MjModel, body: int) -> str:
    """Name of a body, invented from its number where the MJCF gives none."""
    return model.body(body).name or f"body_{body}"


def joint_name(model: mujoco.MjModel, joint: int) -> str:
    """Name of a joint, invented from its number where the MJCF gives none."""
    return model.joint(joint).name or f"joint_{joint}"


def joint_anchor(model: mujoco.MjModel, body: int) -> Array:
    """Origin of the URDF link in its MJCF body's frame (3,): the joint's anchor, since URDF turns about the origin."""
    joint = int(model.body_jntadr[body])
    if joint < 0 or int(model.jnt_type[joint]) == FREE:
        return np.zeros(3)
    return np.array(model.jnt_pos[joint], dtype=np.float64)


def geoms_of(model: mujoco.MjModel, body: int) -> range:
    """Numbers of the geoms of a body."""
    first = int(model.body_geomadr[body])
    return range(first, first + int(model.body_geomnum[body])) if first >= 0 else range(0)


def collides(model: mujoco.MjModel, geom: int) -> bool:
    """Whether a geom can touch anything at all."""
    return bool(model.geom_contype[geom] or model.geom_conaffinity[geom])


def geom_rgba(model: mujoco.MjModel, geom: int) -> Array:
    """Colour of a geom (4,): its own, or its material's, toned by the mean of the material's texture."""
    material = int(model.geom_matid[geom])
    if material < 0:
        return np.array(model.geom_rgba[geom], dtype=np.float64)
    rgba = np.array(model.mat_rgba[material], dtype=np.float64)
    for texture in (int(number) for number in np.ravel(model.mat_texid[material]) if int(number) >= 0):
        channels, first = int(model.tex_nchannel[texture]), int(model.tex_adr[texture])
        size = int(model.tex_height[texture]) * int(model.tex_width[texture]) * channels
        pixels = np.asarray(model.tex_data[first : first + size]).reshape(-1, channels)
        rgba[:3] *= pixels[:, :3].mean(axis=0) / 255.0
    return rgba


def rotation(quat_wxyz: Array) -> Array:
    """Rotation matrix (3, 3) of a quaternion (4,)."""
    matrix = np.zeros(9)
    mujoco.mju_quat2Mat(matrix, np.asarray(quat_wxyz, dtype=np.float64))
    return matrix.reshape(3, 3)


def _tree(model: mujoco.MjModel, root: int, scale: Mapping[str, float]) -> UrdfTree:
    name = "world" if root == 0 else body_name(model, root)
    joint = int(model.body_jntadr[root])
    free = joint >= 0 and int(model.jnt_type[joint]) == FREE
    anchored = joint >= 0 and not free
    writer = _Writer(model, scale)
    pos, quat = np.array(model.body_pos[root]), np.array(model.body_quat[root])
    if anchored:
        writer.lines.append(_ANCHOR)
        writer.link(root, name)
        writer.joint(root, "anchor", (joint_anchor(model, root), _IDENTITY))
    else:
        writer.link(root, name)
    if root != 0:
        _descend(writer, root)
    body = "\n".join(writer.lines)
    text = f'<?xml version="1.0"?>\n<robot name={quoteattr(name)}>\n{body}\n</robot>\n'
    return UrdfTree(name, text, not free, tuple(pos), tuple(quat), None if anchored else name)


def _descend(writer: _Writer, parent: int) -> None:
    model = writer.model
    for body in range(parent + 1, model.nbody):
        if int(model.body_parentid[body]) != parent:
            continue
        quat = np.array(model.body_quat[body])
        anchor = rotation(quat) @ joint_anchor(model, body)
        pos = model.body_pos[body] + anchor - joint_anchor(model, parent)
        writer.link(body, body_name(model, body))
        writer.joint(body, body_name(model, parent), (pos, quat))
        _descend(writer, body)


_IDENTITY = np.array([1.0, 0.0, 0.0, 0.0])
_ANCHOR = (
    '<link name="anchor"><inertial><mass value="0"/>'
    '<inertia ixx="0" iyy="0" izz="0" ixy="0" ixz="0" iyz="0"/></inertial></link>'
)


def _faults(model: mujoco.MjModel) -> Iterator[str]:
    for body in range(model.nbody):
        name, count = body_name(model, body), int(model.body_jntnum[body])
        if count > 1:
            yield f"body {name!r}: {count} joints; give each joint a body of its own"
        nested_free = count and int(model.jnt_type[model.body_jntadr[body]]) == FREE and int(model.body_weldid[body])
        if nested_free and int(model.body_rootid[body]) != body:
            yield f"body {name!r}: a free joint inside a tree; move the body to the world"
    for joint in range(model.njnt):
        name = joint_name(model, joint)
        if int(model.jnt_type[joint]) not in (HINGE, SLIDE, FREE):
            yield f"joint {name!r}: type ball; use three hinges"
        root = int(model.body_rootid[model.jnt_bodyid[joint]])
        root_joint = int(model.body_jntadr[root])
        if root_joint not in (-1, joint) and int(model.jnt_type[root_joint]) == FREE:
            yield f"joint {name!r}: a moving joint on a free body; the twin drives joints of fixed bases"
    for geom in range(model.ngeom):
        if int(model.geom_type[geom]) not in _SHAPES:
            label = model.geom(geom).name or f"geom_{geom}"
            shape = mujoco.mjtGeom(int(model.geom_type[geom])).name
            yield f"geom {label!r}: shape {shape}; use box, sphere, cylinder, capsule or plane"


def _box(size: Array) -> str:
    return f'<box size="{_numbers(2 * size)}"/>'


def _plane(size: Array) -> str:
    sides = [2 * side if side > 0 else PLANE_SIDE_M for side in size[:2]]
    return f'<box size="{_numbers(np.array([*sides, PLANE_THICKNESS_M]))}"/>'


_SHAPES: Mapping[int, Callable[[Array], str]] = {
    BOX: _box,
    PLANE: _plane,
    SPHERE: lambda size: f'<sphere radius="{size[0]:.9g}"/>',
    CYLINDER: lambda size: f'<cylinder radius="{size[0]:.9g}" length="{2 * size[1]:.9g}"/>',
    CAPSULE: lambda size: f'<capsule radius="{size[0]:.9g}" length="{2 * size[1]:.9g}"/>',
    ELLIPSOID: lambda size: f'<sphere radius="{float(np.cbrt(np.prod(size))):.9g}"/>',
}
"""URDF has no ellipsoid: a sphere of the same volume stands for it."""


def _shape(model: mujoco.MjModel, geom: int) -> str:
    return _SHAPES[int(model.geom_type[geom])](np.array(model.geom_size[geom]))


def _origin(pos: Array, quat_wxyz: Array) -> str:
    return f'<origin xyz="{_numbers(pos)}" rpy="{_numbers(_roll_pitch_yaw(rotation(quat_wxyz)))}"/>'


def _roll_pitch_yaw(matrix: Array) -> Array:
    """Fixed-axis angles (3,) of a rotation matrix (3, 3), with roll 0 where pitch is a right angle."""
    level = float(np.hypot(matrix[2, 1], matrix[2, 2]))
    pitch = np.arctan2(-matrix[2, 0], level)
    if level < 1e-9:
        return np.array([0.0, pitch, np.arctan2(-matrix[0, 1], matrix[1, 1])])
    return np.array([np.arctan2(matrix[2, 1], matrix[2, 2]), pitch, np.arctan2(matrix[1, 0], matrix[0, 0])])


def _numbers(values: Array) -> str:
    return " ".join(f"{value:.9g}" for value in values)
