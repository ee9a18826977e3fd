"""Pictures of an arm at home, on the table of the cell."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.sim.arms.arm import Arm
from ashore.sim.arms.trials import cell_with
from ashore.sim.rendering import WorldCamera
from ashore.sim.world import World

Array = NDArray[Any]
SIDE = {"pos": [0.35, -1.75, 0.45], "xyaxes": [1.0, 0.0, 0.0, 0.0, 0.12, 0.9928], "fovy": 38.0}
"""A camera at the arm's right, looking across it."""
VIEWS = ("overview", "side")


def portrait(arm: Arm, view: str, size_px: tuple[int, int]) -> Array:
    """Draw an arm at home, gripper open, from one of VIEWS: (H, W, 3) uint8.

    Raises:
        RenderingUnavailable: no OpenGL works here.
    """
    scene = cell_with(arm)
    scene.worldbody.add_camera(name="side", **SIDE)
    world, one = World(scene, 1), np.array([0])
    arm.place(world, one, np.array([arm.spec.home_rad]), np.array([[arm.spec.gripper.width_m]]))
    camera = WorldCamera(world, size_px, camera=view)
    picture = camera.render()
    camera.close()
    return picture
