"""Pick and place: an arm brings a cube of any yaw to a goal on the table and lets it go."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.contract import Contract, Feature
from ashore.datasets.errors import UnknownName
from ashore.datasets.rotations import upper_half
from ashore.sim.engine import Engine
from ashore.sim.experts.pick_place import PickPlaceExpert, PickPlaceExpertConfig
from ashore.sim.injection import Injection
from ashore.sim.randomization import LEVELS, Draw, Parameter, Randomization, Scattered, Target, Uniform, stack
from ashore.sim.robots.panda.robot import FINGERS, GRIPPER_M, HOME_RAD, JOINTS, actions, gripper_width, make
from ashore.sim.sensors import SensorSpec
from ashore.sim.task import Task

Array = NDArray[Any]
CONTROL_HZ = 25.0
OBJECT, GOAL = "object", "goal"
HALF_SIDE_M = 0.02
"""Half the cube's side, as in pick_place.xml: the height of its centre on the table, and so the goal's."""
START = (
    Parameter(
        "places_base_m",
        Scattered((0.40, -0.20), (0.60, 0.20), n_points=2, apart=0.08, middle=((0.5, -0.1), (0.5, 0.1))),
        "start",
    ),
    Parameter("object_yaw_rad", Uniform(-np.pi, np.pi), "start"),
    Parameter("start_joint_offset_rad", Uniform((-0.08,) * len(JOINTS), (0.08,) * len(JOINTS)), "start"),
)
SERVOS = tuple(f"panda_servo{number}" for number in range(1, 8))
PADS, TABLE = ("panda_left_pad", "panda_right_pad"), ("table",)


@dataclass(frozen=True)
class PickPlaceRules:
    """What counts as placed."""

    radius_m: float = 0.03
    """Largest distance of the cube from the goal, in the table's plane."""
    height_tolerance_m: float = 0.008
    """The cube's centre is this near to its height on the table."""
    released_m: float = 0.05
    """A gripper wider than this holds no cube."""
    stay_s: float = 0.5
    """The episode ends once the cube has been placed for this long."""


class PickPlaceJudge:
    """Watches N episodes; what it says of an episode no longer changes once that has terminated."""

    def __init__(self, n: int, rules: PickPlaceRules) -> None:
        self._rules = rules
        self._placed = np.zeros(n, dtype=bool)
        self._since_s = np.full(n, np.inf)
        self._terminated = np.zeros(n, dtype=bool)
        self._error_m = np.full(n, np.inf)
        self._height_m = np.zeros(n)
        self._time_s = np.zeros(n)

    def update(self, truth: Mapping[str, Array], time_s: float) -> None:
        """Take in the true state {name: (N, *shape)} at a time since reset."""
        rules, runs = self._rules, ~self._terminated
        offset = truth["object_pos_base_m"] - truth["goal_pos_base_m"]
        error = np.linalg.norm(offset[:, :2], axis=1)
        placed = (error <= rules.radius_m) & (np.abs(offset[:, 2]) <= rules.height_tolerance_m)
        placed &= truth["gripper_width_m"][:, 0] >= rules.released_m
        self._placed = np.where(runs, placed, self._placed)
        self._error_m = np.where(runs, error, self._error_m)
        self._height_m = np.where(runs, np.fmax(self._height_m, offset[:, 2]), self._height_m)
        self._time_s = np.where(runs, time_s, self._time_s)
        self._since_s = np.where(self._placed, np.minimum(self._since_s, time_s), np.inf)
        self._terminated |= time_s - self._since_s >= rules.stay_s - 1e-9

    def success(self) -> Array:
        """Whether the cube lies at the goal, released (N,) bool."""
        return self._placed.copy()

    def terminated(self) -> Array:
        """Whether the cube has stayed placed (N,) bool."""
        return self._terminated.copy()

    def metrics(self) -> dict[str, Array]:
        """Distance of the cube from the goal, how high it was lifted, and when the episode ended, each (N,)."""
        return {"placing_error_m": self._error_m, "lift_m": self._height_m, "time_s": self._time_s}


