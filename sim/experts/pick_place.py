"""The scripted pick-and-place expert: tool targets from the true state, for all worlds at once, with retries.

Its labels are functions of the state and the phase alone. One funnel serves reaching and placing: the tool's height
above its goal follows from how far off it is, so that it lifts before it travels and descends where it is aligned.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.rotations import matrix_from_quat
from ashore.sim.experts.tool_motion import ToolMotion, yaw_of

Array = NDArray[Any]
REACH, GRASP, CARRY, RELEASE, RETREAT = range(5)


@dataclass(frozen=True)
class PickPlaceExpertConfig:
    """Tolerances, widths and heights."""

    motion: ToolMotion = field(default_factory=ToolMotion)
    near_m: float = 0.008
    """Tolerance that ends reaching, sideways and in height."""
    placed_m: float = 0.006
    """Tolerance that ends carrying, of the cube from the goal, sideways and in height."""
    yaw_tolerance_rad: float = 0.12
    yaw_fold: float = 0.3
    """Of the cube's four yaws the one nearest to this share of the tool's own is taken: a choice that holds itself."""
    open_m: float = 0.08
    opened_m: float = 0.062
    """A gripper wider than this has let go."""
    held_m: tuple[float, float] = (0.036, 0.0425)
    """Widths of a gripper that holds the cube."""
    lost_m: float = 0.03
    """A cube farther than this from the tool is not held."""
    missed_m: float = 0.022
    """A cube farther than this from the goal, after the release, is picked again."""
    retreat_m: float = 0.12
    """Height above the goal where the tool ends."""


class PickPlaceExpert:
    """Phases of N worlds: reach, grasp, carry, release, retreat; what is lost is picked again."""

    def __init__(self, n: int, config: PickPlaceExpertConfig) -> None:
        self._config = config
        self.phase = np.full(n, REACH)

    def act(self, truth: Mapping[str, Array], time_s: float) -> Array:
        """Return tool position m, angular velocity rad/s and gripper width m (N, 7) for the true observations."""
        config = self._config
        tool, cube, goal = truth["tcp_pos_base_m"], truth["object_pos_base_m"], truth["goal_pos_base_m"]
        rotation = matrix_from_quat(truth["tcp_quat_base_wxyz"])
        yaw_error = self._yaw_error(rotation, truth["object_quat_base_wxyz"])
        self._advance(truth, yaw_error)
        phase = self.phase[:, None]
        # Where the cube is held off the tool's centre, it is the cube that is brought to the goal.
        aim = np.where(phase == REACH, cube, goal + tool - cube)
        velocity = config.motion.through_funnel(aim - tool, np.where(self.phase == REACH, np.abs(yaw_error), 0.0))
        rise = config.motion.straight(np.column_stack([0.0 * tool[:, :2], goal[:, 2] + config.retreat_m - tool[:, 2]]))
        velocity = np.where(phase == RETREAT, rise, np.where((phase == REACH) | (phase == CARRY), velocity, 0.0))
        turn = config.motion.turn(rotation, np.where(self.phase == REACH, yaw_error, 0.0))
        shut = (phase == GRASP) | (phase == CARRY)
        gripper = np.where(shut, 0.0, config.open_m)
        return np.concatenate([config.motion.target(tool, velocity), turn, gripper], axis=1)

    def _advance(self, truth: Mapping[str, Array], yaw_error: Array) -> None:
        config, phase = self._config, self.phase
        tool, cube, goal = truth["tcp_pos_base_m"], truth["object_pos_base_m"], truth["goal_pos_base_m"]
        width = truth["gripper_width_m"][:, 0]
        off, missed = cube - tool, np.linalg.norm((goal - cube)[:, :2], axis=1)
        side, above = np.linalg.norm(off[:, :2], axis=1), np.abs(off[:, 2])
        distance = np.linalg.norm(off, axis=1)
        at_cube = (side < config.near_m) & (above < config.near_m) & (np.abs(yaw_error) < config.yaw_tolerance_rad)
        holds = (width > config.held_m[0]) & (width < config.held_m[1])
        empty = (distance > config.lost_m) | (width < config.held_m[0])
        # A cube that is held askew stands on an edge before its centre is down; then the tool's own height tells.
        height = np.minimum(np.abs(cube[:, 2] - goal[:, 2]), np.abs(tool[:, 2] - goal[:, 2]))
        at_goal = (missed < config.placed_m) & (height < config.placed_m)
        moves = (
            (REACH, at_cube & (width > config.opened_m), GRASP),
            (GRASP, holds, CARRY),
            (GRASP, empty, REACH),
            (CARRY, empty, REACH),
            (CARRY, at_goal & ~empty, RELEASE),
            (RELEASE, width > config.opened_m, RETREAT),
            (RETREAT, missed > config.missed_m, REACH),
        )
        new = phase.copy()
        for before, when, after in moves:
            new[(phase == before) & when] = after
        self.phase = new

    def _yaw_error(self, rotation: Array, cube_quat_wxyz: Array) -> Array:
        """How far the tool has still to turn (N,) rad, to the cube's side that it can reach best."""
        tool_yaw, cube_yaw = yaw_of(rotation), yaw_of(matrix_from_quat(cube_quat_wxyz))
        quarter = np.pi / 2
        turns = np.round((self._config.yaw_fold * tool_yaw - cube_yaw) / quarter)
        return np.asarray(cube_yaw + turns * quarter - tool_yaw)
