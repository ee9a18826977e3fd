"""The weakest thirds of the draws are told, and the chart has a panel for each drawn number."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ashore.cli.evaluate import show_slices
from ashore.cli.slice_chart import draw_slices
from ashore.policies.evaluation import Evaluation
from ashore.policies.intervals import wilson
from ashore.sim.randomization import Draw, draw_episodes
from ashore.sim.tasks import make_task


def _heavy_ones_fail() -> tuple[list[Draw], np.ndarray]:
    draws = draw_episodes(make_task("arm/pick-place").randomization("wide"), 0, range(120))
    return draws, np.array([float(draw["object_mass"]) < 2.0 for draw in draws])


def test_each_drawn_number_has_a_panel(tmp_path: Path) -> None:
    draws, success = _heavy_ones_fail()
    numbers = sum(np.size(value) for value in draws[0].values())
    assert draw_slices(draws, success, tmp_path / "deep" / "slices.png") == numbers
    picture = np.asarray(Image.open(tmp_path / "deep" / "slices.png").convert("RGB"))
    assert picture.shape[0] > 600 and picture.std() > 10


def test_the_weakest_third_comes_first(capsys: pytest.CaptureFixture[str]) -> None:
    draws, success = _heavy_ones_fail()
    zeros = np.zeros(120, dtype=int)
    interval = wilson(int(success.sum()), 120)
    show_slices(Evaluation(success, {}, interval, zeros, zeros, {}, draws, list(range(120)), 0.0, 1.0))
    told = capsys.readouterr().out
    assert told.index("object_mass") < min(
        told.index(name) for name in ("pad_friction", "_noise", "bias") if name in told
    )
