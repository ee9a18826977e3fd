"""Pictures show what a randomization says of textures, colours, lights and cameras."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "cell.yaml"
DRAW = """
import sys
from pathlib import Path
from ashore.sim.rendering import WorldCamera, use_headless_rendering
use_headless_rendering()
import numpy as np
from ashore.datasets.errors import AshoreError
from ashore.sim.randomization import Randomization
from ashore.sim.randomization.files import load_randomization
from ashore.sim.tasks import make_task
from ashore.sim.world import World
task = make_task("arm/pick-place")
whole = load_randomization(Path(sys.argv[1]), task)
for parameter in whole.parameters:
    if parameter.group != "appearance":
        continue
    alone = Randomization((parameter,))
    draws = [alone.draw(np.random.default_rng(i)) for i in range(4)]
    world = World(task.scene(), 4, 1)
    world.check(alone)
    world.randomize(np.arange(4), draws, alone)
    try:
        camera = WorldCamera(world, (96, 72), shadows=False)
    except AshoreError as error:
        print(type(error).__name__)
        break
    drawn = len({draw[parameter.name].tobytes() for draw in draws})
    print(parameter.name, drawn > 1, len({camera.render(i).tobytes() for i in range(4)}) == drawn)
    camera.close()
"""


def test_each_parameter_of_appearance_changes_the_picture_as_often_as_it_is_drawn_anew() -> None:
    clean = {key: value for key, value in os.environ.items() if key not in ("MUJOCO_GL", "DISPLAY")}
    done = subprocess.run(
        [sys.executable, "-c", DRAW, str(EXAMPLE)], capture_output=True, text=True, env=clean, check=False
    )
    if "RenderingUnavailable" in done.stdout:
        pytest.skip("no OpenGL here")
    lines = done.stdout.split("\n")[:-1]
    assert len(lines) >= 6, done.stderr[-500:]
    assert all(line.endswith("True True") for line in lines), lines
