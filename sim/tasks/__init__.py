"""Tasks by name; each is a module with its judge and, beside it, its MJCF scene."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from ashore.datasets.errors import UnknownName
from ashore.sim.task import Task

ARM_TASKS: Mapping[str, tuple[str, str]] = {
    "arm/drawer": ("ashore.sim.tasks.drawer", "Drawer"),
    "arm/peg-insert": ("ashore.sim.tasks.peg_insert", "PegInsert"),
    "arm/pick-place": ("ashore.sim.tasks.pick_place", "PickPlace"),
    "arm/push-t": ("ashore.sim.tasks.push_t", "PushT"),
    "arm/reach": ("ashore.sim.tasks.reach", "Reach"),
    "arm/stack": ("ashore.sim.tasks.stack", "Stack"),
}
"""Name of a task of any arm to module and class; `arm/pick-place@ur5e` names another arm than the usual one."""
TASKS: Mapping[str, tuple[str, str]] = {
    **ARM_TASKS,
    "quadrotor/hover": ("ashore.sim.tasks.hover", "Hover"),
}
"""Name of every task to module and class."""


def make_task(name: str) -> Task:
    """Make a task, such as arm/pick-place, arm/pick-place@ur5e or arm/pick-place@my_arm/robot.yaml.

    Raises:
        UnknownName: there is no such task, or no such arm; gives the closest.
        UnreadableFile, InvalidRobotFile: the arm's file does not say what is needed.
    """
    title, at, arm = name.partition("@")
    if title not in TASKS:
        raise UnknownName("task", title, sorted(TASKS))
    if at and title not in ARM_TASKS:
        raise UnknownName("task of an arm", title, sorted(ARM_TASKS))
    module, member = TASKS[title]
    make: type[Any] = getattr(import_module(module), member)
    task: Task
    if at:
        from ashore.sim.robots import make_arm

        task = make(make_arm(arm))
    else:
        task = make()
    return task
