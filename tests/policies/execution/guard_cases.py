"""Cards for the guard's tests: one that leads joints and stops by holding, and one with bounds on what it observes."""

from dataclasses import replace

from ashore.datasets.contract import Feature
from ashore.sim.robot import CommandLimits, RobotCard

LIMITS = CommandLimits(
    low=(-1.0, 0.0, -2.0),
    high=(1.0, 0.08, 2.0),
    max_rate=(2.0, 0.5, 10.0),
    max_lead=(0.2, None, None),
    lead_of=(("q", 0), None, None),
    observed_low={"height": (0.0,)},
    observed_high={"height": (2.0,)},
    timeout_s=0.1,
)
CARD = RobotCard(
    name="test",
    command_hz=100.0,
    commands=(Feature("a", (2,), "rad", "joint"), Feature("b", (1,), "rad/s", "body")),
    limits=LIMITS,
    interface={"kind": "direct", "actions": ["a", "b"]},
)
SMOOTH = replace(CARD, limits=replace(LIMITS, max_acceleration=(6.0, None, 400.0), max_jerk=(300.0, None, None)))


def card_with(**changes: object) -> RobotCard:
    """Change some of the limits."""
    return replace(CARD, limits=replace(LIMITS, **changes))
