"""What experts that grasp share: phases, when a thing is reached, held or lost, and which of its sides to take."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.rotations import matrix_from_quat
from ashore.sim.experts.tool_motion import yaw_of

Array = NDArray[Any]
REACH, GRASP, CARRY, RELEASE, RETREAT = range(5)
Move = tuple[int, Array, int]
"""Phase before, where (N,) bool it ends, phase after."""


@dataclass(frozen=True)
class Grip:
    """Tolerances and widths of grasping one kind of thing; every method is a function of its arguments alone."""

    near_m: float = 0.008
    """Tolerance that ends reaching, sideways and in height."""
    yaw_tolerance_rad: float = 0.12
    yaw_fold: float = 0.3
    """Of a square's four yaws the one nearest to this share of the tool's own is taken: a choice that holds itself."""
    open_m: float = 0.08
    opened_m: float = 0.062
    """A gripper wider than this has let go."""
    held_m: tuple[float, float] = (0.036, 0.0425)
    """Widths of a gripper that holds the thing."""
    lost_m: float = 0.03
    """A thing farther than this from the tool is not held."""

    def moves(self, off: Array, yaw_error: Array, width: Array) -> tuple[Move, ...]:
        """How reaching, grasping and carrying end, for a thing at an offset (N, 3) from the tool, width (N,) of it."""
        side, above = np.linalg.norm(off[:, :2], axis=1), np.abs(off[:, 2])
        reached = (side < self.near_m) & (above < self.near_m) & (np.abs(yaw_error) < self.yaw_tolerance_rad)
        holds = (width > self.held_m[0]) & (width < self.held_m[1])
        empty = self.empty(off, width)
        return (
            (REACH, reached & (width > self.opened_m), GRASP),
            (GRASP, holds, CARRY),
            (GRASP, empty, REACH),
            (CARRY, empty, REACH),
        )

    def empty(self, off: Array, width: Array) -> Array:
        """Where (N,) the gripper has nothing of a thing at an offset (N, 3) from the tool."""
        return np.asarray((np.linalg.norm(off, axis=1) > self.lost_m) | (width < self.held_m[0]))

    def yaw_error(self, rotation: Array, quat_wxyz: Array) -> Array:
        """How far the tool (N, 3, 3) has still to turn (N,) rad, to the square thing's side that it can reach best."""
        tool_yaw, yaw = yaw_of(rotation), yaw_of(matrix_from_quat(quat_wxyz))
        quarter = np.pi / 2
        turns = np.round((self.yaw_fold * tool_yaw - yaw) / quarter)
        return np.asarray(yaw + turns * quarter - tool_yaw)


def advanced(phase: Array, moves: Iterable[Move]) -> Array:
    """The phases (N,) after one step; of two moves that both apply the later one counts."""
    new = phase.copy()
    for before, when, after in moves:
        new[(phase == before) & when] = after
    return np.asarray(new)


def told(truth: Mapping[str, Array], name: str) -> tuple[Array, Array]:
    """Position (N, 3) and axes (N, 3, 3) of what the observations call NAME_pos_base_m and NAME_quat_base_wxyz."""
    return truth[f"{name}_pos_base_m"], matrix_from_quat(truth[f"{name}_quat_base_wxyz"])
