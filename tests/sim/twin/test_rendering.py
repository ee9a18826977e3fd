"""Pictures of the twin."""

from pathlib import Path

import numpy as np
import pytest

from ashore.datasets.errors import UnknownName
from ashore.sim.twin.engine import TwinEngine
from ashore.sim.twin.rendering import make_camera


def test_a_picture_shows_the_cube_where_it_is_put(arm_path: Path) -> None:
    with TwinEngine(arm_path, 1) as twin:
        camera = make_camera(twin.model, "front", size_px=(80, 60))
        columns = []
        for side in (-0.2, 0.2):
            twin.place_body(np.array([0]), "cube", np.array([[side, side, 0.02, 1.0, 0.0, 0.0, 0.0]]))
            image = camera.render(twin)
            red = (image[:, :, 0].astype(int) - image[:, :, 1]) > 80
            columns.append(float(np.mean(np.nonzero(red)[1])))
        assert image.shape == (60, 80, 3)
        assert image.dtype == np.uint8
        assert columns[1] > columns[0] + 5


def test_an_unknown_camera_is_told(arm_path: Path) -> None:
    with TwinEngine(arm_path, 1) as twin, pytest.raises(UnknownName, match="Did you mean 'front'"):
        make_camera(twin.model, "frnt")
