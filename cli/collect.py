"""`ashore collect`: record an expert's demonstrations."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class Collect:
    """Record demonstrations of a task's expert in randomized simulation, many worlds at once.

    A store that is already there is extended if it has the task's contract. Examples:

      ashore collect --task arm/pick-place --episodes 400 --out out/arm
      ashore collect --task quadrotor/hover --episodes 200 --level narrow --out out/quadrotor
    """

    out: Path
    """Folder of the episode store."""
    task: str = "arm/pick-place"
    """Task, such as arm/pick-place or quadrotor/hover."""
    episodes: int = 100
    """Number of episodes to record."""
    level: Literal["none", "narrow", "wide"] = "wide"
    """How much of the world is randomized."""
    seed: int = 0
    """Seed of every draw and every noise."""
    noise: bool = True
    """Whether the expert is pushed off its way, so that the demonstrations show how to come back."""

    def run(self) -> int:
        """Collect, and say what was collected."""
        from ashore.cli.console import say
        from ashore.cli.opening import open_or_create
        from ashore.cli.progress import shown
        from ashore.sim.collection import collect
        from ashore.sim.tasks import make_task

        with open_or_create(self.out, make_task(self.task).contract, f"the task {self.task}") as store:
            before = len(store)
            with shown(f"collect {self.task}") as progress:
                collect(self.task, self.episodes, store, self.level, self.seed, self.noise, progress)
            metas = [store.read_meta(index) for index in range(before, len(store))]
        n_success = sum(bool(meta.success) for meta in metas)
        say(f"{len(metas)} episodes recorded in {self.out}, {n_success} of them a success; it holds {len(store)} now.")
        say(f"Next: ashore train {self.out} --policy diffusion")
        return 0
