"""`ashore deploy`: a bundle meets a robot, or its twin."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional

if TYPE_CHECKING:
    from ashore.datasets.errors import AshoreError
    from ashore.real.report import DeployReport

WHOLE = ("robot", "profile", "n_episodes", "n_success", "guard_ticks", "guard_interventions", "guard_stops", "wall_s")
"""Lines of the summary that are told first; those with units in their names follow."""


@dataclass(frozen=True)
class Deploy:
    """Run a bundle over ROS 2: policy, guard and twin in processes of their own, loopback only.

    For example:

      ashore deploy out/policy.ashore --robot twin/panda --episodes 5
      ashore deploy out/policy.ashore --robot twin/panda --profile arm_hard --record out/seen --report out/hard.json
    """

    bundle: Annotated[Path, Positional]
    """The bundle."""
    robot: str = "twin/panda"
    """Where to: twin/panda or twin/crazyflie."""
    profile: str | None = None
    """The twin's reality profile, the name of one that ships or a YAML file; the robot's mild one where not given."""
    episodes: int = 1
    """Number of episodes."""
    record: Path | None = None
    """Store for what the robot saw; an existing one with the same contract is extended."""
    report: Path | None = None
    """JSON file for every figure and sample."""
    seed: int = 10_000
    """Seed of the first episode; each further one takes the next."""
    logs: Path | None = None
    """Folder for the logs of the processes; a temporary one where not given."""
    despite_evidence: bool = False
    """Deploy to a robot although the ranking has a veto, or the bundle was never ranked; a twin needs no leave."""

    def run(self) -> int:
        """Deploy, and show what happened."""
        from ashore.cli.console import say
        from ashore.cli.progress import shown
        from ashore.real.deploy import DeployConfig, deploy, preflight

        config = DeployConfig(self.bundle, self.robot, self.profile, self.episodes, self.record, self.seed, self.logs)
        preflight(config)
        veto = self._veto()
        with shown(f"deploy to {self.robot}") as progress:
            report = deploy(config, progress)
        if self.report is not None:
            report.write(self.report)
        show_report(report)
        if veto is not None:
            say(f"On a robot this would have been refused. {veto}")
        return 0

    def _veto(self) -> "AshoreError | None":
        """Check the evidence; what is against a robot is only told on a twin, which nothing can harm."""
        from ashore.policies.errors import EvidenceMissing, EvidenceRejected
        from ashore.policies.ranking.gate import check_evidence

        try:
            check_evidence(self.bundle, self.despite_evidence)
        except (EvidenceMissing, EvidenceRejected) as error:
            if not self.robot.startswith("twin/"):
                raise
            return error
        return None


def show_report(report: "DeployReport") -> None:
    """Print a deployment's summary as a table."""
    from ashore.cli.console import show_table
    from ashore.policies.intervals import wilson

    summary = report.summary()
    rows: list[tuple[str, object]] = [(name, summary[name]) for name in WHOLE]
    if report.episodes:
        rows.append(("success, 95 % Wilson", str(wilson(report.n_success, len(report.episodes)))))
    rows += [(name, value) for name, value in summary.items() if isinstance(value, float) and name not in WHOLE]
    if summary["record_path"]:
        rows.append(("recorded in", summary["record_path"]))
    show_table("deployment", ("figure", "value"), rows)
