"""The scripted Push-T expert: pick a push, lift over the T to where it begins, push, look again; N worlds at once.

A push is picked as the first of two that bring the T nearest to its goal, by the model in push_model.py. It ends as
soon as the T is as near as it comes to where the push should bring it, so that the model's errors do not add up.
Labels are functions of the state, the phase, the push and how hard it has had to be so far.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.rotations import matrix_from_quat
from ashore.sim.experts.push_model import PushModel, pushes
from ashore.sim.experts.tool_motion import ToolMotion, folded, yaw_of
from ashore.sim.tasks.tee import GOAL_POS_BASE_M, GOAL_YAW_RAD, rotated

Array = NDArray[Any]
RISE, GO, PUSH = range(3)


@dataclass(frozen=True)
class PushTExpertConfig:
    """Heights, gaps, tolerances."""

    model: PushModel = field(default_factory=PushModel)
    motion: ToolMotion = field(default_factory=lambda: ToolMotion(hover_m=0.05, speed_m_s=0.4))
    low_m: float = 0.02
    """Height of the tool as it pushes: that of a finger's middle."""
    high_m: float = 0.05
    """A tool higher than this may travel over the T."""
    gap_m: float = 0.034
    """Distance of the tool from the edge where a push begins."""
    near_m: float = 0.006
    """Tolerance that ends going to where a push begins."""
    yaw_tolerance_rad: float = 0.1
    yaw_fold: float = 0.3
    """Of the T's four axes the one nearest to this share of the tool's own yaw is taken."""
    push_m_s: float = 0.12
    push_per_s: float = 8.0
    """Speed asked for a way of 1 m that remains, below the largest speed."""
    slowest_m_s: float = 0.05
    strain: float = 0.1
    """Share of the speed that is missing which is asked for in addition at every step of a push: against a heavy T."""
    most_strain_m_s: float = 0.15
    back_m_s: float = 0.15
    """Speed of the tool away from the T as it begins to rise; a servo that is told to stop goes on for a moment."""
    enough_m: float = 0.001
    """A push ends where no more than this remains of its way."""
    lost_m: float = 0.03
    """A push ends where the tool is past the edge, or this far aside of the point that it should push."""
    good_m: float = 0.003
    """An error below which the T is left alone."""
    first_weight: float = 0.3
    """Weight of the error after the first of two pushes, against that after the second."""
    x_range_m: tuple[float, float] = (0.30, 0.64)
    """Where the tool may begin a push."""


