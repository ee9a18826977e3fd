"""MuJoCo's own viewer in a window of a virtual screen: it opens, follows, closes, and ends the process in peace."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

WATCH = """
import gymnasium, numpy as np
import ashore.sim.envs
env = gymnasium.make("ashore/arm-reach-v0", render_mode="human")
env.reset(seed=0)
for _ in range(5):
    env.step(env.action_space.sample())
env.close()
print("closed")
"""


@pytest.fixture(scope="module")
def display() -> Iterator[str]:
    """A virtual screen of its own."""
    server = shutil.which("Xvfb")
    if server is None:
        pytest.skip("Xvfb is not installed: the viewer is not opened here (apt-get install xvfb)")
    reading, writing = os.pipe()
    asked = [server, "-displayfd", str(writing), "-screen", "0", "800x600x24", "-nolisten", "tcp"]
    screen = subprocess.Popen(asked, pass_fds=[writing], stderr=subprocess.DEVNULL)
    os.close(writing)
    with os.fdopen(reading) as told:
        number = told.readline().strip()
    time.sleep(0.2)
    yield f":{number}"
    screen.terminate()
    screen.wait(timeout=10)


def _run(display: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "MUJOCO_GL"} | {"DISPLAY": display}
    asked = [sys.executable, *arguments]
    done = subprocess.run(asked, capture_output=True, text=True, env=environment, cwd=folder, timeout=120, check=False)
    if "ViewerUnavailable" in done.stderr or "GLX" in done.stderr:
        pytest.skip(f"no OpenGL in a window here: {done.stderr[-200:]}")
    return done


def test_a_recorded_episode_is_watched(display: str, tmp_path: Path) -> None:
    ashore = "from ashore.cli.main import main; import sys; sys.exit(main(sys.argv[1:]))"
    made = ("collect", "--task", "arm/reach", "--episodes", "1", "--out", "store")
    assert _run(display, tmp_path, "-c", ashore, *made).returncode == 0
    done = _run(display, tmp_path, "-c", ashore, "replay", "store", "--viewer")
    assert done.returncode == 0, done.stderr


def test_an_environment_is_watched(display: str, tmp_path: Path) -> None:
    done = _run(display, tmp_path, "-c", WATCH)
    assert (done.returncode, done.stdout.split()) == (0, ["closed"]), done.stderr
