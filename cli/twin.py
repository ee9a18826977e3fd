"""`ashore twin`: a task's expert in other realities, beside the simulation."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

from numpy.typing import NDArray
from tyro.conf import Positional, arg

if TYPE_CHECKING:
    from ashore.datasets.progress import Progress
    from ashore.sim.simulation import Simulation
    from ashore.sim.twin.rendering import TwinCamera

Array = NDArray[Any]
NOMINAL = "MuJoCo, nominal"
AT_ONCE = 10
"""PyBullet simulations at a time; they run one after the other."""
PICTURES_HZ = 12.5


@dataclass(frozen=True)
class Twin:
    """Let a task's expert work on the twin, PyBullet under a reality profile, and show what becomes of it.

    A policy is tried there by `ashore evaluate --twin`, and recorded from by `ashore collect --twin`. For example:

      ashore twin --list
      ashore twin arm/pick-place --profile arm_mild arm_harsh --episodes 20
      ashore twin quadrotor/hover --profile my_reality.yaml --out out/twin.gif
    """

    task: Annotated[str, Positional] = "arm/pick-place"
    """Task, such as arm/pick-place, arm/stack@ur5e or quadrotor/hover."""
    profile: tuple[str, ...] = ()
    """Reality profiles: names of those that ship, or YAML files; all that ship for the robot where none is given."""
    episodes: int = 10
    """Episodes in each reality; start states are the same in all."""
    seed: int = 0
    """Seed of the start states and of every noise."""
    out: Path | None = None
    """Film, .gif or .mp4, of the first episode in the last of the profiles."""
    list_: Annotated[bool, arg(name="list")] = False
    """Show the profiles that ship, and for which robots, and do nothing else."""

    def run(self) -> int:
        """Try, and show the figures."""
        from ashore.cli.film import require_film
        from ashore.cli.progress import shown
        from ashore.sim.simulation import Simulation
        from ashore.sim.tasks import make_task
        from ashore.sim.twin.engine import TwinEngine
        from ashore.sim.twin.profile import load_profile
        from ashore.sim.twin.simulation import require_fit, twin_of
        from ashore.sim.world import World

        if self.list_:
            return list_profiles()
        if self.out is not None:
            require_film(self.out)
        task = make_task(self.task)
        names = self.profile or fitting(task.robot.card.name)
        profiles = {name: load_profile(name) for name in names}
        for profile in profiles.values():
            require_fit(profile, task)
        n = min(self.episodes, AT_ONCE)
        rows: list[tuple[str, Array, dict[str, Array]]] = []
        pictures: list[Array] = []
        with shown(f"twin {self.task}") as progress:
            world = Simulation(task, World(task.scene(), n), task.randomization("none"))
            rows.append((NOMINAL, *self._try(world, NOMINAL, progress, None)))
            for name, profile in profiles.items():
                twin = twin_of(task, n, profile)
                is_last = name == tuple(profiles)[-1]
                camera = self._camera(twin) if is_last and self.out is not None else None
                rows.append((name, *self._try(twin, name, progress, (camera, pictures))))
                cast(TwinEngine, twin.engine).close()
        self._show(rows)
        if self.out is not None:
            self._write(pictures)
        return 0

    def _try(
        self, simulation: "Simulation", name: str, progress: "Progress", film: tuple[Any, list[Array]] | None
    ) -> tuple[Array, dict[str, Array]]:
        """Play all episodes in one reality: their verdicts (M,) and figures {name: (M,)}."""
        import numpy as np

        from ashore.sim.playing import play_expert

        verdicts, figures = [], []
        for first in range(0, self.episodes, simulation.n):
            numbers = range(first, first + simulation.n)
            camera, pictures = film if film is not None and first == 0 else (None, [])
            every = round(simulation.task.contract.control_hz / PICTURES_HZ)

            def look(step: int, camera: Any = camera, pictures: list[Array] = pictures, every: int = every) -> None:
                if camera is not None and step % every == 0:
                    pictures.append(camera.render(simulation.engine))

            play_expert(simulation, self.seed, numbers, look)
            kept = slice(0, self.episodes - first)
            verdicts.append(simulation.judge.success()[kept])
            figures.append({key: value[kept] for key, value in simulation.judge.metrics().items()})
            progress(min(numbers.stop, self.episodes), self.episodes, name)
        merged = {key: np.concatenate([part[key] for part in figures]) for key in figures[0]}
        return np.concatenate(verdicts), merged

    def _camera(self, twin: "Simulation") -> "TwinCamera":
        from ashore.sim.twin.engine import TwinEngine
        from ashore.sim.twin.rendering import make_camera

        return make_camera(cast(TwinEngine, twin.engine).model, size_px=(320, 240))

    def _show(self, rows: list[tuple[str, Array, dict[str, Array]]]) -> None:
        import numpy as np

        from ashore.cli.console import show_table
        from ashore.policies.intervals import wilson

        keys = tuple(rows[0][2])
        table = [
            (
                name,
                f"{int(success.sum())} of {len(success)}",
                str(wilson(int(success.sum()), len(success))),
                *(float(np.median(figures[key])) for key in keys),
            )
            for name, success, figures in rows
        ]
        headings = ("reality", "success", "95 % Wilson", *(f"{key}, median" for key in keys))
        show_table(f"expert of {self.task} on the twin; never to be taken for the robot", headings, table)

    def _write(self, pictures: list[Array]) -> None:
        from ashore.cli.console import say
        from ashore.cli.film import write_film

        if self.out is not None:
            write_film(self.out, pictures, 1000.0 / PICTURES_HZ)
            say(f"{self.out}: {len(pictures)} pictures.")


def list_profiles() -> int:
    """Print the profiles that ship."""
    from ashore.cli.console import show_table
    from ashore.sim.twin.profile import load_profile, profile_names

    rows = [(name, ", ".join(load_profile(name).robots), load_profile(name).description) for name in profile_names()]
    show_table("reality profiles", ("name", "robots", "what is different"), rows)
    return 0


def fitting(robot: str) -> tuple[str, ...]:
    """The profiles that ship for a robot.

    Raises:
        UnknownName: there is none.
    """
    from ashore.datasets.errors import UnknownName
    from ashore.sim.twin.profile import load_profile, profile_names

    names = tuple(name for name in profile_names() if robot in load_profile(name).robots)
    if not names:
        robots = sorted({each for name in profile_names() for each in load_profile(name).robots})
        raise UnknownName("robot with a reality profile that ships (or give --profile FILE)", robot, robots)
    return names
