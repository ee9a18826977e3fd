"""Goals: a policy that is told one goes there, guidance and absence work, and what does not fit is refused."""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from learning_cases import CONTRACT, ArrayWindows

from ashore.policies.bundle import open_bundle
from ashore.policies.checkpoint import Asked, RunSettings, load_run
from ashore.policies.errors import InvalidGoal
from ashore.policies.export import export
from ashore.policies.generation.samplers import SamplerConfig
from ashore.policies.goals import GoalConfig, raw_goal
from ashore.policies.losses import FromData
from ashore.policies.multitask import TaskMix
from ashore.policies.networks.mlp import MLPConfig
from ashore.policies.policy import PolicyConfig
from ashore.policies.training import run_training
from ashore.policies.training_data import TrainingData
from ashore.policies.training_loop import TrainingConfig

GOAL = GoalConfig(features=("object_pos_base_m",), tasks=("lift", "lower"))
SHAPE = PolicyConfig(prediction_horizon=8, goal=GOAL, network=MLPConfig(width=96, blocks=2))


def aimed_data(n: int = 2000) -> TrainingData:
    """Windows whose chunk leads where the goal is, and ends 0.2 m above or below it as the task says."""
    rng = np.random.default_rng(0)
    obs = rng.uniform(-0.3, 0.3, (n, 1, 14)).repeat(2, axis=1)
    places, task = rng.uniform(-0.3, 0.3, (n, 3)), rng.integers(0, 2, n)
    ends = places + np.stack([np.zeros(n), np.zeros(n), np.where(task == 0, 0.2, -0.2)], axis=1)
    share = np.linspace(0, 1, 8)[None, :, None]
    path = obs[:, -1:, :3] + share * (ends[:, None] - obs[:, -1:, :3])
    actions = np.concatenate((path, np.zeros((n, 8, 1))), axis=-1)
    goals = np.concatenate((places, np.eye(2)[task]), axis=1).astype(np.float32)
    windows = ArrayWindows(obs.astype(np.float32), actions.astype(np.float32))
    mix = TaskMix(tuple(replace(CONTRACT, task=task) for task in GOAL.tasks))
    return TrainingData(mix.union, windows, np.arange(n), goals, mix.contracts)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    training = TrainingConfig(updates=700, batch_size=128, learning_rate=4e-3, average_decay=0.99, checkpoint_s=60)
    settings = RunSettings("diffusion", SHAPE, asdict(training), ("memory",))
    return run_training(tmp_path_factory.mktemp("runs") / "goals", settings, aimed_data(), FromData())


def ends(run_or_planner: object, asked: Asked | None = None) -> np.ndarray:
    planner = load_run(run_or_planner, asked) if asked else run_or_planner
    obs = np.zeros((50, 2, 14), np.float32)
    noise = np.random.default_rng(1).normal(size=(50, *planner.noise_shape)).astype(np.float32)
    return planner.plan(obs, noise)[:, -1, :3]


def test_it_goes_where_it_is_told_and_does_what_the_task_says(run: Path) -> None:
    for place in ([0.2, -0.1, 0.05], [-0.2, 0.2, 0.0]):
        for task, offset in (("lift", 0.2), ("lower", -0.2)):
            found = ends(run, Asked(goal={"object_pos_base_m": place}, task=task))
            wanted = np.add(place, (0, 0, offset))
            assert np.abs(np.median(found, axis=0) - wanted).max() < 0.06


def test_without_a_goal_it_does_what_was_demonstrated_at_large(run: Path) -> None:
    found = ends(run, Asked(goal={}, task="lift", guidance=0.0))
    assert found[:, 2].std() > 0.1  # Both tasks, all places.


def test_guidance_weighs_the_goal_and_costs_nothing_at_one(run: Path) -> None:
    goal = {"object_pos_base_m": [0.2, 0.0, 0.0]}
    plain, one = (ends(run, Asked(goal=goal, task="lift", guidance=weight)) for weight in (None, 1.0))
    assert np.array_equal(plain, one)
    none = [ends(run, Asked(goal=goal, task=task, guidance=0.0)) for task in ("lift", "lower")]
    assert np.allclose(*none, atol=1e-4)
    assert not np.allclose(plain, ends(run, Asked(goal=goal, task="lift", guidance=2.0)), atol=1e-3)


def test_a_goal_is_built_into_the_bundle(run: Path, tmp_path: Path) -> None:
    asked = Asked(SamplerConfig("dpm", 4), 1.5, {"object_pos_base_m": [0.1, 0.1, 0.0]}, "lower")
    bundle = open_bundle(export(run, tmp_path / "policy.ashore", asked=asked)).planner()
    assert np.allclose(ends(bundle), ends(run, asked), atol=1e-4)


def test_goals_that_do_not_fit_are_refused(run: Path) -> None:
    with pytest.raises(InvalidGoal, match=r"(?s)object_pos_base_m: not given.*task: not given"):
        load_run(run)
    with pytest.raises(InvalidGoal, match=r"(?s)colour: not a goal.*2 number\(s\); expected 3.*valid: 'lift', 'lower'"):
        load_run(run, Asked(goal={"colour": [1], "object_pos_base_m": [1, 2]}, task="push"))
    with pytest.raises(InvalidGoal, match="must be finite"):
        raw_goal(replace(GOAL, tasks=()), CONTRACT, {"object_pos_base_m": [0, 0, np.nan]})
    with pytest.raises(InvalidGoal, match=r"(?s)no such observation.*Did you mean 'object_pos_base_m'.*drop: 1"):
        GoalConfig(features=("object_pos",), drop=1.0).check(CONTRACT)
