"""Interfaces between policies and robots, made from the plain data of a robot card; numpy alone."""

from collections.abc import Mapping
from typing import Any

from ashore.datasets.errors import UnknownName
from ashore.sim.interfaces.body_rate import BodyRate
from ashore.sim.interfaces.direct import Direct
from ashore.sim.interfaces.tool_space import ToolSpace
from ashore.sim.robot import Interface

INTERFACES = {"body_rate": BodyRate, "direct": Direct, "tool_space": ToolSpace}


def make_interface(spec: Mapping[str, Any]) -> Interface:
    """Make the interface that a card names.

    Raises:
        UnknownName: there is no such kind.
    """
    kind = str(spec.get("kind"))
    if kind not in INTERFACES:
        raise UnknownName("interface", kind, sorted(INTERFACES))
    interface: Interface = INTERFACES[kind].from_spec(spec)
    return interface
