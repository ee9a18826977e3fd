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
from ashore.sim.experts.grasping import CARRY, GRASP, REACH, RELEASE, RETREAT, Grip, advanced
from ashore.sim.experts.tool_motion import ToolMotion

Array = NDArray[Any]


@dataclass(frozen=True)
class PickPlaceExpertConfig:
    """Tolerances and heights."""

    motion: ToolMotion = field(default_factory=ToolMotion)
    grip: Grip = field(default_factory=Grip)
    placed_m: float = 0.006
    """Tolerance that ends carrying, of the cube from the goal, sideways and in height."""
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
        tool, cube, goal = truth["tcp_pos_base_m"], truth["object_pos_base_m"], self.goal(truth)
        rotation = matrix_from_quat(truth["tcp_quat_base_wxyz"])
        yaw_error = self.yaw_error(rotation, truth)
        self._advance(truth, yaw_error)
        phase = self.phase[:, None]
        # Where the cube is held off the tool's centre, it is the cube that is brought to the goal.
        aim = np.where(phase == REACH, cube, goal + tool - cube)
        velocity = config.motion.through_funnel(aim - tool, np.where(self.phase == REACH, np.abs(yaw_error), 0.0))
        rise = config.motion.straight(np.column_stack([0.0 * tool[:, :2], goal[:, 2] + config.retreat_m - tool[:, 2]]))
        velocity = np.where(phase == RETREAT, rise, np.where((phase == REACH) | (phase == CARRY), velocity, 0.0))
        turn = config.motion.turn(rotation, np.where(self.phase == REACH, yaw_error, 0.0))
        shut = (phase == GRASP) | (phase == CARRY)
        gripper = np.where(shut, 0.0, config.grip.open_m)
        return np.concatenate([config.motion.target(tool, velocity), turn, gripper], axis=1)

    def goal(self, truth: Mapping[str, Array]) -> Array:
        """Where the cube's centre shall come to rest (N, 3)."""
        return truth["goal_pos_base_m"]

    def yaw_error(self, rotation: Array, truth: Mapping[str, Array]) -> Array:
        """How far the tool (N, 3, 3) has still to turn (N,) rad, to the sides by which it shall take the cube."""
        return self._config.grip.yaw_error(rotation, truth["object_quat_base_wxyz"])

    def _advance(self, truth: Mapping[str, Array], yaw_error: Array) -> None:
        config = self._config
        tool, cube, goal = truth["tcp_pos_base_m"], truth["object_pos_base_m"], self.goal(truth)
        width = truth["gripper_width_m"][:, 0]
        off, missed = cube - tool, np.linalg.norm((goal - cube)[:, :2], axis=1)
        # A cube that is held askew stands on an edge before its centre is down; then the tool's own height tells.
        height = np.minimum(np.abs(cube[:, 2] - goal[:, 2]), np.abs(tool[:, 2] - goal[:, 2]))
        at_goal = (missed < config.placed_m) & (height < config.placed_m)
        self.phase = advanced(
            self.phase,
            (
                *config.grip.moves(off, yaw_error, width),
                (CARRY, at_goal & ~config.grip.empty(off, width), RELEASE),
                (RELEASE, width > config.grip.opened_m, RETREAT),
                (RETREAT, missed > config.missed_m, REACH),
            ),
        )
