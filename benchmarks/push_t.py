"""Push-T: train on the human demonstrations, score in the published environment from its 50 start states."""

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from ashore.datasets.errors import UnreadableFile
from ashore.datasets.progress import Progress
from ashore.policies.planner import Planner
from benchmarks.row import Row

if TYPE_CHECKING:
    from ashore.policies.policy import PolicyConfig

ARCHIVE = Path("pusht_human") / "pusht_cchi_v7_replay.zarr"
PAPER = "Diffusion Policy (CNN, 100 levels), published: best checkpoint, 3 seeds"
PAPER_LAST = "Diffusion Policy (CNN, 100 levels), published: mean of the last 10 checkpoints"
IMAGE_POLICY = "Diffusion Policy from images, published with LeRobot"
PAPER_EPISODES = 90
"""That the published state policy was trained on."""
BATCH, LEARNING_RATE = 128, 2e-3
"""Small batches, because on a CPU it is updates that count."""
SAMPLER: Literal["euler"] = "euler"
STEPS = 5
SHORT_MINUTES = 10.0


@dataclass(frozen=True)
class Sizes:
    """How much is trained and scored."""

    updates: int
    seeds: tuple[int, ...]
    short_updates: int
    """Of the run that shall end within ten CPU-minutes."""
    n_starts: int


FULL = Sizes(updates=80_000, seeds=(0, 1, 2), short_updates=22_000, n_starts=50)
QUICK = Sizes(updates=200, seeds=(0,), short_updates=100, n_starts=3)


@dataclass(frozen=True)
class Found:
    """What a run's candidates score."""

    minutes: float
    """CPU time of the training."""
    updates: tuple[int, ...]
    scores: tuple[float, ...]
    """Mean of the largest reward of each episode, one a candidate."""
    success: tuple[float, ...]
    """Share of episodes whose coverage exceeds 0.95, one a candidate."""


def run(quick: bool, folder: Path, progress: Progress) -> list[Row]:
    """Import the recordings, train with several seeds, and score the last ten candidates of each run."""
    sizes = QUICK if quick else FULL
    place = folder / ("quick" if quick else "full")
    store = import_recordings(folder / "store", progress)
    short = train_and_score(store, place / "short", sizes.short_updates, 0, sizes.n_starts, progress)
    found = [
        train_and_score(store, place / f"seed{s}", sizes.updates, s, sizes.n_starts, progress) for s in sizes.seeds
    ]
    few = train_and_score(
        first_episodes(store, place / "store90"), place / "episodes90", sizes.updates, 0, sizes.n_starts, progress
    )
    rows = seed_rows(f"{len(sizes.seeds)} seed(s), {np.mean([f.minutes for f in found]):.0f} CPU-min", found)
    rows += seed_rows(f"{PAPER_EPISODES} episodes as published, {few.minutes:.0f} CPU-min", [few])
    in_time = max(short.scores) if short.minutes <= SHORT_MINUTES else 0.0
    told = f"best of the last 10 of a run of {short.minutes:.1f} CPU-min, goal within {SHORT_MINUTES:g}"
    rows.append(Row.of(told, in_time, "1", ">=", 0.95))
    curve = zip(found[0].updates, found[0].scores, strict=True)
    return rows + [Row.of(f"seed {sizes.seeds[0]}, score after {update} updates", s, "1") for update, s in curve]


def seed_rows(name: str, found: list[Found]) -> list[Row]:
    """Compare the best and the mean of the last ten candidates, averaged over seeds, with the published figures."""
    best = float(np.mean([max(f.scores) for f in found]))
    last = float(np.mean([np.mean(f.scores) for f in found]))
    success = float(np.mean([np.mean(f.success) for f in found]))
    most = float(np.mean([max(f.success) for f in found]))
    return [
        Row.against(f"{name}: score, best of the last 10", best, "1", (PAPER, 0.95), ">=", 0.97 / 0.95),
        Row.against(f"{name}: score, mean of the last 10", last, "1", (PAPER_LAST, 0.91), ">=", 0.94 / 0.91),
        Row.against(f"{name}: success, mean of the last 10", success, "share", (IMAGE_POLICY, 0.65), ">=", 1.0),
        Row.of(f"{name}: success, best of the last 10", most, "share"),
    ]


