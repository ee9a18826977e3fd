"""Peg insertion: an arm takes a square peg that stands on the table and puts it into a hole with 1.75 mm of play."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.contract import Feature
from ashore.datasets.rotations import matrix_from_quat
from ashore.sim.arms.arm import Arm, vector
from ashore.sim.arms.task import ArmTask, any_yaw, two_places, upright
from ashore.sim.engine import Engine
from ashore.sim.experts.peg_insert import PegInsertExpert, PegInsertExpertConfig
from ashore.sim.judging import Finding, StayJudge, nearness
from ashore.sim.randomization import Draw, Parameter, stack
from ashore.sim.randomization.distributions import Uniform, Value

Array = NDArray[Any]
OBJECT, BLOCK = "object", "block"
PEG_M, BLOCK_M = 0.08, 0.04
"""Length of the peg and height of the block, and so depth of its hole, as in peg_insert.xml."""
# So far apart that an open hand that comes down on the peg clears the block.
START = (two_places(apart_m=0.12), any_yaw("object_yaw_rad"), any_yaw("hole_yaw_rad"))
CLOSER = {"object_pos_noise_m": 0.3, "object_angle_noise_rad": 0.5, "object_bias_base_m": 0.4}
"""Share of the usual errors of perception: a hole of this play asks for a camera that is near."""


@dataclass(frozen=True)
class PegInsertRules:
    """What counts as inserted."""

    depth_m: float = 0.025
    """The peg's lower end is this far below the hole's rim or farther."""
    radius_m: float = 0.006
    """The lower end is this near to the hole's axis: inside of its walls."""
    stay_s: float = 0.3
    """The episode ends once the peg has been inserted for this long."""


class PegInsertJudge(StayJudge):
    """Inserted is a peg whose lower end is deep in the hole, whether it is still held or not."""

    def __init__(self, n: int, rules: PegInsertRules) -> None:
        super().__init__(n, rules.stay_s)
        self._rules = rules

    def find(self, truth: Mapping[str, Array], runs: Array) -> Finding:
        """Look at the peg's lower end and the hole."""
        rules = self._rules
        reach = matrix_from_quat(truth[f"{OBJECT}_quat_base_wxyz"])[:, :, 2] * PEG_M / 2
        # A peg that is upside down fits as well.
        end = truth[f"{OBJECT}_pos_base_m"] - np.sign(reach[:, 2:]) * reach
        offset = end - truth["hole_pos_base_m"]
        error = np.linalg.norm(offset[:, :2], axis=1)
        inside = (error <= rules.radius_m) & (offset[:, 2] < 0.0)
        depth = np.where(inside, -offset[:, 2], 0.0)
        inserted = inside & (depth >= rules.depth_m)
        share = np.where(inside, np.clip(depth / rules.depth_m, 0.0, 1.0), 0.0)
        near = nearness(np.linalg.norm(offset, axis=1), 0.2)
        progress = np.where(inserted, 1.0, np.where(inside, 0.6 + 0.3 * share, 0.6 * near))
        return Finding(inserted, progress, {"depth_m": depth, "placing_error_m": error})


class PegInsert(ArmTask):
    """`arm/peg-insert`: peg and block stand anywhere in 0.2 x 0.4 m of the table, 12 cm apart or more."""

    title = "arm/peg-insert"
    scene_file = "peg_insert.xml"
    episode_s = 12.0

    def __init__(self, arm: Arm | None = None, rules: PegInsertRules | None = None) -> None:
        super().__init__(arm)
        self._rules = rules or PegInsertRules()

    def starts(self) -> tuple[Parameter, ...]:
        """Places and yaws of peg and hole."""
        return START

    def given(self) -> tuple[Feature, ...]:
        """The hole: the middle of its rim, and the block's turn; a fixture whose place is known."""
        return (vector("hole_pos_base_m", "m"), vector("hole_quat_base_wxyz", "1", "wxyz"))

    def disturbances(self, share: float) -> tuple[Parameter, ...]:
        """As of every arm, with a camera that sees more exactly."""
        return tuple(
            replace(parameter, distribution=_scaled(parameter.distribution, CLOSER[parameter.name]))
            if parameter.name in CLOSER and isinstance(parameter.distribution, Uniform)
            else parameter
            for parameter in super().disturbances(share)
        )

    def place_objects(self, engine: Engine, ids: Array, draws: Sequence[Draw]) -> None:
        """Stand peg and block of the simulations ids (K,) where their draws say."""
        places, zero = stack(draws, "places_base_m"), np.zeros(len(draws))
        peg = np.column_stack([places[:, 0], zero + PEG_M / 2])
        engine.place_body(ids, OBJECT, upright(peg, stack(draws, "object_yaw_rad")))
        engine.place_body(ids, BLOCK, upright(np.column_stack([places[:, 1], zero]), stack(draws, "hole_yaw_rad")))

    def measure_given(self, draws: Sequence[Draw]) -> dict[str, Array]:
        """The hole's rim (N, 3) and its turn (N, 4)."""
        places = stack(draws, "places_base_m")
        rim = upright(np.column_stack([places[:, 1], np.full(len(draws), BLOCK_M)]), stack(draws, "hole_yaw_rad"))
        return {"hole_pos_base_m": rim[:, :3], "hole_quat_base_wxyz": rim[:, 3:]}

    def show_given(self, engine: Engine, ids: Array, observed: Mapping[str, Array]) -> None:
        """Place the block."""
        pos = np.array(observed["hole_pos_base_m"], dtype=np.float64) - [0.0, 0.0, BLOCK_M]
        engine.place_body(ids, BLOCK, np.column_stack([pos, observed["hole_quat_base_wxyz"]]))

    def judge(self, n: int) -> PegInsertJudge:
        """A judge for n episodes that start now."""
        return PegInsertJudge(n, self._rules)

    def expert(self, n: int, rng: np.random.Generator) -> PegInsertExpert:
        """The scripted expert; it needs no chance."""
        return PegInsertExpert(n, PegInsertExpertConfig.of(self.arm.spec.gripper.width_m), PEG_M)

    def encoding(self) -> Mapping[str, Any]:
        """See peg and hole from the tool, the hole from the peg, and both yaws with their four-fold symmetry."""
        return {
            "observations": [
                "gripper_width_m",
                "tcp_pos_base_m",
                "tcp_quat_base_wxyz",
                "object_pos_base_m",
                "object_quat_base_wxyz",
                "hole_pos_base_m",
            ],
            "relative": [
                ["object_pos_base_m", "tcp_pos_base_m"],
                ["hole_pos_base_m", "tcp_pos_base_m"],
                ["hole_pos_base_m", "object_pos_base_m"],
            ],
            "fine_scale": 0.01,
            "yaw": [
                ["object_quat_base_wxyz", "tcp_quat_base_wxyz", 4],
                ["hole_quat_base_wxyz", "object_quat_base_wxyz", 4],
            ],
            "snap": ["gripper_target_m"],
        }


def _scaled(distribution: Uniform, share: float) -> Uniform:
    """A distribution around zero, narrowed."""

    def part(value: Value) -> Value:
        return tuple(share * each for each in value) if isinstance(value, tuple) else share * value

    return Uniform(part(distribution.low), part(distribution.high), distribution.middle)
