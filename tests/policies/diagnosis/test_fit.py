"""Curves and errors by noise level, and the one word for them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ashore.policies.checkpoint import load_run, load_settings
from ashore.policies.diagnosis.fit import LevelErrors, denoising_error, level_errors, read_curves, verdict
from ashore.policies.generation.consistency import ConsistencyConfig
from ashore.policies.generation.ddpm import DDPMConfig
from ashore.policies.generation.regression import RegressionConfig
from ashore.policies.generation.samplers import Process, SamplerConfig
from ashore.policies.metrics import read_metrics
from ashore.policies.training import train
from ashore.policies.training_data import open_stores
from ashore.policies.training_loop import TrainingConfig


def rows(losses: list[float], held_out: list[float]) -> list[dict[str, float]]:
    logged = [{"update": 50.0 * i, "loss": loss} for i, loss in enumerate(losses)]
    every = max(1, len(losses) // max(len(held_out), 1))
    for i, loss in enumerate(held_out):
        logged[i * every]["held_out_loss"] = loss
    return logged


def errors(ratio: float) -> LevelErrors:
    return LevelErrors(np.array([0.1, 1.0]), np.array([0.1, 0.2]), ratio * np.array([0.1, 0.2]))


FLAT = [0.2] * 20
FALLING = list(np.geomspace(1.0, 0.05, 20))


@pytest.mark.parametrize(
    ("losses", "held_out", "ratio", "word"),
    [
        (FLAT, [0.5, 0.3, 0.4, 0.5], 1.0, "overfits"),
        (FLAT, [0.5, 0.3, 0.3], 2.0, "overfits"),
        (FLAT, [0.5, 0.3, 0.3], 1.1, "sound"),
        (FALLING, [0.5, 0.3, 0.2], 1.1, "still learning"),
        (FALLING, [0.2, 0.3, 0.5], 2.0, "overfits"),
    ],
)
def test_the_word_follows_from_the_figures(losses: list[float], held_out: list[float], ratio: float, word: str) -> None:
    assert verdict(read_curves(rows(losses, held_out)), errors(ratio)) == word


def test_a_student_far_behind_its_teacher_is_still_learning() -> None:
    curves = read_curves(rows(FLAT, [0.5, 0.3, 0.3]))
    assert verdict(curves, errors(1.1), 1.6) == "still learning"
    assert verdict(curves, errors(1.1), 1.1) == "sound"


def test_little_is_said_of_little() -> None:
    few = read_curves(rows([0.5, 0.4], [0.5]))
    assert (few.rise, few.fall, verdict(few, None)) == (None, None, "unknown")
    assert verdict(None, None) == "unknown"


def test_the_update_with_the_best_held_out_loss_is_named() -> None:
    curves = read_curves(rows(FLAT, [0.5, 0.2, 0.3, 0.5]))
    assert curves.best_update == 250
    assert curves.rise == pytest.approx(2.5)


def test_a_trained_network_cleans_better_than_the_noise_and_knows_what_it_learnt(runs: dict[str, Path]) -> None:
    planner, (settings, _, _) = load_run(runs["everywhere"]), load_settings(runs["everywhere"])
    data = open_stores(settings.stores, settings.policy, 0)
    held_out, learnt = data.gather(data.held_indices[:200]), data.gather(data.learnt_indices[:200])
    found = level_errors(planner.policy, learnt, held_out)
    assert np.all(found.learnt < np.minimum(found.levels, 0.5))
    assert np.all(np.isfinite(found.held_out))
    assert level_errors(planner.policy, learnt, learnt).gap == pytest.approx(1.0)


def test_the_error_is_measured_alike_twice(runs: dict[str, Path]) -> None:
    policy = load_run(runs["everywhere"]).policy
    windows = (torch.rand(16, 2, 4), torch.rand(16, 8, 2), torch.zeros(16, 0))
    assert denoising_error(policy, windows, 0.3) == denoising_error(policy, windows, 0.3)


PROCESSES = (DDPMConfig(), ConsistencyConfig(form="training"), RegressionConfig())


@pytest.mark.parametrize("process", PROCESSES, ids=lambda process: process.kind)
def test_every_process_is_asked_in_its_own_way(process: Process, runs: dict[str, Path], tmp_path: Path) -> None:
    settings, _, _ = load_settings(runs["everywhere"])
    shape = replace(settings.policy, process=process, sampler=SamplerConfig())
    run = train(settings.stores, tmp_path / "run", TrainingConfig(**settings.training), shape)
    data = open_stores(settings.stores, shape, 0)
    found = level_errors(load_run(run).policy, data.gather(data.learnt_indices), data.gather(data.held_indices))
    low = found.levels <= 0.3
    assert np.all(found.learnt[low] < 0.5)  # The chunks' own standard deviation: what guessing the mean would miss by.
    assert process.kind == "regression" or np.all(found.learnt[low] < 1.5 * found.levels[low])
    assert (np.ptp(found.learnt) == 0) == (process.kind == "regression")


def test_curves_are_read_from_a_run(runs: dict[str, Path]) -> None:
    curves = read_curves(read_metrics(runs["everywhere"]))
    assert curves.updates[-1] == curves.held_out_updates[-1] == 250
    assert np.all(curves.loss > 0)
