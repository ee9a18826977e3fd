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


@dataclass(frozen=True)
class Replay:
    """Show a recorded episode, the robot and its objects as they were observed, as a film or in MuJoCo's viewer.

    With --check it is simulated again instead, from its draw, seed, initial state and actions, and every stored
    observation and command is compared to the bit; the exit code is 1 where one differs. For example:

      ashore replay out/arm --episode 3 --out out/episode.gif
      ashore replay out/arm --episode 3 --check
      ashore replay out/seen --episode 0 --engine twin --out out/twin.mp4
    """

    store: Annotated[Path, Positional]
    """Folder of the store."""
    episode: int = 0
    """Index of the episode; -1 is the last."""
    out: Path = Path("episode.gif")
    """The film: .gif or .mp4."""
    check: bool = False
    """Simulate it again and name the first step that differs; makes no film."""
    viewer: bool = False
    """Show it in MuJoCo's viewer, on a machine with a screen; makes no film."""
    engine: Literal["mujoco", "twin"] = "mujoco"
    """Whose renderer draws: MuJoCo's, or PyBullet's, which needs no EGL and no display."""
    width_px: int = 320
    """Width of the picture."""
    height_px: int = 240
    """Height of the picture."""
    pictures_hz: float = 12.5
    """Pictures a second, played at the speed of the recording."""

    def run(self) -> int:
        """Check, show or render, and say what came of it."""
        from ashore.datasets.store import EpisodeStore
        from ashore.sim.rendering import use_headless_rendering

        use_headless_rendering()
        store = EpisodeStore.open(self.store, readonly=True)
        is_from_end = -len(store) <= self.episode < 0
        episode = store.read(store.indices[self.episode] if is_from_end else self.episode)
        code = self._check(episode) if self.check else 0
        if self.viewer:
            _view(episode)
        if not self.check and not self.viewer:
            self._render(episode)
        return code

    def _check(self, episode: "Episode") -> int:
        from ashore.cli.console import say
        from ashore.cli.progress import shown
        from ashore.sim.replaying import check_replay

        name = f"{self.store}, episode {self.episode}"
        with shown("replay") as progress:
            found = check_replay(episode, name, progress)
        for package, there, here in found.versions:
            say(f"{package}: recorded with {there}, replayed with {here}.")
        if found.is_start_new:
            say("The task makes another initial state of this draw than it did; the stored one was taken.")
        if found.difference is None:
            say(f"{name}: {found.n_steps} steps, bit-identical.")
            return 0
        first = found.difference
        say(f"{name}: step {first.step}, {first.feature}: stored {first.stored!r}, replayed {first.replayed!r}.")
        changed = "The episode was changed after it was recorded, or the code of its task or robot, or the processor."
        say("Likely cause: the versions above." if found.versions else f"Likely cause: {changed}")
        return 1

    def _render(self, episode: "Episode") -> None:
        from ashore.cli.console import say
        from ashore.cli.film import require_film, write_film
        from ashore.cli.progress import shown
        from ashore.sim.tasks import make_task

        require_film(self.out)
        contract = episode.contract
        task = make_task(contract.task)
        stride = max(1, round(contract.control_hz / self.pictures_hz))
        with shown("replay") as progress:
            frames = list(_frames(task, episode, self.engine, (self.width_px, self.height_px), stride, progress))
        write_film(self.out, frames, 1000.0 * stride / contract.control_hz)
        verdict = {True: "a success", False: "a failure", None: "not judged"}[episode.meta.success]
        say(f"{self.out}: {len(frames)} pictures of {episode.time_s[-1]:.1f} s, {episode.meta.source}, {verdict}.")


def _view(episode: "Episode") -> None:
    import numpy as np

    from ashore.sim.tasks import make_task
    from ashore.sim.viewing import Viewer, require_screen
    from ashore.sim.world import World

    require_screen()
    task = make_task(episode.contract.task)
    world = World(task.scene(), 1, n_threads=1)

    def show(step: int) -> None:
        task.show(world, np.array([0]), {name: values[[step]] for name, values in episode.observations.items()})

    show(0)
    window = Viewer(world, episode.contract.period_s)
    for step in range(len(episode)):
        if not window.is_open:
            break
        show(step)
        window.refresh()
    window.close()


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
