"""Pictures of MuJoCo worlds, with or without a display."""

import os
import sys
from collections.abc import MutableMapping
from ctypes.util import find_library
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from ashore.datasets.errors import UnknownName
from ashore.sim.errors import RenderingUnavailable

if TYPE_CHECKING:
    from ashore.sim.world import World

Array = NDArray[Any]


def use_headless_rendering(environment: MutableMapping[str, str] = os.environ) -> str:
    """Choose how MuJoCo draws where nobody chose, and name it; works only before mujoco is first imported.

    Without any OpenGL nothing is chosen, since mujoco could then not even be imported; a WorldCamera says so.
    """
    if "MUJOCO_GL" not in environment and "DISPLAY" not in environment:
        found = [name for name, library in (("egl", "EGL"), ("osmesa", "OSMesa")) if find_library(library)]
        if found:
            environment["MUJOCO_GL"] = found[0]
            # The software driver's own threads cost more than they bring at these sizes.
            environment.setdefault("LP_NUM_THREADS", "0")
    return environment.get("MUJOCO_GL", "glfw")


def _would_abort(context: str) -> bool:
    """Tell whether mujoco draws by a window system that is not there, which ends the process instead of raising."""
    has_display = any(name in os.environ for name in ("DISPLAY", "WAYLAND_DISPLAY"))
    return sys.platform == "linux" and context.endswith("glfw") and not has_display


class WorldCamera:
    """Draws single simulations of a world through a camera of the scene, or from where all of it is seen."""

    def __init__(
        self, world: "World", size_px: tuple[int, int] = (320, 240), camera: str | None = None, shadows: bool = True
    ) -> None:
        """Open the renderer.

        Args:
            world: whose simulations are drawn.
            size_px: width and height.
            camera: name in the MJCF; None is the first.
            shadows: without them and their smooth edges a picture costs a tenth.

        Raises:
            RenderingUnavailable: no OpenGL works here.
            UnknownName: the scene has no such camera.
        """
        import mujoco

        if _would_abort(mujoco.GLContext.__module__):
            raise RenderingUnavailable("mujoco was imported before a way to draw without a display was chosen")
        self._world = world
        self._mujoco = mujoco
        self._model, self._data = world.view(0)
        names = [self._model.camera(i).name for i in range(self._model.ncam)]
        if camera is not None and camera not in names:
            raise UnknownName("camera", camera, names)
        self._camera = names.index(camera) if camera is not None else (0 if names else -1)
        visual = self._model.vis
        visual.global_.offwidth = max(visual.global_.offwidth, size_px[0])
        visual.global_.offheight = max(visual.global_.offheight, size_px[1])
        visual.quality.offsamples = visual.quality.offsamples if shadows else 0
        try:
            self._renderer = mujoco.Renderer(self._model, height=size_px[1], width=size_px[0])
        except (ImportError, AttributeError, RuntimeError, mujoco.FatalError) as error:
            raise RenderingUnavailable(str(error)) from error
        self._renderer.scene.flags[int(mujoco.mjtRndFlag.mjRND_SHADOW)] = shadows
        self._renderer.scene.flags[int(mujoco.mjtRndFlag.mjRND_REFLECTION)] = shadows

    def render(self, index: int = 0) -> Array:
        """Draw simulation index as (H, W, 3) uint8."""
        self._world.view(index, self._model, self._data)
        self._mujoco.mj_kinematics(self._model, self._data)
        self._mujoco.mj_comPos(self._model, self._data)
        self._mujoco.mj_camlight(self._model, self._data)
        self._renderer.update_scene(self._data, camera=self._camera)
        picture: Array = self._renderer.render()
        return picture.copy()

    def close(self) -> None:
        """Free the renderer."""
        self._renderer.close()
