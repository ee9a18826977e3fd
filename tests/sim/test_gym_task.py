"""Gymnasium environments as tasks: contracts from spaces, N side by side, verdicts, and errors that help."""

import gymnasium
import numpy as np
import pytest

from ashore.sim.errors import MissingEnvironment, UnsupportedEnvironment
from ashore.sim.gym_spaces import BoxAdapter
from ashore.sim.gym_task import GymSimulation, make_environment, make_gym_simulation
from ashore.sim.interfaces import make_interface
from ashore.sim.robot import RobotCard

PENDULUM = "Pendulum-v1"


def started(n: int = 2) -> GymSimulation:
    simulation = GymSimulation(PENDULUM, n)
    simulation.reset([{}] * n, list(range(n)))
    return simulation


def test_a_box_environment_gets_its_contract_from_its_spaces() -> None:
    contract = started().task.contract
    assert contract.task == f"gym/{PENDULUM}"
    assert (contract.observation_width, contract.action_width) == (3, 1)
    assert contract.actions[0].low == (-2.0,)
    assert contract.control_hz == 30.0


def test_observations_are_batched_in_contract_shapes_and_the_card_can_make_its_interface() -> None:
    simulation = started(3)
    observed = simulation.observe()
    assert {name: value.shape for name, value in observed.items()} == {"observation": (3, 3)}
    card = RobotCard.from_json(simulation.task.robot.card.to_json())
    command = make_interface(card.interface).decode({"action": np.ones((3, 1))}, observed)
    np.testing.assert_array_equal(command, np.ones((3, 1)))


def test_n_environments_equal_n_times_one_and_a_seed_repeats() -> None:
    together = started(2)
    alone = GymSimulation(PENDULUM, 1)
    alone.reset([{}], [1])
    for _ in range(5):
        together.step(np.array([[0.5], [-1.0]]))
        alone.step(np.array([[-1.0]]))
    np.testing.assert_array_equal(together.observe()["observation"][1:], alone.observe()["observation"])
    assert together.judge.metrics()["return"][1] == alone.judge.metrics()["return"][0]
    assert together.time_s == pytest.approx(5 / 30)


def test_an_environment_that_has_ended_keeps_its_last_observation() -> None:
    simulation = GymSimulation("MountainCarContinuous-v0", 1)
    simulation.reset([{}], [0])
    for _ in range(simulation.n_ticks):
        speed = simulation.observe()["observation"][:, 1:]
        simulation.step(0.8 * np.sign(speed + 1e-9))
    length = simulation.judge.metrics()["n_steps"]
    assert length[0] < simulation.n_ticks
    assert simulation.judge.terminated()[0]
    assert simulation.judge.success()[0], "its return of 90 or more meets the environment's own threshold"


def test_actions_outside_the_space_are_clipped_to_it() -> None:
    adapter = BoxAdapter(gymnasium.make(PENDULUM), PENDULUM)
    np.testing.assert_array_equal(adapter.to_environment(np.array([9.0])), np.array([2.0], dtype=np.float32))


def test_an_unknown_environment_is_refused_with_the_closest_name() -> None:
    with pytest.raises(MissingEnvironment, match="Did you mean 'Pendulum-v1'"):
        make_gym_simulation("gym/Pendulun-v1", 1)
    with pytest.raises(MissingEnvironment, match="pip install gym-pusht"):
        make_environment("no_such_package/PushT-v0")


def test_an_environment_without_boxes_is_refused_with_every_fault() -> None:
    with pytest.raises(UnsupportedEnvironment, match=r"action: Discrete\(2\); expected a Box"):
        GymSimulation("CartPole-v1", 1)
