"""Deploying a bundle: start the processes, play episodes, record what the robot saw, stop cleanly, report."""

import json
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ashore.datasets.episode import EpisodeMeta
from ashore.datasets.progress import Progress, silent
from ashore.policies.bundle import Bundle
from ashore.real.conductor import Conductor
from ashore.real.event_log import EventLog, what_runs
from ashore.real.mapping import RobotMapping
from ashore.real.network import applied, environment, own_domain, sweep_segments
from ashore.real.nodes.link import load_rclpy
from ashore.real.plan import REAL_SPEED, TWIN, Deployment, Process, default_profile, process_plan
from ashore.real.recording import Recorder, open_store, told_versions
from ashore.real.report import DeployReport, EpisodeOutcome
from ashore.real.supervision import Supervision, undisturbed
from ashore.sim.interfaces import make_interface

NODES = (TWIN, "policy", "guard")
"""In the order of configure; the twin is active throughout, the other two during episodes."""
VERDICT = ("seed", "success", "terminated", "truncated", "time_s")
OUTCOME_PATIENCE = 3.0
"""Wall time that an episode may take, as a multiple of its own limit, before the twin counts as lost."""


@dataclass(frozen=True)
class DeployConfig:
    """One deployment to a twin."""

    bundle: Bundle
    robot: str
    """Such as twin/panda."""
    profile: str | None = None
    """Reality profile, a shipped name or a YAML file; None for the robot's mild one."""
    episodes: int = 1
    record: Path | None = None
    """Store for what the robot saw; made, or extended where it holds the same contract."""
    seed: int = 10_000
    """Of the first episode; each further one takes the next."""
    log_dir: Path | None = None
    """Where the processes' logs go; a temporary folder that stays where None."""
    real_time_factor: float = REAL_SPEED
    """Simulated seconds a real second; with another one than 1 all times but wall_s are simulated."""


@dataclass
class _Tally:
    """What the nodes report, added up."""

    outcomes: list[EpisodeOutcome] = field(default_factory=list)
    inference_ms: list[float] = field(default_factory=list)
    command_period_ms: list[float] = field(default_factory=list)
    received_period_ms: list[float] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    misses: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)


def deploy(config: DeployConfig, progress: Progress = silent) -> DeployReport:
    """Run a bundle's policy on a twin over ROS 2, in processes of their own that see nothing beyond this host.

    Raises:
        UnknownName: no such robot or profile.
        NoTwin, InvalidParameter: time cannot pass at this speed.
        MissingRos: ROS 2 is not installed.
        ContractMismatch, RobotMismatch: bundle, mapping and twin do not fit one another; before anything moves.
        ProcessEnded, TransitionRefused, NoAnswer: the deployment failed; all processes were ended.
    """
    began_s = time.monotonic()
    contract, card, mapping = config.bundle.contract, config.bundle.card, preflight(config)
    profile = config.profile if config.profile is not None else default_profile(mapping.robot)
    log_dir = config.log_dir if config.log_dir is not None else Path(tempfile.mkdtemp(prefix="ashore-deploy-"))
    bare_path = (log_dir / "bare_loop.json").resolve()
    bare = _bare_loop(card.command_hz, bare_path)
    store = open_store(config.record, contract) if config.record is not None else None
    recorder = Recorder(contract, card, store, by_stamps=config.real_time_factor != REAL_SPEED)
    tally = _Tally()
    with ExitStack() as stack:
        if store is not None:
            stack.enter_context(store)
        stack.callback(sweep_segments)
        domain_id = stack.enter_context(own_domain())
        stack.enter_context(applied(environment("loopback", domain_id)))
        plan = process_plan(
            Deployment(
                config.bundle,
                config.robot,
                profile,
                config.seed,
                domain_id=domain_id,
                real_time_factor=config.real_time_factor,
            )
        )
        progress(0, config.episodes, "starting the processes")
        supervision = Supervision([*plan, bare], log_dir)
        conductor = stack.enter_context(Conductor(plan[0].namespace, domain_id, supervision))
        facts = what_runs(config.bundle, config.robot, domain_id, profile=profile, seed=config.seed)
        events = stack.enter_context(EventLog(conductor.link.node, log_dir, facts))
        stack.enter_context(supervision)
        _Show(conductor, recorder, mapping, tally, events).play(config, progress)
    return DeployReport(
        robot=config.robot,
        profile=profile,
        command_hz=card.command_hz,
        episodes=tuple(tally.outcomes),
        inference_ms=tuple(tally.inference_ms),
        command_period_ms=tuple(tally.command_period_ms),
        received_period_ms=tuple(tally.received_period_ms),
        bare_period_ms=tuple(json.loads(bare_path.read_text())) if bare_path.exists() else (),
        reasons=dict(tally.reasons),
        misses=dict(tally.misses),
        refused=dict(tally.refused),
        wall_s=time.monotonic() - began_s,
        record_path=str(config.record) if config.record is not None else None,
        events_path=str(events.path),
        real_time_factor=config.real_time_factor,
    )