class PickPlace(Task):
    """`arm/pick-place`: the cube and the goal lie anywhere in 0.2 x 0.4 m of the table."""

    name = "arm/pick-place"
    episode_s = 10.0

    def __init__(self, rules: PickPlaceRules | None = None) -> None:
        self.robot = make()
        self._rules = rules or PickPlaceRules()
        self.contract = Contract(
            robot=self.robot.card.name,
            task=self.name,
            observations=(
                *self.robot.observations,
                _vector("object_pos_base_m", "m"),
                _vector("object_quat_base_wxyz", "1", "wxyz"),
                _vector("goal_pos_base_m", "m"),
            ),
            actions=actions(),
            control_hz=CONTROL_HZ,
        )

    def scene_path(self) -> Path:
        """The arm on its table, with the cube and the goal."""
        return Path(__file__).with_name("pick_place.xml")

    def randomization(self, level: str) -> Randomization:
        """Give the start states and what this level varies beside them.

        Raises:
            UnknownName: the level is not none, narrow or wide.
        """
        if level not in LEVELS:
            raise UnknownName("randomization level", level, LEVELS)
        share = {"none": 0.0, "narrow": 0.35, "wide": 1.0}[level]
        return Randomization((*START, *(_disturbances(share) if share else ())))

    def sensors(self) -> Mapping[str, SensorSpec]:
        """Encoders are good and soon there; the cube's pose comes from a camera, noisy, biased and late."""
        return {
            "joint_pos_rad": SensorSpec("joint_pos_noise_rad", "joint_delay_s"),
            "joint_vel_rad_s": SensorSpec("joint_vel_noise_rad_s", "joint_delay_s"),
            "gripper_width_m": SensorSpec("gripper_noise_m", "joint_delay_s"),
            "object_pos_base_m": SensorSpec("object_pos_noise_m", "object_delay_s", bias="object_bias_base_m"),
            "object_quat_base_wxyz": SensorSpec("object_angle_noise_rad", "object_delay_s", kind="quaternion"),
        }

    def reset(self, engine: Engine, ids: Array, draws: Sequence[Draw]) -> None:
        """Place arm, cube and goal of the simulations ids (K,) as their draws say; the gripper is open."""
        places, yaw = stack(draws, "places_base_m"), stack(draws, "object_yaw_rad")
        n, zero = len(draws), np.zeros(len(draws))
        engine.place_joints(ids, JOINTS, np.array(HOME_RAD) + stack(draws, "start_joint_offset_rad"))
        engine.place_joints(ids, FINGERS, np.full((n, 2), GRIPPER_M / 2))
        turn = np.stack([np.cos(yaw / 2), zero, zero, np.sin(yaw / 2)], axis=1)
        engine.place_body(ids, OBJECT, np.column_stack([places[:, 0], np.full(n, HALF_SIDE_M), turn]))
        engine.place_body(ids, GOAL, np.column_stack([places[:, 1], zero, np.tile([1.0, 0.0, 0.0, 0.0], (n, 1))]))

    def measure(self, engine: Engine, draws: Sequence[Draw]) -> dict[str, Array]:
        """The true state {name: (N, *shape)}; the arm's base stands at the world's origin."""
        pose, places = engine.body_pose(OBJECT), stack(draws, "places_base_m")
        return {
            "joint_pos_rad": engine.joint_pos(JOINTS),
            "joint_vel_rad_s": engine.joint_vel(JOINTS),
            "gripper_width_m": gripper_width(engine.joint_pos(FINGERS)),
            "object_pos_base_m": pose[:, :3],
            "object_quat_base_wxyz": upper_half(pose[:, 3:]),
            "goal_pos_base_m": np.column_stack([places[:, 1], np.full(len(draws), HALF_SIDE_M)]),
        }

    def judge(self, n: int) -> PickPlaceJudge:
        """A judge for n episodes that start now."""
        return PickPlaceJudge(n, self._rules)

    def expert(self, n: int, rng: np.random.Generator) -> PickPlaceExpert:
        """The scripted expert; it needs no chance."""
        return PickPlaceExpert(n, PickPlaceExpertConfig())

    def injection(self) -> Injection:
        """Push the joint targets aside in bursts, so that demonstrations show recovery; the gripper stays as told."""
        joints = len(JOINTS)
        return Injection(burst_std=(*(0.04,) * joints, 0.0), white_std=(*(0.002,) * joints, 0.0))

    def show(self, engine: Engine, ids: Array, observed: Mapping[str, Array]) -> None:
        """Place arm, cube and goal of the simulations ids (K,) as observations {name: (K, *shape)} say."""
        width, goal = observed["gripper_width_m"], np.array(observed["goal_pos_base_m"], dtype=np.float64)
        goal[:, 2] -= HALF_SIDE_M
        upright = np.tile([1.0, 0.0, 0.0, 0.0], (len(goal), 1))
        engine.place_joints(ids, JOINTS, observed["joint_pos_rad"])
        engine.place_joints(ids, FINGERS, np.repeat(width / 2, 2, axis=1))
        pose = np.column_stack([observed["object_pos_base_m"], observed["object_quat_base_wxyz"]])
        engine.place_body(ids, OBJECT, pose)
        engine.place_body(ids, GOAL, np.column_stack([goal, upright]))

    def encoding(self) -> Mapping[str, Any]:
        """See cube and goal from the tool, and the cube's yaw with its four-fold symmetry."""
        return {
            "observations": [
                "gripper_width_m",
                "tcp_pos_base_m",
                "tcp_quat_base_wxyz",
                "object_pos_base_m",
                "goal_pos_base_m",
            ],
            "relative": [
                ["object_pos_base_m", "tcp_pos_base_m"],
                ["goal_pos_base_m", "tcp_pos_base_m"],
                ["goal_pos_base_m", "object_pos_base_m"],
            ],
            "fine_scale": 0.02,
            "yaw": [["object_quat_base_wxyz", "tcp_quat_base_wxyz", 4]],
            "snap": ["gripper_target_m"],
        }


