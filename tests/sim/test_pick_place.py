"""Pick and place: the verdict, and an expert that solves wide draws within the robot's limits, and retries."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ashore.sim.experts.pick_place import CARRY, REACH
from ashore.sim.injection import inject
from ashore.sim.interfaces import make_interface
from ashore.sim.randomization import draw_episodes, episode_seed
from ashore.sim.simulation import make_simulation
from ashore.sim.tasks.pick_place import PickPlace, PickPlaceJudge, PickPlaceRules

Array = NDArray[Any]
N = 24


def _truth(offset_m: list[float], height_m: float = 0.0, width_m: float = 0.08) -> dict[str, Array]:
    n = len(offset_m)
    goal = np.tile([0.5, 0.1, 0.02], (n, 1))
    cube = goal + np.column_stack([offset_m, np.zeros(n), np.full(n, height_m)])
    return {"object_pos_base_m": cube, "goal_pos_base_m": goal, "gripper_width_m": np.full((n, 1), width_m)}


def test_placed_means_near_on_the_table_and_released() -> None:
    judge = PickPlaceJudge(3, PickPlaceRules())
    judge.update(_truth([0.0, 0.029, 0.031]), 0.0)
    np.testing.assert_array_equal(judge.success(), [True, True, False])
    judge.update(_truth([0.0, 0.0, 0.0], height_m=0.01), 0.02)
    assert not judge.success().any()
    judge.update(_truth([0.0, 0.0, 0.0], width_m=0.04), 0.04)
    assert not judge.success().any() and not judge.terminated().any()


def test_an_episode_ends_once_placed_for_long_enough_and_its_verdict_stays() -> None:
    judge = PickPlaceJudge(2, PickPlaceRules(stay_s=0.5))
    for tick in range(30):
        away = 0.0 if tick != 20 else 0.1
        judge.update(_truth([0.0, away]), 0.02 * tick)
    np.testing.assert_array_equal(judge.terminated(), [True, False])
    judge.update(_truth([0.2, 0.2]), 0.6)
    np.testing.assert_array_equal(judge.success(), [True, False])
    assert judge.metrics()["placing_error_m"][0] == pytest.approx(0.0)
    assert judge.metrics()["time_s"][0] == pytest.approx(0.5)


def test_what_is_not_finite_is_no_success() -> None:
    judge = PickPlaceJudge(1, PickPlaceRules())
    judge.update(_truth([np.nan]), 0.0)
    assert not judge.success().any() and not judge.terminated().any()


def _expert_run(noise: bool) -> tuple[Any, dict[str, Array]]:
    """Play N wide draws as collection does; returns the judge and what was commanded and measured while it ran."""
    simulation = make_simulation("arm/pick-place", N, "wide", 2)
    task, card = simulation.task, simulation.task.robot.card
    interface = make_interface(card.interface)
    seeds = [episode_seed(5, number) for number in range(N)]
    simulation.reset(draw_episodes(simulation.randomization, 5, range(N)), seeds)
    expert = task.expert(N, np.random.default_rng(0))
    offsets = inject(task.injection(), seeds, simulation.n_ticks, 0.02)
    logs: dict[str, list[Array]] = {"command": [], "lead": [], "joints": [], "speed": [], "rate": []}
    last = None
    for tick in range(simulation.n_ticks):
        runs = ~simulation.judge.terminated()
        if not runs.any():
            break
        observed = interface.derive(simulation.observe())
        if tick % 2 == 0:
            action = task.contract.split_action(expert.act(interface.derive(simulation.truth()), simulation.time_s))
        command = interface.decode(action, observed)
        logs["command"].append(command[runs])
        logs["lead"].append(np.abs(command[runs, :7] - observed["joint_pos_rad"][runs]))
        logs["joints"].append(observed["joint_pos_rad"][runs])
        logs["speed"].append(np.abs(observed["joint_vel_rad_s"][runs]))
        logs["rate"].append(np.abs(command - (command if last is None else last))[runs] * card.command_hz)
        last = command
        simulation.step(np.clip(command + offsets[:, tick], card.limits.low, card.limits.high) if noise else command)
    return simulation.judge, {name: np.concatenate(values) for name, values in logs.items()}


def test_the_expert_solves_wide_draws_within_the_robots_limits() -> None:
    judge, log = _expert_run(noise=False)
    assert judge.success().all()
    assert np.median(judge.metrics()["placing_error_m"]) < 0.006
    limits = PickPlace().robot.card.limits
    assert np.all(log["command"] > np.array(limits.low) - 1e-9) and np.all(
        log["command"] < np.array(limits.high) + 1e-9
    )
    assert np.all(log["lead"] < [value for value in limits.max_lead if value is not None])
    assert np.all(log["rate"] < limits.max_rate)
    assert np.all(log["joints"] > limits.observed_low["joint_pos_rad"])
    assert np.all(log["speed"] < limits.observed_high["joint_vel_rad_s"])


def test_the_expert_comes_back_from_pushes() -> None:
    assert _expert_run(noise=True)[0].success().mean() > 0.9


def test_the_expert_picks_again_what_it_lost() -> None:
    simulation = make_simulation("arm/pick-place", 2, "none", 1)
    task, interface = simulation.task, make_interface(simulation.task.robot.card.interface)
    simulation.reset(draw_episodes(simulation.randomization, 1, range(2)), [0, 1])
    expert = task.expert(2, np.random.default_rng(0))
    stolen, phases = False, set()
    for tick in range(simulation.n_ticks):
        truth = interface.derive(simulation.truth())
        if tick % 2 == 0:
            action = task.contract.split_action(expert.act(truth, simulation.time_s))
        if not stolen and np.all(expert.phase == CARRY) and np.all(truth["object_pos_base_m"][:, 2] > 0.05):
            stolen = True
            pose = np.tile([0.45, 0.0, 0.02, 1.0, 0.0, 0.0, 0.0], (2, 1))
            simulation.engine.place_body(np.arange(2), "object", pose)
        phases |= set(expert.phase.tolist()) if stolen else set()
        simulation.step(interface.decode(action, truth))
    assert stolen and REACH in phases
    assert simulation.judge.success().all()


def test_labels_are_functions_of_state_and_phase() -> None:
    simulation = make_simulation("arm/pick-place", 8, "none", 1)
    interface = make_interface(simulation.task.robot.card.interface)
    simulation.reset(draw_episodes(simulation.randomization, 2, range(8)), list(range(8)))
    truth = interface.derive(simulation.truth())
    first, second = (simulation.task.expert(8, np.random.default_rng(seed)) for seed in (0, 1))
    for time_s in (0.0, 3.0):
        np.testing.assert_array_equal(first.act(truth, time_s), second.act(truth, 0.0))


def test_an_observation_shows_itself() -> None:
    simulation = make_simulation("arm/pick-place", 1, "none", 1)
    simulation.reset(draw_episodes(simulation.randomization, 3, [0]), [0])
    truth = simulation.truth()
    other = make_simulation("arm/pick-place", 1, "none", 1)
    other.reset(draw_episodes(simulation.randomization, 3, [1]), [0])
    other.task.show(other.engine, np.array([0]), truth)
    for body in ("object", "panda_hand", "goal", "panda_left_finger"):
        np.testing.assert_allclose(other.engine.body_pose(body), simulation.engine.body_pose(body), atol=1e-9)
