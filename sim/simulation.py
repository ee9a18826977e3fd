"""N episodes of a task as a robot would meet them: commands in, disturbed measurements out, on any engine."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.sim.engine import Engine
from ashore.sim.randomization import Draw, Randomization
from ashore.sim.sensors import Sensors
from ashore.sim.task import Judge, Task

Array = NDArray[Any]
Apply = Callable[[Array, Sequence[Draw], Randomization], None]


class Simulation:
    """One task on one engine; every array is batch first.

    reset        measure 0
    step(c0)     drive and physics for one command period, measure 1, judge
    step(c1)     ...
    """

    judge: Judge
    """The task's verdict on the episodes that run now."""

    def __init__(self, task: Task, engine: Engine, randomization: Randomization) -> None:
        self.task = task
        self.engine = engine
        self.randomization = randomization
        self.n = engine.n
        card = task.robot.card
        self.command_period_s = 1.0 / card.command_hz
        self._drive_substeps = max(1, round(task.robot.drive.period_s / engine.timestep_s))
        self._drive_calls = max(1, round(self.command_period_s / (self._drive_substeps * engine.timestep_s)))
        widths = {feature.name: feature.size for feature in task.contract.observations}
        self._sensors = Sensors(task.sensors(), widths, self.n, self.command_period_s)
        self._draws: Sequence[Draw] = ()
        self._measured: dict[str, Array] = {}
        self._truth: dict[str, Array] = {}
        self._ticks = 0

    @property
    def n_ticks(self) -> int:
        """Command periods in an episode."""
        return round(self.task.episode_s / self.command_period_s)

    @property
    def time_s(self) -> float:
        """Time since the reset."""
        return self._ticks * self.command_period_s

    @property
    def draws(self) -> Sequence[Draw]:
        """The draws of the episodes that run now (N,)."""
        return self._draws

    def reset(self, draws: Sequence[Draw], seeds: Sequence[int]) -> None:
        """Start N episodes, each from its draw, with sensor noise from its seed."""
        ids = np.arange(self.n)
        self._draws, self._ticks = list(draws), 0
        start: Callable[[Array], None] | None = getattr(self.engine, "reset", None)
        if start is not None:
            start(ids)
        randomize: Apply | None = getattr(self.engine, "randomize", None)
        if randomize is not None:
            randomize(ids, draws, self.randomization)
        self.task.reset(self.engine, ids, draws)
        settle: Callable[[Array], None] | None = getattr(self.engine, "settle", None)
        if settle is not None:
            settle(ids)
        self._sensors.reset(draws, seeds, self.n_ticks + 1)
        self.judge = self.task.judge(self.n)
        self._take_in()

    def observe(self) -> dict[str, Array]:
        """The newest measurements {name: (N, *shape)}: noisy, late, biased."""
        return self._measured

    def truth(self) -> dict[str, Array]:
        """The same quantities as they are."""
        return self._truth

    def step(self, command: Array) -> None:
        """Run one command period with commands (N, Dc)."""
        for _ in range(self._drive_calls):
            self.engine.actuate(self.task.robot.drive.control(command, self.engine))
            self.engine.advance(self._drive_substeps)
        self._ticks += 1
        self._take_in()

    def _take_in(self) -> None:
        self._truth = self.task.measure(self.engine, self._draws)
        self._measured = self._sensors.measure(self._truth)
        self.judge.update(self._truth, self.time_s)


def make_simulation(task_name: str, n: int, level: str = "wide", n_threads: int = 0) -> Simulation:
    """Make N episodes of a task on MuJoCo.

    Raises:
        UnknownName: there is no such task or level.
    """
    from ashore.sim.tasks import make_task
    from ashore.sim.world import World

    task = make_task(task_name)
    return Simulation(task, World(task.scene_path(), n, n_threads), task.randomization(level))
