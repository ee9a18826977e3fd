"""`ashore replay`: look at a recorded episode."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from numpy.typing import NDArray
from tyro.conf import Positional

if TYPE_CHECKING:
    from ashore.datasets.episode import Episode
    from ashore.datasets.progress import Progress
    from ashore.sim.engine import Engine
    from ashore.sim.task import Task

Array = NDArray[Any]
PALETTE_FRAMES = 8
"""Pictures that the GIF's colours are chosen from, so that small things keep theirs."""
HOLD_MS = 1000
"""How long the last picture stays before the GIF starts again."""


@dataclass(frozen=True)
class Replay:
    """Render a recorded episode as a GIF: the robot and its objects as they were observed, step by step.

    For example:

      ashore replay out/arm --episode 3 --out out/episode.gif
      ashore replay out/seen --episode 0 --engine twin --out out/twin.gif
    """

    store: Annotated[Path, Positional]
    """Folder of the store."""
    episode: int = 0
    """Index of the episode; -1 is the last."""
    out: Path = Path("episode.gif")
    """The GIF."""
    engine: Literal["mujoco", "twin"] = "mujoco"
    """Whose renderer draws: MuJoCo's, or PyBullet's, which needs no EGL and no display."""
    width_px: int = 320
    """Width of the picture."""
    height_px: int = 240
    """Height of the picture."""
    pictures_hz: float = 12.5
    """Pictures a second, played at the speed of the recording."""

    def run(self) -> int:
        """Render, and say where the GIF is."""
        from ashore.cli.console import say
        from ashore.cli.progress import shown
        from ashore.datasets.store import EpisodeStore
        from ashore.sim.rendering import use_headless_rendering
        from ashore.sim.tasks import make_task

        use_headless_rendering()
        store = EpisodeStore.open(self.store, readonly=True)
        episode = store.read(self.episode)
        task = make_task(store.contract.task)
        stride = max(1, round(store.contract.control_hz / self.pictures_hz))
        with shown("replay") as progress:
            frames = list(_frames(task, episode, self.engine, (self.width_px, self.height_px), stride, progress))
        write_gif(self.out, frames, 1000.0 * stride / store.contract.control_hz)
        verdict = {True: "a success", False: "a failure", None: "not judged"}[episode.meta.success]
        say(f"{self.out}: {len(frames)} pictures of {episode.time_s[-1]:.1f} s, {episode.meta.source}, {verdict}.")
        return 0


def _frames(
    task: "Task", episode: "Episode", kind: str, size_px: tuple[int, int], stride: int, progress: "Progress"
) -> Iterator[Array]:
    import numpy as np

    steps = range(0, len(episode), stride)
    engine, draw, close = _stage(task, kind, size_px)
    try:
        for done, step in enumerate(steps, start=1):
            task.show(engine, np.array([0]), {name: values[[step]] for name, values in episode.observations.items()})
            yield draw()
            progress(done, len(steps), "")
    finally:
        close()


def _stage(
    task: "Task", kind: str, size_px: tuple[int, int]
) -> tuple["Engine", Callable[[], Array], Callable[[], None]]:
    if kind == "twin":
        from ashore.sim.twin.engine import TwinEngine
        from ashore.sim.twin.rendering import make_camera

        twin = TwinEngine(task.scene(), 1)
        twin_camera = make_camera(twin.model, size_px=size_px)
        return twin, lambda: twin_camera.render(twin), twin.close
    from ashore.sim.rendering import WorldCamera
    from ashore.sim.world import World

    world = World(task.scene(), 1, n_threads=1)
    camera = WorldCamera(world, size_px)
    return world, camera.render, camera.close


def write_gif(path: Path, frames: list[Array], period_ms: float) -> None:
    """Write pictures (H, W, 3) uint8 as a GIF that repeats, with colours of its own; it appears whole."""
    import numpy as np
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    sample = np.concatenate(frames[:: max(1, len(frames) // PALETTE_FRAMES)])
    palette = Image.fromarray(sample).quantize(256, Image.Quantize.MAXCOVERAGE)
    images = [Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    durations = [round(period_ms)] * (len(images) - 1) + [HOLD_MS]
    aside = path.with_name(path.name + ".part")
    images[0].save(aside, "GIF", save_all=True, append_images=images[1:], duration=durations, loop=0, optimize=True)
    aside.replace(path)