class PushTExpert:
    """Phases of N worlds: rise, go to where a push begins, push; when a push is over, the next one is picked."""

    def __init__(self, n: int, config: PushTExpertConfig) -> None:
        self._config = config
        self.phase = np.full(n, RISE)
        self._all = pushes(config.model, config.gap_m)
        self._felt = config.model.felt(self._all.points, self._all.normals)
        self._straight = np.flatnonzero(np.sum(self._all.directions * self._all.normals, axis=1) > 0.999)
        self._push = np.zeros(n, dtype=np.int64)
        self._planned = np.zeros((n, 3))
        self._start_yaw = np.zeros(n)
        self._place = np.zeros((n, 3))
        self._strain = np.zeros(n)
        self._last_tool = np.zeros((n, 3))
        self._last_time_s = 0.0

    def act(self, truth: Mapping[str, Array], time_s: float) -> Array:
        """Return tool position m, angular velocity rad/s and gripper width m (N, 7) for the true observations."""
        config = self._config
        tool, rotation = truth["tcp_pos_base_m"], matrix_from_quat(truth["tcp_quat_base_wxyz"])
        yaw = yaw_of(matrix_from_quat(truth["object_quat_base_wxyz"]))
        pose = np.column_stack([truth["object_pos_base_m"][:, :2], yaw])
        self._advance(tool, pose, self._yaw_error(rotation, yaw))
        self._push_harder(tool, pose, time_s)
        yaw_error = self._yaw_error(rotation, np.where(self.phase == PUSH, self._start_yaw, yaw))
        rise = config.motion.straight(np.column_stack([0.0 * tool[:, :2], config.high_m + 0.03 - tool[:, 2]]))
        low = np.clip(2.0 * (config.high_m - tool[:, 2]) / (config.high_m - config.low_m), 0.0, 1.0)
        rise[:, :2] -= config.back_m_s * low[:, None] * self._direction()
        go = config.motion.through_funnel(self._begin(pose) - tool, np.abs(yaw_error))
        phase = self.phase[:, None]
        velocity = np.where(phase == RISE, rise, np.where(phase == GO, go, self._pushing(tool, pose)))
        turn = config.motion.turn(rotation, np.where(self.phase == RISE, 0.0, yaw_error))
        return np.concatenate([config.motion.target(tool, velocity), turn, np.zeros((len(tool), 1))], axis=1)

    def _begin(self, pose: Array) -> Array:
        """Where the tool begins its push (N, 3), for the T as it lies now."""
        config, chosen = self._config, self._push
        begin = pose[:, :2] + rotated(self._all.begins[chosen], pose[:, 2])
        return np.column_stack([begin, np.full(len(pose), config.low_m)])

    def _pushing(self, tool: Array, pose: Array) -> Array:
        """Velocity (N, 3) along the push and back to its line."""
        config = self._config
        direction, speed = self._direction(), self._speed(pose) + self._strain
        off = self._place - tool
        off[:, :2] -= np.sum(off[:, :2] * direction, axis=1, keepdims=True) * direction
        back = config.motion.straight(off)
        return np.asarray(back + np.column_stack([speed[:, None] * direction, np.zeros(len(tool))]))

    def _direction(self) -> Array:
        """Where the finger goes in the world (N, 2), fixed when the push begins."""
        return rotated(self._all.directions[self._push], self._start_yaw)

    def _speed(self, pose: Array) -> Array:
        """The speed (N,) that a push should have now."""
        config = self._config
        return np.clip(config.push_per_s * self._left(pose), config.slowest_m_s, config.push_m_s)

    def _push_harder(self, tool: Array, pose: Array, time_s: float) -> None:
        """Add up what speed is missing, since the last step, of worlds that push."""
        config = self._config
        passed_s = time_s - self._last_time_s
        way = np.sum((tool - self._last_tool)[:, :2] * self._direction(), axis=1)
        missing = self._speed(pose) - way / passed_s if passed_s > 0.0 else np.zeros(len(tool))
        harder = np.clip(self._strain + config.strain * missing, 0.0, config.most_strain_m_s)
        self._strain = np.where(self.phase == PUSH, harder, 0.0)
        self._last_tool, self._last_time_s = tool.copy(), time_s

    def _left(self, pose: Array) -> Array:
        """How much farther (N,) m the finger has to go until the T is nearest to where the push should bring it."""
        model, chosen = self._config.model, self._push
        local = rotated(self._all.directions[chosen], self._start_yaw - pose[:, 2])
        velocity, rate = model.twist(self._felt[chosen], local)
        velocity, weight = rotated(velocity, pose[:, 2]), model.yaw_weight_m**2
        away = self._planned - pose
        along = np.sum(velocity * away[:, :2], axis=1) + weight * rate * folded(away[:, 2], 1)
        return np.asarray(along / (np.sum(velocity**2, axis=1) + weight * rate**2))

    def _advance(self, tool: Array, pose: Array, yaw_error: Array) -> None:
        config, phase = self._config, self.phase
        away, turned = pose[:, :2] - GOAL_POS_BASE_M[:2], folded(pose[:, 2] - GOAL_YAW_RAD, 1)
        good = config.model.error(away, turned) < config.good_m
        plans = (phase == RISE) & (tool[:, 2] > config.high_m) & ~good
        if plans.any():
            self._plan(np.flatnonzero(plans), pose)
        there = np.max(np.abs(self._begin(pose) - tool), axis=1) < config.near_m
        pushes = (phase == GO) & there & (np.abs(yaw_error) < config.yaw_tolerance_rad)
        self._place[pushes], self._start_yaw[pushes] = tool[pushes], pose[pushes, 2]
        self._place[pushes, 2] = config.low_m
        ends = (phase == PUSH) & ((self._left(pose) < config.enough_m) | self._lost(tool, pose))
        new = phase.copy()
        new[plans], new[pushes], new[ends] = GO, PUSH, RISE
        self.phase = new

    def _lost(self, tool: Array, pose: Array) -> Array:
        """Whether the tool has passed or left the edge (N,) that it should push."""
        seen = rotated(tool[:, :2] - pose[:, :2], -pose[:, 2]) - self._all.points[self._push]
        normal = self._all.normals[self._push]
        depth = np.sum(seen * normal, axis=1)
        side = np.abs(seen[:, 0] * normal[:, 1] - seen[:, 1] * normal[:, 0])
        return np.asarray((depth > 0.0) | (side > self._config.lost_m))

    def _plan(self, rows: Array, pose: Array) -> None:
        """Pick the next push of the worlds rows (K,)."""
        config, model = self._config, self._config.model
        poses = model.slide(pose[rows], self._felt, self._all.directions)
        away, turned = poses[..., :2] - GOAL_POS_BASE_M[:2], folded(poses[..., 2] - GOAL_YAW_RAD, 1)
        straight = self._straight
        rest = model.rest_after_best(away, turned, poses[..., 2], self._felt[straight], self._all.directions[straight])
        cost = rest + config.first_weight * model.error(away, turned)
        begins = pose[rows, None, :2] + rotated(self._all.begins, pose[rows, None, 2])
        outside = (begins[..., 0] < config.x_range_m[0]) | (begins[..., 0] > config.x_range_m[1])
        best = np.argmin(np.where(outside[..., None], np.inf, cost).reshape(len(rows), -1), axis=1)
        push, step = np.divmod(best, model.n_steps)
        self._push[rows] = push
        self._planned[rows] = poses[np.arange(len(rows)), push, step]

    def _yaw_error(self, rotation: Array, yaw: Array) -> Array:
        """How far the tool has still to turn (N,) rad, to the T's axis that it can reach best."""
        tool_yaw, quarter = yaw_of(rotation), np.pi / 2
        turns = np.round((self._config.yaw_fold * tool_yaw - yaw) / quarter)
        return np.asarray(yaw + turns * quarter - tool_yaw)
