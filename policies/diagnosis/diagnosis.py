"""Everything that is looked at of one run: what can be measured is, and what is missing is named."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from ashore.datasets.contract import Contract
from ashore.datasets.errors import AshoreError
from ashore.datasets.progress import Progress, silent
from ashore.policies.checkpoint import AS_TRAINED, Asked, RunSettings, TorchPlanner, load_run, load_settings
from ashore.policies.diagnosis.coverage import Coverage, measure_coverage
from ashore.policies.diagnosis.demonstrations import Demonstrations, noise_share
from ashore.policies.diagnosis.elements import encoded_names
from ashore.policies.diagnosis.fit import Curves, LevelErrors, Verdict, read_curves, verdict
from ashore.policies.diagnosis.planning import ChunkErrors, Latency, measure_latency
from ashore.policies.diagnosis.ranges import Frozen, Ranges, find_frozen, measure_ranges
from ashore.policies.diagnosis.rollouts import Recorder, Rollout
from ashore.policies.diagnosis.seams import Seams, measure_seams
from ashore.policies.errors import InvalidConfig
from ashore.policies.evaluation import Evaluation, Simulated, evaluate
from ashore.policies.metrics import read_metrics
from ashore.policies.policy import Policy
from ashore.policies.ranking.windows import load_calibration
from ashore.policies.training_data import episodes_digest
from ashore.sim.randomization import draw_episodes, episode_seed

Array = NDArray[Any]
T = TypeVar("T")
WORLDS, ENVIRONMENTS = 100, 10
"""Episodes at a time in MuJoCo and in Gymnasium."""


@dataclass(frozen=True)
class DiagnosisConfig:
    """Which episodes a run is looked at in, and how its policy is asked in them."""

    episodes: int = 30
    level: str = "wide"
    seed: int = 1_000
    """Unlike any seed that data is collected with."""
    latency_s: float = 0.02
    """Time that inference takes in these episodes."""
    asked: Asked = AS_TRAINED
    """Sampler, guidance, goal and, of a run that learnt several tasks, which."""

    def __post_init__(self) -> None:
        if self.episodes < 1:
            raise InvalidConfig("the diagnosis", [f"episodes: {self.episodes}; must be at least 1"])


@dataclass(frozen=True)
class Missing:
    """A part that could not be looked at."""

    part: str
    why: str


@dataclass(frozen=True)
class Diagnosis:
    """What was found of one run; a part that is None has an entry in `missing`."""

    run: Path
    settings: RunSettings
    contract: Contract
    latency: Latency
    config: DiagnosisConfig
    curves: Curves | None
    levels: LevelErrors | None
    chunks: ChunkErrors | None
    evaluation: Evaluation | None
    rollouts: tuple[Rollout, ...]
    coverage: Coverage | None
    ranges: Ranges | None
    frozen: Frozen | None
    seams: Seams | None
    missing: tuple[Missing, ...] = ()
    data_changed: bool = False
    """Whether the stores hold other episodes than when the run was trained."""
    noise_share: float | None = None
    """Share of the demonstrations that noise was injected into; None where no episode tells."""
    n_episodes: int = 0
    """Episodes of the data; 0 where it is missing."""
    teacher: ChunkErrors | None = None
    """Those of the run that a student was distilled from, on the same windows."""

    @property
    def over_teacher(self) -> float | None:
        """How many times as far from the demonstrations a student plans as its teacher; None without one."""
        return None if self.chunks is None or self.teacher is None else self.chunks.over(self.teacher)

    @property
    def fit(self) -> Verdict:
        """How it fits what it learnt, in one word."""
        return verdict(self.curves, self.levels, self.over_teacher)


@dataclass
class _Notes:
    """Collects what is missing."""

    missing: list[Missing] = field(default_factory=list)

    def attempt(self, part: str, work: Callable[[], T]) -> T | None:
        """Do the work, or note why it cannot be done: a fault of the user's world takes away one part, not all."""
        try:
            return work()
        except (AshoreError, FileNotFoundError) as error:
            self.missing.append(Missing(part, f"{type(error).__name__}: {error}"))
            return None


