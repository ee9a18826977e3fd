"""`ashore evaluate`: a policy closed loop, with intervals."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional

from ashore.cli.opening import SamplerName

if TYPE_CHECKING:
    from ashore.policies.evaluation import Evaluation, Simulated
    from ashore.sim.randomization import Randomization

WORLDS, TWINS, ENVIRONMENTS = 100, 10, 10
"""Episodes at a time in MuJoCo, in PyBullet and in Gymnasium."""
WEAKEST = 5
"""Slices of the draws that are shown."""


@dataclass(frozen=True)
class Evaluate:
    """Run a policy closed loop over randomized draws, through the executor and the guard that run on the robot.

    Inference takes its time in the simulation too. For example:

      ashore evaluate out/student --episodes 200
      ashore evaluate out/teacher --sampler dpm --steps 8
      ashore evaluate out/policy.ashore --task arm/pick-place --level narrow --latency-ms 30
      ashore evaluate out/student --twin arm_hard --episodes 20 --report out/hard.json
      ashore evaluate out/student --level my_cell.yaml --episodes 300 --plot out/slices.png
    """

    policy: Annotated[Path, Positional]
    """A run's folder or a bundle."""
    task: str | None = None
    """Task, such as arm/pick-place or gym/gym_pusht/PushT-v0; the policy's own where not given."""
    episodes: int = 100
    """Number of episodes."""
    level: str = "wide"
    """What varies between episodes: none, narrow, wide, or a file such as my_cell.yaml (docs/randomization.md)."""
    twin: str | None = None
    """Reality profile: evaluate in PyBullet instead, the name of one that ships or a YAML file."""
    latency_ms: float = 20.0
    """Time that inference takes."""
    seed: int = 1_000
    """Seed of the draws and of every noise; training data comes from small ones."""
    sampler: SamplerName = "auto"
    """How a run is sampled: euler, heun or dpm for EDM; ddim, ddpm or dpm for DDPM. A bundle has its own."""
    steps: int | None = None
    """Steps of the sampler, 1 to 100; for a consistency run 1 to 4."""
    guidance: float | None = None
    """Weight of the goal, above 1 for more decided ones (classifier-free guidance)."""
    goal: tuple[str, ...] = ()
    """Goals of a goal-conditioned run, NAME=NUMBER,NUMBER...; `none` plans without one."""
    report: Path | None = None
    """JSON file for every episode's verdict, figures and draw, and the success by slices of the draws."""
    plot: Path | None = None
    """PNG of how the draws cover each parameter's range, and of the success along it."""

    def run(self) -> int:
        """Evaluate, and show the figures."""
        from ashore.cli.opening import asked_of, open_planner
        from ashore.cli.progress import shown
        from ashore.policies.evaluation import evaluate
        from ashore.sim.randomization import draw_episodes, episode_seed

        mixed = self.task if (self.policy / "tasks").is_dir() else None
        planner = open_planner(self.policy, asked_of(self.sampler, self.steps, self.guidance, self.goal, mixed))
        task = self.task if self.task is not None else planner.contract.task
        indices = range(self.episodes)
        with shown(f"evaluate {task}") as progress:
            simulation, randomization = self._simulation(task)
            draws = draw_episodes(randomization, self.seed, indices)
            seeds = [episode_seed(self.seed, index) for index in indices]
            evaluation = evaluate(planner, simulation, draws, seeds, self.latency_ms / 1000.0, progress)
        if self.report is not None:
            self._write(self.report, task, evaluation)
        where = f"{task}, {self.level}" if self.twin is None else f"{task} on the twin, {self.twin}"
        show_evaluation(f"{self.policy}: {where}", evaluation)
        show_slices(evaluation)
        if self.plot is not None:
            from ashore.cli.console import say
            from ashore.cli.slice_chart import draw_slices

            say(f"{self.plot}: {draw_slices(evaluation.draws, evaluation.success, self.plot)} drawn numbers.")
        return 0

    def _simulation(self, task: str) -> "tuple[Simulated, Randomization]":
        if self.twin is not None:
            from ashore.sim.twin.profile import load_profile
            from ashore.sim.twin.simulation import make_twin_simulation

            twin = make_twin_simulation(task, min(self.episodes, TWINS), load_profile(self.twin))
            return twin, twin.randomization
        from ashore.cli.opening import open_simulation

        n = ENVIRONMENTS if task.startswith("gym/") else WORLDS
        simulation = open_simulation(task, min(self.episodes, n), self.level)
        return simulation, simulation.randomization

    def _write(self, path: Path, task: str, evaluation: "Evaluation") -> None:
        import json

        from ashore.policies.ranking.slices import slices

        level = self.level if self.twin is None and not task.startswith("gym/") else None
        facts = {"policy": str(self.policy), "task": task, "level": level, "twin": self.twin}
        parts = [part.to_json() for part in slices(evaluation.draws, evaluation.success)]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({**facts, **evaluation.to_json(), "slices": parts}, indent=2) + "\n")


def show_evaluation(title: str, evaluation: "Evaluation") -> None:
    """Print an evaluation as a table: success with its interval, the task's figures, what the guard did."""
    import numpy as np

    from ashore.cli.console import show_table

    n_episodes = len(evaluation.success)
    rows: list[tuple[str, object]] = [
        ("episodes", n_episodes),
        ("success", f"{int(evaluation.success.sum())} of {n_episodes}"),
        ("success, 95 % Wilson", str(evaluation.interval)),
    ]
    for name, values in evaluation.metrics.items():
        finite = values[np.isfinite(values)]
        rows.append((f"{name}, median", float(np.median(finite)) if finite.size else None))
    rows += [
        ("latency_ms", 1000.0 * evaluation.latency_s),
        ("guard interventions, command periods", int(evaluation.guard_interventions.sum())),
        ("guard stops, command periods", int(evaluation.guard_stops.sum())),
        *((f"  {reason}", count) for reason, count in evaluation.guard_reasons.items() if count),
        ("wall time, s", round(evaluation.wall_s, 1)),
    ]
    show_table(title, ("figure", "value"), rows)


def show_slices(evaluation: "Evaluation") -> None:
    """Print where success is lowest: the weakest thirds of what was drawn, where there are enough episodes."""
    from ashore.cli.console import show_table
    from ashore.policies.ranking.slices import slices

    parts = sorted(slices(evaluation.draws, evaluation.success), key=lambda part: part.interval.low)
    rows = [(part.parameter, f"{part.low:.4g} to {part.high:.4g}", str(part.interval)) for part in parts[:WEAKEST]]
    if rows and not evaluation.success.all():
        show_table("weakest thirds of the draws", ("drawn", "between", "success, 95 % for all thirds together"), rows)
