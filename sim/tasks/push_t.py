"""Push-T with an arm: the closed fingers push a T over the table until it covers its goal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.rotations import matrix_from_quat
from ashore.sim.arms.arm import Arm
from ashore.sim.arms.task import ArmTask, upright
from ashore.sim.engine import Engine
from ashore.sim.experts.push_t import PushTExpert, PushTExpertConfig
from ashore.sim.experts.tool_motion import folded, yaw_of
from ashore.sim.judging import Finding, StayJudge, nearness
from ashore.sim.randomization import Draw, Parameter, stack
from ashore.sim.randomization.distributions import Uniform
from ashore.sim.tasks.tee import GOAL_POS_BASE_M, GOAL_YAW_RAD, HALF_HEIGHT_M, coverage, rotated

Array = NDArray[Any]
OBJECT = "object"
START = (
    Parameter("object_place_base_m", Uniform((0.40, -0.18), (0.50, 0.18)), "start"),
    Parameter("object_yaw_rad", Uniform(-np.pi, np.pi), "start"),
)


@dataclass(frozen=True)
class PushTRules:
    """What counts as covered."""

    coverage: float = 0.9
    """Least share of the goal's area that the T covers."""
    height_tolerance_m: float = 0.005
    """The T's centre is this near to its height on the table."""
    stay_s: float = 0.5
    """The episode ends once the goal has been covered for this long."""


class PushTJudge(StayJudge):
    """Covered is a T flat on the table that covers nearly all of its goal."""

    def __init__(self, n: int, rules: PushTRules) -> None:
        super().__init__(n, rules.stay_s)
        self._rules = rules

    def find(self, truth: Mapping[str, Array], runs: Array) -> Finding:
        """Look at the T."""
        rules = self._rules
        yaw = folded(yaw_of(matrix_from_quat(truth["object_quat_base_wxyz"])) - GOAL_YAW_RAD, 1)
        away = truth["object_pos_base_m"] - GOAL_POS_BASE_M
        covered = coverage(rotated(away[:, :2], np.array(-GOAL_YAW_RAD)), yaw)
        done = (covered >= rules.coverage) & (np.abs(away[:, 2]) <= rules.height_tolerance_m)
        error = np.linalg.norm(away, axis=1)
        near = nearness(error, 0.15) * (1.0 - 0.5 * np.abs(yaw) / np.pi)
        progress = np.where(done, 1.0, 0.45 * near + 0.45 * covered)
        figures = {"coverage": covered, "placing_error_m": error, "yaw_error_rad": np.abs(yaw)}
        return Finding(done, progress, figures)


class PushT(ArmTask):
    """`arm/push-t`: the T lies anywhere in 0.1 x 0.36 m of the table, at any yaw; its goal is always the same."""

    title = "arm/push-t"
    scene_file = "push_t.xml"
    episode_s = 40.0

    def __init__(self, arm: Arm | None = None, rules: PushTRules | None = None) -> None:
        super().__init__(arm)
        self._rules = rules or PushTRules()

    def starts(self) -> tuple[Parameter, ...]:
        """Place and yaw of the T."""
        return START

    def place_objects(self, engine: Engine, ids: Array, draws: Sequence[Draw]) -> None:
        """Place the T of the simulations ids (K,) as their draws say."""
        place = np.column_stack([stack(draws, "object_place_base_m"), np.full(len(draws), HALF_HEIGHT_M)])
        engine.place_body(ids, OBJECT, upright(place, stack(draws, "object_yaw_rad")))

    def judge(self, n: int) -> PushTJudge:
        """A judge for n episodes that start now."""
        return PushTJudge(n, self._rules)

    def expert(self, n: int, rng: np.random.Generator) -> PushTExpert:
        """The scripted expert; it needs no chance."""
        return PushTExpert(n, PushTExpertConfig())

    def encoding(self) -> Mapping[str, Any]:
        """See the T from the tool and on the table, with its yaw, which no symmetry folds."""
        return {
            "observations": ["tcp_pos_base_m", "tcp_quat_base_wxyz", "object_pos_base_m"],
            "rot6d": ["object_quat_base_wxyz"],
            "relative": [["object_pos_base_m", "tcp_pos_base_m"]],
            "fine_scale": 0.02,
            "yaw": [["object_quat_base_wxyz", "tcp_quat_base_wxyz", 1]],
        }
