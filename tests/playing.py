"""An arm's expert at work, as tests of several arms need it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.sim.interfaces import make_interface
from ashore.sim.randomization import draw_episodes, episode_seed
from ashore.sim.simulation import Simulation

Array = NDArray[Any]


@dataclass(frozen=True)
class Played:
    """What came of N episodes."""

    success: Array
    """(N,) bool."""
    fastest_rad_s: Array
    """Largest measured speed of each joint (J,)."""


def play(simulation: Simulation, seed: int) -> Played:
    """Let the task's expert act from the true state, until every episode has ended."""
    task, n = simulation.task, simulation.n
    seeds = [episode_seed(seed, number) for number in range(n)]
    simulation.reset(draw_episodes(simulation.randomization, seed, range(n)), seeds)
    interface, expert = make_interface(task.robot.card.interface), task.expert(n, np.random.default_rng(seed))
    period = round(task.robot.card.command_hz / task.contract.control_hz)
    fastest = np.zeros(simulation.truth()["joint_vel_rad_s"].shape[1])
    action: dict[str, Array] = {}
    for tick in range(simulation.n_ticks):
        if np.all(simulation.judge.terminated()):
            break
        if tick % period == 0:
            flat = expert.act(interface.derive(simulation.truth()), simulation.time_s)
            action = task.contract.split_action(flat)
        simulation.step(interface.decode(action, interface.derive(simulation.observe())))
        fastest = np.maximum(fastest, np.abs(simulation.truth()["joint_vel_rad_s"]).max(axis=0))
    return Played(simulation.judge.success(), fastest)
