"""Pictures of the twin: PyBullet's software renderer looks through a camera of the MJCF; no display is needed."""

from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np
import pybullet
from numpy.typing import NDArray

from ashore.datasets.errors import UnknownName
from ashore.sim.twin.engine import TwinEngine
from ashore.sim.twin.urdf import rotation

Array = NDArray[Any]

NEAR_M, FAR_M = 0.02, 20.0
SKY_RGB, HORIZON_RGB = (0.80, 0.85, 0.90), (0.95, 0.96, 0.97)
"""Colours of the background's top and bottom."""


@dataclass(frozen=True)
class CameraConfig:
    """Where a camera of the twin stands and how large its pictures are."""

    eye_world_m: tuple[float, ...]
    forward_world: tuple[float, ...]
    up_world: tuple[float, ...]
    fovy_rad: float
    """Vertical angle of view."""
    width_px: int = 320
    height_px: int = 240
    oversampling: int = 2
    """Pixels drawn along each side of a pixel shown, against jagged edges."""


class TwinCamera:
    """A camera that stands still."""

    def __init__(self, config: CameraConfig) -> None:
        self._config = config
        target = np.add(config.eye_world_m, config.forward_world).tolist()
        self._view = pybullet.computeViewMatrix(config.eye_world_m, target, config.up_world)
        self._projection = pybullet.computeProjectionMatrixFOV(
            float(np.degrees(config.fovy_rad)), config.width_px / config.height_px, NEAR_M, FAR_M
        )

    def render(self, engine: TwinEngine, index: int = 0) -> Array:
        """Draw one simulation of the engine: (H, W, 3) uint8, in about 50 ms at 320 x 240."""
        config = self._config
        fine = config.oversampling
        width, height = config.width_px, config.height_px
        client = engine.clients[index]
        colours, empty = client.image((fine * width, fine * height), self._view, self._projection)
        fade = np.linspace(0.0, 1.0, fine * height)[:, None, None]
        sky = 255.0 * ((1.0 - fade) * np.array(SKY_RGB) + fade * np.array(HORIZON_RGB))
        drawn = np.where(empty[:, :, None], sky, colours)
        mean = drawn.reshape(height, fine, width, fine, 3).mean(axis=(1, 3))
        return np.asarray(mean.round(), dtype=np.uint8)


def make_camera(model: mujoco.MjModel, name: str | None = None, size_px: tuple[int, int] = (320, 240)) -> TwinCamera:
    """Make the camera of this name, or the MJCF's first, or one that sees the whole scene where it has none.

    Args:
        model: the scene, as TwinEngine.model holds it.
        name: an MJCF camera that is fixed to the world.
        size_px: width and height.

    Raises:
        UnknownName: no such camera.
    """
    names = [model.camera(i).name for i in range(model.ncam)]
    if name is None and not names:
        return TwinCamera(_overview(model, size_px))
    chosen = names[0] if name is None else name
    if chosen not in names:
        raise UnknownName("camera", chosen, names)
    index = names.index(chosen)
    axes = rotation(model.cam_quat[index])
    return TwinCamera(
        CameraConfig(
            tuple(model.cam_pos[index].tolist()),
            tuple((-axes[:, 2]).tolist()),
            tuple(axes[:, 1].tolist()),
            float(np.radians(model.cam_fovy[index])),
            *size_px,
        )
    )


def _overview(model: mujoco.MjModel, size_px: tuple[int, int]) -> CameraConfig:
    away = np.array([0.75, -0.75, 0.6])
    eye = model.stat.center + 1.5 * float(model.stat.extent) * away
    return CameraConfig(
        tuple(eye.tolist()), tuple((model.stat.center - eye).tolist()), (0.0, 0.0, 1.0), float(np.radians(45)), *size_px
    )
