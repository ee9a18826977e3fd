"""Look at a running world: pictures on demand, or MuJoCo's own viewer in a window."""

import os
import sys
import threading
import time
from typing import Any, Protocol

from numpy.typing import NDArray

from ashore.sim.engine import Engine
from ashore.sim.errors import ViewerUnavailable
from ashore.sim.rendering import WorldCamera
from ashore.sim.world import World

Array = NDArray[Any]
CLOSING_S = 5.0
"""How long a window may take to close."""


class Window(Protocol):
    """What shows an environment, if anything does."""

    def refresh(self) -> None:
        """Show the world as it is now."""

    def picture(self, index: int) -> Array | None:
        """Draw simulation index as (H, W, 3) uint8; None where no pictures are made."""

    def close(self) -> None:
        """Free what draws."""


class NoWindow:
    """Shows nothing."""

    def refresh(self) -> None:
        """Nothing is shown."""

    def picture(self, index: int) -> None:
        """No picture is made."""

    def close(self) -> None:
        """Nothing is open."""


class Pictures:
    """Draws when it is asked to."""

    def __init__(self, world: World) -> None:
        self._camera = WorldCamera(world)

    def refresh(self) -> None:
        """Nothing is shown until it is asked for."""

    def picture(self, index: int) -> Array:
        """Draw simulation index as (H, W, 3) uint8."""
        return self._camera.render(index)

    def close(self) -> None:
        """Free the renderer."""
        self._camera.close()


class Viewer:
    """MuJoCo's passive viewer on the first simulation, at the speed of time or slower."""

    def __init__(self, world: World, period_s: float) -> None:
        """Open the window.

        Raises:
            ViewerUnavailable: there is no screen.
        """
        require_screen()
        import mujoco.viewer

        self._world, self._period_s = world, period_s
        self._model, self._data = world.view(0)
        before = set(threading.enumerate())
        try:
            self._handle = mujoco.viewer.launch_passive(
                self._model, self._data, show_left_ui=False, show_right_ui=False
            )
        except RuntimeError as error:
            raise ViewerUnavailable(str(error)) from error
        self._drawing = [thread for thread in threading.enumerate() if thread not in before]
        self._shown_s = time.monotonic()
        # From the front and above, as the cell's own camera; the mouse turns it.
        camera = self._handle.cam
        camera.lookat[:] = self._model.stat.center
        camera.distance, camera.azimuth, camera.elevation = 1.9 * self._model.stat.extent, 135.0, -25.0

    @property
    def is_open(self) -> bool:
        """Whether the person has not closed it."""
        return bool(self._handle.is_running())

    def refresh(self) -> None:
        """Show the first simulation, one period after the last one at the earliest."""
        with self._handle.lock():
            self._world.view(0, self._model, self._data)
        time.sleep(max(0.0, self._shown_s + self._period_s - time.monotonic()))
        self._shown_s = time.monotonic()
        if self.is_open:
            self._handle.sync()

    def picture(self, index: int) -> None:
        """A window makes no pictures."""

    def close(self) -> None:
        """Close the window, and wait until it is: a thread that still draws ends the process when that ends."""
        self._handle.close()
        for thread in self._drawing:
            thread.join(CLOSING_S)


def make_window(engine: Engine, render_mode: str | None, period_s: float) -> Window:
    """Make what a Gymnasium render mode asks for: rgb_array, human or None; only MuJoCo's worlds are shown.

    Raises:
        RenderingUnavailable: no OpenGL works here.
        ViewerUnavailable: there is no screen.
    """
    if render_mode is None or not isinstance(engine, World):
        return NoWindow()
    return Pictures(engine) if render_mode == "rgb_array" else Viewer(engine, period_s)


def require_screen() -> None:
    """Check that a window can be opened, before a library that would end the process finds out.

    Raises:
        ViewerUnavailable: Linux without DISPLAY and WAYLAND_DISPLAY.
    """
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise ViewerUnavailable("there is no display")
