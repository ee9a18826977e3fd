"""Let a task's expert play episodes that nobody records: to try realities, to measure, to look."""

from collections.abc import Callable, Sequence

import numpy as np

from ashore.sim.control_steps import ControlSteps
from ashore.sim.randomization import draw_episodes, episode_seed
from ashore.sim.simulation import Simulation


def _unseen(step: int) -> None:
    """Look at nothing."""


def play_expert(
    simulation: Simulation, seed: int, numbers: Sequence[int], look: Callable[[int], None] = _unseen
) -> None:
    """Play the episodes of these numbers (N,) to their ends; the simulation's judge then has the verdicts.

    Args:
        simulation: of N episodes.
        seed: of draws and noise, with each episode's number.
        numbers: (N,).
        look: called before each control step with its number.
    """
    seeds = [episode_seed(seed, number) for number in numbers]
    simulation.reset(draw_episodes(simulation.randomization, seed, numbers), seeds)
    steps, expert = ControlSteps(simulation), simulation.task.expert(simulation.n, np.random.default_rng(seed))
    for step in range(steps.n_steps):
        if np.all(simulation.judge.terminated()):
            return
        look(step)
        steps.step(expert.act(steps.truth(), simulation.time_s))
