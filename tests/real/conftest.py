"""Small real bundles for tests of processes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ashore.sim.tasks import make_task
from benchmarks.linear_bundles import hover_gains, linear_bundle, marked_hover


@pytest.fixture(scope="session")
def hover_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy that hovers."""
    task = make_task("quadrotor/hover")
    folder = tmp_path_factory.mktemp("hover")
    return linear_bundle(folder / "hover.ashore", task.contract, task.robot.card, *hover_gains(task.contract))


@pytest.fixture(scope="session")
def marked_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy that hovers and whose commands can be told from the guard's own."""
    return marked_hover(tmp_path_factory.mktemp("marked") / "marked.ashore")


@pytest.fixture(scope="session")
def slower_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy at half the rate of the task that the twin plays."""
    task = make_task("quadrotor/hover")
    contract = replace(task.contract, control_hz=25.0)
    folder = tmp_path_factory.mktemp("slower")
    return linear_bundle(folder / "slower.ashore", contract, task.robot.card, *hover_gains(contract))
