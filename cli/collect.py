"""`ashore collect`: record an expert's demonstrations."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ashore.datasets.progress import Progress
    from ashore.datasets.store import EpisodeStore
    from ashore.sim.collection import Collected


@dataclass(frozen=True)
class Collect:
    """Record demonstrations of a task's expert in randomized simulation, many worlds at once.

    A store that is already there is filled up if it has the task's contract. For example:

      ashore collect --task arm/pick-place --episodes 400 --out out/arm
      ashore collect --task quadrotor/hover --episodes 200 --level narrow --out out/quadrotor
      ashore collect --twin arm_harsh --episodes 8 --out out/reference
    """

    out: Path
    """Folder of the episode store."""
    task: str = "arm/pick-place"
    """Task, such as arm/pick-place or quadrotor/hover."""
    episodes: int = 100
    """Number of episodes that the store shall hold in the end; those it holds already count."""
    level: str = "wide"
    """What varies between episodes: none, narrow, wide, or a file such as my_cell.yaml (docs/randomization.md)."""
    seed: int = 0
    """Seed of every draw and every noise."""
    twin: str | None = None
    """Reality profile: record on the PyBullet twin instead, the name of one that ships or a YAML file."""
    noise: bool = True
    """Whether the expert is pushed off its way, so that the demonstrations show how to come back."""
    attempts: tuple[int, ...] = ()
    """Play these attempts alone, by their numbers, tell their draws and how they end, and store nothing."""

    def run(self) -> int:
        """Collect, and say what was collected."""
        from ashore.cli.console import say
        from ashore.cli.opening import open_or_create
        from ashore.cli.progress import shown
        from ashore.sim.tasks import make_task

        if self.attempts:
            self._try()
            return 0
        store = open_or_create(self.out, make_task(self.task).contract, f"the task {self.task}")
        with shown(f"collect {self.task}") as progress:
            done = self._collect(store, progress)
        say(f"{done.n_tried} attempts, {done.success_rate:.1%} a success, in {done.wall_s:.1f} s.")
        if done.diverged:
            numbers = " ".join(str(attempt.number) for attempt in done.diverged)
            say(f"{len(done.diverged)} attempt(s) diverged and are not stored: the simulation became unstable.")
            say(f"See them again: the same command with --attempts {numbers}")
        say(f"{self.out} holds {len(store)} episodes.")
        say(f"Next: ashore train {self.out} --policy diffusion")
        return 0

    def _try(self) -> None:
        from ashore.cli.console import say, show_table
        from ashore.sim.collection import try_attempts
        from ashore.sim.randomization import draw_to_json

        tried = try_attempts(self.task, self.attempts, self.level, self.seed, self.noise)
        rows = [(attempt.number, attempt.seed, attempt.outcome, attempt.time_s) for attempt in tried]
        show_table(f"{self.task}, seed {self.seed}", ("attempt", "its seed", "outcome", "after s"), rows)
        for attempt in tried:
            say(f"{attempt.number}: {json.dumps(draw_to_json(attempt.draw))}")

    def _collect(self, store: "EpisodeStore", progress: "Progress") -> "Collected":
        if self.twin is not None:
            from ashore.sim.twin.collection import collect_on_twin
            from ashore.sim.twin.profile import load_profile

            profile = load_profile(self.twin)
            return collect_on_twin(self.task, self.episodes, store, profile, self.seed, self.noise, progress)
        from ashore.sim.collection import collect

        return collect(self.task, self.episodes, store, self.level, self.seed, self.noise, progress)