def diagnose(
    run: Path, config: DiagnosisConfig, progress: Progress = silent, simulation: Simulated | None = None
) -> tuple[Diagnosis, Simulated | None]:
    """Look at a run from all sides.

    Args:
        run: a run's folder.
        config: which episodes it is run in.
        progress: told in episodes.
        simulation: that it is run in; None for that of its task, at the config's level.

    Returns:
        What was found, and the simulation that it was found in, for pictures.

    Raises:
        NotARun: the folder is no run, or has no checkpoint yet.
        UnreadableFile: a file in it is damaged.
        UnknownName, InvalidRandomization: there is no such level, or it does not fit the task.
    """
    planner, (settings, learnt, _), notes = load_run(run, config.asked), load_settings(run), _Notes()
    calibration = load_calibration(run)
    simulation = simulation or _simulate(planner.contract.task, config, notes)
    latency = measure_latency(planner, calibration.held_out[..., planner.columns])
    curves = notes.attempt("training curves", lambda: read_curves(read_metrics(run)))
    data = notes.attempt("the data", lambda: Demonstrations.open(settings, learnt, planner))
    evaluation, rollouts = (None, ()) if simulation is None else _watch(planner, simulation, config, progress)
    n_episodes = 0 if data is None else len(np.unique(data.episode_of))
    levels, chunks, teacher = (None, None, None) if data is None else _errors(planner.policy, data, settings, notes)
    return (
        Diagnosis(
            run=run,
            settings=settings,
            contract=planner.contract,
            latency=latency,
            config=config,
            curves=curves,
            levels=levels,
            chunks=chunks,
            evaluation=evaluation,
            rollouts=rollouts,
            coverage=_coverage(data, rollouts),
            ranges=_ranges(planner, learnt, rollouts, n_episodes),
            frozen=_frozen(data, calibration.learnt[:, -1, planner.columns], rollouts),
            seams=measure_seams(rollouts) if rollouts else None,
            missing=tuple(notes.missing),
            data_changed=data is not None and _has_changed(settings),
            n_episodes=n_episodes,
            teacher=teacher,
            noise_share=None if data is None else noise_share(settings.stores),
        ),
        simulation,
    )


def _errors(
    policy: Policy, data: Demonstrations, settings: RunSettings, notes: _Notes
) -> tuple[LevelErrors | None, ChunkErrors | None, ChunkErrors | None]:
    """Measure the errors by noise level, those of the chunks, and those of the teacher's chunks."""
    found = notes.attempt("errors on its data", lambda: (data.level_errors(policy), data.chunk_errors(policy)))
    if found is None or settings.teacher is None:
        return (None, None, None) if found is None else (*found, None)
    path, told = Path(settings.teacher), settings.policy.goal
    asked = Asked(goal={} if told.features else None, task=data.contract.task if told.tasks else None)
    teacher = notes.attempt("its teacher", lambda: data.chunk_errors(load_run(path, asked).policy))
    return (*found, teacher)


def _has_changed(settings: RunSettings) -> bool:
    return bool(settings.episodes_sha256) and episodes_digest(settings.stores) != settings.episodes_sha256


def _simulate(task: str, config: DiagnosisConfig, notes: _Notes) -> Simulated | None:
    """Make the simulation of a task; a task that is not there is noted, a level that is not there is refused."""
    from ashore.sim.simulation import GYM_PREFIX, make_simulation
    from ashore.sim.tasks import make_task

    part = "episodes of its own"
    if task.startswith(GYM_PREFIX):
        return notes.attempt(part, lambda: make_simulation(task, min(config.episodes, ENVIRONMENTS)))
    if notes.attempt(part, lambda: make_task(task)) is None:
        return None
    return make_simulation(task, min(config.episodes, WORLDS), config.level)


def _watch(
    planner: TorchPlanner, simulation: Simulated, config: DiagnosisConfig, progress: Progress
) -> tuple[Evaluation, tuple[Rollout, ...]]:
    recorder, indices = Recorder(), range(config.episodes)
    draws = draw_episodes(simulation.randomization, config.seed, indices)
    seeds = [episode_seed(config.seed, index) for index in indices]
    evaluation = evaluate(planner, simulation, draws, seeds, config.latency_s, progress, recorder)
    return evaluation, recorder.rollouts(evaluation)


def _coverage(data: Demonstrations | None, rollouts: Sequence[Rollout]) -> Coverage | None:
    if data is None or not rollouts:
        return None
    return measure_coverage(data.steps(), data.episode_of, [each.observations for each in rollouts])


def _ranges(planner: TorchPlanner, learnt: Contract, rollouts: Sequence[Rollout], n_episodes: int) -> Ranges | None:
    if not rollouts:
        return None
    policy = planner.policy
    device = policy.obs_scale.low.device
    with torch.inference_mode():
        seen = [
            policy.encoder(policy.joined(torch.from_numpy(each.observations).to(device))).cpu().numpy()
            for each in rollouts
        ]
    fitted = (policy.obs_scale.low.cpu().numpy(), policy.obs_scale.high.cpu().numpy())
    names = encoded_names(policy.encoder.spec, learnt)
    return measure_ranges(names, fitted, seen, n_episodes)


def _frozen(data: Demonstrations | None, calibration: Array, rollouts: Sequence[Rollout]) -> Frozen | None:
    if not rollouts:
        return None
    steps = calibration if data is None else data.steps()
    return find_frozen(steps, np.concatenate([each.observations for each in rollouts]))
