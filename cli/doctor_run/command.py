"""`ashore doctor run`: the page of a run, and a short table of the same."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional

from ashore.cli.opening import SamplerName

if TYPE_CHECKING:
    from ashore.cli.doctor_run.clips import Clip
    from ashore.policies.diagnosis.diagnosis import Diagnosis
    from ashore.policies.diagnosis.findings import Finding
    from ashore.policies.diagnosis.summary import Line
    from ashore.policies.evaluation import Simulated


@dataclass(frozen=True)
class RunCheck:
    """Find out why a run that trained well fails when it is run; exit code 1 where something is found or missing.

    The run is looked at in its data and in episodes of its own: fit, action errors, coverage, ranges, latency, seams,
    frozen observations, weak slices. A page shows the figures, with clips and what to try. For example:

      ashore doctor run out/student
      ashore doctor run out/teacher --episodes 100 --level narrow --out out/teacher.html
      ashore doctor run out/several --task arm/stack
    """

    run_folder: Annotated[Path, Positional]
    """Folder of the run."""
    episodes: int = 30
    """Episodes that it is run in."""
    level: str = "wide"
    """What varies between episodes: none, narrow, wide, or a file such as my_cell.yaml (docs/randomization.md)."""
    seed: int = 1_000
    """Seed of the draws and of every noise; training data comes from small ones."""
    task: str | None = None
    """Which task of a run that learnt several."""
    sampler: SamplerName = "auto"
    """How the run is sampled: euler, heun or dpm for EDM; ddim, ddpm or dpm for DDPM."""
    steps: int | None = None
    """Steps of the sampler, 1 to 100; for a consistency run 1 to 4."""
    guidance: float | None = None
    """Weight of the goal, above 1 for more decided ones (classifier-free guidance)."""
    goal: tuple[str, ...] = ()
    """Goals of a goal-conditioned run, NAME=NUMBER,NUMBER...; `none` plans without one."""
    out: Path = Path("page.html")
    """The page."""

    def run(self) -> int:
        """Look at the run, write the page, and show the lines."""
        from ashore.cli.console import say
        from ashore.cli.doctor_run.page import write_run_page
        from ashore.cli.opening import asked_of
        from ashore.cli.progress import shown
        from ashore.policies.diagnosis.diagnosis import DiagnosisConfig, diagnose
        from ashore.policies.diagnosis.findings import find
        from ashore.policies.diagnosis.summary import summarise
        from ashore.sim.rendering import use_headless_rendering

        use_headless_rendering()
        asked = asked_of(self.sampler, self.steps, self.guidance, self.goal, self.task)
        config = DiagnosisConfig(self.episodes, self.level, self.seed, asked=asked)
        with shown("doctor run") as progress:
            diagnosis, simulation = diagnose(self.run_folder, config, progress)
        findings = find(diagnosis)
        lines = summarise(diagnosis, findings)
        clips, no_clips = self._clips(diagnosis, simulation)
        write_run_page(self.out, diagnosis, (findings, lines), clips, no_clips)
        _show(self.run_folder, lines, findings)
        for missing in diagnosis.missing:
            say(f"Not looked at: {missing.part}. {missing.why}")
        say(f"{self.out}: {len(findings)} finding(s), {len(clips)} clip(s).")
        return 1 if findings or diagnosis.missing else 0

    def _clips(self, diagnosis: "Diagnosis", simulation: "Simulated | None") -> "tuple[list[Clip], str]":
        """Make clips, or say why there are none."""
        from ashore.cli.doctor_run.clips import make_clips
        from ashore.policies.checkpoint import load_run
        from ashore.sim.errors import NoPicture, RenderingUnavailable

        if simulation is None:
            return [], "it could not be run here."
        try:
            planner = load_run(self.run_folder, diagnosis.config.asked)
            return make_clips(diagnosis, simulation, planner), "nothing here draws this task."
        except (NoPicture, RenderingUnavailable) as error:
            return [], str(error)


def _show(run: Path, lines: "Sequence[Line]", findings: "Sequence[Finding]") -> None:
    from ashore.cli.console import say, show_table

    show_table(f"{run}", ("topic", "figure", ""), [(line.topic, line.figure, line.state) for line in lines])
    for finding in findings:
        say(f"{finding.topic}: {finding.figure} -> {finding.advice}")
