"""Simulate a stored episode again, and compare every stored number with what comes out: the same bits, or where not.

What an episode needs for it was stored with it: task, draw, level, seeds, the engine's initial state, and the actions
as they were executed. Observations and commands are then results.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.episode import Episode, EpisodeMeta, installed_versions
from ashore.datasets.progress import Progress, silent
from ashore.sim.collection import command_noise
from ashore.sim.control_steps import ControlSteps
from ashore.sim.errors import CannotReplay
from ashore.sim.randomization import draw_from_json
from ashore.sim.randomization.files import randomization_of
from ashore.sim.simulation import Simulation
from ashore.sim.task import Task
from ashore.sim.tasks import TASKS, is_task, make_task
from ashore.sim.world import World

Array = NDArray[Any]


@dataclass(frozen=True)
class Difference:
    """The first number of a replay that is not the stored one."""

    step: int
    feature: str
    """Observation or "commands", with the element's place."""
    stored: float
    replayed: float


@dataclass(frozen=True)
class Replayed:
    """What comparing a replay with its episode gave."""

    n_steps: int
    """Steps that were compared, all of them where nothing differs."""
    difference: Difference | None
    versions: tuple[tuple[str, str, str], ...]
    """(package, version that recorded it, version here) of those that differ and may change a number."""
    is_start_new: bool
    """Whether the task now makes another initial state of the draw than the stored one, which was taken."""


class EpisodeReplay:
    """One episode on its way through the simulation again; each step is compared before the next is taken."""

    def __init__(self, episode: Episode, name: str) -> None:
        """Start the simulation where the episode started.

        Args:
            episode: as ashore collect stored it, uncut.
            name: of the episode, for the error text.

        Raises:
            CannotReplay: it lacks what is needed, or the task of today is another; lists every reason.
        """
        faults = _faults(episode)
        if faults:
            raise CannotReplay(name, faults)
        meta = episode.meta
        draw, seeds, state = draw_from_json(meta.draw), [int(meta.seed or 0)], np.array([meta.initial_state])
        self.episode, self.simulation = episode, _simulation(episode)
        self.simulation.reset([draw], seeds)
        made = self.simulation.initial_state(0)
        if made.shape != state[0].shape:
            sizes = f"{state.size} numbers, but the scene of today has {made.size}"
            raise CannotReplay(name, [f"initial state: {sizes}; use the versions that recorded it"])
        self.is_start_new = made.tobytes() != state[0].tobytes()
        self.simulation.reset([draw], seeds, states=state)
        self._steps = ControlSteps(self.simulation)
        noise = command_noise(self.simulation, seeds) if meta.metrics["injected_noise"] else None
        ticks = (-1, self._steps.ticks_a_step, self.simulation.task.robot.card.command_width)
        self._noise = None if noise is None else noise[0, : self._steps.n_steps * ticks[1]].reshape(ticks)
        self._actions = episode.contract.flatten_action(episode.actions)

    def run(self) -> Iterator[Difference | None]:
        """Take the episode's steps one by one and yield the first difference of each."""
        for step in range(len(self.episode)):
            found = self._compare(step, {name: values[0] for name, values in self._steps.observe().items()})
            offsets = None if self._noise is None else self._noise[None, step]
            command = self._steps.step(self._actions[None, step], offsets)[0]
            yield found or _difference(step, "commands", self._commands[step], command)

    @property
    def _commands(self) -> Array:
        return np.asarray(self.episode.commands)

    def _compare(self, step: int, observed: Mapping[str, Array]) -> Difference | None:
        for feature in self.episode.contract.observations:
            stored = self.episode.observations[feature.name][step]
            found = _difference(step, feature.name, stored, observed[feature.name].astype(stored.dtype))
            if found is not None:
                return found
        return None


def check_replay(episode: Episode, name: str, progress: Progress = silent) -> Replayed:
    """Simulate an episode again, up to the first number that differs.

    Raises:
        CannotReplay: it lacks what is needed, or the task of today is another.
    """
    replay, difference, n_steps = EpisodeReplay(episode, name), None, 0
    for difference in replay.run():
        n_steps += 1
        progress(n_steps, len(episode), "")
        if difference is not None:
            break
    return Replayed(n_steps, difference, other_versions(episode.meta), replay.is_start_new)


def other_versions(meta: EpisodeMeta) -> tuple[tuple[str, str, str], ...]:
    """List the packages whose version here is not the one that recorded an episode: (package, there, here)."""
    here = installed_versions()
    return tuple(
        (name, there, here.get(name, "none")) for name, there in meta.versions.items() if there != here.get(name)
    )


def _faults(episode: Episode) -> list[str]:
    meta, contract = episode.meta, episode.contract
    if meta.source != "simulation" or meta.origin:
        where = meta.origin or f"source {meta.source!r}"
        return [f"it does not come from Ashore's simulation: {where}"]
    if not is_task(contract.task):
        return [f"task: there is no {contract.task!r} here; valid: {', '.join(sorted(TASKS))}"]
    present = {
        "seed": meta.seed is not None,
        "draw": bool(meta.draw),
        "initial state": bool(meta.initial_state),
        "commands": episode.commands is not None,
        "whether noise was injected": "injected_noise" in meta.metrics,
    }
    faults = [f"{what}: it was recorded without" for what, is_there in present.items() if not is_there]
    if meta.seed is not None and meta.seed < 0:
        faults.append(f"seed: {meta.seed}; none is below 0")
    if not np.all(np.isfinite(meta.initial_state)):
        faults.append("initial state: it holds NaN or infinity")
    if not np.allclose(episode.time_s, np.arange(len(episode)) * contract.period_s):
        faults.append(f"steps: it begins at {episode.time_s[0]:.2f} s or has gaps; undo what was cut off")
    task = make_task(contract.task)
    differences = task.contract.differences(contract)
    faults += [f"contract: the task of today differs: {difference}" for difference in differences]
    return [*faults, *_draw_faults(episode, task)] if meta.draw else faults


def _draw_faults(episode: Episode, task: Task) -> Iterator[str]:
    """Yield what of the draw is not of today's randomization, which the level names."""
    nominal = randomization_of(task, episode.meta.level or "wide").nominal()
    drawn = {name: np.shape(value) for name, value in draw_from_json(episode.meta.draw).items()}
    yield from (f"draw: {name!r} is missing" for name in nominal if name not in drawn)
    yield from (f"draw: {name!r} is no parameter of this level" for name in drawn if name not in nominal)
    for name, shape in drawn.items():
        if name in nominal and shape != np.shape(nominal[name]):
            yield f"draw: {name!r} has the shape {shape}; expected {np.shape(nominal[name])}"
    if not all(np.all(np.isfinite(value)) for value in draw_from_json(episode.meta.draw).values()):
        yield "draw: it holds NaN or infinity"


def _simulation(episode: Episode) -> Simulation:
    task = make_task(episode.contract.task)
    return Simulation(task, World(task.scene(), 1, n_threads=1), randomization_of(task, episode.meta.level or "wide"))


def _difference(step: int, name: str, stored: Array, replayed: Array) -> Difference | None:
    """Find the first element whose bits differ, so that NaN equals NaN and -0 is not 0."""
    flat = np.ascontiguousarray(stored).reshape(-1), np.ascontiguousarray(replayed).reshape(-1)
    if flat[0].tobytes() == flat[1].tobytes():
        return None
    bits = [values.view(f"u{values.dtype.itemsize}") for values in flat]
    index = int(np.flatnonzero(bits[0] != bits[1])[0])
    return Difference(step, f"{name}[{index}]", float(flat[0][index]), float(flat[1][index]))
