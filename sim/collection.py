"""Collect demonstrations: many simulations at once, driven by the task's expert; the successful ones are stored.

Stored are the disturbed measurements, the expert's clean actions and the commands that were sent, with injected noise.
The expert itself sees the truth. Every attempt has its own number, seed and draw, so that a collection that was cut off
goes on where it stopped and ends with the same episodes.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.episode import Episode, EpisodeMeta
from ashore.datasets.progress import Progress, silent
from ashore.datasets.store import EpisodeStore
from ashore.sim.errors import ExpertFails
from ashore.sim.injection import inject
from ashore.sim.interfaces import make_interface
from ashore.sim.randomization import draw_episodes, draw_to_json, episode_seed
from ashore.sim.simulation import Simulation
from ashore.sim.tasks import make_task
from ashore.sim.world import World

Array = NDArray[Any]
PARALLEL = 64
"""Simulations at once; more bring nothing on a few cores."""
ENOUGH_ATTEMPTS, LEAST_SHARE = 40, 0.05
"""An expert of whose first attempts less than this share succeed is broken."""


@dataclass(frozen=True)
class Collected:
    """What came of a collection."""

    n_kept: int
    n_tried: int
    wall_s: float

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
        level: of the randomization: none, narrow or wide.
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
    randomization = task.randomization(level)
    n_missing = n_episodes - n_before
    if n_missing <= 0:
        return Collected(0, 0, 0.0)
    n_parallel = -(-n_missing // -(-n_missing // PARALLEL))
    simulation = Simulation(task, World(task.scene(), n_parallel), randomization)
    first = attempt = next_attempt(store)
    with store:
        while len(store) < n_episodes:
            numbers = range(attempt, attempt + n_parallel)
            for episode in demonstrate(simulation, seed, numbers, noise):
                if len(store) == n_episodes:
                    break
                store.append(episode)
                attempt = int(episode.meta.metrics["attempt"]) + 1
            attempt = attempt if len(store) == n_episodes else numbers.stop
            kept = len(store) - n_before
            if attempt - first >= ENOUGH_ATTEMPTS and kept < LEAST_SHARE * (attempt - first):
                raise ExpertFails(task.name, kept, attempt - first)
            rate = kept / (time.monotonic() - started)
            note = f"{kept / (attempt - first):.0%} of attempts kept, {rate:.1f} episodes/s"
            progress(len(store), n_episodes, note)
    return Collected(kept, attempt - first, time.monotonic() - started)


def demonstrate(simulation: Simulation, seed: int, numbers: Sequence[int], noise: bool) -> list[Episode]:
    """Let the expert play the attempts of these numbers (N,) at once, and return the successful ones in their order."""
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
    task, card, n_ticks = simulation.task, simulation.task.robot.card, simulation.n_ticks
    interface = make_interface(card.interface)
    injection = task.injection() if noise else None
    offsets = None if injection is None else inject(injection, seeds, n_ticks, simulation.command_period_s)
    expert = task.expert(simulation.n, np.random.default_rng(seeds[0]))
    ticks_a_step = round(card.command_hz / task.contract.control_hz)
    record, action = _Record(), np.zeros((simulation.n, task.contract.action_width))
    for tick in range(n_ticks):
        runs = ~simulation.judge.terminated()
        if not runs.any():
            break
        observed = interface.derive(simulation.observe())
        is_step = tick % ticks_a_step == 0
        if is_step:
            action = expert.act(interface.derive(simulation.truth()), simulation.time_s)
        command = interface.decode(task.contract.split_action(action), observed)
        if offsets is not None:
            command = np.clip(command + offsets[:, tick], card.limits.low, card.limits.high)
        if is_step:
            record.add(observed, action, command, simulation.time_s, runs)
        simulation.step(command)
    return record


def next_attempt(store: EpisodeStore) -> int:
    """The number after the last attempt that was kept: attempts are tried in order, so that none is tried twice."""
    newest = store.newest_meta()
    if newest is None:
        return 0
    return int(newest.metrics.get("attempt", store.next_index() - 1.0)) + 1
