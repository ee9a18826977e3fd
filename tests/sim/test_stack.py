"""Stack: the verdict, and an expert that solves wide draws within the robot's limits, with either arm, and retries."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.arm_experts import (
    require_labels_of_state_alone,
    require_shows_itself,
    require_within_limits,
    run_expert,
    succeeds_in_twin,
)

from ashore.sim.experts.grasping import CARRY, REACH
from ashore.sim.interfaces import make_interface
from ashore.sim.randomization import draw_episodes
from ashore.sim.simulation import make_simulation
from ashore.sim.tasks.stack import StackJudge, StackRules
from ashore.sim.twin.profile import load_profile

Array = NDArray[Any]
TASK = "arm/stack"


def _truth(side_m: list[float], up_m: float = 0.04, width_m: float = 0.08) -> dict[str, Array]:
    n = len(side_m)
    base = np.tile([0.5, 0.1, 0.02], (n, 1))
    cube = base + np.column_stack([side_m, np.zeros(n), np.full(n, up_m)])
    return {"object_pos_base_m": cube, "base_cube_pos_base_m": base, "gripper_width_m": np.full((n, 1), width_m)}


def test_stacked_means_on_top_and_released() -> None:
    judge = StackJudge(3, StackRules())
    judge.update(_truth([0.0, 0.019, 0.021]), 0.0)
    np.testing.assert_array_equal(judge.success(), [True, True, False])
    np.testing.assert_array_equal(judge.progress()[:2], 1.0)
    for wrong in (_truth([0.0] * 3, up_m=0.05), _truth([0.0] * 3, up_m=0.0), _truth([0.0] * 3, width_m=0.04)):
        judge.update(wrong, 0.02)
        assert not judge.success().any() and np.all(judge.progress() < 1.0)


def test_an_episode_ends_once_it_has_stood_for_long_enough() -> None:
    judge = StackJudge(2, StackRules(stay_s=0.5))
    for tick in range(30):
        judge.update(_truth([0.0, 0.1 if tick == 20 else 0.0]), 0.02 * tick)
    np.testing.assert_array_equal(judge.terminated(), [True, False])
    judge.update(_truth([0.2, 0.2]), 0.6)
    np.testing.assert_array_equal(judge.success(), [True, False])
    assert judge.metrics()["time_s"][0] == pytest.approx(0.5)


def test_what_is_not_finite_is_no_success() -> None:
    judge = StackJudge(1, StackRules())
    judge.update(_truth([np.nan]), 0.0)
    assert not judge.success().any() and judge.progress()[0] == 0.0


def test_the_expert_solves_wide_draws_within_the_robots_limits() -> None:
    run = run_expert(TASK, 24, noise=False)
    assert run.judge.success().all()
    assert np.median(run.judge.metrics()["placing_error_m"]) < 0.008
    assert run.progress[-1] > run.progress[len(run.progress) // 2] > run.progress[0] + 0.1
    require_within_limits(TASK, run.log)


@pytest.mark.parametrize("task", [TASK, f"{TASK}@ur5e"])
def test_the_expert_comes_back_from_pushes(task: str) -> None:
    assert run_expert(task, 24, noise=True).judge.success().mean() > 0.9


def test_the_expert_follows_the_other_cube_and_picks_again_what_fell_off() -> None:
    simulation = make_simulation(TASK, 2, "none", 1)
    task, interface = simulation.task, make_interface(simulation.task.robot.card.interface)
    simulation.reset(draw_episodes(simulation.randomization, 1, range(2)), [0, 1])
    expert = task.expert(2, np.random.default_rng(0))
    moved, phases = False, set()
    for tick in range(simulation.n_ticks):
        truth = interface.derive(simulation.truth())
        if tick % 2 == 0:
            action = task.contract.split_action(expert.act(truth, simulation.time_s))
        if not moved and np.all(expert.phase == CARRY) and np.all(truth["object_pos_base_m"][:, 2] > 0.05):
            moved = True
            for name, y in (("object", 0.15), ("base_cube", -0.05)):
                pose = np.tile([0.45, y, 0.02, 1.0, 0.0, 0.0, 0.0], (2, 1))
                simulation.engine.place_body(np.arange(2), name, pose)
        phases |= set(expert.phase.tolist()) if moved else set()
        simulation.step(interface.decode(action, truth))
    assert moved and REACH in phases
    assert simulation.judge.success().all()


def test_labels_are_functions_of_state_and_phase() -> None:
    require_labels_of_state_alone(TASK)


def test_an_observation_shows_itself() -> None:
    require_shows_itself(TASK, ("object", "base_cube", "panda_hand", "panda_left_finger"))


def test_the_expert_succeeds_in_the_other_engine() -> None:
    assert succeeds_in_twin(TASK, 2, load_profile("arm_mild")).all()
