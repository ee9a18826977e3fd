"""Push-T: train on the human demonstrations, score in the published environment from its 50 start states."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from ashore.datasets.errors import UnreadableFile
from ashore.datasets.progress import Progress
from ashore.policies.planner import Planner
from benchmarks.row import Row

ARCHIVE = Path("pusht_human") / "pusht_cchi_v7_replay.zarr"
PAPER = "Diffusion Policy (CNN, 100 levels), published: best checkpoint, 3 seeds"
PAPER_SCORE, PAPER_LAST = 0.95, 0.91
MINUTES, QUICK_MINUTES = 8.0, 1.0
QUICK_EPISODES = 10
STUDENT_SHARE = 0.3
"""Time of the distillation beside that of the training."""


def run(quick: bool, folder: Path, progress: Progress) -> list[Row]:
    """Import the recordings, train a teacher for some minutes, distil it, and score both."""
    from ashore.policies.checkpoint import load_run
    from ashore.policies.distillation import DISTILLATION, distill
    from ashore.policies.policy import PolicyConfig
    from ashore.policies.training import train
    from ashore.policies.training_loop import TrainingConfig
    from ashore.sim.pusht import TEST_SEEDS

    minutes = QUICK_MINUTES if quick else MINUTES
    place = folder / ("quick" if quick else "full")
    seeds = TEST_SEEDS[:QUICK_EPISODES] if quick else TEST_SEEDS
    store = import_recordings(folder / "store", progress)
    shape = PolicyConfig(obs_horizon=2, prediction_horizon=16, action_horizon=8)
    teacher = train([store], place / "teacher", TrainingConfig(minutes=minutes), shape, progress)
    short = replace(DISTILLATION, minutes=STUDENT_SHARE * minutes)
    # People push the T one way or the other: several chunks are right, and a start near the mean lies between them.
    student = distill(teacher, place / "student", short, progress, start_std=20.0)
    rows = []
    for name, run_path in (("diffusion", teacher), ("one-step consistency", student)):
        rows += score_rows(f"{name}, {minutes:g} min of training", load_run(run_path), seeds, progress)
    return rows


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


def score_rows(name: str, planner: Planner, seeds: tuple[int, ...], progress: Progress) -> list[Row]:
    """Play the start states of these seeds for 300 steps each; the score is the largest reward of an episode."""
    from ashore.policies.evaluation import evaluate
    from ashore.sim.gym_task import make_gym_simulation

    simulation = make_gym_simulation(planner.contract.task, min(len(seeds), 25))
    found = evaluate(planner, simulation, [{}] * len(seeds), seeds, progress=progress)
    score = float(np.mean(found.metrics["max_reward"]))
    return [
        Row.against(f"{name}: mean score of {len(seeds)}", score, "1", (PAPER, PAPER_SCORE), ">="),
        Row.against(f"{name}: the same beside its last ten", score, "1", ("mean of last 10 checkpoints", PAPER_LAST)),
        Row.of(f"{name}: success, coverage above 0.95", float(np.mean(found.success)), "share"),
        Row.of(f"{name}: wall time of an episode", 1e3 * found.wall_s / len(seeds), "ms"),
    ]
