"""A small store of real demonstrations, for commands to work on."""

import shutil
from pathlib import Path

import pytest

from ashore.cli.main import main
from ashore.sim.rendering import use_headless_rendering

use_headless_rendering()  # Before any command imports mujoco.


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two episodes of the quadrotor's expert, as `ashore collect` records them."""
    store = tmp_path_factory.mktemp("cli") / "store"
    assert main(["collect", "--task", "quadrotor/hover", "--episodes", "2", "--out", str(store)]) == 0
    return store


@pytest.fixture
def store(recorded: Path, tmp_path: Path) -> Path:
    """The same, a copy that a test may write to."""
    return shutil.copytree(recorded, tmp_path / "store")
