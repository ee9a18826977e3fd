"""Stack: an arm puts one cube on another, both of any yaw, and lets it go."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.sim.arms.arm import Arm
from ashore.sim.arms.task import ArmTask, any_yaw, two_places, upright
from ashore.sim.engine import Engine
from ashore.sim.experts.grasping import Grip
from ashore.sim.experts.pick_place import PickPlaceExpertConfig
from ashore.sim.experts.stack import StackExpert
from ashore.sim.judging import Finding, StayJudge, nearness
from ashore.sim.randomization import Draw, Parameter, stack

Array = NDArray[Any]
OBJECT, BASE = "object", "base_cube"
SIDE_M = 0.04
"""The cubes' side, as in stack.xml."""
# So far apart that an open hand that comes down on one cube clears the other.
START = (two_places(apart_m=0.11), any_yaw("object_yaw_rad"), any_yaw("base_cube_yaw_rad"))


@dataclass(frozen=True)
class StackRules:
    """What counts as stacked."""

    radius_m: float = 0.02
    """Largest distance of the cubes' centres, in the table's plane."""
    height_tolerance_m: float = 0.008
    """The upper cube's centre is this near to one side above the lower one's."""
    released_m: float = 0.05
    """A gripper wider than this holds no cube."""
    stay_s: float = 0.5
    """The episode ends once the cube has stood there for this long."""


class StackJudge(StayJudge):
    """Stacked is above the other cube, one side higher, and released."""

    def __init__(self, n: int, rules: StackRules) -> None:
        super().__init__(n, rules.stay_s)
        self._rules = rules

    def find(self, truth: Mapping[str, Array], runs: Array) -> Finding:
        """Look at both cubes and the gripper."""
        rules = self._rules
        offset = truth[f"{OBJECT}_pos_base_m"] - truth[f"{BASE}_pos_base_m"] - [0.0, 0.0, SIDE_M]
        error = np.linalg.norm(offset[:, :2], axis=1)
        stacked = (error <= rules.radius_m) & (np.abs(offset[:, 2]) <= rules.height_tolerance_m)
        stacked &= truth["gripper_width_m"][:, 0] >= rules.released_m
        progress = np.where(stacked, 1.0, 0.9 * nearness(np.linalg.norm(offset, axis=1), 0.2))
        return Finding(stacked, progress, {"placing_error_m": error, "height_error_m": np.abs(offset[:, 2])})


class Stack(ArmTask):
    """`arm/stack`: both cubes lie anywhere in 0.2 x 0.4 m of the table, 11 cm apart or more."""

    title = "arm/stack"
    scene_file = "stack.xml"
    objects = (OBJECT, BASE)
    episode_s = 10.0

    def __init__(self, arm: Arm | None = None, rules: StackRules | None = None) -> None:
        super().__init__(arm)
        self._rules = rules or StackRules()

    def starts(self) -> tuple[Parameter, ...]:
        """Places and yaws of both cubes."""
        return START

    def place_objects(self, engine: Engine, ids: Array, draws: Sequence[Draw]) -> None:
        """Place both cubes of the simulations ids (K,) as their draws say."""
        places, height = stack(draws, "places_base_m"), np.full(len(draws), SIDE_M / 2)
        for number, name in enumerate(self.objects):
            pose = upright(np.column_stack([places[:, number], height]), stack(draws, f"{name}_yaw_rad"))
            engine.place_body(ids, name, pose)

    def judge(self, n: int) -> StackJudge:
        """A judge for n episodes that start now."""
        return StackJudge(n, self._rules)

    def expert(self, n: int, rng: np.random.Generator) -> StackExpert:
        """The scripted expert; it needs no chance."""
        grip = Grip(open_m=self.arm.spec.gripper.width_m)
        return StackExpert(n, PickPlaceExpertConfig(grip=grip, missed_m=0.8 * self._rules.radius_m), SIDE_M)

    def encoding(self) -> Mapping[str, Any]:
        """See both cubes from the tool and one from the other, and the upper one's yaw with its four-fold symmetry."""
        return {
            "observations": [
                "gripper_width_m",
                "tcp_pos_base_m",
                "tcp_quat_base_wxyz",
                "object_pos_base_m",
                "base_cube_pos_base_m",
            ],
            "relative": [
                ["object_pos_base_m", "tcp_pos_base_m"],
                ["base_cube_pos_base_m", "tcp_pos_base_m"],
                ["base_cube_pos_base_m", "object_pos_base_m"],
            ],
            "fine_scale": 0.02,
            "yaw": [["object_quat_base_wxyz", "tcp_quat_base_wxyz", 4]],
            "snap": ["gripper_target_m"],
        }
