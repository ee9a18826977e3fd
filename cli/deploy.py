"""`ashore deploy`: a bundle meets a robot, or its twin."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional

if TYPE_CHECKING:
    from ashore.datasets.errors import AshoreError
    from ashore.policies.bundle import Bundle
    from ashore.real.report import DeployReport

WHOLE = ("robot", "profile", "n_episodes", "n_success", "guard_ticks", "guard_interventions", "guard_stops", "wall_s")
"""Lines of the summary that are told first; those with units in their names follow."""


@dataclass(frozen=True)
class Deploy:
    """Run a bundle over ROS 2, in processes of their own: on the twin, or on a robot.

    On the twin it plays episodes and reports. On a robot, a person starts and ends them by keys, SPACE stops, and the
    guard stops when this session falls silent; a bundle that no ranking speaks for is refused. Beside the logs stands
    events.jsonl, what happened as one JSON object a line. For example:

      ashore deploy out/policy.ashore --robot twin/panda --episodes 5 --logs out/logs
      ashore deploy out/policy.ashore --robot twin/panda --profile arm_hard --record out/seen --report out/hard.json
      ashore deploy out/policy.ashore --robot twin/panda --real-time-factor 0.5
      ashore deploy out/policy.ashore --robot fr3 --network ambient --domain 0 --speed 0.1
      ashore deploy out/policy.ashore --robot fr3 --record out/real --camera wrist=/dev/video0 front=4@1280x720
      ashore deploy out/policy.ashore --robot my_robot.yaml --shadow
      ashore deploy out/hover.ashore --robot mavlink --bridge udpin:127.0.0.1:14540 --hover-thrust 0.38
    """

    bundle: Annotated[Path, Positional]
    """The bundle."""
    robot: str = "twin/panda"
    """Where to: twin/panda, twin/crazyflie ..., or a robot: the name or the file of its mapping."""
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
    """Folder for the logs of the processes and for events.jsonl; a temporary one where not given."""
    domain: int | None = None
    """A robot's ROS domain; the environment's ROS_DOMAIN_ID, or 0, where not given. A twin gets one of its own."""
    network: Literal["loopback", "ambient"] = "loopback"
    """On a robot: stay on this host, or take the transports of the environment."""
    bridge: str | None = None
    """Address of a vehicle that speaks MAVLink: udpin:HOST:PORT, udpout:HOST:PORT or serial:DEVICE:BAUD."""
    hover_thrust: float | None = None
    """Share of the vehicle's largest thrust that hovers, 0 to 1."""
    speed: float = 1.0
    """On a robot: share of an arm's speed that the guard lets pass, over 0 to 1; 0.1 for the first motion."""
    camera: tuple[str, ...] = ()
    """On a robot: cameras to run, and to record: NAME=DEVICE[@WIDTHxHEIGHT][@HZ]."""
    shadow: bool = False
    """On a robot that somebody else drives: only compare what the policy would tell it; nothing is sent, and no
    evidence is asked for."""
    real_time_factor: float = 1.0
    """On a twin: simulated seconds a real second, 0.1 to 10; with another one than 1 all nodes keep the twin's time."""
    despite_evidence: bool = False
    """Deploy to a robot although the ranking has a veto, or the bundle was never ranked; a twin needs no leave."""

    def run(self) -> int:
        """Deploy, and show what happened."""
        from ashore.cli.console import say
        from ashore.cli.progress import shown
        from ashore.policies.bundle import read_bundle
        from ashore.real.deploy import DeployConfig, deploy, preflight

        if not self.robot.startswith("twin/"):
            return self._hold_session()
        bundle = read_bundle(self.bundle)
        config = DeployConfig(
            bundle,
            self.robot,
            self.profile,
            self.episodes,
            self.record,
            self.seed,
            self.logs,
            self.real_time_factor,
        )
        preflight(config)
        veto = self._veto(bundle)
        with shown(f"deploy to {self.robot}") as progress:
            report = deploy(config, progress)
        if self.report is not None:
            report.write(self.report)
        show_report(report)
        if veto is not None:
            say(f"On a robot this would have been refused. {veto}")
        return 0

    def _hold_session(self) -> int:
        """Run it on a robot, with a person at the keys."""
        import os

        from ashore.cli.console import say
        from ashore.cli.keys import pressed_keys
        from ashore.policies.bundle import read_bundle
        from ashore.real.cameras import parse_cameras
        from ashore.real.plan import Bridge, check_factor
        from ashore.real.session import SessionConfig, hold_session

        check_factor(self.robot, self.real_time_factor)
        bundle = read_bundle(self.bundle)
        self._veto(bundle)
        domain_id = self.domain if self.domain is not None else int(os.environ.get("ROS_DOMAIN_ID", "0"))
        bridge = Bridge(self.bridge, self.hover_thrust) if self.bridge is not None else None
        config = SessionConfig(
            bundle,
            self.robot,
            domain_id,
            self.network,
            bridge,
            self.record,
            self.shadow,
            speed=self.speed,
            cameras=parse_cameras(self.camera),
            despite_evidence=self.despite_evidence,
            log_dir=self.logs,
        )
        hold_session(config, pressed_keys(), say)
        return 0

    def _veto(self, bundle: "Bundle") -> "AshoreError | None":
        """Check the evidence; what is against a robot is only told on a twin, which nothing can harm."""
        from ashore.policies.errors import EvidenceMissing, EvidenceRejected
        from ashore.policies.ranking.gate import check_evidence

        try:
            check_evidence(bundle, self.despite_evidence or self.shadow)
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
    rows.append(("events in", summary["events_path"]))
    show_table("deployment", ("figure", "value"), rows)
