"""The hover task: start states, verdicts, the expert over draws, and the stop in flight."""

import numpy as np
import pytest

from ashore.datasets.errors import UnknownName
from ashore.datasets.rotations import matrix_from_quat, quat_from_vector
from ashore.sim.interfaces import make_interface
from ashore.sim.randomization import LEVELS, draw_episodes
from ashore.sim.simulation import Simulation
from ashore.sim.tasks.hover import START, Hover, HoverJudge, HoverRules
from ashore.sim.world import World

Array = np.ndarray


def started(level: str, n: int, seed: int = 0) -> Simulation:
    task = Hover()
    simulation = Simulation(task, World(task.scene(), n, 1), task.randomization(level))
    simulation.reset(draw_episodes(simulation.randomization, seed, range(n)), list(range(n)))
    return simulation


def fly(simulation: Simulation, sees: str = "truth") -> None:
    task = simulation.task
    interface = make_interface(task.robot.card.interface)
    expert = task.expert(simulation.n, np.random.default_rng(0))
    for _ in range(simulation.n_ticks):
        seen = simulation.truth() if sees == "truth" else simulation.observe()
        simulation.step(expert.act(interface.derive(seen), simulation.time_s))


def state(n: int, error_m: float = 0.0, lean_rad: float = 0.0, height_m: float = 1.0) -> dict[str, Array]:
    position = np.tile([0.0, 0.0, height_m], (n, 1))
    return {
        "pos_world_m": position,
        "goal_pos_world_m": position + np.array([error_m, 0.0, 0.0]),
        "quat_world_wxyz": quat_from_vector(np.tile([lean_rad, 0.0, 0.0], (n, 1))),
    }


@pytest.mark.parametrize("level", LEVELS)
def test_the_expert_solves_nearly_every_draw(level: str) -> None:
    simulation = started(level, 40)
    fly(simulation)
    assert simulation.judge.success().mean() >= 0.99
    assert simulation.judge.metrics()["crashed"].sum() == 0


def test_the_expert_also_flies_on_late_and_noisy_measurements() -> None:
    simulation = started("wide", 40, seed=1)
    fly(simulation, sees="measurements")
    assert simulation.judge.success().mean() >= 0.97


def test_the_stop_levels_and_sinks_slowly_to_the_floor() -> None:
    simulation = started("none", 10)
    interface = make_interface(simulation.task.robot.card.interface)
    last = np.zeros((10, 4))
    for tick in range(300):
        last = interface.stop(interface.derive(simulation.observe()), last)
        simulation.step(last)
        truth = simulation.truth()
        if tick > 100:
            assert truth["linvel_world_m_s"][:, 2].min() > -0.4
            assert matrix_from_quat(truth["quat_world_wxyz"])[:, 2, 2].min() > np.cos(0.2)
    assert simulation.truth()["pos_world_m"][:, 2].max() < 0.6


def test_start_states_are_those_of_the_draw() -> None:
    simulation = started("none", 5)
    truth = simulation.truth()
    for row, draw in enumerate(simulation.draws):
        start = draw["goal_pos_world_m"] + draw["start_offset_world_m"]
        np.testing.assert_allclose(truth["pos_world_m"][row], start, atol=1e-6)
        np.testing.assert_allclose(truth["linvel_world_m_s"][row], draw["start_linvel_world_m_s"], atol=1e-6)
        up = matrix_from_quat(truth["quat_world_wxyz"][row])[2, 2]
        assert up == pytest.approx(np.cos(draw["start_tilt_rad"]), abs=1e-5)


def test_measurements_and_derived_features_are_the_contracts_observations() -> None:
    simulation = started("wide", 2)
    task = simulation.task
    observed = make_interface(task.robot.card.interface).derive(simulation.observe())
    assert task.contract.flatten_observation(observed).shape == (2, task.contract.observation_width)
    assert set(observed) == {feature.name for feature in task.contract.observations}


def test_levels_add_parameters_and_an_unknown_one_is_refused() -> None:
    task = Hover()
    assert task.randomization("none").parameters == START
    narrow, wide = (
        {p.name: p.distribution for p in task.randomization(level).parameters} for level in ("narrow", "wide")
    )
    assert narrow.keys() == wide.keys()
    assert np.ptp([narrow["mass"].low, narrow["mass"].high]) < np.ptp([wide["mass"].low, wide["mass"].high])
    with pytest.raises(UnknownName, match="Did you mean 'wide'"):
        task.randomization("wid")


def test_without_randomization_the_nominal_disturbances_are_none() -> None:
    nominal = Hover().randomization("wide").nominal()
    assert nominal["pos_noise_m"] == 0.0
    assert nominal["observation_delay_s"] == 0.0
    assert nominal["mass"] == 1.0


def judged(errors_m: list[float], period_s: float = 0.5, **bad: float) -> HoverJudge:
    judge = HoverJudge(1, HoverRules())
    for index, error in enumerate(errors_m):
        judge.update(state(1, error, **bad), index * period_s)
    return judge


def test_only_the_last_two_seconds_count() -> None:
    judge = judged([1.0] * 5 + [0.05] * 4)
    assert judge.success()[0]
    assert judge.metrics()["hold_error_m"][0] == pytest.approx(0.05)
    assert not judged([0.05] * 5 + [0.5] * 4).success()[0]


def test_holding_for_less_than_two_seconds_is_no_success() -> None:
    assert not judged([0.0] * 4).success()[0]
    assert judged([0.0] * 5).success()[0]


@pytest.mark.parametrize("bad", [{"height_m": 0.01}, {"lean_rad": 2.0}, {"height_m": float("nan")}])
def test_a_crash_stays_a_crash(bad: dict[str, float]) -> None:
    judge = judged([0.0] * 3, **bad)
    for index in range(10):
        judge.update(state(1), 2.0 + index)
    assert judge.terminated()[0]
    assert not judge.success()[0]
    assert judge.metrics()["crashed"][0] == 1.0


def test_the_same_seed_and_draw_fly_the_same_path_whatever_flies_beside() -> None:
    many, one = started("wide", 3), started("wide", 1)
    for simulation in (many, one):
        fly(simulation, sees="measurements")
    np.testing.assert_array_equal(many.truth()["pos_world_m"][:1], one.truth()["pos_world_m"])
