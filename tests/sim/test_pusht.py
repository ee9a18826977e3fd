"""Push-T in the published environment: its start states, its geometry and its dynamics against the recordings."""

import os
from pathlib import Path

import numpy as np
import pytest
import zarr

from ashore.datasets.formats.pusht_contract import PUSHT_CONTRACT, keypoints_from_pose
from ashore.policies.evaluation import evaluate
from ashore.sim.pusht import PUSHT_ID, TEST_SEEDS, start_state
from ashore.sim.robot import RobotCard

pytest.importorskip("gym_pusht", reason="the benchmark extra (gym-pusht) is not installed")

from ashore.sim.gym_task import GymSimulation, make_environment

DATA = Path(os.environ.get("ASHORE_DATA", Path(__file__).parents[3] / "shared" / "data"))
ARCHIVE = DATA / "pusht_human" / "pusht_cchi_v7_replay.zarr"
needs_recordings = pytest.mark.skipif(not ARCHIVE.exists(), reason="the human Push-T recordings are not here")


def started(seeds: list[int]) -> GymSimulation:
    simulation = GymSimulation(PUSHT_ID, len(seeds))
    simulation.reset([{}] * len(seeds), seeds)
    return simulation


def test_the_first_test_seed_gives_the_published_start_state() -> None:
    np.testing.assert_allclose(start_state(TEST_SEEDS[0]), [235, 124, 335, 128, -0.904927], atol=1e-6)
    assert len(TEST_SEEDS) == 50


def test_the_block_turns_about_its_centre_of_mass_when_it_is_placed() -> None:
    seeds = list(TEST_SEEDS[:4])
    observed = started(seeds).observe()
    for row, seed in enumerate(seeds):
        _, _, x, y, angle = start_state(seed)
        turned = np.array([-np.sin(angle), np.cos(angle)]) * 45
        np.testing.assert_allclose(observed["block_pos_px"][row], np.array([x, y + 45]) - turned, atol=1e-6)
        np.testing.assert_allclose(observed["block_angle_rad"][row], angle % (2 * np.pi), atol=1e-6)


def test_observations_keep_the_contract_of_the_recordings() -> None:
    simulation = started([100_000, 100_001])
    assert simulation.task.contract is PUSHT_CONTRACT
    shapes = {feature.name: (2, *feature.shape) for feature in PUSHT_CONTRACT.observations}
    assert {name: value.shape for name, value in simulation.observe().items()} == shapes
    assert simulation.n_ticks == 300
    assert simulation.task.robot.card.command_hz == 10.0


def test_resets_differ_by_seed_and_a_seed_repeats() -> None:
    first, second = started([100_003]), started([100_004])
    start = first.observe()
    assert not np.allclose(start["block_pos_px"], second.observe()["block_pos_px"])
    first.step(np.array([[100.0, 100.0]]))
    first.reset([{}], [100_003])
    np.testing.assert_array_equal(first.observe()["block_keypoints_px"], start["block_keypoints_px"])


def test_a_block_at_its_goal_scores_one_and_succeeds() -> None:
    simulation = started([0])
    block = simulation._environments[0].unwrapped
    # The goal has its centre of mass at the frame's origin: angle first, then position, puts the block there.
    block.block.angle = np.pi / 4
    block.block.position = (256.0, 256.0)
    block.agent.position = (450.0, 60.0)
    simulation.step(np.array([[450.0, 60.0]]))
    assert simulation.judge.success()[0]
    assert simulation.judge.metrics()["max_reward"][0] == 1.0


class Pointer:
    """Plans to go to one place and stay there."""

    obs_horizon, prediction_horizon, action_horizon = 2, 16, 8
    noise_shape = (16, 2)
    contract = PUSHT_CONTRACT

    def __init__(self, card: RobotCard, target_px: tuple[float, float]) -> None:
        self.card = card
        self._target_px = np.array(target_px, dtype=np.float32)

    def plan(self, obs: np.ndarray, noise: np.ndarray) -> np.ndarray:
        return np.broadcast_to(self._target_px, (len(obs), self.prediction_horizon, 2)).astype(np.float32)


def test_a_planner_is_evaluated_here_as_in_any_simulation() -> None:
    simulation = GymSimulation(PUSHT_ID, 2)
    found = evaluate(Pointer(simulation.task.robot.card, (480.0, 40.0)), simulation, [{}] * 3, TEST_SEEDS[:3])
    np.testing.assert_allclose(simulation.observe()["agent_pos_px"], [[480.0, 40.0]] * 2, atol=1.0)
    assert found.metrics["n_steps"].tolist() == [300.0] * 3
    assert np.all((found.metrics["max_reward"] >= 0) & (found.metrics["max_reward"] < 1))
    assert not found.success.any()


@needs_recordings
def test_replayed_recordings_reach_the_recorded_states() -> None:
    group = zarr.open_group(str(ARCHIVE), mode="r")
    end = int(np.asarray(group["meta/episode_ends"])[0])
    states, actions = np.asarray(group["data/state"][:end]), np.asarray(group["data/action"][:end])
    environment = make_environment(PUSHT_ID)
    environment.reset(seed=0)
    inner = environment.unwrapped
    inner.agent.position, inner.agent.velocity = states[0, :2].tolist(), (0.0, 0.0)
    inner.block.angle = float(states[0, 4])
    inner.block.position = states[0, 2:4].tolist()
    reached = np.stack([environment.step(action)[0] for action in actions[:-1]])
    np.testing.assert_allclose(reached[:, :4], states[1:, :4], atol=0.02)


@needs_recordings
def test_keypoints_follow_from_the_recorded_pose() -> None:
    group = zarr.open_group(str(ARCHIVE), mode="r")
    states, recorded = np.asarray(group["data/state"][:5000]), np.asarray(group["data/keypoint"][:5000])
    computed = keypoints_from_pose(states[:, 2:4], states[:, 4])
    error = np.abs(computed - recorded.reshape(len(recorded), -1)).max(axis=1)
    assert np.quantile(error, 0.99) < 0.05
