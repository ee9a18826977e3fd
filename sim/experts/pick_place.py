"""The scripted pick-and-place expert: tool targets from the true state, for all worlds at once, with retries.

Its labels are functions of the state and the phase alone. One funnel serves reaching and placing: the tool's height
above its goal follows from how far off it is, so that it lifts before it travels and descends where it is aligned.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.rotations import matrix_from_quat

Array = NDArray[Any]
REACH, GRASP, CARRY, RELEASE, RETREAT = range(5)


@dataclass(frozen=True)
class PickPlaceExpertConfig:
    """Speeds, tolerances and heights."""

    servo_time_s: float = 0.1
    """The tool moves at (target - tool) / servo_time_s."""
    speed_m_s: float = 0.3
    turn_rad_s: float = 1.2
    approach_per_s: float = 6.0
    """Speed asked for a distance of 1 m, below the largest speed."""
    turn_per_s: float = 5.0
    hover_m: float = 0.09
    """Height above the grasp at which the tool travels."""
    funnel: float = 3.0
    """Height of the travel over distance that remains."""
    aligned_m: float = 0.005
    """A distance within which the tool may be all the way down."""
    near_m: float = 0.008
    """Tolerance that ends reaching, sideways and in height."""
    placed_m: float = 0.006
    """Tolerance that ends carrying, of the cube from the goal, sideways and in height."""
    yaw_weight_m: float = 0.03
    """Distance that a yaw error of 1 rad counts as."""
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
        velocity = self._through_funnel(aim - tool, np.where(self.phase == REACH, np.abs(yaw_error), 0.0))
        rise = self._limited(np.column_stack([0.0 * tool[:, :2], goal[:, 2] + config.retreat_m - tool[:, 2]]))
        velocity = np.where(phase == RETREAT, rise, np.where((phase == REACH) | (phase == CARRY), velocity, 0.0))
        turn = self._turn(rotation, np.where(self.phase == REACH, yaw_error, 0.0))
        shut = (phase == GRASP) | (phase == CARRY)
        gripper = np.where(shut, 0.0, config.open_m)
        return np.concatenate([tool + config.servo_time_s * velocity, turn, gripper], axis=1)

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

    def _through_funnel(self, offset: Array, yaw_error: Array) -> Array:
        """Velocity (N, 3) towards an aim at an offset (N, 3): up first where it is low, down where it is aligned."""
        config = self._config
        side = np.linalg.norm(offset[:, :2], axis=1) + config.yaw_weight_m * yaw_error
        height = np.clip(config.funnel * (side - config.aligned_m), 0.0, config.hover_m)
        climb = offset[:, 2] + height
        free = np.clip(1.5 - climb / (0.4 * config.hover_m), 0.0, 1.0)
        return self._limited(np.column_stack([offset[:, :2] * free[:, None], climb]))

    def _limited(self, offset: Array) -> Array:
        velocity = self._config.approach_per_s * offset
        speed = np.linalg.norm(velocity, axis=1, keepdims=True)
        return np.asarray(velocity * np.minimum(1.0, self._config.speed_m_s / np.maximum(speed, 1e-9)))

    def _yaw_error(self, rotation: Array, cube_quat_wxyz: Array) -> Array:
        """How far the tool has still to turn (N,) rad, to the cube's side that it can reach best."""
        tool_yaw = np.arctan2(rotation[:, 1, 0], rotation[:, 0, 0])
        cube = matrix_from_quat(cube_quat_wxyz)
        cube_yaw = np.arctan2(cube[:, 1, 0], cube[:, 0, 0])
        quarter = np.pi / 2
        turns = np.round((self._config.yaw_fold * tool_yaw - cube_yaw) / quarter)
        return np.asarray(cube_yaw + turns * quarter - tool_yaw)

    def _turn(self, rotation: Array, yaw_error: Array) -> Array:
        """Angular velocity (N, 3) that turns by the yaw error and keeps the tool pointing down."""
        axis = rotation[..., 2]
        upright = np.cross(axis, np.broadcast_to([0.0, 0.0, -1.0], axis.shape))
        upright[:, 2] = yaw_error
        turn = self._config.turn_per_s * upright
        rate = np.linalg.norm(turn, axis=1, keepdims=True)
        return np.asarray(turn * np.minimum(1.0, self._config.turn_rad_s / np.maximum(rate, 1e-9)))
