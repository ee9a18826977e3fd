"""An episode is the same bit for bit: whatever the batch, the threads, the others beside it, or who starts when."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ashore.datasets.rotations import matrix_from_quat, quat_from_matrix, quat_from_vector, quat_multiply
from ashore.sim.injection import Injection, inject
from ashore.sim.interfaces import make_interface
from ashore.sim.interfaces.tool_space import damped_step
from ashore.sim.randomization import draw_episodes, episode_seed
from ashore.sim.simulation import Simulation, make_simulation
from ashore.sim.tasks import TASKS, make_task

Array = NDArray[Any]
N_TICKS = 150
EPISODE = 17
WATCHED = (EPISODE, 3, 4)
BATCHES = (
    ((3, EPISODE, 4), 1),
    ((4, EPISODE, 3), 2),
    ((*range(40, 80), *WATCHED, *range(80, 101)), 2),
    ((*range(200, 261), *WATCHED), 4),
)
"""Numbers of the episodes that run together, and threads."""


def _simulation(name: str, n: int, n_threads: int = 1) -> Simulation:
    simulation = make_simulation(name, n, "wide", n_threads)
    assert isinstance(simulation, Simulation)
    return simulation


def _play(name: str, numbers: Sequence[int], n_threads: int) -> dict[int, dict[str, bytes]]:
    """Let the expert play under noise, and give what happened to those WATCHED, in bytes."""
    simulation, rows = _simulation(name, len(numbers), n_threads), {n: i for i, n in enumerate(numbers) if n in WATCHED}
    task, seeds = simulation.task, [episode_seed(5, number) for number in numbers]
    simulation.reset(draw_episodes(simulation.randomization, 5, numbers), seeds)
    interface, expert = make_interface(task.robot.card.interface), task.expert(simulation.n, np.random.default_rng(0))
    injection = task.injection() or Injection((0.0,), (0.0,))
    offsets = inject(injection, seeds, N_TICKS, simulation.command_period_s)
    seen: dict[str, list[Array]] = {
        "initial state": [np.stack([simulation.initial_state(i) for i in range(simulation.n)])]
    }
    for tick in range(N_TICKS):
        observed, truth = interface.derive(simulation.observe()), interface.derive(simulation.truth())
        action = expert.act(truth, simulation.time_s)
        command = interface.decode(task.contract.split_action(action), observed) + offsets[:, tick]
        simulation.step(command)
        verdicts = {"success": simulation.judge.success(), "progress": simulation.judge.progress()}
        for key, values in {**observed, "action": action, "command": command, **verdicts}.items():
            seen.setdefault(key, []).append(values)
    seen |= {key: [values] for key, values in simulation.judge.metrics().items()}
    return {
        number: {key: np.ascontiguousarray([value[row] for value in values]).tobytes() for key, values in seen.items()}
        for number, row in rows.items()
    }


@pytest.mark.parametrize("name", sorted(TASKS))
def test_an_episode_is_the_same_to_the_bit_in_every_batch(name: str) -> None:
    expected = {number: _play(name, [number], 1)[number] for number in WATCHED}
    for numbers, n_threads in BATCHES:
        for number, found in _play(name, numbers, n_threads).items():
            different = [key for key, value in expected[number].items() if value != found[key]]
            assert different == [], (number, len(numbers), n_threads)


@pytest.mark.parametrize("name", sorted(TASKS))
def test_an_episode_that_starts_while_others_run_is_the_same_and_disturbs_none(name: str) -> None:
    """Three episodes; the second is replaced by EPISODE half way."""

    def step(simulation: Simulation) -> None:
        interface, contract = make_interface(simulation.task.robot.card.interface), simulation.task.contract
        observed = interface.derive(simulation.observe())
        middles = {f.name: 0.5 * (np.array(f.low) + np.array(f.high)).reshape(f.shape) for f in contract.actions}
        action = {key: np.stack([middle] * simulation.n) for key, middle in middles.items()}
        simulation.step(interface.decode(action, observed))

    def rows(simulation: Simulation, index: int) -> dict[str, bytes]:
        judge = simulation.judge
        every = {**simulation.observe(), **judge.metrics(), "success": judge.success(), "end": judge.terminated()}
        return {key: np.ascontiguousarray(values[index]).tobytes() for key, values in every.items()}

    mixed, alone, others = _simulation(name, 3, 2), _simulation(name, 1), _simulation(name, 3)
    for simulation, numbers in ((mixed, [0, 1, 2]), (alone, [EPISODE]), (others, [0, 1, 2])):
        draws = draw_episodes(simulation.randomization, 5, numbers)
        simulation.reset(draws, [episode_seed(5, number) for number in numbers])
    for _ in range(20):
        step(mixed)
        step(others)
    mixed.reset(draw_episodes(mixed.randomization, 5, [EPISODE]), [episode_seed(5, EPISODE)], np.array([1]))
    np.testing.assert_allclose(mixed.times_s, [others.time_s, 0.0, others.time_s])
    for _ in range(60):
        assert rows(mixed, 1) == rows(alone, 0)
        assert [rows(mixed, index) for index in (0, 2)] == [rows(others, index) for index in (0, 2)]
        for simulation in (mixed, alone, others):
            step(simulation)


def test_rotations_and_kinematics_round_alike_in_every_batch() -> None:
    rng = np.random.default_rng(0)
    chain = make_interface(make_task("arm/pick-place").robot.card.interface)._chain  # type: ignore[attr-defined]
    quats, vectors = rng.normal(size=(64, 4)), rng.normal(size=(64, 3))
    joints, wanted = rng.normal(size=(64, 7)), rng.normal(size=(64, 6))
    laws = {
        "matrix": (matrix_from_quat, (quats,)),
        "quaternion": (quat_from_matrix, (matrix_from_quat(quats),)),
        "exponential": (quat_from_vector, (vectors,)),
        "product": (quat_multiply, (quats, quats[::-1].copy())),
        "forward": (lambda q: np.concatenate(chain.forward(q), axis=1), (joints,)),
        "jacobian": (lambda q: chain.jacobian(q)[2], (joints,)),
        "step": (lambda j, w, q: damped_step(j, w, q, 0.02), (chain.jacobian(joints)[2], wanted, joints)),
    }
    for law, (function, arguments) in laws.items():
        whole = function(*arguments)  # type: ignore[operator]
        for first, count in ((0, 1), (7, 1), (40, 3), (5, 17)):
            part = function(*(value[first : first + count] for value in arguments))  # type: ignore[operator]
            assert part.tobytes() == whole[first : first + count].tobytes(), law
