"""Gymnasium environments: importing this module registers every task as `ashore/<task with - for />-v0`.

It also chooses how MuJoCo draws where there is no screen, which works before mujoco is imported alone.

    import ashore.sim.envs
    env = gymnasium.make("ashore/arm-pick-place-v0", reward="sparse", level="narrow")
    envs = gymnasium.make_vec("ashore/arm-pick-place-v0", num_envs=64)

`gymnasium.make("ashore.sim.envs:ashore/arm-pick-place-v0")` imports it by itself. docs/simulation.md tells the rest.
"""

import gymnasium

from ashore.sim.rendering import use_headless_rendering
from ashore.sim.tasks import TASKS


def environment_id(task: str) -> str:
    """Name the environment of a task: arm/pick-place is ashore/arm-pick-place-v0."""
    return f"ashore/{task.replace('/', '-')}-v0"


def register_tasks() -> None:
    """Register the tasks that are not registered yet."""
    for task in TASKS:
        if environment_id(task) not in gymnasium.registry:
            gymnasium.register(
                id=environment_id(task),
                entry_point="ashore.sim.envs.single:TaskEnv",
                vector_entry_point="ashore.sim.envs.vector:TaskVectorEnv",
                kwargs={"task": task},
            )


use_headless_rendering()
register_tasks()
