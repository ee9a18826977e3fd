"""What is recorded of an evaluation is what the policy saw and did, and recording changes nothing."""

import numpy as np
from point_cases import PointPlanner, PointSimulation

from ashore.policies.diagnosis.rollouts import Recorder, Rollout
from ashore.policies.diagnosis.seams import measure_seams
from ashore.policies.evaluation import Evaluation, evaluate
from ashore.sim.randomization import draw_episodes, episode_seed

DRAWS = draw_episodes(PointSimulation(1).randomization, 3, range(7))
SEEDS = [episode_seed(3, index) for index in range(7)]


class JitteryPlanner(PointPlanner):
    """Each chunk is calm in itself and off by a draw of its own."""

    def plan(self, obs: np.ndarray, noise: np.ndarray) -> np.ndarray:
        drift = np.linspace(0, 0.01, noise.shape[1])[None, :, None]
        return np.asarray(obs[:, -1:, 2:] + 0.2 * noise[:, :1] + drift, np.float32)


class CalmPlanner(PointPlanner):
    """Goes on from where the point is, at one pace, so that chunks meet as their rows do."""

    def plan(self, obs: np.ndarray, noise: np.ndarray) -> np.ndarray:
        steps = np.arange(-1, noise.shape[1] - 1)[None, :, None]
        return np.asarray(obs[:, -1:, :2] + 0.3 * (steps + 1) * np.sign(obs[:, -1:, 2:]) * 0.1, np.float32)


def recorded(planner: PointPlanner, n: int = 3, latency_s: float = 0.0) -> tuple[Evaluation, tuple[Rollout, ...]]:
    recorder = Recorder()
    result = evaluate(planner, PointSimulation(n), DRAWS, SEEDS, latency_s, watcher=recorder)
    return result, recorder.rollouts(result)


def test_episodes_are_kept_in_order_up_to_their_end_and_the_padding_is_not() -> None:
    result, rollouts = recorded(PointPlanner(), n=3)
    unwatched = evaluate(PointPlanner(), PointSimulation(3), DRAWS, SEEDS)
    assert np.array_equal(result.metrics["distance_m"], unwatched.metrics["distance_m"])
    assert [each.success for each in rollouts] == result.success.tolist()
    for each, draw in zip(rollouts, DRAWS, strict=True):
        np.testing.assert_allclose(each.observations[:, 2:], np.tile(draw["goal_m"], (len(each.plans), 1)), atol=1e-6)
        assert 0 < len(each.plans) < 40  # It arrived before the time limit of 40 steps.


def test_it_does_not_matter_how_many_run_together() -> None:
    _, together = recorded(PointPlanner(0.3), n=7, latency_s=0.04)
    _, apart = recorded(PointPlanner(0.3), n=2, latency_s=0.04)
    for one, other in zip(together, apart, strict=True):
        assert np.array_equal(one.actions, other.actions)
        assert np.array_equal(one.plans, other.plans)


def test_a_chunk_plays_for_ta_steps_and_windows_are_those_that_the_planner_saw() -> None:
    planner = PointPlanner(offset_m=0.5)
    recorder = Recorder()
    result = evaluate(planner, PointSimulation(1), DRAWS[:1], SEEDS[:1], watcher=recorder)
    (rollout,) = recorder.rollouts(result)
    assert rollout.plans.tolist() == np.repeat(np.arange(10), 4).tolist()
    assert np.array_equal(rollout.windows(2)[::4], np.concatenate(planner.histories))


def test_a_planner_that_jitters_from_chunk_to_chunk_is_found_and_a_calm_one_is_not() -> None:
    jittery, calm = (measure_seams(recorded(planner(0.5))[1]) for planner in (JitteryPlanner, CalmPlanner))
    assert jittery is not None and calm is not None
    assert sorted(jittery.jumping) == [0, 1]
    assert jittery.ratio.min() > 20
    assert jittery.at_seams.max() < 1.0  # Metres per step, of offsets that deviate by 0.2.
    assert calm.jumping == []


def test_episodes_of_one_chunk_have_no_seam() -> None:
    _, rollouts = recorded(PointPlanner(0.5))
    short = [Rollout(each.observations[:3], each.actions[:3], each.plans[:3], False) for each in rollouts]
    assert measure_seams(short) is None
