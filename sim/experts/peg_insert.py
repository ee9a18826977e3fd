"""The scripted peg-insertion expert: it takes the peg by its upper half and lets the tip find the hole, with retries.

Its labels are functions of the state and the phase alone. What is steered is the peg's lower end and the peg's own yaw,
not the tool's, so that a peg that is held askew goes in as well. A tip that leaves the hole's mouth is lifted again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ashore.sim.experts.grasping import CARRY, GRASP, REACH, RELEASE, RETREAT, Grip, advanced, told
from ashore.sim.experts.tool_motion import ToolMotion, folded, yaw_of

Array = NDArray[Any]
INSERT = 5


@dataclass(frozen=True)
class PegInsertExpertConfig:
    """Tolerances, speeds and heights."""

    grip: Grip
    motion: ToolMotion = field(default_factory=lambda: ToolMotion(approach_per_s=11.0))
    """Stiffer than usual: the arm sags by a millimetre under a load, and that is most of the play."""
    lower_m: float = 0.006
    """How far below the tip the tool is sent while it inserts; the arm then presses no harder than it sags."""
    grip_m: float = 0.018
    """Height of the tool above the peg's middle."""
    above_m: float = 0.010
    """Height of the tip above the rim where it is brought into line."""
    aligned_m: float = 0.0015
    """Distance of the tip from the hole's axis that begins the insertion."""
    aligned_rad: float = 0.04
    strayed_m: float = 0.004
    """A tip that is farther from the axis, and not in the hole, has to be brought into line again."""
    deep_m: float = 0.032
    """Depth at which the peg is let go."""
    slipped_m: float = 0.005
    """A peg in the hole that has been pushed up in the hand by so much is let go, to be taken anew or to slide down."""

    @classmethod
    def of(cls, width_m: float) -> Self:
        """For a gripper that opens so far."""
        return cls(Grip(open_m=width_m, opened_m=0.75 * width_m, held_m=(0.02, 0.0265), lost_m=0.03))


class PegInsertExpert:
    """Phases of N worlds: reach, grasp, carry, insert, release, retreat; what is lost is picked again."""

    def __init__(self, n: int, config: PegInsertExpertConfig, length_m: float) -> None:
        """Take the peg's length beside the tolerances."""
        self._config, self._length_m = config, length_m
        self.phase = np.full(n, REACH)

    def act(self, truth: Mapping[str, Array], time_s: float) -> Array:
        """Return tool position m, angular velocity rad/s and gripper width m (N, 7) for the true observations."""
        config, motion = self._config, self._config.motion
        tool, rotation = told(truth, "tcp")
        peg, axes = told(truth, "object")
        rim, hole = told(truth, "hole")
        up = axes[:, :, 2] * np.sign(axes[:, 2:, 2])
        handle, tip = peg + config.grip_m * up, peg - self._length_m / 2 * up
        reach_yaw = config.grip.yaw_error(rotation, truth["object_quat_base_wxyz"])
        fit_yaw = folded(yaw_of(hole) - yaw_of(axes), 4)
        self._advance(truth["gripper_width_m"][:, 0], handle - tool, tip - rim, (reach_yaw, fit_yaw))
        phase = self.phase
        yaw = np.select([phase == REACH, (phase == CARRY) | (phase == INSERT)], [reach_yaw, fit_yaw], 0.0)
        above, still = np.array([0.0, 0.0, config.above_m]), np.zeros_like(tool)
        lower = np.column_stack([(rim - tip)[:, :2], np.full(len(tool), -config.lower_m)])
        velocity = np.select(
            [(phase == each)[:, None] for each in (REACH, GRASP, CARRY, INSERT, RETREAT)],
            [
                motion.through_funnel(handle - tool, np.abs(reach_yaw)),
                motion.straight(handle - tool),
                motion.through_funnel(rim + above - tip, still[:, 0]),
                motion.straight(lower),
                motion.straight(np.column_stack([still[:, :2], rim[:, 2] + motion.hover_m + 0.05 - tool[:, 2]])),
            ],
            still,
        )
        # What hangs askew in the hand is brought upright, not the hand.
        rotation[..., 2] = np.where(((phase == CARRY) | (phase == INSERT))[:, None], -up, rotation[..., 2])
        shut = (phase == GRASP) | (phase == CARRY) | (phase == INSERT)
        gripper = np.where(shut, 0.0, config.grip.open_m)[:, None]
        return np.concatenate([motion.target(tool, velocity), motion.turn(rotation, yaw), gripper], axis=1)

    def _advance(self, width: Array, off: Array, tip: Array, yaw_errors: tuple[Array, Array]) -> None:
        """Take the gripper's width (N,), the peg from the tool (N, 3), the tip from the rim (N, 3) and yaw errors."""
        config, grip = self._config, self._config.grip
        reach_yaw, fit_yaw = yaw_errors
        side, inside = np.linalg.norm(tip[:, :2], axis=1), tip[:, 2] < -0.002
        empty = grip.empty(off, width)
        in_line = (side < config.aligned_m) & (np.abs(fit_yaw) < config.aligned_rad)
        in_line &= np.abs(tip[:, 2] - config.above_m) < config.above_m
        strayed = (side > config.strayed_m) & ~inside
        deep = (tip[:, 2] < -config.deep_m) & (side < config.strayed_m)
        self.phase = advanced(
            self.phase,
            (
                *grip.moves(off, reach_yaw, width),
                (CARRY, in_line & ~empty, INSERT),
                (INSERT, strayed, CARRY),
                (INSERT, empty, REACH),
                (INSERT, deep | (inside & (off[:, 2] > config.slipped_m)), RELEASE),
                (RELEASE, width > grip.opened_m, RETREAT),
                (RETREAT, ~deep, REACH),
            ),
        )
