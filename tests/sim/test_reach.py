"""Reach: the verdict, and an expert that reaches every goal within the robot's limits, with any arm and in the twin."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ashore.sim.injection import inject
from ashore.sim.interfaces import make_interface
from ashore.sim.randomization import draw_episodes, episode_seed
from ashore.sim.simulation import Simulation, make_simulation
from ashore.sim.tasks import make_task
from ashore.sim.tasks.reach import Reach, ReachJudge, ReachRules
from ashore.sim.twin.engine import TwinEngine
from ashore.sim.twin.settings import TwinSettings

Array = NDArray[Any]
N = 24
TASK = Reach()
INTERFACE = make_interface(TASK.arm.card.interface)


def _truth(away_m: list[float], speed_rad_s: float = 0.0) -> dict[str, Array]:
    n = len(away_m)
    joints = np.tile(TASK.arm.spec.home_rad, (n, 1))
    tool = INTERFACE.derive({"joint_pos_rad": joints})["tcp_pos_base_m"]
    speeds = np.zeros_like(joints)
    speeds[:, 2] = -speed_rad_s
    goal = tool + np.column_stack([np.zeros((n, 2)), away_m])
    return {"joint_pos_rad": joints, "joint_vel_rad_s": speeds, "goal_pos_base_m": goal}


def _judge(n: int, rules: ReachRules | None = None) -> ReachJudge:
    return ReachJudge(n, rules or ReachRules(), INTERFACE)


def test_reached_means_near_and_at_rest() -> None:
    judge = _judge(3)
    judge.update(_truth([0.0, 0.009, 0.011]), np.zeros(3))
    np.testing.assert_array_equal(judge.success(), [True, True, False])
    assert np.all(judge.progress()[:2] == 1.0) and 0.5 < judge.progress()[2] < 1.0
    judge.update(_truth([0.0] * 3, speed_rad_s=0.3), np.full(3, 0.02))
    assert not judge.success().any() and not judge.terminated().any()


def test_an_episode_ends_once_the_tool_has_stayed_and_its_verdict_stays() -> None:
    judge = _judge(2, ReachRules(stay_s=0.5))
    for tick in range(30):
        judge.update(_truth([0.0, 0.0 if tick != 20 else 0.1]), np.full(2, 0.02 * tick))
    np.testing.assert_array_equal(judge.terminated(), [True, False])
    judge.update(_truth([0.2, 0.2]), np.full(2, 0.6))
    np.testing.assert_array_equal(judge.success(), [True, False])
    assert judge.metrics()["reach_error_m"][0] == pytest.approx(0.0)


@pytest.mark.parametrize("name", ["joint_pos_rad", "joint_vel_rad_s", "goal_pos_base_m"])
def test_what_is_not_finite_is_no_success(name: str) -> None:
    judge, truth = _judge(1), _truth([0.0])
    truth[name] = np.full_like(truth[name], np.nan)
    judge.update(truth, np.zeros(1))
    assert not judge.success().any() and np.isfinite(judge.progress()).all()


def _play(simulation: Simulation, seed: int, noise: bool = False) -> dict[str, Array]:
    task, card = simulation.task, simulation.task.robot.card
    interface, numbers = make_interface(card.interface), range(simulation.n)
    seeds = [episode_seed(seed, number) for number in numbers]
    simulation.reset(draw_episodes(simulation.randomization, seed, numbers), seeds)
    expert = task.expert(simulation.n, np.random.default_rng(0))
    injection = task.injection()
    assert injection is not None
    offsets = inject(injection, seeds, simulation.n_ticks, 0.02)
    logs: dict[str, list[Array]] = {"lead": [], "joints": [], "speed": [], "progress": []}
    for tick in range(simulation.n_ticks):
        observed = interface.derive(simulation.observe())
        if tick % 2 == 0:
            action = task.contract.split_action(expert.act(interface.derive(simulation.truth()), simulation.time_s))
        command = interface.decode(action, observed)
        logs["lead"].append(np.abs(command[:, :-1] - observed["joint_pos_rad"]))
        logs["joints"].append(observed["joint_pos_rad"])
        logs["speed"].append(np.abs(observed["joint_vel_rad_s"]))
        logs["progress"].append(np.array([simulation.judge.progress().mean()]))
        simulation.step(np.clip(command + offsets[:, tick], card.limits.low, card.limits.high) if noise else command)
    return {name: np.concatenate(values) for name, values in logs.items()}


@pytest.mark.parametrize("name", ["arm/reach", "arm/reach@ur5e"])
def test_the_expert_reaches_wide_draws_within_the_robots_limits(name: str) -> None:
    simulation = make_simulation(name, N, "wide", 2)
    assert isinstance(simulation, Simulation)
    log = _play(simulation, 5)
    assert simulation.judge.success().all()
    assert np.median(simulation.judge.metrics()["reach_error_m"]) < 0.003
    limits = simulation.task.robot.card.limits
    assert np.all(log["lead"] < [value for value in limits.max_lead if value is not None])
    assert np.all(log["joints"] > limits.observed_low["joint_pos_rad"])
    assert np.all(log["joints"] < limits.observed_high["joint_pos_rad"])
    assert np.all(log["speed"] < limits.observed_high["joint_vel_rad_s"])
    assert np.all(np.diff(log["progress"][::40]) >= 0.0)


def test_the_expert_comes_back_from_pushes() -> None:
    simulation = make_simulation("arm/reach", N, "wide", 2)
    assert isinstance(simulation, Simulation)
    _play(simulation, 6, noise=True)
    assert simulation.judge.success().mean() > 0.9


def test_the_expert_reaches_in_the_twins_engine_too() -> None:
    task = make_task("arm/reach")
    simulation = Simulation(task, TwinEngine(task.scene(), 3, TwinSettings()), task.randomization("none"))
    _play(simulation, 7)
    assert simulation.judge.success().all()


def test_an_observation_shows_itself() -> None:
    simulation, other = (make_simulation("arm/reach", 1, "none", 1) for _ in range(2))
    simulation.reset(draw_episodes(simulation.randomization, 3, [0]), [0])
    other.reset(draw_episodes(simulation.randomization, 3, [1]), [0])
    other.task.show(other.engine, np.array([0]), simulation.truth())
    for body in ("goal", "panda_hand", "panda_left_finger"):
        np.testing.assert_allclose(other.engine.body_pose(body), simulation.engine.body_pose(body), atol=1e-9)
