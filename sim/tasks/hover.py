"""Hover: a quadrotor that was thrown recovers from its start and holds a goal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from ashore.datasets.contract import Contract, Feature
from ashore.datasets.errors import UnknownName
from ashore.datasets.rotations import matrix_from_quat, quat_from_vector, quat_multiply, upper_half
from ashore.sim.engine import Engine
from ashore.sim.experts.hover import HoverExpert, HoverExpertConfig
from ashore.sim.injection import Injection
from ashore.sim.randomization import LEVELS, Draw, Parameter, Randomization, Target, stack
from ashore.sim.randomization.distributions import Uniform
from ashore.sim.robots.crazyflie.robot import COMMAND_HZ, make
from ashore.sim.scene import load_spec
from ashore.sim.sensors import SensorSpec
from ashore.sim.task import Task

Array = NDArray[Any]
BODY, GOAL = "crazyflie", "goal"
MOTORS = ("m1", "m2", "m3", "m4")
MEASURED = ("pos_world_m", "linvel_world_m_s", "quat_world_wxyz", "angvel_body_rad_s")
START = (
    Parameter("goal_pos_world_m", Uniform((-0.5, -0.5, 0.8), (0.5, 0.5, 1.4)), "start"),
    Parameter("start_offset_world_m", Uniform((-0.6, -0.6, -0.3), (0.6, 0.6, 0.3)), "start"),
    Parameter("start_linvel_world_m_s", Uniform((-0.5, -0.5, -0.3), (0.5, 0.5, 0.5)), "start"),
    Parameter("start_tilt_rad", Uniform(0.0, np.pi / 6), "start"),
    Parameter("start_tilt_towards_rad", Uniform(-np.pi, np.pi), "start"),
    Parameter("start_yaw_rad", Uniform(-0.5, 0.5), "start"),
    Parameter("start_angvel_body_rad_s", Uniform((-1.0, -1.0, -0.5), (1.0, 1.0, 0.5)), "start"),
)


@dataclass(frozen=True)
class HoverRules:
    """What counts as holding the goal, and what as a crash."""

    hold_s: float = 2.0
    """Length of the last part of the episode that is judged."""
    max_error_m: float = 0.1
    """Largest mean distance to the goal over that part."""
    floor_m: float = 0.02
    """A body frame lower than this lies on the floor."""
    min_up: float = 0.0
    """Smallest vertical part of the body's z axis; below it the quadrotor has tumbled."""
    max_distance_m: float = 3.0
    """A quadrotor farther from its goal has flown away."""


class HoverJudge:
    """Watches N episodes: mean distance over the last seconds, and crashes, which stay."""

    def __init__(self, n: int, rules: HoverRules) -> None:
        self._rules = rules
        window = (n, round(rules.hold_s * COMMAND_HZ))
        self._time_s = np.full(window, -np.inf)
        self._distance_m = np.zeros(window)
        self._whole, self._error_m = np.zeros(n, dtype=bool), np.full(n, np.nan)
        self._crashed = np.zeros(n, dtype=bool)

    def update(self, truth: Mapping[str, Array], time_s: Array) -> None:
        """Take in the true state {name: (N, *shape)} at each episode's time since its reset (N,)."""
        rules = self._rules
        position = truth["pos_world_m"]
        distance = np.linalg.norm(truth["goal_pos_world_m"] - position, axis=1)
        up = matrix_from_quat(truth["quat_world_wxyz"])[:, 2, 2]
        flying = (
            (truth["pos_world_m"][:, 2] >= rules.floor_m) & (up >= rules.min_up) & (distance <= rules.max_distance_m)
        )
        # A state that is not finite compares false, so that it counts as a crash.
        self._crashed |= ~flying
        for window, newest in ((self._time_s, time_s), (self._distance_m, distance)):
            window[:, :-1] = window[:, 1:]
            window[:, -1] = newest
        counts = self._time_s > (self._time_s[:, -1:] - rules.hold_s)
        # The window starts after time zero once a whole hold_s has passed.
        self._whole = np.min(self._time_s, axis=1, where=counts, initial=np.inf) > 0
        self._error_m = np.sum(np.where(counts, self._distance_m, 0.0), axis=1) / np.sum(counts, axis=1)

    def success(self) -> Array:
        """Whether the goal has been held, without a crash (N,) bool."""
        return self._whole & ~self._crashed & (self._error_m <= self._rules.max_error_m)

    def terminated(self) -> Array:
        """Whether the episode ended in a crash (N,) bool; holding ends with the time limit alone."""
        return self._crashed.copy()

    def progress(self) -> Array:
        """Nearness to the goal now (N,): 1 within max_error_m, half at twice that, 0 after a crash."""
        reach, away = self._rules.max_error_m, np.maximum(self._distance_m[:, -1] - self._rules.max_error_m, 0.0)
        return np.where(self._crashed, 0.0, reach / (reach + away))

    def metrics(self) -> dict[str, Array]:
        """Mean distance to the goal over the last seconds, and whether it crashed (1) or not (0), each (N,)."""
        return {"hold_error_m": self._error_m.copy(), "crashed": self._crashed.astype(np.float64)}


