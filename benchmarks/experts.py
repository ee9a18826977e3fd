"""Experts of every task and arm over wide draws: share that succeeds, wall time; 1,000 demonstrations in a store."""

import time
from pathlib import Path
from shutil import rmtree

import numpy as np

from ashore.datasets.progress import Progress
from ashore.datasets.store import EpisodeStore
from ashore.sim.collection import collect
from ashore.sim.playing import play_expert
from ashore.sim.robots import ARMS, DEFAULT_ARM
from ashore.sim.simulation import Simulation
from ashore.sim.tasks import ARM_TASKS, TASKS, make_task
from ashore.sim.world import World
from benchmarks.row import Row

EPISODES, QUICK_EPISODES, PARALLEL = 500, 60, 100
SUCCESS_GOAL, HARD_GOAL, HARD = 0.95, 0.90, "arm/peg-insert"
DEMONSTRATED, DEMONSTRATIONS, QUICK_DEMONSTRATIONS, DEMONSTRATIONS_GOAL_S = "arm/pick-place", 1000, 64, 90.0
SEED = 77
ERRORS = ("placing_error_m", "hold_error_m")
"""Metrics of tasks that say how far off an episode ended."""


def run(quick: bool, folder: Path, progress: Progress) -> list[Row]:
    """Play with the true state, noise injection off, wide draws; then fill a store, with noise, as `ashore collect`."""
    rows: list[Row] = []
    others = [f"{name}@{arm}" for name in ARM_TASKS for arm in ARMS if arm != DEFAULT_ARM]
    for name in sorted((*TASKS, *others)):
        rows += _one_task(name, QUICK_EPISODES if quick else EPISODES, progress)
    return [*rows, *_demonstrations(quick, folder, progress)]


def _demonstrations(quick: bool, folder: Path, progress: Progress) -> list[Row]:
    n = QUICK_DEMONSTRATIONS if quick else DEMONSTRATIONS
    path = folder / "demonstrations"
    rmtree(path, ignore_errors=True)
    store = EpisodeStore.create(path, make_task(DEMONSTRATED).contract)
    collected = collect(DEMONSTRATED, n, store, seed=SEED, progress=progress)
    figure = f"{DEMONSTRATED}: {DEMONSTRATIONS:,} demonstrations, drawn, played and committed"
    scaled = collected.wall_s * DEMONSTRATIONS / n
    share = f"{DEMONSTRATED}: attempts of them that were kept"
    return [
        Row.of(figure, scaled, "s", "<=", DEMONSTRATIONS_GOAL_S),
        Row.of(share, collected.success_rate, "share", ">=", SUCCESS_GOAL),
    ]


def _one_task(name: str, n_episodes: int, progress: Progress) -> list[Row]:
    task = make_task(name)
    n_parallel = min(n_episodes, PARALLEL)
    simulation = Simulation(task, World(task.scene(), n_parallel), task.randomization("wide"))
    success, errors, wall_s = [], [], 0.0
    for start in range(0, n_episodes, n_parallel):
        began_s = time.perf_counter()
        numbers = range(start, start + n_parallel)
        play_expert(simulation, SEED, numbers)
        wall_s += time.perf_counter() - began_s
        success.append(simulation.judge.success())
        metrics = simulation.judge.metrics()
        errors += [metrics[key] for key in ERRORS if key in metrics]
        progress(numbers.stop, n_episodes, name)
    tried = sum(len(part) for part in success)
    share = float(np.mean(np.concatenate(success)))
    goal = HARD_GOAL if name.startswith(HARD) else SUCCESS_GOAL
    rows = [
        Row.of(f"{name}: expert's success in {tried} wide draws", share, "share", ">=", goal),
        Row.of(f"{name}: wall time of an episode", 1e3 * wall_s / tried, "ms"),
    ]
    if errors:
        rows.append(Row.of(f"{name}: median error at the end", 1e3 * float(np.median(np.concatenate(errors))), "mm"))
    return rows
