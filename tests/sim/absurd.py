"""Physics that no solver survives: in a third of the draws the arm's servos are a billion times too stiff."""

from ashore.sim.randomization import Parameter, Randomization, Target
from ashore.sim.randomization.distributions import Categorical
from ashore.sim.tasks.pick_place import PickPlace

SERVOS = tuple(f"panda_servo{number}" for number in range(1, 8))
plain = PickPlace.randomization


def absurd(task: PickPlace, level: str) -> Randomization:
    """Stand in for PickPlace.randomization."""
    gains = (Target("actuator_gainprm", SERVOS, (0,)), Target("actuator_biasprm", SERVOS, (1, 2)))
    stiff = Parameter(
        "stiffness",
        Categorical((1.0, 1e9), (2.0, 1.0)),
        "actuation",
        (*gains, Target("actuator_forcerange", SERVOS)),
        "scale",
    )
    return Randomization((*plain(task, level).parameters, stiff))
