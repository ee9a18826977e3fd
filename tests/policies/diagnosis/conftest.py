"""Two policies of the point, trained for real: one on goals everywhere, one on few goals nearby; made once."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))

from point_cases import CONTRACT, PointSimulation

from ashore.datasets.episode import Episode, EpisodeMeta
from ashore.datasets.store import EpisodeStore
from ashore.policies.generation.samplers import SamplerConfig
from ashore.policies.networks.mlp import MLPConfig
from ashore.policies.policy import PolicyConfig
from ashore.policies.training import TrainingConfig, train
from ashore.sim.randomization import draw_episodes

HZ = CONTRACT.control_hz
NETWORK = MLPConfig(width=64, blocks=2)
SHAPE = PolicyConfig(prediction_horizon=8, network=NETWORK, sampler=SamplerConfig("euler", 1))
TRAINING = TrainingConfig(
    updates=250, batch_size=128, learning_rate=3e-3, warmup_updates=20, average_decay=0.97, precision="float32"
)


def record(path: Path, n: int, reach: float) -> Path:
    """Store n episodes of a point that is told the goal, within reach times the spread, with noisy senses."""
    simulation, rng = PointSimulation(n, HZ), np.random.default_rng(0)
    draws = draw_episodes(simulation.randomization, 17, range(n))
    simulation.reset([{**draw, "goal_m": reach * draw["goal_m"]} for draw in draws], range(n))
    steps = []
    for _ in range(simulation.n_ticks):
        seen = {name: value + 0.003 * rng.normal(size=value.shape) for name, value in simulation.observe().items()}
        steps.append(seen)
        simulation.step(seen["goal_world_m"])
    with EpisodeStore.create(path, CONTRACT) as store:
        for i in range(n):
            observations = {name: np.stack([seen[name][i] for seen in steps]) for name in steps[0]}
            actions = {"target_world_m": np.stack([seen["goal_world_m"][i] for seen in steps])}
            meta = EpisodeMeta("simulation", success=True, metrics={"injected_noise": 0.0})
            store.append(Episode(CONTRACT, observations, actions, np.arange(len(steps)) / HZ, meta))
    return path


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Runs that learnt from many goals everywhere and from few nearby."""
    folder = tmp_path_factory.mktemp("runs")
    found = {}
    for name, n, reach in (("everywhere", 60, 1.3), ("nearby", 12, 0.2)):
        found[name] = train([record(folder / f"{name}-data", n, reach)], folder / name, TRAINING, SHAPE)
    return found
