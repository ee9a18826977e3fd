"""Tasks at twice the command rate of their robots: what 100 Hz asks of the graph."""

from dataclasses import replace

from ashore.sim.robot import RobotCard
from ashore.sim.robots import DEFAULT_ARM, make_arm
from ashore.sim.tasks.hover import Hover
from ashore.sim.tasks.reach import Reach

COMMAND_HZ = 100.0


def _fast(card: RobotCard) -> RobotCard:
    return replace(card, command_hz=COMMAND_HZ)


class FastHover(Hover):
    """`quadrotor/hover` at 100 Hz."""

    name = f"{__name__}:FastHover"

    def __init__(self) -> None:
        super().__init__()
        self.robot = replace(self.robot, card=_fast(self.robot.card))


class FastReach(Reach):
    """`arm/reach` at 100 Hz."""

    title = f"{__name__}:FastReach"

    def __init__(self) -> None:
        arm = make_arm(DEFAULT_ARM)
        super().__init__(replace(arm, card=_fast(arm.card)))
