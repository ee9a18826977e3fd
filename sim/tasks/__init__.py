"""Tasks by name; each is a module with its judge and, beside it, its MJCF scene."""

from collections.abc import Callable, Mapping
from importlib import import_module

from ashore.datasets.errors import UnknownName
from ashore.sim.task import Task

TASKS: Mapping[str, tuple[str, str]] = {
    "arm/pick-place": ("ashore.sim.tasks.pick_place", "PickPlace"),
    "quadrotor/hover": ("ashore.sim.tasks.hover", "Hover"),
}
"""Name of the task to module and class."""


def make_task(name: str) -> Task:
    """Make a task.

    Raises:
        UnknownName: there is no such task; gives the closest.
    """
    if name not in TASKS:
        raise UnknownName("task", name, sorted(TASKS))
    module, member = TASKS[name]
    make: Callable[[], Task] = getattr(import_module(module), member)
    return make()
