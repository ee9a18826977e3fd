"""The scripted reach expert: straight to the goal, the tool pointing down; its labels are functions of the state."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.rotations import matrix_from_quat
from ashore.sim.experts.tool_motion import ToolMotion, yaw_of

Array = NDArray[Any]


@dataclass(frozen=True)
class ReachExpertConfig:
    """How the tool moves, and what the gripper does meanwhile."""

    open_m: float
    """Width that the gripper keeps."""
    motion: ToolMotion = field(default_factory=ToolMotion)


class ReachExpert:
    """Moves N tools straight to their goals."""

    def __init__(self, config: ReachExpertConfig) -> None:
        self._config = config

    def act(self, truth: Mapping[str, Array], time_s: float) -> Array:
        """Return tool position m, angular velocity rad/s and gripper width m (N, 7) for the true observations."""
        motion, tool = self._config.motion, truth["tcp_pos_base_m"]
        rotation = matrix_from_quat(truth["tcp_quat_base_wxyz"])
        velocity = motion.straight(truth["goal_pos_base_m"] - tool)
        turn = motion.turn(rotation, -yaw_of(rotation))
        gripper = np.full((len(tool), 1), self._config.open_m)
        return np.concatenate([motion.target(tool, velocity), turn, gripper], axis=1)
