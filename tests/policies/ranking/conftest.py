"""Two policies trained for real on recorded episodes of the point, and recordings of its reality, made once."""

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
from ashore.policies.training import train
from ashore.policies.training_loop import TrainingConfig
from ashore.sim.randomization import draw_episodes

HZ = CONTRACT.control_hz
SHAPE = PolicyConfig(prediction_horizon=8, network=MLPConfig(width=64, blocks=2), sampler=SamplerConfig("euler", 1))
TRAINING = TrainingConfig(
    updates=500, batch_size=128, learning_rate=3e-3, warmup_updates=20, average_decay=0.97, precision="fp32"
)


def record(path: Path, source: str, n: int, reach: float, noise_m: float = 0.0) -> Path:
    """Store n episodes of a point that is told the goal, within reach times the spread."""
    simulation, rng = PointSimulation(n, HZ), np.random.default_rng(len(path.name))
    draws = draw_episodes(simulation.randomization, 17, range(n))
    simulation.reset([{**draw, "goal_m": reach * draw["goal_m"]} for draw in draws], range(n))
    steps = []
    for _ in range(simulation.n_ticks):
        seen = {name: value + noise_m * rng.normal(size=value.shape) for name, value in simulation.observe().items()}
        steps.append((seen, seen["goal_world_m"]))
        simulation.step(seen["goal_world_m"])
    with EpisodeStore.create(path, CONTRACT) as store:
        for i in range(n):
            observations = {name: np.stack([seen[name][i] for seen, _ in steps]) for name in steps[0][0]}
            actions = {"target_world_m": np.stack([target[i] for _, target in steps])}
            time_s = np.arange(len(steps)) / HZ
            store.append(Episode(CONTRACT, observations, actions, time_s, EpisodeMeta(source, success=True)))
    return path


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Runs that learnt from goals everywhere and from goals nearby."""
    folder = tmp_path_factory.mktemp("runs")
    found = {}
    for name, reach in (("everywhere", 1.0), ("nearby", 0.2)):
        store = record(folder / f"{name}-data", "simulation", 60, reach, 0.003)
        found[name] = train([store], folder / name, TRAINING, SHAPE)
    return found


@pytest.fixture(scope="session")
def reality(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Episodes recorded on something else than the simulation: noisier."""
    return record(tmp_path_factory.mktemp("real") / "seen", "twin", 12, 1.0, 0.006)
