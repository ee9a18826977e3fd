"""Seams: how rough actions are where chunks meet, blended against changed at once, and what that does to success."""

from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.progress import Progress
from ashore.policies import evaluation
from ashore.policies.diagnosis.rollouts import Recorder, Rollout
from ashore.policies.execution.executor import BLEND_ROWS, ChunkExecutor
from ashore.policies.planner import Planner
from benchmarks.push_t import FULL as TEACHER
from benchmarks.push_t import QUICK as QUICK_TEACHER
from benchmarks.push_t import SAMPLER, STEPS, import_recordings, train_and_score
from benchmarks.row import Row

FIRST_SEED, N_STARTS, QUICK_STARTS = 400_000, 200, 3
GOAL = 0.2
"""Of the jerk at seams, blended over naive; all of it, and what the actions themselves do not have elsewhere."""


def run(quick: bool, folder: Path, progress: Progress) -> list[Row]:
    """Play the teacher of the benchmark push_t from the same start states in both ways."""
    from ashore.policies.checkpoint import Asked, load_run
    from ashore.policies.generation.samplers import SamplerConfig

    teachers, n = (QUICK_TEACHER, QUICK_STARTS) if quick else (TEACHER, N_STARTS)
    store = import_recordings(folder.with_name("push_t") / "store", progress)
    teacher = folder.with_name("push_t") / ("quick" if quick else "full") / "seed0"
    train_and_score(store, teacher, teachers.updates, 0, teachers.n_starts, progress)
    planner = load_run(teacher, Asked(SamplerConfig(SAMPLER, STEPS)))
    seeds = tuple(range(FIRST_SEED, FIRST_SEED + n))
    naive, blended = (play(planner, seeds, rows, progress) for rows in (0, BLEND_ROWS))
    jerks = [seam_jerk(rollouts) for _, rollouts in (naive, blended)]
    within = within_jerk(naive[1])
    scores = [np.asarray(found.metrics["max_reward"], np.float64) for found, _ in (naive, blended)]
    return [
        Row.against("jerk at seams, blended", jerks[1], "px a step^3", ("changed at once", jerks[0]), "<=", GOAL),
        Row.of("jerk within chunks", within, "px a step^3"),
        Row.against(
            "jerk at seams beyond that within chunks, blended",
            jerks[1] - within,
            "px a step^3",
            ("changed at once", jerks[0] - within),
            "<=",
            GOAL,
        ),
        Row.against("score, blended", float(scores[1].mean()), "1", ("changed at once", float(scores[0].mean()))),
        Row.of("score, blended less changed at once", float((scores[1] - scores[0]).mean()), "1", ">=", -0.01),
        Row.of(
            "success, blended less changed at once",
            float(blended[0].success.mean() - naive[0].success.mean()),
            "share",
            ">=",
            -0.02,
        ),
    ]


def play(
    planner: Planner, seeds: tuple[int, ...], blend_rows: int, progress: Progress
) -> tuple[evaluation.Evaluation, tuple[Rollout, ...]]:
    """Play the start states of these seeds with chunks that are blended over so many rows."""
    from ashore.sim.gym_task import make_gym_simulation

    recorder, simulation = Recorder(), make_gym_simulation(planner.contract.task, min(len(seeds), 50))
    with patch.object(evaluation, "ChunkExecutor", partial(ChunkExecutor, blend_rows=blend_rows)):
        found = evaluation.evaluate(planner, simulation, [{}] * len(seeds), seeds, 0.0, progress, recorder)
    return found, recorder.rollouts(found)


def seam_jerk(rollouts: tuple[Rollout, ...]) -> float:
    """Give the mean size of third differences of actions, over those that span the first step of a new chunk."""
    return float(np.mean(np.concatenate([_jerks(each)[_spans_seam(each)] for each in rollouts])))


def within_jerk(rollouts: tuple[Rollout, ...]) -> float:
    """Give the same of all others."""
    return float(np.mean(np.concatenate([_jerks(each)[~_spans_seam(each)] for each in rollouts])))


def _jerks(rollout: Rollout) -> NDArray[np.float64]:
    return np.asarray(np.linalg.norm(np.diff(rollout.actions.astype(np.float64), 3, axis=0), axis=1))


def _spans_seam(rollout: Rollout) -> NDArray[np.bool_]:
    is_new = np.diff(rollout.plans) != 0
    return np.asarray(is_new[:-2] | is_new[1:-1] | is_new[2:])
