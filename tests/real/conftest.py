"""Small real bundles for tests of processes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ashore.real.cameras import CameraSpec
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


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> CameraSpec:
    """A camera whose part a film plays: two seconds of a red dot that moves."""
    cv2 = pytest.importorskip("cv2", reason="opencv-python is not installed")
    path = tmp_path_factory.mktemp("film") / "dot.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30.0, (128, 96))
    for index in range(60):
        frame = np.full((96, 128, 3), 90, np.uint8)
        cv2.circle(frame, (4 + 2 * index, 48), 8, (0, 0, 255), -1)
        writer.write(frame)
    writer.release()
    return CameraSpec("wrist", str(path), 128, 96)
