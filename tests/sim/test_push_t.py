"""Push-T: the verdict, the model of pushing, and an expert that covers the goal within the robot's limits."""

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

from ashore.sim.experts.push_model import PushModel, pushes
from ashore.sim.interfaces import make_interface
from ashore.sim.randomization import draw_episodes
from ashore.sim.tasks import make_task
from ashore.sim.tasks.push_t import PushTJudge, PushTRules
from ashore.sim.tasks.tee import BARS, GOAL_POS_BASE_M, GOAL_YAW_RAD, rotated
from ashore.sim.twin.profile import load_profile
from ashore.sim.twin.simulation import make_twin_simulation

Array = NDArray[Any]
N = 12


def _truth(side_m: list[float], yaw_rad: float = 0.0, height_m: float = 0.0) -> dict[str, Array]:
    n = len(side_m)
    half = np.full(n, (GOAL_YAW_RAD + yaw_rad) / 2)
    away = np.column_stack([side_m, np.zeros(n), np.full(n, height_m)])
    quat = np.column_stack([np.cos(half), np.zeros(n), np.zeros(n), np.sin(half)])
    return {"object_pos_base_m": GOAL_POS_BASE_M + away, "object_quat_base_wxyz": quat}


def test_covered_means_nine_tenths_of_the_goal_flat_on_the_table() -> None:
    judge = PushTJudge(4, PushTRules())
    judge.update(_truth([0.0, 0.003, 0.006, 0.05]), np.zeros(4))
    np.testing.assert_array_equal(judge.success(), [True, True, False, False])
    progress = judge.progress()
    assert np.all(progress[:2] == 1.0) and 1.0 > progress[2] > progress[3] > 0.0
    judge.update(_truth([0.0] * 4, yaw_rad=0.12), np.full(4, 0.02))
    assert not judge.success().any()
    judge.update(_truth([0.0] * 4, yaw_rad=2 * np.pi), np.full(4, 0.04))
    assert judge.success().all()
    judge.update(_truth([0.0] * 4, height_m=0.01), np.full(4, 0.06))
    assert not judge.success().any() and not judge.terminated().any()


def test_an_episode_ends_once_covered_for_long_enough_and_its_verdict_stays() -> None:
    judge = PushTJudge(2, PushTRules(stay_s=0.5))
    for tick in range(30):
        judge.update(_truth([0.0, 0.0 if tick != 20 else 0.1]), np.full(2, 0.02 * tick))
    np.testing.assert_array_equal(judge.terminated(), [True, False])
    judge.update(_truth([0.2, 0.2]), np.full(2, 0.6))
    np.testing.assert_array_equal(judge.success(), [True, False])
    assert judge.metrics()["coverage"][0] == pytest.approx(1.0)


def test_what_is_not_finite_is_no_success() -> None:
    judge = PushTJudge(1, PushTRules())
    judge.update(_truth([np.nan]), np.zeros(1))
    assert not judge.success().any() and judge.progress()[0] == 0.0


def test_a_push_through_the_middle_moves_and_one_beside_it_turns() -> None:
    model = PushModel()
    contact, direction = np.array([[0.0, 0.04], [0.05, 0.04], [-0.05, 0.04]]), np.tile([0.0, -1.0], (3, 1))
    velocity, rate = model.twist(contact, direction)
    np.testing.assert_allclose(velocity[0], [0.0, -1.0])
    assert rate[0] == 0.0 and rate[1] < 0.0 < rate[2]
    # What is pushed moves as the finger does.
    moved = velocity + rate[:, None] * rotated(contact, np.full(3, np.pi / 2))
    np.testing.assert_allclose(moved, direction, atol=1e-12)


def test_every_push_begins_beside_the_t_and_goes_into_it() -> None:
    chosen = pushes(PushModel(), 0.034)
    assert len(chosen.points) > 50
    assert np.all(np.sum(chosen.directions * chosen.normals, axis=1) > 0.9)
    room = np.max(np.abs(chosen.begins[:, None] - BARS[:, :2]) - BARS[:, 2:], axis=2)
    assert np.all(room >= 0.02)
    for place, within in (
        (chosen.points + 0.001 * chosen.normals, True),
        (chosen.points - 0.001 * chosen.normals, False),
    ):
        inside = np.any(np.all(np.abs(place[:, None] - BARS[:, :2]) < BARS[:, 2:], axis=2), axis=1)
        assert np.all(inside == within)


def test_the_expert_covers_the_goal_of_wide_draws_within_the_robots_limits() -> None:
    run = run_expert("arm/push-t", N, noise=False)
    assert run.judge.success().all()
    require_within_limits("arm/push-t", run.log)
    told = run.progress[:: len(run.progress) // 5]
    assert np.all(np.diff(told) > 0.0)


def test_the_expert_comes_back_from_being_pushed_itself() -> None:
    assert run_expert("arm/push-t", N // 2, noise=True).judge.success().mean() > 0.8


def test_labels_are_functions_of_state_and_phase() -> None:
    require_labels_of_state_alone("arm/push-t")


def test_an_observation_shows_itself() -> None:
    require_shows_itself("arm/push-t", ("object", "panda_hand", "panda_left_finger"))


def test_the_expert_covers_the_goal_in_the_twin_too() -> None:
    simulation = make_twin_simulation("arm/push-t", 1, load_profile("arm_mild"))
    task, interface = simulation.task, make_interface(simulation.task.robot.card.interface)
    simulation.reset(draw_episodes(simulation.randomization, 7, [4]), [4])
    expert = task.expert(1, np.random.default_rng(0))
    for tick in range(simulation.n_ticks):
        if simulation.judge.terminated().all():
            break
        if tick % 2 == 0:
            action = task.contract.split_action(expert.act(interface.derive(simulation.truth()), simulation.time_s))
        simulation.step(interface.decode(action, interface.derive(simulation.observe())))
    assert simulation.judge.success().all()


def test_it_is_another_thing_than_the_planar_push_t_of_gymnasium() -> None:
    task = make_task("arm/push-t@ur5e")
    assert task.name == "arm/push-t@ur5e" and task.contract.robot == "ur5e"
    assert [feature.name for feature in task.contract.observations][-2:] == [
        "object_pos_base_m",
        "object_quat_base_wxyz",
    ]
