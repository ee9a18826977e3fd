"""Physics that no solver survives: in a third of the draws the arm's servos are a billion times too stiff."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.sim.randomization import Parameter, Randomization, Target
from ashore.sim.tasks.pick_place import PickPlace

SERVOS = tuple(f"panda_servo{number}" for number in range(1, 8))
plain = PickPlace.randomization


@dataclass(frozen=True)
class Sometimes:
    """One nominally, and in a third of the draws a factor."""

    factor: float

    def sample(self, rng: np.random.Generator) -> NDArray[Any]:
        return np.asarray(self.factor if rng.random() < 1 / 3 else 1.0)

    def nominal(self) -> NDArray[Any]:
        return np.asarray(1.0)


def absurd(task: PickPlace, level: str) -> Randomization:
    """Stand in for PickPlace.randomization."""
    gains = (Target("actuator_gainprm", SERVOS, (0,)), Target("actuator_biasprm", SERVOS, (1, 2)))
    stiff = Parameter(
        "stiffness", Sometimes(1e9), "actuation", (*gains, Target("actuator_forcerange", SERVOS)), "scale"
    )
    return Randomization((*plain(task, level).parameters, stiff))
