"""A simulation's episodes are independent of each other, repeat by seed, and end soundly."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ashore.datasets.errors import InvalidSample, UnknownName
from ashore.sim.interfaces import make_interface
from ashore.sim.randomization import draw_episodes, episode_seed
from ashore.sim.simulation import Simulation, make_simulation
from ashore.sim.tasks import TASKS

Array = NDArray[Any]


def _simulation(name: str, n: int, n_threads: int = 1) -> Simulation:
    simulation = make_simulation(name, n, "wide", n_threads)
    assert isinstance(simulation, Simulation)
    return simulation


def _start(simulation: Simulation, numbers: list[int]) -> None:
    draws = draw_episodes(simulation.randomization, 0, numbers)
    simulation.reset(draws, [episode_seed(0, number) for number in numbers])


def _play(simulation: Simulation, n_ticks: int) -> dict[str, Array]:
    """Play the expert on what is measured, and return {name: (T, N, *shape)}."""
    task = simulation.task
    interface, expert = make_interface(task.robot.card.interface), task.expert(simulation.n, np.random.default_rng(0))
    seen = []
    for _ in range(n_ticks):
        observed = interface.derive(simulation.observe())
        action = expert.act(observed, simulation.time_s)
        simulation.step(interface.decode(task.contract.split_action(action), observed))
        seen.append(observed)
    return {name: np.stack([each[name] for each in seen]) for name in seen[0]}


@pytest.mark.parametrize("name", sorted(TASKS))
def test_an_episode_is_the_same_bit_for_bit_alone_and_among_others(name: str) -> None:
    whole, alone = _simulation(name, 5, n_threads=2), _simulation(name, 1)
    _start(whole, [0, 1, 2, 3, 4])
    _start(alone, [3])
    together, single = _play(whole, 40), _play(alone, 40)
    for feature, values in together.items():
        np.testing.assert_array_equal(values[:, 3], single[feature][:, 0], feature)


@pytest.mark.parametrize("name", sorted(TASKS))
def test_two_resets_differ_and_the_same_seeds_repeat(name: str) -> None:
    simulation = _simulation(name, 3)
    _start(simulation, [0, 1, 2])
    first = _play(simulation, 20)
    _start(simulation, [3, 4, 5])
    other = _play(simulation, 20)
    _start(simulation, [0, 1, 2])
    again = _play(simulation, 20)
    for feature, values in first.items():
        np.testing.assert_array_equal(values, again[feature])
    assert any(not np.array_equal(values, other[feature]) for feature, values in first.items())


@pytest.mark.parametrize("name", sorted(TASKS))
def test_observations_are_those_of_the_contract(name: str) -> None:
    simulation = _simulation(name, 2)
    _start(simulation, [0, 1])
    task = simulation.task
    observed = make_interface(task.robot.card.interface).derive(simulation.observe())
    assert set(observed) == {feature.name for feature in task.contract.observations}
    assert set(simulation.truth()) == set(simulation.observe())
    assert set(task.sensors()) <= set(simulation.observe())
    for feature in task.contract.observations:
        assert observed[feature.name].shape == (2, *feature.shape)
    assert task.contract.flatten_observation(observed).shape == (2, task.contract.observation_width)


@pytest.mark.parametrize("name", sorted(TASKS))
def test_what_the_task_names_exists(name: str) -> None:
    task = _simulation(name, 1).task
    drawn = task.randomization("wide").nominal()
    for spec in task.sensors().values():
        assert {each for each in (spec.noise, spec.delay, spec.bias) if each} <= set(drawn)
    injection = task.injection()
    if injection is not None:
        assert len(injection.burst_std) == len(injection.white_std) == task.robot.card.command_width
    assert task.robot.card.command_hz % task.contract.control_hz == 0


def test_an_unstable_simulation_is_no_success_and_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # MuJoCo writes its warnings into the working folder.
    simulation = _simulation("arm/pick-place", 2)
    _start(simulation, [0, 1])
    wild = np.array([[0.5, 0.0, 0.5, 1.0, 0.0, 0.0, 0.0]])
    simulation.engine.place_body(np.array([1]), "object", wild, np.full((1, 6), np.nan))
    simulation.step(np.zeros((2, 8)))
    np.testing.assert_array_equal(simulation.judge.terminated(), [False, True])
    assert not simulation.judge.success().any()


def test_the_wrong_number_of_draws_is_refused() -> None:
    simulation = _simulation("arm/pick-place", 3)
    with pytest.raises(InvalidSample, match="draws: 1 given, 3 expected\n  seeds: 2 given, 3 expected"):
        simulation.reset(draw_episodes(simulation.randomization, 0, [0]), [1, 2])


def test_an_unknown_task_is_refused() -> None:
    with pytest.raises(UnknownName, match=r"Valid: .*'arm/pick-place', .*'quadrotor/hover'"):
        make_simulation("arm", 1)
