"""The scripted drawer expert: it grips the handle from above and pulls it to its goal, with retries.

Its labels are functions of the state and the phase alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ashore.sim.experts.grasping import CARRY, REACH, Grip, advanced, told
from ashore.sim.experts.tool_motion import ToolMotion, folded, yaw_of

Array = NDArray[Any]


@dataclass(frozen=True)
class DrawerExpertConfig:
    """Tolerances and speeds."""

    grip: Grip
    motion: ToolMotion = field(default_factory=ToolMotion)
    pulling: ToolMotion = field(default_factory=lambda: ToolMotion(speed_m_s=0.15, approach_per_s=12.0))
    """Slower, and stiffer: a drawer that sticks takes force, and a servo's force is its distance from the target."""

    @classmethod
    def of(cls, width_m: float) -> Self:
        """For a gripper that opens so far."""
        return cls(Grip(open_m=width_m, opened_m=0.75 * width_m, held_m=(0.015, 0.024), lost_m=0.025))


class DrawerExpert:
    """Phases of N worlds: reach, grasp, carry, which here is to pull; a handle that slips is gripped again."""

    def __init__(self, n: int, config: DrawerExpertConfig) -> None:
        self._config = config
        self.phase = np.full(n, REACH)

    def act(self, truth: Mapping[str, Array], time_s: float) -> Array:
        """Return tool position m, angular velocity rad/s and gripper width m (N, 7) for the true observations."""
        config = self._config
        tool, rotation = told(truth, "tcp")
        handle, axes = told(truth, "handle")
        # The bar is square, but the hand that is square to the front from its own side has the most room.
        yaw_error = folded(yaw_of(axes) - yaw_of(rotation), 2)
        moves = config.grip.moves(handle - tool, yaw_error, truth["gripper_width_m"][:, 0])
        self.phase = advanced(self.phase, moves)
        phase = self.phase[:, None]
        velocity = np.select(
            [phase == REACH, phase == CARRY],
            [
                config.motion.through_funnel(handle - tool, np.abs(yaw_error)),
                config.pulling.straight(truth["goal_pos_base_m"] - handle + _level(handle - tool)),
            ],
            np.zeros_like(tool),
        )
        gripper = np.where(phase == REACH, config.grip.open_m, 0.0)
        turn = config.motion.turn(rotation, yaw_error)
        return np.concatenate([config.motion.target(tool, velocity), turn, gripper], axis=1)


def _level(off: Array) -> Array:
    """The height (N, 3) that the tool has lost against the handle: it is held there while it pulls."""
    return np.column_stack([np.zeros_like(off[:, :2]), off[:, 2]])
