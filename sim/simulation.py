"""N episodes of a task as a robot would meet them: commands in, disturbed measurements out, on any engine."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.errors import InvalidSample
from ashore.sim.engine import Engine
from ashore.sim.randomization import Draw, Randomization
from ashore.sim.sensors import Sensors
from ashore.sim.task import Judge, Task

if TYPE_CHECKING:
    from ashore.sim.gym_task import GymSimulation

Array = NDArray[Any]
GYM_PREFIX = "gym/"


@runtime_checkable
class RandomizedEngine(Engine, Protocol):
    """An engine whose simulations start afresh, each with its own model fields, and can stand still; World is one."""

    def reset(self, ids: Array) -> None:
        """Put simulations ids (K,) into the model's first state."""

    def randomize(self, ids: Array, draws: Sequence[Draw], randomization: Randomization) -> None:
        """Set the model fields of simulations ids (K,) from their draws."""

    def freeze(self, frozen: Array) -> None:
        """Let time stand still in these simulations (N,) bool until their reset."""


class SoundJudge:
    """A task's judge that never calls an episode a success whose simulation became unstable."""

    def __init__(self, judge: Judge, engine: Engine) -> None:
        self._judge = judge
        self._engine = engine
        self._unsound = np.zeros(engine.n, dtype=bool)

    def update(self, truth: Mapping[str, Array], time_s: float) -> None:
        """Take in the true state {name: (N, *shape)} at a time since reset, and whether it can be believed."""
        self._unsound |= self._engine.diverged() & ~self._judge.terminated()
        self._judge.update(truth, time_s)

    def success(self) -> Array:
        """The verdict as of now (N,) bool."""
        return self._judge.success() & ~self._unsound

    def terminated(self) -> Array:
        """Whether the episode ended of itself, or its simulation became unstable (N,) bool."""
        return self._judge.terminated() | self._unsound

    def progress(self) -> Array:
        """How far each task has come (N,), from 0 to 1; an unstable simulation has come nowhere."""
        return np.where(self._unsound, 0.0, self._judge.progress())

    def metrics(self) -> dict[str, Array]:
        """The task's figures of each episode, {name: (N,)}."""
        return self._judge.metrics()


class Simulation:
    """One task on one engine; every array is batch first.

    reset        measure 0
    step(c0)     drive and physics for one command period, measure 1, judge
    step(c1)     ...

    An episode that has terminated stands still, where the engine can do that, until the next reset.
    """

    judge: Judge
    """The verdict on the episodes that run now."""

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
        """Start N episodes, each from its draw, with sensor noise from its seed.

        Raises:
            InvalidSample: there are not N draws and N seeds.
        """
        counts = {"draws": len(draws), "seeds": len(seeds)}
        faults = [f"{name}: {count} given, {self.n} expected" for name, count in counts.items() if count != self.n]
        if faults:
            raise InvalidSample("the reset", faults)
        ids = np.arange(self.n)
        self._draws, self._ticks = list(draws), 0
        if isinstance(self.engine, RandomizedEngine):
            self.engine.reset(ids)
            self.engine.randomize(ids, draws, self.randomization)
        self.task.reset(self.engine, ids, draws)
        self._sensors.reset(draws, seeds, self.n_ticks + 1)
        self.judge = SoundJudge(self.task.judge(self.n), self.engine)
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
        if isinstance(self.engine, RandomizedEngine):
            self.engine.freeze(self.judge.terminated())


def make_simulation(task_name: str, n: int, level: str = "wide", n_threads: int = 0) -> "Simulation | GymSimulation":
    """Make N episodes of a task on MuJoCo, or of the Gymnasium environment `gym/<id>`, which knows no levels.

    Raises:
        UnknownName: there is no such task or level.
        MissingEnvironment: there is no such Gymnasium environment.
    """
    if task_name.startswith(GYM_PREFIX):
        from ashore.sim.gym_task import make_gym_simulation

        return make_gym_simulation(task_name, n)
    from ashore.sim.tasks import make_task
    from ashore.sim.world import World

    task = make_task(task_name)
    return Simulation(task, World(task.scene(), n, n_threads), task.randomization(level))
