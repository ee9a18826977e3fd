"""Pictures show the scene where OpenGL is there, and are refused in words where it is not."""

import subprocess
import sys

import pytest

from ashore.sim.rendering import use_headless_rendering

DRAW = """
from ashore.sim.rendering import WorldCamera, use_headless_rendering
use_headless_rendering()
from ashore.datasets.errors import AshoreError
from ashore.sim.tasks import make_task
from ashore.sim.world import World
world = World(make_task("arm/pick-place").scene(), 2, 1)
try:
    camera = WorldCamera(world, (160, 120), shadows=False)
    picture = camera.render(1)
    print(picture.shape, picture.dtype, picture.std() > 20)
    camera.close()
    WorldCamera(world, camera="sky")
except AshoreError as error:
    print(type(error).__name__, error)
"""


def _run(**environment: str) -> str:
    import os

    clean = {key: value for key, value in os.environ.items() if key not in ("MUJOCO_GL", "DISPLAY")}
    done = subprocess.run([sys.executable, "-c", DRAW], capture_output=True, text=True, env={**clean, **environment})
    return done.stdout + done.stderr[-500:]


def test_a_picture_shows_the_scene() -> None:
    words = _run()
    if "RenderingUnavailable" in words:
        pytest.skip("no OpenGL here")
    assert "(120, 160, 3) uint8 True" in words
    assert "no camera 'sky'. Valid: 'overview'" in words


def test_a_machine_without_opengl_is_told_what_to_install() -> None:
    words = _run(MUJOCO_GL="glfw")
    assert "RenderingUnavailable cannot render" in words
    assert "apt-get install libegl1" in words


def test_a_chosen_way_to_draw_is_kept() -> None:
    chosen = {"MUJOCO_GL": "osmesa"}
    assert use_headless_rendering(chosen) == "osmesa" and chosen == {"MUJOCO_GL": "osmesa"}
    shown = {"DISPLAY": ":0"}
    assert use_headless_rendering(shown) == "glfw"