def _bare_loop(rate_hz: float, told: Path) -> Process:
    """Plan the loop that runs beside a deployment and writes its periods to a file."""
    args = (str(rate_hz), str(told))
    return Process("bare_loop", "", "ashore.real.bare_loop", args, {}, lifecycle=False, on_exit="ignore")


def preflight(config: DeployConfig) -> RobotMapping:
    """Check all that can be checked before a process starts; returns the robot's mapping.

    Raises:
        UnknownName, NoTwin, InvalidParameter, MissingRos, ContractMismatch, RobotMismatch: see deploy.
    """
    process_plan(Deployment(config.bundle, config.robot, config.profile, real_time_factor=config.real_time_factor))
    load_rclpy()
    contract, card = config.bundle.contract, config.bundle.card
    mapping = RobotMapping.named(config.robot.removeprefix(f"{TWIN}/"))
    mapping.check(contract, card, make_interface(card.interface).derived)
    if config.profile is not None:
        from ashore.sim.twin.profile import load_profile

        load_profile(config.profile)
    return mapping


class _Show:
    """Plays the episodes of one deployment."""

    def __init__(
        self, conductor: Conductor, recorder: Recorder, mapping: RobotMapping, tally: _Tally, events: EventLog
    ) -> None:
        self._conductor = conductor
        self._recorder = recorder
        self._tally, self._events = tally, events
        self._outcomes: dict[int, dict[str, Any]] = {}
        recorder.connect(conductor.link, mapping)
        conductor.link.subscribe("twin/outcome", "std_msgs/String", "notice", self._take_outcome)

    def play(self, config: DeployConfig, progress: Progress) -> None:
        """Configure the nodes, then play one episode after the other."""
        self._conductor.configure(NODES)
        self._conductor.transition(TWIN, "activate")
        for index in range(config.episodes):
            self._play_one(config.seed + index, config)
            n_success = sum(outcome.success for outcome in self._tally.outcomes)
            progress(index + 1, config.episodes, f"{n_success} of {index + 1} succeeded")

    def _play_one(self, seed: int, config: DeployConfig) -> None:
        conductor, recorder, bundle = self._conductor, self._recorder, config.bundle
        conductor.set_parameters(TWIN, {"seed": seed})
        facts = conductor.ask("twin/reset")
        versions = told_versions(bundle)
        meta = EpisodeMeta(source="twin", operator=bundle.path.name, seed=seed, draw=facts["draw"], versions=versions)
        recorder.begin(meta)
        self._events.tell("episode began", {"seed": seed})
        with _abandoning(recorder):
            conductor.transition("policy", "activate")
            conductor.transition("guard", "activate")
            # A quick twin shortens no patience: it may be slower than asked.
            limit_s = OUTCOME_PATIENCE * facts["episode_s"] / min(1.0, config.real_time_factor) + 10.0
            conductor.wait_for("the episode's outcome", lambda: self._ended(facts["episode"]), limit_s)
            conductor.transition("guard", "deactivate")
            conductor.transition("policy", "deactivate")
            outcome = self._outcomes.pop(facts["episode"])
            recorder.end(outcome)
        self._events.tell("episode ended", {name: outcome[name] for name in VERDICT})
        self._add(outcome)

    def _ended(self, episode: int) -> bool:
        self._recorder.write()
        return episode in self._outcomes

    def _take_outcome(self, message: Any) -> None:
        outcome = json.loads(message.data)
        self._outcomes[outcome["episode"]] = outcome

    def _add(self, outcome: dict[str, Any]) -> None:
        tally = self._tally
        reports = {node: self._conductor.ask(f"{node}/report") for node in NODES}
        for node, report in reports.items():
            tally.misses[node] += report["misses"]
            tally.refused[node] += report["refused"]
        guard = reports["guard"]
        tally.inference_ms += reports["policy"]["inference_ms"]
        tally.command_period_ms += guard["period_ms"]
        tally.received_period_ms += self._recorder.received.take_ms()
        tally.reasons.update(guard["reasons"])
        named = {name: outcome[name] for name in (*VERDICT, "metrics")}
        counts = {f"guard_{name}": guard[name] for name in ("ticks", "interventions", "stops")}
        tally.outcomes.append(EpisodeOutcome(**named, **counts))


@contextmanager
def _abandoning(recorder: Recorder) -> Iterator[None]:
    """End the recording as truncated where the block is left by a fault or Ctrl-C."""
    done = False
    try:
        yield
        done = True
    finally:
        if not done:
            with undisturbed():
                recorder.abandon()