class Hover(Task):
    """`quadrotor/hover`: recover from a random position, speed and tilt, then hold the goal."""

    name = "quadrotor/hover"
    episode_s = 6.0

    def __init__(self, rules: HoverRules | None = None) -> None:
        self.robot = make()
        self._rules = rules or HoverRules()
        vector = tuple("xyz")
        goal = Feature("goal_pos_world_m", (3,), "m", "world", tuple(f"goal_pos_world_m.{axis}" for axis in vector))
        error = Feature("goal_error_body_m", (3,), "m", "body", tuple(f"goal_error_body_m.{axis}" for axis in vector))
        measured = tuple(feature for feature in self.robot.observations if feature.name in MEASURED)
        derived = tuple(feature for feature in self.robot.observations if feature.name not in MEASURED)
        self.contract = Contract(
            robot=self.robot.card.name,
            task=self.name,
            observations=(*measured, goal, *derived, error),
            actions=self.robot.card.commands,
            control_hz=COMMAND_HZ,
        )

    def scene(self) -> mujoco.MjSpec:
        """The quadrotor over a floor."""
        return load_spec(Path(__file__).with_name("hover.xml"))

    def randomization(self, level: str) -> Randomization:
        """Give the start states and what this level varies beside them.

        Raises:
            UnknownName: the level is not none, narrow or wide.
        """
        if level not in LEVELS:
            raise UnknownName("randomization level", level, LEVELS)
        share = {"none": 0.0, "narrow": 0.4, "wide": 1.0}[level]
        return Randomization((*START, *(_disturbances(share) if share else ())))

    def sensors(self) -> Mapping[str, SensorSpec]:
        """Noise of each estimate; all come from one estimator, so that one delay holds for all."""
        delay = "observation_delay_s"
        return {
            "pos_world_m": SensorSpec("pos_noise_m", delay),
            "linvel_world_m_s": SensorSpec("linvel_noise_m_s", delay),
            "quat_world_wxyz": SensorSpec("attitude_noise_rad", delay, kind="quaternion"),
            "angvel_body_rad_s": SensorSpec("angvel_noise_rad_s", delay),
        }

    def reset(self, engine: Engine, ids: Array, draws: Sequence[Draw]) -> None:
        """Throw the quadrotors ids (K,) as their draws say; their motors stand still at first."""
        towards, tilt = stack(draws, "start_tilt_towards_rad"), stack(draws, "start_tilt_rad")
        zero = np.zeros(len(draws))
        lean = np.stack([np.cos(towards) * tilt, np.sin(towards) * tilt, zero], axis=1)
        turn = np.stack([zero, zero, stack(draws, "start_yaw_rad")], axis=1)
        attitude = quat_multiply(quat_from_vector(lean), quat_from_vector(turn))
        goal = stack(draws, "goal_pos_world_m")
        position = goal + stack(draws, "start_offset_world_m")
        speeds = [stack(draws, "start_linvel_world_m_s"), stack(draws, "start_angvel_body_rad_s")]
        engine.place_body(ids, BODY, np.concatenate([position, attitude], axis=1), np.concatenate(speeds, axis=1))
        engine.place_body(ids, GOAL, _upright(goal))

    def measure(self, engine: Engine, draws: Sequence[Draw]) -> dict[str, Array]:
        """The true state {name: (N, *shape)} and the goal."""
        pose, velocity = engine.body_pose(BODY), engine.body_velocity(BODY)
        return {
            "pos_world_m": pose[:, :3],
            "linvel_world_m_s": velocity[:, :3],
            "quat_world_wxyz": upper_half(pose[:, 3:]),
            "angvel_body_rad_s": velocity[:, 3:],
            "goal_pos_world_m": stack(draws, "goal_pos_world_m"),
        }

    def judge(self, n: int) -> HoverJudge:
        """A judge for n episodes that start now."""
        return HoverJudge(n, self._rules)

    def expert(self, n: int, rng: np.random.Generator) -> HoverExpert:
        """The geometric controller within the card's limits; it needs no chance."""
        limits = self.robot.card.limits
        return HoverExpert(HoverExpertConfig(limits.low, limits.high))

    def show(self, engine: Engine, ids: Array, observed: Mapping[str, Array]) -> None:
        """Place the quadrotors ids (K,) as observations {name: (K, *shape)} say."""
        engine.place_body(ids, BODY, np.column_stack([observed["pos_world_m"], observed["quat_world_wxyz"]]))
        engine.place_body(ids, GOAL, _upright(observed["goal_pos_world_m"]))

    def injection(self) -> Injection:
        """Gusts of thrust and of body rate, so that demonstrations show how to come back to the goal."""
        return Injection(burst_std=(1.0, 0.5, 0.5, 0.3), white_std=(0.2, 0.1, 0.1, 0.1), burst_rate_hz=0.4)

    def encoding(self) -> Mapping[str, Any]:
        """See speed and error in body axes, so that where in the room it happens does not matter."""
        return {
            "observations": ["rot6d_world", "up_body", "linvel_body_m_s", "angvel_body_rad_s", "goal_error_body_m"],
            "relative": [["goal_pos_world_m", "pos_world_m"]],
            "fine_scale": 0.1,
        }


