"""Collect demonstrations: many simulations at once, driven by the task's expert; the successful ones are stored.

Stored are the disturbed measurements, the expert's clean actions and the commands that were sent, with injected noise.
The expert itself sees the truth. Every attempt has its own number, seed and draw, so that a collection that was cut off
goes on where it stopped and ends with the same episodes. An action is executed as it is stored, to the bit, and the
start is stored with it, so that `sim.replaying` gets every stored number again.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.episode import Episode, EpisodeMeta
from ashore.datasets.errors import UnknownName
from ashore.datasets.progress import Progress, silent
from ashore.datasets.store import EpisodeStore
from ashore.sim.control_steps import ControlSteps
from ashore.sim.errors import ExpertFails
from ashore.sim.injection import inject
from ashore.sim.randomization import Draw, draw_episodes, draw_to_json, episode_seed
from ashore.sim.randomization.files import randomization_of
from ashore.sim.simulation import Simulation
from ashore.sim.tasks import make_task
from ashore.sim.world import World

Array = NDArray[Any]
PARALLEL = 64
"""Simulations at once; more bring nothing on a few cores."""
ENOUGH_ATTEMPTS, LEAST_SHARE = 40, 0.05
"""An expert of whose first attempts less than this share succeed is broken."""


@dataclass(frozen=True)
class Attempt:
    """How one numbered attempt of an expert ended."""

    number: int
    seed: int
    """Of its noise, as `episode_seed` gives it."""
    draw: Draw
    outcome: Literal["success", "failure", "diverged"]
    time_s: float
    """When it ended."""


@dataclass(frozen=True)
class Collected:
    """What came of a collection."""

    n_kept: int
    n_tried: int
    wall_s: float
    diverged: tuple[Attempt, ...] = ()
    """Attempts whose simulation became unstable; none of them is stored."""

    @property
    def success_rate(self) -> float:
        """Share of the attempts that succeeded and were kept."""
        return self.n_kept / max(self.n_tried, 1)


@dataclass
class _Record:
    """What happened at each control step, for all simulations at once; lists of (N, *shape)."""

    observations: dict[str, list[Array]] = field(default_factory=dict)
    actions: list[Array] = field(default_factory=list)
    commands: list[Array] = field(default_factory=list)
    time_s: list[float] = field(default_factory=list)
    runs: list[Array] = field(default_factory=list)

    def add(self, observed: Mapping[str, Array], action: Array, command: Array, time_s: float, runs: Array) -> None:
        for name, value in observed.items():
            self.observations.setdefault(name, []).append(np.asarray(value, dtype=np.float32))
        self.actions.append(action.astype(np.float32))
        self.commands.append(command.copy())
        self.time_s.append(time_s)
        self.runs.append(runs)

    def stacked(self) -> tuple[dict[str, Array], Array, Array]:
        """Observations {name: (N, T, *shape)}, actions (N, T, Da), commands (N, T, Dc)."""
        swapped = {name: np.stack(values, axis=1) for name, values in self.observations.items()}
        return swapped, np.stack(self.actions, axis=1), np.stack(self.commands, axis=1)

    def lengths(self) -> Array:
        """Number of steps (N,) that each episode had before it ended."""
        return np.asarray(np.sum(self.runs, axis=0))


def collect(
    task_name: str,
    n_episodes: int,
    store: EpisodeStore,
    level: str = "wide",
    seed: int = 0,
    noise: bool = True,
    progress: Progress = silent,
) -> Collected:
    """Fill a store up to n_episodes successful demonstrations.

    Args:
        task_name: the task whose expert demonstrates.
        n_episodes: episodes that the store shall hold in the end; those it holds already count.
        store: opened for writing, with the task's contract.
        level: of the randomization: none, narrow, wide, or the path of a file.
        seed: the attempts' numbers and this seed decide everything.
        noise: whether the task's noise is injected into the commands.
        progress: told after each batch.

    Raises:
        ContractMismatch: the store holds episodes of another contract.
        ExpertFails: hardly any attempt succeeds.
        UnknownName: there is no such task or level.
    """
    task = make_task(task_name)
    task.contract.require_same(store.contract, f"the task {task.name}", f"the store {store.path}")
    started, n_before = time.monotonic(), len(store)
    randomization = randomization_of(task, level)
    n_missing = n_episodes - n_before
    if n_missing <= 0:
        return Collected(0, 0, 0.0)
    n_parallel = -(-n_missing // -(-n_missing // PARALLEL))
    simulation = Simulation(task, World(task.scene(), n_parallel), randomization)
    first = attempt = next_attempt(store)
    diverged: list[Attempt] = []
    with store:
        while len(store) < n_episodes:
            numbers = range(attempt, attempt + n_parallel)
            for episode in demonstrate(simulation, seed, numbers, noise, level):
                if len(store) == n_episodes:
                    break
                store.append(episode)
                attempt = int(episode.meta.metrics["attempt"]) + 1
            attempt = attempt if len(store) == n_episodes else numbers.stop
            diverged += [each for each in attempts(simulation, seed, range(numbers.start, attempt)) if _is_lost(each)]
            kept = len(store) - n_before
            if attempt - first >= ENOUGH_ATTEMPTS and kept < LEAST_SHARE * (attempt - first):
                raise ExpertFails(task.name, kept, attempt - first)
            rate = kept / (time.monotonic() - started)
            note = f"{kept / (attempt - first):.0%} of attempts kept, {rate:.1f} episodes/s"
            progress(len(store), n_episodes, note)
    return Collected(kept, attempt - first, time.monotonic() - started, tuple(diverged))


def try_attempts(task_name: str, numbers: Sequence[int], level: str, seed: int, noise: bool) -> list[Attempt]:
    """Play attempts by their numbers again, as a collection with this level, seed and noise does, and store nothing.

    Raises:
        NoSimulations: there are no numbers.
        UnknownName: there is no such task or level, or a number is below 0.
    """
    if min(numbers, default=0) < 0:
        raise UnknownName("attempt", str(min(numbers)), ("0", "1", "2", "..."))
    task = make_task(task_name)
    simulation = Simulation(task, World(task.scene(), len(numbers)), randomization_of(task, level))
    demonstrate(simulation, seed, numbers, noise)
    return attempts(simulation, seed, numbers)


def attempts(simulation: Simulation, seed: int, numbers: Sequence[int]) -> list[Attempt]:
    """Tell how the attempts of these numbers (K,) ended, the first K that a simulation has just played."""
    success, diverged, ended_s = simulation.judge.success(), simulation.diverged, simulation.ended_s
    return [
        Attempt(
            number,
            episode_seed(seed, number),
            simulation.draws[row],
            "diverged" if diverged[row] else "success" if success[row] else "failure",
            float(ended_s[row]),
        )
        for row, number in enumerate(numbers)
    ]


def _is_lost(attempt: Attempt) -> bool:
    return attempt.outcome == "diverged"


def demonstrate(
    simulation: Simulation, seed: int, numbers: Sequence[int], noise: bool, level: str = ""
) -> list[Episode]:
    """Let the expert play attempts at once, and return the successful ones in their order.

    Args:
        simulation: of N worlds.
        seed: of the collection.
        numbers: (N,) of the attempts.
        noise: whether the task's noise is injected into the commands.
        level: name of the simulation's randomization, which is stored with the episodes.
    """
    draws = draw_episodes(simulation.randomization, seed, numbers)
    seeds = [episode_seed(seed, number) for number in numbers]
    simulation.reset(draws, seeds)
    record = _play(simulation, seeds, noise)
    task, judge = simulation.task, simulation.judge
    observations, actions, commands = record.stacked()
    lengths, success, ended = record.lengths(), judge.success(), judge.terminated()
    metrics = judge.metrics()
    names = [feature.name for feature in task.contract.observations]
    episodes = []
    for i in np.flatnonzero(success & (lengths > 0)).tolist():
        steps = slice(0, int(lengths[i]))
        figures = {name: float(values[i]) for name, values in metrics.items()}
        meta = EpisodeMeta(
            source="simulation",
            operator="expert",
            seed=seeds[i],
            success=True,
            draw=draw_to_json(draws[i]),
            truncated=not ended[i],
            metrics={**figures, "attempt": float(numbers[i]), "injected_noise": float(noise)},
            level=level,
            initial_state=tuple(simulation.initial_state(i).tolist()),
        )
        episodes.append(
            Episode(
                contract=task.contract,
                observations={name: observations[name][i, steps] for name in names},
                actions=task.contract.split_action(actions[i, steps]),
                time_s=np.array(record.time_s[steps], dtype=np.float64),
                meta=meta,
                commands=commands[i, steps],
            )
        )
    return episodes


def _play(simulation: Simulation, seeds: Sequence[int], noise: bool) -> _Record:
    steps, record = ControlSteps(simulation), _Record()
    offsets = command_noise(simulation, seeds) if noise else None
    expert = simulation.task.expert(simulation.n, np.random.default_rng(seeds[0]))
    for step in range(steps.n_steps):
        runs = ~simulation.judge.terminated()
        if not runs.any():
            break
        observed, time_s = steps.observe(), simulation.time_s
        # As it is stored: what is executed can then be executed again.
        action = steps.bounded(expert.act(steps.truth(), time_s))
        ticks = slice(step * steps.ticks_a_step, (step + 1) * steps.ticks_a_step)
        command = steps.step(action, None if offsets is None else offsets[:, ticks])
        record.add(observed, action, command, time_s, runs)
    return record


def command_noise(simulation: Simulation, seeds: Sequence[int]) -> Array | None:
    """Draw the noise (N, T, Dc) that a collection injects into T command periods; None where the task has none."""
    injection = simulation.task.injection()
    if injection is None:
        return None
    return inject(injection, seeds, simulation.n_ticks, simulation.command_period_s)


def next_attempt(store: EpisodeStore) -> int:
    """The number after the last attempt that was kept: attempts are tried in order, so that none is tried twice."""
    newest = store.newest_meta()
    if newest is None:
        return 0
    return int(newest.metrics.get("attempt", store.next_index() - 1.0)) + 1
