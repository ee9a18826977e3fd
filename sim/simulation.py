"""N episodes of a task as a robot would meet them: commands in, disturbed measurements out, on any engine."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.errors import InvalidSample
from ashore.sim.command_path import CommandPath, path_readings
from ashore.sim.engine import Engine
from ashore.sim.errors import InvalidRandomization
from ashore.sim.randomization import Draw, Randomization
from ashore.sim.randomization.readings import reading_faults
from ashore.sim.restarting import restart_rows
from ashore.sim.sensors import Sensors, sensor_readings
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

    def check(self, randomization: Randomization) -> None:
        """Refuse a randomization that does not fit the scene."""

    def randomize(self, ids: Array, draws: Sequence[Draw], randomization: Randomization) -> None:
        """Set the model fields of simulations ids (K,) from their draws."""

    def snapshot(self, ids: Array) -> Array:
        """Copy the whole state (K, S) of simulations ids (K,) out."""

    def restore(self, ids: Array, states: Array) -> None:
        """Put simulations ids (K,) into states (K, S) that a snapshot gave."""

    def freeze(self, frozen: Array) -> None:
        """Let time stand still in these simulations (N,) bool until their reset."""


class SoundJudge:
    """A task's judge that never calls an episode a success whose simulation became unstable."""

    def __init__(self, make: Callable[[int], Judge], engine: Engine) -> None:
        """Take the task's way to make a judge, so that single episodes can get a new one."""
        self._make = make
        self._judge = make(engine.n)
        self._engine = engine
        self._unsound = np.zeros(engine.n, dtype=bool)

    def restart(self, ids: Array, truth: Mapping[str, Array]) -> None:
        """Begin episodes ids (K,) anew at their first true state, rows of {name: (N, *shape)}; the others go on."""
        n = self._engine.n
        fresh = self._make(n)
        fresh.update(truth, np.zeros(n))
        restart_rows(self._judge, fresh, ids, n)
        self._unsound[ids] = False

    def find_unsound(self, truth: Mapping[str, Array]) -> Array:
        """Tell which running episodes cannot be believed from now on (N,) bool: unstable, or not finite."""
        finite = [np.isfinite(value).reshape(len(value), -1).all(axis=1) for value in truth.values()]
        found = (self._engine.diverged() | ~np.all(finite, axis=0)) & ~self.terminated()
        self._unsound |= found
        return np.asarray(found)

    def update(self, truth: Mapping[str, Array], time_s: Array) -> None:
        """Take in the true state {name: (N, *shape)} at each episode's time since its reset (N,)."""
        self._judge.update(truth, time_s)

    def diverged(self) -> Array:
        """Whether the episode ended because its simulation became unstable (N,) bool."""
        return self._unsound.copy()

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
        """Put a task on an engine.

        Raises:
            InvalidRandomization: something of it is not there, is read by nothing, or makes no sense; lists everything.
        """
        self.task = task
        self.engine = engine
        self.randomization = randomization
        self.n = engine.n
        # Asked once: what an engine can do does not change, and a protocol's check costs as much as a measurement.
        self._restarting = engine if isinstance(engine, RandomizedEngine) else None
        card = task.robot.card
        self.command_period_s = 1.0 / card.command_hz
        self._drive_substeps = max(1, round(task.robot.drive.period_s / engine.timestep_s))
        self._drive_calls = max(1, round(self.command_period_s / (self._drive_substeps * engine.timestep_s)))
        widths = {feature.name: feature.size for feature in task.contract.observations}
        self._check(widths)
        self._sensors = Sensors(task.sensors(), widths, self.n, self.command_period_s)
        drive_period_s = self._drive_substeps * engine.timestep_s
        self._path = CommandPath(card.limits, self.n, drive_period_s, self._drive_calls)
        self._draws: list[Draw] = []
        self._measured: dict[str, Array] = {}
        self._truth: dict[str, Array] = {}
        self._ticks = np.zeros(self.n, dtype=np.int64)
        self._starts: dict[int, Array] = {}
        self._ended_s = np.full(self.n, np.inf)

    @property
    def n_ticks(self) -> int:
        """Command periods in an episode."""
        return round(self.task.episode_s / self.command_period_s)

    @property
    def physics_steps(self) -> int:
        """Physics steps in a command period."""
        return self._drive_calls * self._drive_substeps

    @property
    def time_s(self) -> float:
        """Time since the reset; of the episode that has run longest where single ones were reset."""
        return int(self._ticks.max()) * self.command_period_s

    @property
    def times_s(self) -> Array:
        """Time since each episode's reset (N,)."""
        return np.asarray(self._ticks * self.command_period_s)

    @property
    def diverged(self) -> Array:
        """Which episodes ended because their simulation became unstable (N,) bool."""
        return self._sound.diverged()

    @property
    def ended_s(self) -> Array:
        """When each episode terminated or diverged (N,), on its own clock; that clock where it runs on."""
        return np.asarray(np.minimum(self._ended_s, self.times_s))

    @property
    def draws(self) -> Sequence[Draw]:
        """The draws of the episodes that run now (N,)."""
        return self._draws

    def initial_state(self, index: int) -> Array:
        """The engine's whole state (S,) in which an episode began; empty where the engine cannot tell."""
        return self._starts.get(index, np.zeros(0))

    def reset(
        self,
        draws: Sequence[Draw],
        seeds: Sequence[int],
        ids: Array | None = None,
        states: Array | None = None,
    ) -> None:
        """Start episodes, each from its draw, with sensor noise from its seed.

        Args:
            draws: (K,) one an episode.
            seeds: (K,).
            ids: (K,) the episodes that start; None are all N. The others go on as if nothing had happened.
            states: (K, S) as initial_state gave them, taken in place of the start that the task makes of the draws.

        Raises:
            InvalidSample: there are not K draws and K seeds, or single episodes start before all have.
        """
        rows = np.arange(self.n) if ids is None else np.asarray(ids)
        counts = {"draws": len(draws), "seeds": len(seeds)}
        faults = [
            f"{name}: {count} given, {len(rows)} expected" for name, count in counts.items() if count != len(rows)
        ]
        faults += ["ids: given before the first reset of all"] if ids is not None and not self._draws else []
        if faults:
            raise InvalidSample("the reset", faults)
        self._draws = list(draws) if ids is None else self._draws
        for row, draw in zip(rows.tolist(), draws, strict=True):
            self._draws[row] = draw
        self._ticks[rows], self._ended_s[rows] = 0, np.inf
        self._place(rows, draws, states)
        self._sensors.reset(draws, seeds, self.n_ticks + 1, ids)
        self._path.reset(draws, seeds, self.n_ticks, ids)
        if ids is None:
            self.judge = self._sound = SoundJudge(self.task.judge, self.engine)
            self._take_in()
        else:
            self._take_in_start(rows)

    def observe(self) -> dict[str, Array]:
        """The newest measurements {name: (N, *shape)}: noisy, late, biased."""
        return self._measured

    def truth(self) -> dict[str, Array]:
        """The same quantities as they are."""
        return self._truth

    def step(self, command: Array, between: Callable[[], object] | None = None) -> None:
        """Run one command period.

        Args:
            command: (N, Dc).
            between: called between two physics steps, such as to let time pass there; None plays them at once.
        """
        for call in range(self._drive_calls):
            self.engine.actuate(self.task.robot.drive.control(self._path.pass_on(command), self.engine))
            if between is None:
                self.engine.advance(self._drive_substeps)
                continue
            for substep in range(self._drive_substeps):
                if call or substep:
                    between()
                self.engine.advance(1)
        self._ticks += 1
        self._take_in()

    def hold(self, still: Array) -> None:
        """Let episodes (N,) bool stand still until their reset, where the engine can do that."""
        if self._restarting is not None:
            self._restarting.freeze(still)

    def _check(self, widths: Mapping[str, int]) -> None:
        """Refuse a randomization of which anything goes unread or makes no sense, with all faults at once."""
        task = self.task
        readings = (*path_readings(task.robot.card.limits), *sensor_readings(task.sensors(), widths))
        own = {parameter.name: parameter for parameter in task.randomization("wide").parameters}
        faults = list(reading_faults(self.randomization, readings, own))
        if self._restarting is not None:
            try:
                self._restarting.check(self.randomization)
            except InvalidRandomization as error:
                faults = [*error.faults, *faults]
        if faults:
            raise InvalidRandomization(f"the randomization does not fit {task.name}: it", faults)

    def _place(self, rows: Array, draws: Sequence[Draw], states: Array | None) -> None:
        engine = self._restarting
        if engine is None:
            self.task.reset(self.engine, rows, draws)
            return
        engine.reset(rows)
        engine.randomize(rows, draws, self.randomization)
        self.task.reset(engine, rows, draws)
        if states is not None:
            engine.restore(rows, states)
        # Before anything is computed from it: what a solver starts from is then the same whenever it is restored.
        self._starts.update(zip(rows.tolist(), engine.snapshot(rows), strict=True))

    def _take_in(self) -> None:
        truth = self.task.measure(self.engine, self._draws)
        unsound = self._sound.find_unsound(truth)
        if self._restarting is not None and unsound.any():
            # Nothing that is not finite leaves: that world alone goes back to the model's first state, and rests.
            self._restarting.reset(np.flatnonzero(unsound))
            truth = self.task.measure(self.engine, self._draws)
        self._truth = truth
        self._measured = self._sensors.measure(truth)
        self.judge.update(truth, self.times_s)
        self._note_ends()

    def _take_in_start(self, rows: Array) -> None:
        truth = self.task.measure(self.engine, self._draws)
        measured = self._sensors.measure({name: value[rows] for name, value in truth.items()}, rows)
        self._truth = {name: _replaced(self._truth[name], rows, value[rows]) for name, value in truth.items()}
        self._measured = {name: _replaced(self._measured[name], rows, value) for name, value in measured.items()}
        self._sound.restart(rows, truth)
        self._note_ends()

    def _note_ends(self) -> None:
        terminated = self.judge.terminated()
        self._ended_s = np.where(terminated, np.minimum(self._ended_s, self.times_s), self._ended_s)
        self.hold(terminated)


def _replaced(values: Array, rows: Array, new: Array) -> Array:
    changed = np.array(values)
    changed[rows] = new
    return changed


def make_simulation(task_name: str, n: int, level: str = "wide", n_threads: int = 0) -> "Simulation | GymSimulation":
    """Make N episodes of a task on MuJoCo, or of the Gymnasium environment `gym/<id>`, which knows no levels.

    A level is none, narrow, wide, or the path of a randomization's file.

    Raises:
        UnknownName: there is no such task or level.
        InvalidRandomization: the file does not fit the task or its scene.
        MissingEnvironment: there is no such Gymnasium environment.
    """
    if task_name.startswith(GYM_PREFIX):
        from ashore.sim.gym_task import make_gym_simulation

        return make_gym_simulation(task_name, n)
    from ashore.sim.randomization.files import randomization_of
    from ashore.sim.tasks import make_task
    from ashore.sim.world import World

    task = make_task(task_name)
    return Simulation(task, World(task.scene(), n, n_threads), randomization_of(task, level))
