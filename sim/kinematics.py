"""Forward kinematics of a chain of joints in numpy alone: what a robot needs to turn joints into its tool's pose.

A chain is plain data (JSON), read once from the robot's MJCF; batches of joint positions go through it at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.errors import UnreadableFile
from ashore.datasets.rotations import matrix_from_quat, quat_from_matrix
from ashore.sim.errors import UnknownModelName

if TYPE_CHECKING:
    from mujoco import MjModel

Array = NDArray[Any]
Vector = tuple[float, ...]
Walk = tuple[Array, Array, Array, Array]


@dataclass(frozen=True)
class Link:
    """A fixed transform from the frame before it, then a hinge about an axis; the last link of a chain has no axis."""

    pos_m: Vector
    """(3,) in the frame before."""
    quat_wxyz: Vector
    """(4,) unit quaternion."""
    axis: Vector | None = None
    """(3,) unit vector in this link's own frame, or None where nothing turns."""


class _Walked:
    """The newest two walks, replaced as one: a control loop observes and commands with the same joints."""

    __slots__ = ("newest",)

    def __init__(self) -> None:
        self.newest: tuple[tuple[Array, Walk], ...] = ()


@dataclass(frozen=True)
class Chain:
    """Hinges from a base to a tool: T_base_tool(q) = F1 R1(q1) F2 R2(q2) ... F_tool."""

    links: tuple[Link, ...]

    @property
    def n_joints(self) -> int:
        """Number of hinges, J."""
        return sum(link.axis is not None for link in self.links)

    def forward(self, q_rad: Array) -> tuple[Array, Array]:
        """Compute the tool's pose in the base.

        Args:
            q_rad: (N, J) joint positions.

        Returns:
            Position (N, 3) in m and quaternion wxyz (N, 4) of either sign.
        """
        matrix, pos, _, _ = self._walk(q_rad)
        return pos.copy(), quat_from_matrix(matrix)

    def origins(self, q_rad: Array) -> Array:
        """Compute where each joint is, and the tool (N, J + 1, 3), in the base, from joint positions (N, J)."""
        _, pos, origins, _ = self._walk(q_rad)
        return np.concatenate([origins, pos[:, None]], axis=1)

    def jacobian(self, q_rad: Array) -> tuple[Array, Array, Array]:
        """Compute the tool's pose, and its velocity for each joint's velocity.

        Args:
            q_rad: (N, J) joint positions.

        Returns:
            Position (N, 3), quaternion wxyz (N, 4), and the geometric Jacobian (N, 6, J) in base axes: rows 0 to 2 are
            linear velocity of the tool's origin per rad/s, rows 3 to 5 angular velocity.
        """
        matrix, pos, origins, axes = self._walk(q_rad)
        linear = np.cross(axes, pos[:, None, :] - origins)
        jacobian = np.concatenate([linear, axes], axis=2).transpose(0, 2, 1)
        return pos.copy(), quat_from_matrix(matrix), jacobian

    def to_mapping(self) -> dict[str, Any]:
        """Return JSON-able data."""
        rows = [
            {
                "pos_m": list(link.pos_m),
                "quat_wxyz": list(link.quat_wxyz),
                "axis": None if link.axis is None else list(link.axis),
            }
            for link in self.links
        ]
        return {"links": rows}

    @classmethod
    def from_mapping(cls, raw: Mapping[str, Any]) -> Self:
        """Read what to_mapping gave.

        Raises:
            UnreadableFile: keys or lengths are wrong.
        """
        try:
            return cls(tuple(_link(item) for item in raw["links"]))
        except (KeyError, TypeError, ValueError) as error:
            way_out = "Export the bundle again."
            raise UnreadableFile("kinematic chain", "links with pos_m, quat_wxyz, axis", str(error), way_out) from error

    @cached_property
    def _constants(self) -> tuple[Array, Array, Array, Array]:
        """Fixed parts: F A with its position, F (1 - A), F [a]x (J, 4, 4) with A = a a^T, and axes (J, 3).

        Rodrigues: R(q) = A + cos q (1 - A) + sin q [a]x, so that one joint costs two multiply-adds for all N.
        """
        moving = [link for link in self.links if link.axis is not None]
        fixed = matrix_from_quat(np.array([link.quat_wxyz for link in moving]))
        axes = np.array([link.axis for link in moving], dtype=np.float64)
        outer = axes[:, :, None] * axes[:, None, :]
        cross = np.cross(axes[:, None, :], np.eye(3)[None]).transpose(0, 2, 1)
        still, cosine, sine = (np.zeros((len(moving), 4, 4)) for _ in range(3))
        still[:, :3, :3], cosine[:, :3, :3], sine[:, :3, :3] = fixed @ outer, fixed @ (np.eye(3) - outer), fixed @ cross
        still[:, :3, 3], still[:, 3, 3] = np.array([link.pos_m for link in moving]), 1.0
        return still, cosine, sine, axes

    @cached_property
    def _tool(self) -> Array:
        """What is fixed after the last hinge (4, 4)."""
        last, tool = self.links[-1], np.eye(4)
        if last.axis is None:
            tool[:3, :3], tool[:3, 3] = matrix_from_quat(np.array(last.quat_wxyz)), last.pos_m
        return tool

    def _walk(self, q_rad: Array) -> Walk:
        """Tool rotation (N, 3, 3) and position (N, 3); joint origins and axes in the base, (N, J, 3) each."""
        q = np.asarray(q_rad, dtype=np.float64)
        for known, walked in self._walked.newest:
            if np.array_equal(known, q):
                return walked
        walked = self._walk_anew(q)
        self._walked.newest = ((q.copy(), walked), *self._walked.newest[:1])
        return walked

    @cached_property
    def _walked(self) -> _Walked:
        return _Walked()

    def _walk_anew(self, q: Array) -> Walk:
        still, cosine, sine, axes = self._constants
        turned = still + np.cos(q)[..., None, None] * cosine + np.sin(q)[..., None, None] * sine  # (N, J, 4, 4)
        frames = np.empty_like(turned)
        frame = frames[:, 0] = turned[:, 0]
        for joint in range(1, q.shape[1]):
            frame = frames[:, joint] = frame @ turned[:, joint]
        tool = frame @ self._tool
        directions = (frames[:, :, :3, :3] @ axes[:, :, None])[..., 0]
        return tool[:, :3, :3], tool[:, :3, 3], frames[:, :, :3, 3], directions


