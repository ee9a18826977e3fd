"""Consistency: students of a Push-T teacher in one and three evaluations, and in 8 bits, on fresh start states."""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.progress import Progress
from ashore.policies.planner import Planner
from benchmarks.push_t import FULL as TEACHER
from benchmarks.push_t import QUICK as QUICK_TEACHER
from benchmarks.push_t import SAMPLER, STEPS, import_recordings, train_and_score
from benchmarks.row import Row

FIRST_SEED = 300_000
"""Of start states that no candidate was chosen on."""
ONE_STEP_GOAL, THREE_STEP_GOAL, INT8_GOAL = -0.02, -0.01, -0.01
RESAMPLES = 2000
BATCH, LEARNING_RATE, START_STD = 128, 5e-4, 20.0


@dataclass(frozen=True)
class Sizes:
    """How much is distilled and played."""

    updates: int
    forms: tuple[str, ...]
    n_starts: int


FULL = Sizes(updates=10_000, forms=("solution",), n_starts=300)
QUICK = Sizes(updates=50, forms=("solution",), n_starts=3)


def run(quick: bool, folder: Path, progress: Progress) -> list[Row]:
    """Take the teacher of the benchmark push_t, or train it; distil it, and play teacher and students."""
    from ashore.policies.checkpoint import Asked, load_run
    from ashore.policies.generation.samplers import SamplerConfig

    sizes, teachers = (QUICK, QUICK_TEACHER) if quick else (FULL, TEACHER)
    size = "quick" if quick else "full"
    store = import_recordings(folder.with_name("push_t") / "store", progress)
    teacher = folder.with_name("push_t") / size / "seed0"
    train_and_score(store, teacher, teachers.updates, 0, teachers.n_starts, progress)
    seeds = tuple(range(FIRST_SEED, FIRST_SEED + sizes.n_starts))
    guide = episode_scores(load_run(teacher, Asked(SamplerConfig(SAMPLER, STEPS))), seeds, progress)
    rows = [Row.of(f"teacher, {STEPS} evaluations: score over {len(seeds)} fresh starts", float(guide.mean()), "1")]
    for form in sizes.forms:
        student, minutes = distilled(teacher, folder / size / form, form, sizes.updates, progress)
        rows.append(Row.of(f"{form}: CPU time of the distillation", minutes, "min"))
        for steps, goal in ((1, ONE_STEP_GOAL), (3, THREE_STEP_GOAL)):
            asked = Asked(SamplerConfig("consistency", steps))
            scores = episode_scores(load_run(student, asked), seeds, progress)
            rows += compared_rows(f"{form}, {steps} step(s)", scores, ("the teacher's", guide), goal)
        whole, small = (episode_scores(each, seeds, progress) for each in shipped(student))
        rows += compared_rows(f"{form}, 1 step, int8 bundle", small, ("the fp32 bundle's", whole), INT8_GOAL)
    return rows


def shipped(student: Path) -> list[Planner]:
    """Export a student's one-step bundles in fp32 and in int8, and open them."""
    from ashore.policies.bundle import open_bundle
    from ashore.policies.checkpoint import Asked
    from ashore.policies.export import export
    from ashore.policies.generation.samplers import SamplerConfig
    from ashore.policies.quantization import Precision

    asked, precisions = Asked(SamplerConfig("consistency", 1)), ("fp32", "int8")
    made: list[Planner] = []
    for precision in cast(tuple[Precision, ...], precisions):
        bundle = export(student, student / f"{precision}.ashore", asked=asked, precision=precision)
        made.append(open_bundle(bundle).planner())
    return made


def compared_rows(
    name: str, scores: NDArray[np.float64], other: tuple[str, NDArray[np.float64]], goal: float
) -> list[Row]:
    """Compare a policy with another (its name, its scores), start by start; the interval is a bootstrap's over starts.

    The goal is a lower bound of the mean difference.
    """
    differences = scores - other[1]
    rng = np.random.default_rng(0)
    means = rng.choice(differences, (RESAMPLES, len(differences))).mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return [
        Row.of(f"{name}: score", float(scores.mean()), "1"),
        Row.of(
            f"{name}: score less {other[0]} ({low:+.3f} to {high:+.3f})", float(differences.mean()), "1", ">=", goal
        ),
    ]


def distilled(teacher: Path, out: Path, form: str, updates: int, progress: Progress) -> tuple[Path, float]:
    """Distil a teacher, or go on with it; returns the student's run and the CPU-minutes that this call took."""
    from ashore.policies.distillation import DISTILLATION, distill, student_config

    began_s = time.process_time()
    training = replace(DISTILLATION, updates=updates, batch_size=BATCH, learning_rate=LEARNING_RATE)
    distill(teacher, out, training, progress, student_config(teacher, form, START_STD))  # type: ignore[arg-type]
    return out, (time.process_time() - began_s) / 60


def episode_scores(planner: Planner, seeds: tuple[int, ...], progress: Progress) -> NDArray[np.float64]:
    """Play the start states of these seeds and give the largest reward of each episode."""
    from ashore.policies.evaluation import evaluate
    from ashore.sim.gym_task import make_gym_simulation

    simulation = make_gym_simulation(planner.contract.task, min(len(seeds), 50))
    found = evaluate(planner, simulation, [{}] * len(seeds), seeds, progress=progress)
    return np.asarray(found.metrics["max_reward"], np.float64)
