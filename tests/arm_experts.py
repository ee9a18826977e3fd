"""What tests of an arm's task and expert share: whole runs of many wide draws, limits, labels, pictures, the twin."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tests.playing import play

from ashore.sim.injection import inject
from ashore.sim.interfaces import make_interface
from ashore.sim.randomization import draw_episodes, episode_seed
from ashore.sim.simulation import make_simulation
from ashore.sim.tasks import make_task
from ashore.sim.twin.profile import RealityProfile
from ashore.sim.twin.simulation import twin_of

Array = NDArray[Any]


@dataclass(frozen=True)
class Run:
    """What came of N episodes; log: what was commanded and measured while they ran, {name: (T, ...)}."""

    judge: Any
    log: dict[str, Array]
    progress: Array
    """Mean of all episodes at each control step."""


def run_expert(task_name: str, n: int, noise: bool, seed: int = 5) -> Run:
    """Play n wide draws as collection does, from the true state, with injected noise or without."""
    simulation = make_simulation(task_name, n, "wide", 2)
    task, card = simulation.task, simulation.task.robot.card
    interface, joints = make_interface(card.interface), len(card.commands[0].components)
    seeds = [episode_seed(seed, number) for number in range(n)]
    simulation.reset(draw_episodes(simulation.randomization, seed, range(n)), seeds)
    expert = task.expert(n, np.random.default_rng(0))
    offsets = inject(task.injection(), seeds, simulation.n_ticks, simulation.command_period_s)
    rows: dict[str, list[Array]] = {"command": [], "lead": [], "joints": [], "speed": []}
    progress = []
    for tick in range(simulation.n_ticks):
        runs = ~simulation.judge.terminated()
        if not runs.any():
            break
        observed = interface.derive(simulation.observe())
        if tick % 2 == 0:
            action = task.contract.split_action(expert.act(interface.derive(simulation.truth()), simulation.time_s))
            progress.append(simulation.judge.progress().mean())
        command = interface.decode(action, observed)
        rows["command"].append(command[runs])
        rows["lead"].append(np.abs(command[runs, :joints] - observed["joint_pos_rad"][runs]))
        rows["joints"].append(observed["joint_pos_rad"][runs])
        rows["speed"].append(np.abs(observed["joint_vel_rad_s"][runs]))
        simulation.step(np.clip(command + offsets[:, tick], card.limits.low, card.limits.high) if noise else command)
    log = {name: np.concatenate(values) for name, values in rows.items()}
    return Run(simulation.judge, log, np.array(progress))


def require_within_limits(task_name: str, log: dict[str, Array]) -> None:
    """Check a run's commands, speeds and positions against the robot's card."""
    limits = make_task(task_name).robot.card.limits
    assert np.all(log["command"] > np.array(limits.low) - 1e-9)
    assert np.all(log["command"] < np.array(limits.high) + 1e-9)
    assert np.all(log["lead"] < [value for value in limits.max_lead if value is not None])
    assert np.all(log["joints"] > limits.observed_low["joint_pos_rad"])
    assert np.all(log["speed"] < limits.observed_high["joint_vel_rad_s"])


def require_labels_of_state_alone(task_name: str) -> None:
    """Check that what an expert says depends neither on time nor on chance."""
    simulation = make_simulation(task_name, 8, "none", 1)
    interface = make_interface(simulation.task.robot.card.interface)
    simulation.reset(draw_episodes(simulation.randomization, 2, range(8)), list(range(8)))
    truth = interface.derive(simulation.truth())
    first, second = (simulation.task.expert(8, np.random.default_rng(seed)) for seed in (0, 1))
    for time_s in (0.0, 3.0):
        np.testing.assert_array_equal(first.act(truth, time_s), second.act(truth, 0.0))


def require_shows_itself(task_name: str, bodies: tuple[str, ...], n_ticks: int = 0) -> None:
    """Check that an observation, after the expert has acted for n_ticks, puts another simulation into the same pose."""
    simulation, other = (make_simulation(task_name, 1, "none", 1) for _ in range(2))
    task, interface = simulation.task, make_interface(simulation.task.robot.card.interface)
    simulation.reset(draw_episodes(simulation.randomization, 3, [0]), [0])
    other.reset(draw_episodes(simulation.randomization, 3, [1]), [0])
    expert = task.expert(1, np.random.default_rng(0))
    for _ in range(n_ticks):
        truth = interface.derive(simulation.truth())
        simulation.step(interface.decode(task.contract.split_action(expert.act(truth, 0.0)), truth))
    other.task.show(other.engine, np.array([0]), simulation.truth())
    for body in bodies:
        shown, meant = other.engine.body_pose(body), simulation.engine.body_pose(body)
        np.testing.assert_allclose(shown, meant, atol=1e-9, err_msg=body)


def succeeds_in_twin(task_name: str, n: int, profile: RealityProfile) -> Array:
    """Play n episodes in the other engine; which succeeded (n,)."""
    simulation = twin_of(make_task(task_name), n, profile)
    try:
        return play(simulation, 3).success
    finally:
        simulation.engine.close()
