"""Interfaces between policies and robots, made from the plain data of a robot card; numpy alone."""

from collections.abc import Callable, Mapping
from typing import Any

from ashore.datasets.errors import UnknownName
from ashore.sim.interfaces.body_rate import BodyRate
from ashore.sim.interfaces.direct import Direct
from ashore.sim.interfaces.tool_space import ToolSpace
from ashore.sim.robot import Interface

INTERFACES: Mapping[str, Callable[[Mapping[str, Any]], Interface]] = {
    "body_rate": BodyRate.from_spec,
    "direct": lambda spec: Direct(spec["actions"]),
    "tool_space": ToolSpace.from_spec,
}


def make_interface(spec: Mapping[str, Any]) -> Interface:
    """Make the interface that a card names.

    Raises:
        UnknownName: there is no such kind; gives the closest.
    """
    kind = str(spec.get("kind"))
    if kind not in INTERFACES:
        raise UnknownName("interface", kind, sorted(INTERFACES))
    return INTERFACES[kind](spec)
