"""Peg insertion: the verdict, and an expert that solves wide draws within the robot's limits, with either arm."""

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

from ashore.sim.experts.grasping import CARRY, GRASP, REACH
from ashore.sim.experts.peg_insert import INSERT
from ashore.sim.interfaces import make_interface
from ashore.sim.randomization import draw_episodes
from ashore.sim.simulation import make_simulation
from ashore.sim.tasks.peg_insert import BLOCK_M, PEG_M, PegInsertJudge, PegInsertRules
from ashore.sim.twin.profile import load_profile

Array = NDArray[Any]
TASK = "arm/peg-insert"
UPRIGHT, UPSIDE_DOWN, LYING = (1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (0.5**0.5, 0.5**0.5, 0.0, 0.0)


def _truth(depth_m: list[float], side_m: float = 0.0, quat: tuple[float, ...] = UPRIGHT) -> dict[str, Array]:
    n = len(depth_m)
    rim = np.tile([0.5, 0.1, BLOCK_M], (n, 1))
    peg = rim + np.column_stack([np.full(n, side_m), np.zeros(n), PEG_M / 2 - np.array(depth_m)])
    return {"object_pos_base_m": peg, "object_quat_base_wxyz": np.tile(quat, (n, 1)), "hole_pos_base_m": rim}


def test_inserted_means_deep_in_the_hole_with_either_end() -> None:
    judge = PegInsertJudge(3, PegInsertRules())
    for quat in (UPRIGHT, UPSIDE_DOWN):
        judge.update(_truth([0.04, 0.0255, 0.0245], quat=quat), 0.0)
        np.testing.assert_array_equal(judge.success(), [True, True, False])
    np.testing.assert_array_equal(judge.progress() == 1.0, [True, True, False])


def test_a_peg_beside_the_block_or_lying_is_not_inserted() -> None:
    judge = PegInsertJudge(1, PegInsertRules())
    for wrong in (_truth([0.04], side_m=0.05), _truth([0.04], quat=LYING), _truth([np.nan])):
        judge.update(wrong, 0.0)
        assert not judge.success().any() and judge.progress()[0] < 0.6


def test_progress_rises_on_the_way_in() -> None:
    judge = PegInsertJudge(6, PegInsertRules())
    judge.update(_truth([-0.2, -0.05, -0.01, 0.005, 0.02, 0.03]), 0.0)
    assert np.all(np.diff(judge.progress()) > 0.0) and judge.progress()[-1] == 1.0


def test_an_episode_ends_once_it_has_been_inserted_for_long_enough() -> None:
    judge = PegInsertJudge(2, PegInsertRules(stay_s=0.3))
    for tick in range(18):
        judge.update(_truth([0.03, 0.01 if tick == 10 else 0.03]), 0.02 * tick)
    np.testing.assert_array_equal(judge.terminated(), [True, False])
    assert judge.metrics()["time_s"][0] == pytest.approx(0.3)


def test_the_expert_solves_wide_draws_within_the_robots_limits() -> None:
    run = run_expert(TASK, 24, noise=False)
    assert run.judge.success().mean() > 0.95
    assert run.progress[-1] > run.progress[len(run.progress) // 2] > run.progress[0] + 0.1
    require_within_limits(TASK, run.log)


@pytest.mark.parametrize("task", [TASK, f"{TASK}@ur5e"])
def test_the_expert_comes_back_from_pushes(task: str) -> None:
    assert run_expert(task, 24, noise=True).judge.success().mean() > 0.85


def test_a_peg_that_misses_the_hole_is_brought_into_line_again() -> None:
    simulation = make_simulation(TASK, 1, "none", 1)
    task, interface = simulation.task, make_interface(simulation.task.robot.card.interface)
    simulation.reset(draw_episodes(simulation.randomization, 1, [0]), [0])
    expert = task.expert(1, np.random.default_rng(0))
    phases: list[int] = []
    for tick in range(simulation.n_ticks):
        truth = interface.derive(simulation.truth())
        if tick % 2 == 0:
            action = task.contract.split_action(expert.act(truth, simulation.time_s))
            phases += [int(expert.phase[0])] if phases[-1:] != [int(expert.phase[0])] else []
        command = interface.decode(action, truth)
        # The first time that it is about to go in, the whole arm is turned aside.
        command[:, 0] += 0.05 if phases[-1] == INSERT and CARRY not in phases[phases.index(INSERT) :] else 0.0
        simulation.step(command)
    assert phases[:6] == [REACH, GRASP, CARRY, INSERT, CARRY, INSERT]
    assert simulation.judge.success().all()


def test_labels_are_functions_of_state_and_phase() -> None:
    require_labels_of_state_alone(TASK)


def test_an_observation_shows_itself() -> None:
    require_shows_itself(TASK, ("object", "block", "panda_hand", "panda_left_finger"))


def test_the_expert_succeeds_in_the_other_engine() -> None:
    assert succeeds_in_twin(TASK, 2, load_profile("arm_mild")).all()
