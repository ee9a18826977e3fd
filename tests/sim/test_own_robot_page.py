"""The page "Your own robot in 15 minutes": its files are written, its commands run, and what it promises is there."""

import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.own_robot_page import PAGE, commands, write_files
from tests.playing import play

from ashore.datasets.store import EpisodeStore
from ashore.sim.arms.spec import ArmSpec, GripperSpec
from ashore.sim.arms.trials import Bench
from ashore.sim.robots import make_arm
from ashore.sim.simulation import Simulation
from ashore.sim.tasks import make_task
from ashore.sim.twin.engine import TwinEngine

ARMS = ("my_arm/robot.yaml", "my_mjcf_arm/robot.yaml")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A reader's folder, with the page's files in it, in which the commands are called."""
    write_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_the_page_says_can_be_done(folder: Path) -> None:
    said = ""
    for words in commands():
        # A process each, as a reader has it: how MuJoCo draws is chosen before it is first imported.
        ran = subprocess.run([sys.executable, "-m", "ashore.cli.main", *words[1:]], capture_output=True, text=True)
        assert words[0] == "ashore"
        assert ran.returncode == 0, ran.stdout + ran.stderr
        said += ran.stdout
    assert "\u2502 good " in said
    assert "\u2502 odd " not in said
    for name in ("my", "mjcf"):
        store = EpisodeStore.open(folder / "out" / f"{name}_demonstrations", readonly=True)
        assert len(store) == 5
        assert all(store.read(index).meta.success for index in range(5))
    for arm in ("my_arm", "my_mjcf_arm"):
        for picture in ("home_overview", "home_side", "steps"):
            pixels = np.asarray(Image.open(folder / "out" / arm / f"{picture}.png").convert("L"))
            assert pixels.std() > 5.0, picture
    assert Image.open(folder / "out" / "my_episode.gif").n_frames > 10


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("file", ARMS)
def test_the_made_servos_are_lags_of_the_time_that_the_file_says(file: str) -> None:
    bench = Bench(make_arm(file))
    for number in range(len(bench.joints)):
        assert bench.step(number).rise_s == pytest.approx(bench.arm.spec.servo_time_s, rel=0.1)
    assert np.abs(bench.hold().sag_rad).max() < 1e-6


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("file", ARMS)
def test_the_same_files_run_in_the_twin(file: str) -> None:
    task = make_task(f"arm/pick-place@{file}")
    with TwinEngine(task.scene(), 2) as engine:
        assert play(Simulation(task, engine, task.randomization("none")), seed=0).success.all()


def test_every_key_is_explained() -> None:
    text = PAGE.read_text(encoding="utf-8")
    keys = [item.name for item in fields(ArmSpec) if item.name != "gripper"]
    keys += [f"gripper.{item.name}" for item in fields(GripperSpec)]
    assert not [key for key in keys if f"`{key}`" not in text]