def chain_from_model(model: "MjModel", base: str, tool: str) -> Chain:
    """Read the chain of hinges between a body and a site of a MuJoCo model.

    Args:
        model: compiled MJCF.
        base: body in whose frame the tool's pose is told.
        tool: site whose frame is the tool's.

    Raises:
        UnknownModelName: there is no such body or site, or the tool does not hang on the base by single hinges.
    """
    import mujoco

    bodies = [model.body(i).name for i in range(model.nbody)]
    sites = [model.site(i).name for i in range(model.nsite)]
    if base not in bodies:
        raise UnknownModelName("body", base, bodies)
    if tool not in sites:
        raise UnknownModelName("site", tool, sites)
    site = model.site(tool)
    ancestors = [int(site.bodyid[0])]
    while ancestors[0] not in (0, bodies.index(base)):
        ancestors.insert(0, int(model.body_parentid[ancestors[0]]))
    if ancestors[0] != bodies.index(base):
        raise UnknownModelName("body above the tool", base, [bodies[i] for i in ancestors])
    links, pos, matrix = [], np.zeros(3), np.eye(3)
    for body in ancestors[1:]:
        pos, matrix = pos + matrix @ model.body_pos[body], matrix @ matrix_from_quat(model.body_quat[body])
        joints = [int(model.body_jntadr[body]) + i for i in range(int(model.body_jntnum[body]))]
        if len(joints) > 1 or any(int(model.jnt_type[j]) != int(mujoco.mjtJoint.mjJNT_HINGE) for j in joints):
            raise UnknownModelName("chain of single hinges through body", bodies[body], [])
        for joint in joints:
            anchor = np.array(model.jnt_pos[joint])
            links.append(_fixed(pos + matrix @ anchor, matrix, tuple(model.jnt_axis[joint].tolist())))
            pos, matrix = -anchor, np.eye(3)
    tool_matrix = matrix @ matrix_from_quat(np.array(site.quat))
    return Chain((*links, _fixed(pos + matrix @ np.array(site.pos), tool_matrix, None)))


def _fixed(pos: Array, matrix: Array, axis: Vector | None) -> Link:
    quat = quat_from_matrix(matrix[None])[0]
    return Link(tuple(pos.tolist()), tuple(quat.tolist()), axis)


def _link(raw: Mapping[str, Any]) -> Link:
    pos, quat, axis = tuple(raw["pos_m"]), tuple(raw["quat_wxyz"]), raw["axis"]
    if len(pos) != 3 or len(quat) != 4 or (axis is not None and len(axis) != 3):
        raise ValueError("a link needs pos_m of 3, quat_wxyz of 4 and axis of 3 numbers or null")
    return Link(pos, quat, None if axis is None else tuple(axis))