def _vector(name: str, unit: str, axes: str = "xyz") -> Feature:
    return Feature(name, (len(axes),), unit, "base", tuple(f"{name}.{axis}" for axis in axes))


def _disturbances(share: float) -> tuple[Parameter, ...]:
    """What varies beside the start, at a share of the wide ranges.

    MuJoCo takes the larger friction of two, so that pads and table are varied and the cube's own stays low.
    """

    def around(low: float, high: float) -> Uniform:
        return Uniform(1.0 + (low - 1.0) * share, 1.0 + (high - 1.0) * share, middle=1.0)

    def up_to(most: float) -> Uniform:
        return Uniform(0.0, most * share, middle=0.0)

    stiffness = (Target("actuator_gainprm", SERVOS, (0,)), Target("actuator_biasprm", SERVOS, (1,)))
    mass = (Target("body_mass", (OBJECT,)), Target("body_inertia", (OBJECT,)))
    bias = (0.002 * share,) * 3
    return (
        Parameter("object_mass", around(0.5, 2.5), "dynamics", mass, "scale"),
        Parameter("pad_friction", around(0.6, 1.3), "dynamics", (Target("geom_friction", PADS, (0,)),), "scale"),
        Parameter("table_friction", around(0.5, 1.5), "dynamics", (Target("geom_friction", TABLE, (0,)),), "scale"),
        Parameter("joint_damping", around(0.3, 3.0), "dynamics", (Target("dof_damping", JOINTS),), "scale"),
        Parameter("servo_stiffness", around(0.75, 1.15), "actuation", stiffness, "scale"),
        Parameter(
            "servo_damping", around(0.85, 1.15), "actuation", (Target("actuator_biasprm", SERVOS, (2,)),), "scale"
        ),
        Parameter("joint_pos_noise_rad", up_to(0.002), "sensing"),
        Parameter("joint_vel_noise_rad_s", up_to(0.02), "sensing"),
        Parameter("gripper_noise_m", up_to(0.0005), "sensing"),
        Parameter("object_pos_noise_m", up_to(0.004), "sensing"),
        Parameter("object_angle_noise_rad", up_to(0.03), "sensing"),
        Parameter("object_bias_base_m", Uniform(tuple(-b for b in bias), bias, middle=(0.0,) * 3), "sensing"),
        Parameter("joint_delay_s", up_to(0.02), "timing"),
        Parameter("object_delay_s", up_to(0.06), "timing"),
    )
