"""Pick and place: the verdict, and an expert that solves wide draws within the robot's limits, and retries."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.arm_experts import (
    require_labels_of_state_alone,
    require_shows_itself,
    require_within_limits,
    run_expert,
)

from ashore.sim.experts.pick_place import CARRY, REACH
from ashore.sim.interfaces import make_interface
from ashore.sim.randomization import draw_episodes
from ashore.sim.simulation import make_simulation
from ashore.sim.tasks.pick_place import PickPlaceJudge, PickPlaceRules

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


def test_the_expert_solves_wide_draws_within_the_robots_limits() -> None:
    run = run_expert("arm/pick-place", N, noise=False)
    assert run.judge.success().all()
    assert np.median(run.judge.metrics()["placing_error_m"]) < 0.006
    require_within_limits("arm/pick-place", run.log)


def test_the_expert_comes_back_from_pushes() -> None:
    assert run_expert("arm/pick-place", N, noise=True).judge.success().mean() > 0.9


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
    require_labels_of_state_alone("arm/pick-place")


def test_an_observation_shows_itself() -> None:
    require_shows_itself("arm/pick-place", ("object", "panda_hand", "goal", "panda_left_finger"))
