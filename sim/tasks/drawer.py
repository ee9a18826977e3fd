"""Drawer: an arm takes a drawer by its handle and pulls it open."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.contract import Feature
from ashore.datasets.rotations import matrix_from_quat
from ashore.sim.arms.arm import Arm, vector
from ashore.sim.arms.task import ArmTask, upright
from ashore.sim.engine import Engine
from ashore.sim.experts.drawer import DrawerExpert, DrawerExpertConfig
from ashore.sim.interfaces import make_interface
from ashore.sim.judging import Finding, StayJudge, nearness
from ashore.sim.randomization import Draw, Parameter, Target, stack
from ashore.sim.randomization.distributions import Uniform
from ashore.sim.robot import Interface

Array = NDArray[Any]
HANDLE, CABINET, SLIDE = "handle", "cabinet", ("drawer",)
PULL_M = 0.15
"""How far out the goal lies; the drawer itself stops 1 cm farther."""
CLOSED_M = np.array([-0.15, 0.0, 0.095])
"""The handle of the closed drawer in the cabinet's frame, as in drawer.xml."""
START = (
    Parameter("handle_place_base_m", Uniform((0.50, -0.15), (0.60, 0.15)), "start"),
    Parameter("cabinet_yaw_rad", Uniform(-0.3, 0.3), "start"),
)


@dataclass(frozen=True)
class DrawerRules:
    """What counts as open."""

    open_m: float = 0.12
    """The drawer is out by this much or more."""
    stay_s: float = 0.3
    """The episode ends once it has been open for this long."""


class DrawerJudge(StayJudge):
    """Open is a handle that has come near to its goal, whether it is still held or not."""

    def __init__(self, n: int, rules: DrawerRules, interface: Interface) -> None:
        """Take the rules, and the arm's interface, which tells where its tool is."""
        super().__init__(n, rules.stay_s)
        self._rules, self._interface = rules, interface

    def find(self, truth: Mapping[str, Array], runs: Array) -> Finding:
        """Look at how far the handle is from its goal, along the drawer's way, and how far the tool from the handle."""
        handle, goal = truth[f"{HANDLE}_pos_base_m"], truth["goal_pos_base_m"]
        out = matrix_from_quat(truth[f"{HANDLE}_quat_base_wxyz"])[:, :, 0]
        opening = PULL_M - np.sum((handle - goal) * out, axis=1)
        is_open = opening >= self._rules.open_m
        tool = self._interface.derive(truth)["tcp_pos_base_m"]
        near = nearness(np.linalg.norm(tool - handle, axis=1), 0.2)
        share = np.clip(opening / self._rules.open_m, 0.0, 1.0)
        progress = np.where(is_open, 1.0, 0.3 * np.maximum(near, share) + 0.6 * share)
        return Finding(is_open, progress, {"opening_m": opening})


class Drawer(ArmTask):
    """`arm/drawer`: the handle stands anywhere in 0.1 x 0.3 m, the cabinet turned by up to 0.3 rad."""

    title = "arm/drawer"
    scene_file = "drawer.xml"
    objects = (HANDLE,)
    episode_s = 10.0

    def __init__(self, arm: Arm | None = None, rules: DrawerRules | None = None) -> None:
        super().__init__(arm)
        self._rules = rules or DrawerRules()

    def starts(self) -> tuple[Parameter, ...]:
        """Where the closed drawer's handle stands, and how the cabinet is turned."""
        return START

    def given(self) -> tuple[Feature, ...]:
        """The goal: where the handle shall come to stand."""
        return (vector("goal_pos_base_m", "m"),)

    def disturbances(self, share: float) -> tuple[Parameter, ...]:
        """As of every arm, and how hard the drawer goes; the table's friction is of no account."""

        def around(low: float, high: float) -> Uniform:
            return Uniform(1.0 + (low - 1.0) * share, 1.0 + (high - 1.0) * share, middle=1.0)

        usual = (parameter for parameter in super().disturbances(share) if parameter.name != "table_friction")
        friction, damping = (Target("dof_frictionloss", SLIDE),), (Target("dof_damping", SLIDE),)
        return (
            *usual,
            Parameter("drawer_friction", around(0.3, 2.5), "dynamics", friction, "scale"),
            Parameter("drawer_damping", around(0.3, 2.5), "dynamics", damping, "scale"),
        )

    def place_objects(self, engine: Engine, ids: Array, draws: Sequence[Draw]) -> None:
        """Stand the cabinet of the simulations ids (K,) where their draws say, its drawer closed."""
        self._stand(engine, ids, _closed(draws), np.zeros((len(draws), 1)))

    def measure_given(self, draws: Sequence[Draw]) -> dict[str, Array]:
        """The goal (N, 3)."""
        closed = _closed(draws)
        return {"goal_pos_base_m": closed[:, :3] - PULL_M * matrix_from_quat(closed[:, 3:])[:, :, 0]}

    def show_object(self, engine: Engine, ids: Array, name: str, pose: Array) -> None:
        """Leave the handle: it hangs on the cabinet, whose place follows from the goal as well."""

    def show_given(self, engine: Engine, ids: Array, observed: Mapping[str, Array]) -> None:
        """Place cabinet and drawer."""
        goal, quat = observed["goal_pos_base_m"], np.array(observed[f"{HANDLE}_quat_base_wxyz"], dtype=np.float64)
        out = matrix_from_quat(quat)[:, :, 0]
        opening = PULL_M - np.sum((observed[f"{HANDLE}_pos_base_m"] - goal) * out, axis=1, keepdims=True)
        self._stand(engine, ids, np.column_stack([goal + PULL_M * out, quat]), opening)

    def judge(self, n: int) -> DrawerJudge:
        """A judge for n episodes that start now."""
        return DrawerJudge(n, self._rules, make_interface(self.arm.card.interface))

    def expert(self, n: int, rng: np.random.Generator) -> DrawerExpert:
        """The scripted expert; it needs no chance."""
        return DrawerExpert(n, DrawerExpertConfig.of(self.arm.spec.gripper.width_m))

    def encoding(self) -> Mapping[str, Any]:
        """See handle and goal from the tool, and the handle's yaw."""
        return {
            "observations": [
                "gripper_width_m",
                "tcp_pos_base_m",
                "tcp_quat_base_wxyz",
                "handle_pos_base_m",
                "goal_pos_base_m",
            ],
            "relative": [
                ["handle_pos_base_m", "tcp_pos_base_m"],
                ["goal_pos_base_m", "handle_pos_base_m"],
            ],
            "fine_scale": 0.02,
            "yaw": [["handle_quat_base_wxyz", "tcp_quat_base_wxyz", 4]],
            "snap": ["gripper_target_m"],
        }

    def _stand(self, engine: Engine, ids: Array, closed: Array, opening_m: Array) -> None:
        """Place the cabinet by the pose (K, 7) of its closed drawer's handle, and the drawer (K, 1)."""
        offset = np.einsum("nij,j->ni", matrix_from_quat(closed[:, 3:]), CLOSED_M)
        engine.place_body(ids, CABINET, np.column_stack([closed[:, :3] - offset, closed[:, 3:]]))
        engine.place_joints(ids, SLIDE, opening_m)


def _closed(draws: Sequence[Draw]) -> Array:
    """Poses (K, 7) of the closed drawers' handles."""
    height = np.full(len(draws), CLOSED_M[2])
    return upright(np.column_stack([stack(draws, "handle_place_base_m"), height]), stack(draws, "cabinet_yaw_rad"))
