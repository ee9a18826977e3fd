"""Tasks by name; each is a module with its judge and, beside it, its MJCF scene."""

import os
import re
from collections.abc import Mapping
from importlib import import_module
from inspect import isabstract
from typing import Any

from ashore.datasets.errors import UnknownName
from ashore.sim.errors import UnknownTaskClass
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


OWN = re.compile(r"[\w.]+:\w+")
"""A task of one's own: module:Class."""
LISTED = "ASHORE_TASKS"
"""Variable of the environment: the modules, with commas between, that may be imported for tasks of one's own."""


def is_task(name: str) -> bool:
    """Whether a name is that of a task here, and not of data from elsewhere."""
    title = name.partition("@")[0]
    return title in TASKS or OWN.fullmatch(title) is not None


def make_task(name: str) -> Task:
    """Make a task, such as arm/pick-place, arm/pick-place@ur5e or arm/pick-place@my_arm/robot.yaml.

    A task of one's own is a class, named by module:Class, as in my_tasks:Lift or my_tasks:Lift@ur5e. Its module must be
    importable, and listed in ASHORE_TASKS: names of tasks stand in data too, and no data may have code imported.

    Raises:
        UnknownName: there is no such task, or no such arm; gives the closest.
        UnknownTaskClass: there is no such module, it is not listed, or has no such task, or that takes no arm.
        UnreadableFile, InvalidRobotFile: the arm's file does not say what is needed.
    """
    title, at, arm = name.partition("@")
    own = OWN.fullmatch(title) is not None
    if not own and title not in TASKS:
        raise UnknownName("task (or module:Class of your own)", title, sorted(TASKS))
    if at and not own and title not in ARM_TASKS:
        raise UnknownName("task of an arm", title, sorted(ARM_TASKS))
    make = _own(title, takes_arm=bool(at)) if own else _shipped(title)
    task: Task
    if at:
        from ashore.sim.robots import make_arm

        task = make(make_arm(arm))
    else:
        task = make()
    return task


def _shipped(title: str) -> type[Any]:
    module, member = TASKS[title]
    made: type[Any] = getattr(import_module(module), member)
    return made


def _own(title: str, takes_arm: bool) -> type[Any]:
    """The class that module:Class names.

    Raises:
        UnknownTaskClass: there is no such module, it is not listed, or has no such task, or that takes no arm.
    """
    module, _, member = title.partition(":")
    listed = [name.strip() for name in os.environ.get(LISTED, "").split(",") if name.strip()]
    if module not in listed:
        raise UnknownTaskClass(title, f"{LISTED} does not list the module {module!r}", listed)
    try:
        found = vars(import_module(module))
    except ModuleNotFoundError as error:
        if error.name is not None and not module.startswith(error.name):
            raise
        raise UnknownTaskClass(title, f"no module {module!r} can be imported", []) from error
    classes = [name for name, value in found.items() if _is_task_class(value, takes_arm)]
    if member not in classes:
        kind = "task of an arm" if takes_arm else "task"
        raise UnknownTaskClass(title, f"the module {module!r} has no {kind} {member!r}", classes)
    made: type[Any] = found[member]
    return made


def _is_task_class(value: Any, takes_arm: bool) -> bool:
    if not isinstance(value, type) or not issubclass(value, Task) or isabstract(value):
        return False
    from ashore.sim.arms.task import ArmTask

    return not takes_arm or issubclass(value, ArmTask)
