"""Robots by name; each is a folder with its MJCF and its card."""

from collections.abc import Mapping
from importlib import import_module

from ashore.datasets.errors import UnknownName
from ashore.sim.robot import Robot

ROBOTS: Mapping[str, str] = {
    "crazyflie": "ashore.sim.robots.crazyflie.robot",
    "panda": "ashore.sim.robots.panda.robot",
}
"""Name of the robot to the module whose make() makes it."""


def make_robot(name: str) -> Robot:
    """Make a robot.

    Raises:
        UnknownName: there is no such robot; gives the closest.
    """
    if name not in ROBOTS:
        raise UnknownName("robot", name, sorted(ROBOTS))
    robot: Robot = import_module(ROBOTS[name]).make()
    return robot
