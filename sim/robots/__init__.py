"""Robots by name; each is a folder with its MJCF and, for an arm, its file, else a module that makes it."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

from ashore.datasets.errors import UnknownName
from ashore.sim.arms.arm import Arm, load_arm
from ashore.sim.robot import Robot

ARMS = ("panda", "ur5e")
"""Arms that ship; their files are ARM/robot.yaml."""
DEFAULT_ARM = "panda"
ROBOTS: Mapping[str, str] = {"crazyflie": "ashore.sim.robots.crazyflie.robot"}
"""Name of any other robot to the module whose make() makes it."""


def make_robot(name: str) -> Robot:
    """Make a robot that ships.

    Raises:
        UnknownName: there is no such robot; gives the closest.
    """
    known = sorted((*ARMS, *ROBOTS))
    if name not in known:
        raise UnknownName("robot", name, known)
    if name in ARMS:
        return make_arm(name)
    robot: Robot = import_module(ROBOTS[name]).make()
    return robot


def make_arm(name_or_path: str) -> Arm:
    """Make an arm that ships by its name, or any other by the path of its file.

    Raises:
        UnknownName: neither a shipped arm nor a .yaml file; gives the closest.
        UnreadableFile, InvalidRobotFile: see load_arm.
    """
    if name_or_path.endswith((".yaml", ".yml")):
        return load_arm(Path(name_or_path))
    if name_or_path not in ARMS:
        raise UnknownName("arm (or a path that ends in .yaml)", name_or_path, ARMS)
    return load_arm(Path(__file__).parent / name_or_path / "robot.yaml", name_or_path)
