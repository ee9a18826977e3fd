"""Pick and place: an arm brings a cube of any yaw to a goal on the table and lets it go."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.contract import Feature
from ashore.sim.arms.arm import Arm, vector
from ashore.sim.arms.task import ArmTask, any_yaw, two_places, upright
from ashore.sim.engine import Engine
from ashore.sim.experts.pick_place import PickPlaceExpert, PickPlaceExpertConfig
from ashore.sim.judging import Finding, StayJudge, nearness
from ashore.sim.randomization import Draw, Parameter, stack

Array = NDArray[Any]
OBJECT, GOAL = "object", "goal"
HALF_SIDE_M = 0.02
"""Half the cube's side, as in pick_place.xml: the height of its centre on the table, and so the goal's."""
START = (two_places(apart_m=0.08), any_yaw("object_yaw_rad"))


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


class PickPlaceJudge(StayJudge):
    """Placed is near the goal, down on the table, and released."""

    def __init__(self, n: int, rules: PickPlaceRules) -> None:
        super().__init__(n, rules.stay_s)
        self._rules = rules
        self._height_m = np.zeros(n)

    def find(self, truth: Mapping[str, Array], runs: Array) -> Finding:
        """Look at cube, goal and gripper."""
        rules = self._rules
        offset = truth["object_pos_base_m"] - truth["goal_pos_base_m"]
        error = np.linalg.norm(offset[:, :2], axis=1)
        placed = (error <= rules.radius_m) & (np.abs(offset[:, 2]) <= rules.height_tolerance_m)
        placed &= truth["gripper_width_m"][:, 0] >= rules.released_m
        self._height_m = np.where(runs, np.fmax(self._height_m, offset[:, 2]), self._height_m)
        progress = np.where(placed, 1.0, 0.9 * nearness(np.linalg.norm(offset, axis=1), 0.2))
        return Finding(placed, progress, {"placing_error_m": error, "lift_m": self._height_m})


class PickPlace(ArmTask):
    """`arm/pick-place`: the cube and the goal lie anywhere in 0.2 x 0.4 m of the table."""

    title = "arm/pick-place"
    scene_file = "pick_place.xml"
    episode_s = 10.0

    def __init__(self, arm: Arm | None = None, rules: PickPlaceRules | None = None) -> None:
        super().__init__(arm)
        self._rules = rules or PickPlaceRules()

    def starts(self) -> tuple[Parameter, ...]:
        """Places of cube and goal, and the cube's yaw."""
        return START

    def given(self) -> tuple[Feature, ...]:
        """The goal: where the cube's centre shall come to lie."""
        return (vector("goal_pos_base_m", "m"),)

    def place_objects(self, engine: Engine, ids: Array, draws: Sequence[Draw]) -> None:
        """Place cube and goal of the simulations ids (K,) as their draws say."""
        places, yaw = stack(draws, "places_base_m"), stack(draws, "object_yaw_rad")
        engine.place_body(ids, OBJECT, upright(np.column_stack([places[:, 0], np.full(len(draws), HALF_SIDE_M)]), yaw))
        engine.place_body(ids, GOAL, upright(np.column_stack([places[:, 1], np.zeros(len(draws))])))

    def measure_given(self, draws: Sequence[Draw]) -> dict[str, Array]:
        """The goal (N, 3)."""
        places = stack(draws, "places_base_m")
        return {"goal_pos_base_m": np.column_stack([places[:, 1], np.full(len(draws), HALF_SIDE_M)])}

    def judge(self, n: int) -> PickPlaceJudge:
        """A judge for n episodes that start now."""
        return PickPlaceJudge(n, self._rules)

    def expert(self, n: int, rng: np.random.Generator) -> PickPlaceExpert:
        """The scripted expert; it needs no chance."""
        return PickPlaceExpert(n, PickPlaceExpertConfig())

    def show_given(self, engine: Engine, ids: Array, observed: Mapping[str, Array]) -> None:
        """Place the goal's mark."""
        goal = np.array(observed["goal_pos_base_m"], dtype=np.float64)
        engine.place_body(ids, GOAL, upright(goal - [0.0, 0.0, HALF_SIDE_M]))

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