def train_and_score(store: Path, run: Path, updates: int, seed: int, n_starts: int, progress: Progress) -> Found:
    """Train a policy, or go on with one, and score its ten candidates; what is on file is not done again."""
    from ashore.policies.checkpoint import Asked, candidates, load_run
    from ashore.policies.generation.samplers import SamplerConfig
    from ashore.policies.training import train
    from ashore.policies.training_loop import TrainingConfig
    from ashore.sim.pusht import TEST_SEEDS

    note = run / "scores.json"
    if note.exists():
        raw = json.loads(note.read_text())
        return Found(raw["minutes"], *(tuple(raw[name]) for name in ("updates", "scores", "success")))
    began_s = time.process_time()
    training = TrainingConfig(
        updates=updates,
        batch_size=BATCH,
        learning_rate=LEARNING_RATE,
        seed=seed,
        candidates=10,
        warmup_updates=200,
    )
    train([store], run, training, policy_shape(), progress)
    minutes, files = (time.process_time() - began_s) / 60, candidates(run)
    scores, success = [], []
    for file in files:
        planner = load_run(run, Asked(SamplerConfig(SAMPLER, STEPS), weights=file))
        reached, rate = score(planner, TEST_SEEDS[:n_starts], progress)
        scores.append(reached)
        success.append(rate)
    found = {"minutes": minutes, "updates": [int(f.stem) for f in files], "scores": scores, "success": success}
    note.write_text(json.dumps(found))
    return Found(minutes, *(tuple(found[name]) for name in ("updates", "scores", "success")))  # type: ignore[arg-type]


def policy_shape() -> "PolicyConfig":
    """Give the published horizons with the smallest MLP."""
    from ashore.policies.policy import PolicyConfig

    return PolicyConfig(obs_horizon=2, prediction_horizon=16, action_horizon=8)


def first_episodes(store: Path, out: Path) -> Path:
    """Copy as many episodes as the published run had, drawn by its seed, 42."""
    from ashore.datasets.curating import copy
    from ashore.datasets.store import EpisodeStore

    if not out.exists():
        source = EpisodeStore.open(store, readonly=True)
        chosen = np.random.default_rng(42).permutation(len(source))[:PAPER_EPISODES]
        copy(source, sorted(chosen.tolist()), out)
    return out


def import_recordings(store: Path, progress: Progress) -> Path:
    """Turn the human demonstrations into a store, or take the one that is there.

    Raises:
        UnreadableFile: the recordings are neither in $ASHORE_DATA nor in ../shared/data.
    """
    from ashore.datasets.formats import import_episodes

    if store.exists():
        return store
    source = Path(os.environ.get("ASHORE_DATA", "../shared/data")) / ARCHIVE
    if not source.exists():
        way_out = "Set ASHORE_DATA to the folder that holds pusht_human."
        raise UnreadableFile(source, "the human Push-T recordings", "it is not there", way_out)
    import_episodes("diffusion-policy", source, store, progress=progress)
    return store


def score(planner: Planner, seeds: tuple[int, ...], progress: Progress) -> tuple[float, float]:
    """Play the start states of these seeds for 300 steps each.

    Returns:
        Mean of each episode's largest reward, and the share of episodes that succeed.
    """
    from ashore.policies.evaluation import evaluate
    from ashore.sim.gym_task import make_gym_simulation

    simulation = make_gym_simulation(planner.contract.task, min(len(seeds), 50))
    found = evaluate(planner, simulation, [{}] * len(seeds), seeds, progress=progress)
    return float(np.mean(found.metrics["max_reward"])), float(np.mean(found.success))
