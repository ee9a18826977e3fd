"""`ashore distill`: a student that plans in one network evaluation."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional


@dataclass(frozen=True)
class Distill:
    """Distil a diffusion run into a consistency policy, on the data that the teacher learnt from.

    For example:

      ashore distill out/teacher --out out/student
      ashore distill out/push_t --form solution --start-std 20 --updates 10000 --out out/pusher
    """

    teacher: Annotated[Path, Positional]
    """The run that `ashore train` made."""
    out: Path | None = None
    """Folder of the student's run; beside the teacher's, with -student at the end, where not given."""
    minutes: float | None = None
    """Wall time to distil for; the recipe's where not given."""
    updates: int | None = None
    """Number of optimizer updates in place of a time."""
    form: Literal["solution", "distillation", "trajectory"] = "distillation"
    """What is learnt of the teacher: where its trajectories end, agreement along them, or jumps within them."""
    start_std: float = 1.0
    """Noise that the student plans from: 1 for tasks with one right answer, 20 (the largest level) for several."""
    seed: int = 0
    """Seed of the order of the data and the noise."""
    threads: int = 1
    """CPU threads of torch."""

    def run(self) -> int:
        """Distil, and say where the student is."""
        from ashore.cli.console import say
        from ashore.cli.progress import shown
        from ashore.policies.distillation import DISTILLATION, distill, student_config

        minutes = DISTILLATION.minutes if self.minutes is None else self.minutes
        config = replace(DISTILLATION, minutes=minutes, updates=self.updates, seed=self.seed, threads=self.threads)
        out = self.out if self.out is not None else self.teacher.with_name(f"{self.teacher.name}-student")
        with shown("distill") as progress:
            run = distill(self.teacher, out, config, progress, student_config(self.teacher, self.form, self.start_std))
        say(f"The student's run is in {run}.")
        say(f"Next: ashore evaluate {run}")
        return 0
