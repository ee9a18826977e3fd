"""Reach: an arm brings its tool to a goal in the air and stays there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.contract import Feature
from ashore.sim.arms.arm import Arm, vector
from ashore.sim.arms.task import ArmTask, upright
from ashore.sim.engine import Engine
from ashore.sim.experts.reach import ReachExpert, ReachExpertConfig
from ashore.sim.interfaces import make_interface
from ashore.sim.judging import Finding, StayJudge, nearness
from ashore.sim.randomization import Draw, Parameter, stack
from ashore.sim.randomization.distributions import Uniform
from ashore.sim.robot import Interface

Array = NDArray[Any]
GOAL = "goal"
START = (Parameter("goal_base_m", Uniform((0.35, -0.25, 0.06), (0.60, 0.25, 0.35)), "start"),)


@dataclass(frozen=True)
class ReachRules:
    """What counts as reached."""

    radius_m: float = 0.01
    """Largest distance of the tool from the goal."""
    rest_rad_s: float = 0.2
    """An arm none of whose joints is faster than this is at rest; noise of the encoders alone moves a wrist by 0.17."""
    stay_s: float = 0.5
    """The episode ends once the tool has been at the goal, at rest, for this long."""


class ReachJudge(StayJudge):
    """Reached is near the goal, at rest."""

    def __init__(self, n: int, rules: ReachRules, interface: Interface) -> None:
        """Take the arm's interface, which tells where the tool is."""
        super().__init__(n, rules.stay_s)
        self._rules = rules
        self._interface = interface

    def find(self, truth: Mapping[str, Array], runs: Array) -> Finding:
        """Look at tool, goal and joints."""
        rules, tool = self._rules, self._interface.derive(truth)["tcp_pos_base_m"]
        error = np.linalg.norm(tool - truth["goal_pos_base_m"], axis=1)
        speed = np.max(np.abs(truth["joint_vel_rad_s"]), axis=1)
        reached = (error <= rules.radius_m) & (speed <= rules.rest_rad_s)
        progress = np.where(reached, 1.0, 0.9 * nearness(error, 0.15))
        return Finding(reached, progress, {"reach_error_m": error})


class Reach(ArmTask):
    """`arm/reach`: the goal is anywhere in 0.25 x 0.5 x 0.29 m above the table."""

    title = "arm/reach"
    scene_file = "reach.xml"
    objects = ()
    episode_s = 5.0

    def __init__(self, arm: Arm | None = None, rules: ReachRules | None = None) -> None:
        super().__init__(arm)
        self._rules = rules or ReachRules()

    def starts(self) -> tuple[Parameter, ...]:
        """The goal."""
        return START

    def given(self) -> tuple[Feature, ...]:
        """The goal: where the tool shall be."""
        return (vector("goal_pos_base_m", "m"),)

    def place_objects(self, engine: Engine, ids: Array, draws: Sequence[Draw]) -> None:
        """Place the goal's mark of the simulations ids (K,) as their draws say."""
        engine.place_body(ids, GOAL, upright(stack(draws, "goal_base_m")))

    def measure_given(self, draws: Sequence[Draw]) -> dict[str, Array]:
        """The goal (N, 3)."""
        return {"goal_pos_base_m": stack(draws, "goal_base_m")}

    def judge(self, n: int) -> ReachJudge:
        """A judge for n episodes that start now."""
        return ReachJudge(n, self._rules, make_interface(self.arm.card.interface))

    def expert(self, n: int, rng: np.random.Generator) -> ReachExpert:
        """The scripted expert; it needs no chance."""
        return ReachExpert(ReachExpertConfig(open_m=self.arm.spec.gripper.width_m))

    def show_given(self, engine: Engine, ids: Array, observed: Mapping[str, Array]) -> None:
        """Place the goal's mark."""
        engine.place_body(ids, GOAL, upright(np.array(observed["goal_pos_base_m"], dtype=np.float64)))

    def encoding(self) -> Mapping[str, Any]:
        """See the goal from the tool."""
        return {
            "observations": ["tcp_pos_base_m", "tcp_quat_base_wxyz", "goal_pos_base_m"],
            "relative": [["goal_pos_base_m", "tcp_pos_base_m"]],
            "fine_scale": 0.02,
        }