def _upright(position: Array) -> Array:
    return np.column_stack([position, np.tile([1.0, 0.0, 0.0, 0.0], (len(position), 1))])


def _disturbances(share: float) -> tuple[Parameter, ...]:
    """What varies beside the start, at a share of the wide ranges.

    Mass and thrust gain stay within what a battery-compensated Crazyflie keeps: an error of 1 per cent in either shifts
    a hover that has no memory by 9 mm, whoever flies.
    """

    def around(width: float) -> Uniform:
        return Uniform(1.0 - width * share, 1.0 + width * share)

    def up_to(most: float) -> Uniform:
        return Uniform(0.0, most * share, middle=0.0)

    body = (BODY,)
    return (
        Parameter("mass", around(0.04), "dynamics", (Target("body_mass", body),), "scale"),
        Parameter("inertia", around(0.15), "dynamics", (Target("body_inertia", body),), "scale"),
        Parameter("thrust_gain", around(0.04), "actuation", (Target("actuator_gainprm", MOTORS, (0,)),), "scale"),
        Parameter("motor_lag", around(0.3), "actuation", (Target("actuator_dynprm", MOTORS, (0,)),), "scale"),
        Parameter("pos_noise_m", up_to(0.006), "sensing"),
        Parameter("linvel_noise_m_s", up_to(0.02), "sensing"),
        Parameter("attitude_noise_rad", up_to(0.01), "sensing"),
        Parameter("angvel_noise_rad_s", up_to(0.03), "sensing"),
        Parameter("observation_delay_s", up_to(0.03), "timing"),
    )
