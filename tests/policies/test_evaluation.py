"""Closed loop: the same episodes whatever runs beside them, latency that counts, and verdicts that add up."""

import json

import numpy as np
import pytest
from point_cases import CONTRACT, PointPlanner, PointSimulation

from ashore.datasets.contract import Contract, Feature
from ashore.datasets.errors import ContractMismatch
from ashore.policies.errors import EvaluationMismatch
from ashore.policies.evaluation import evaluate
from ashore.sim.randomization import draw_episodes, episode_seed
from ashore.sim.simulation import make_simulation

DRAWS = draw_episodes(PointSimulation(1).randomization, 3, range(10))
SEEDS = [episode_seed(3, index) for index in range(10)]


def test_a_planner_that_knows_the_way_arrives() -> None:
    heard: list[tuple[int, int]] = []
    result = evaluate(
        PointPlanner(), PointSimulation(4), DRAWS, SEEDS, progress=lambda done, total, note: heard.append((done, total))
    )
    assert result.success.all() and len(result.success) == 10 and result.interval.rate == 1.0
    assert np.all(result.metrics["distance_m"] < 0.15)
    assert result.guard_interventions.sum() == 0 and result.guard_stops.sum() == 0
    assert heard[-1] == (10, 10) and heard == sorted(heard)


def test_one_that_does_not_fails() -> None:
    result = evaluate(PointPlanner(offset_m=0.5), PointSimulation(10), DRAWS, SEEDS)
    assert result.success.sum() <= 2 and np.median(result.metrics["distance_m"]) > 0.5


@pytest.mark.parametrize("n", [1, 3, 7, 10, 25])
def test_an_episode_does_not_depend_on_how_many_run_beside_it(n: int) -> None:
    together = evaluate(PointPlanner(0.03), PointSimulation(10), DRAWS, SEEDS, 0.04)
    apart = evaluate(PointPlanner(0.03), PointSimulation(n), DRAWS, SEEDS, 0.04)
    assert np.array_equal(together.success, apart.success)
    assert np.array_equal(together.metrics["distance_m"], apart.metrics["distance_m"])
    assert np.array_equal(together.guard_interventions, apart.guard_interventions)


def test_planning_happens_every_ta_steps_from_the_last_to_observations() -> None:
    planner, simulation = PointPlanner(offset_m=0.5), PointSimulation(1)
    evaluate(planner, simulation, DRAWS[:1], SEEDS[:1])
    # 200 ticks at 50 Hz are 40 steps at 10 Hz; Ta = 4.
    assert len(planner.histories) == 10
    assert np.array_equal(planner.histories[0][0, 0], planner.histories[0][0, 1])
    assert not np.array_equal(planner.histories[1][0, 0], planner.histories[1][0, 1])


def test_latency_delays_what_is_told() -> None:
    simulations = {latency_s: PointSimulation(1) for latency_s in (0.0, 0.1)}
    for latency_s, simulation in simulations.items():
        evaluate(PointPlanner(offset_m=0.5), simulation, DRAWS[:1], SEEDS[:1], latency_s)
    prompt, late = (np.concatenate(simulations[key].commands) for key in (0.0, 0.1))
    assert np.array_equal(prompt[:20], late[:20])
    # The second plan is asked at tick 20; five ticks later it plays from the row that is then due.
    assert not np.array_equal(prompt[20], late[20]) and np.array_equal(prompt[25:40], late[25:40])


def test_latency_beyond_the_timeout_ends_in_stops() -> None:
    result = evaluate(PointPlanner(offset_m=0.5), PointSimulation(2), DRAWS[:2], SEEDS[:2], 0.3)
    assert result.guard_stops.min() > 0 and result.guard_reasons["stale"] == result.guard_stops.sum()


def test_the_result_is_json() -> None:
    result = evaluate(PointPlanner(), PointSimulation(10), DRAWS, SEEDS)
    facts = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert facts["success_rate"] == 1.0 and len(facts["draws"]) == 10 and facts["seeds"] == SEEDS


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(EvaluationMismatch, match=r"2 draws but 1 seeds(.|\n)*latency_s: -1"):
        evaluate(PointPlanner(), PointSimulation(1), DRAWS[:2], SEEDS[:1], -1)
    with pytest.raises(EvaluationMismatch, match="no episodes"):
        evaluate(PointPlanner(), PointSimulation(1), [], [])
    with pytest.raises(EvaluationMismatch, match="commands at 50 Hz, the simulation at 10 Hz"):
        evaluate(PointPlanner(), PointSimulation(1, 10.0), DRAWS, SEEDS)
    planner = PointPlanner()
    planner.contract = Contract("other", "x", CONTRACT.observations, (Feature("u", (2,), "m", "none"),), 10.0)
    with pytest.raises(ContractMismatch, match="the policy and the simulation disagree"):
        evaluate(planner, PointSimulation(1), DRAWS, SEEDS)


class ExpertPlanner:
    """The task's own expert as a planner that replans at every step."""

    obs_horizon, prediction_horizon, action_horizon = 1, 2, 1
    noise_shape = (2, 1)

    def __init__(self, simulation: object) -> None:
        self.simulation = simulation
        task = simulation.task  # type: ignore[attr-defined]
        self.contract, self.card = task.contract, task.robot.card
        self.interface_spec = task.robot.card.interface

    def plan(self, obs: np.ndarray, noise: np.ndarray) -> np.ndarray:
        from ashore.sim.interfaces import make_interface

        simulation = self.simulation
        if simulation.time_s == 0:  # type: ignore[attr-defined]
            self.expert = simulation.task.expert(len(obs), np.random.default_rng(0))  # type: ignore[attr-defined]
        truth = make_interface(self.interface_spec).derive(simulation.truth())  # type: ignore[attr-defined]
        action = self.expert.act(truth, simulation.time_s)  # type: ignore[attr-defined]
        return np.repeat(np.asarray(action, np.float32)[:, None], 2, axis=1)


@pytest.mark.parametrize("name", ["quadrotor/hover", "arm/pick-place"])
def test_each_robots_expert_succeeds_through_executor_and_guard(name: str) -> None:
    simulation = make_simulation(name, 6, n_threads=1)
    draws = draw_episodes(simulation.randomization, 11, range(6))
    result = evaluate(ExpertPlanner(simulation), simulation, draws, [episode_seed(11, i) for i in range(6)], 0.02)
    assert result.success.sum() >= 5
    assert result.guard_stops.sum() == 0
