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
from ashore.datasets.store import EpisodeStore
from ashore.policies.checkpoint import RunSettings, TorchPlanner, load_run, load_settings
from ashore.policies.diagnosis.coverage import Coverage, measure_coverage
from ashore.policies.diagnosis.elements import encoded_names
from ashore.policies.diagnosis.fit import Curves, LevelErrors, Verdict, level_errors, read_curves, verdict
from ashore.policies.diagnosis.planning import ChunkErrors, Latency, chunk_errors, measure_latency
from ashore.policies.diagnosis.ranges import Frozen, Ranges, find_frozen, measure_ranges
from ashore.policies.diagnosis.rollouts import Recorder, Rollout
from ashore.policies.diagnosis.seams import Seams, measure_seams
from ashore.policies.errors import InvalidConfig
from ashore.policies.evaluation import Evaluation, Simulated, evaluate
from ashore.policies.metrics import read_metrics
from ashore.policies.ranking.windows import Calibration, load_calibration
from ashore.policies.training_data import TrainingData, episodes_digest, open_stores
from ashore.sim.randomization import draw_episodes, episode_seed

Array = NDArray[Any]
T = TypeVar("T")
N_WINDOWS = 512
"""Windows that errors are measured on, of each side."""
BLOCK = 4096
"""Windows that are gathered at a time."""
WORLDS, ENVIRONMENTS = 100, 10
"""Episodes at a time in MuJoCo and in Gymnasium."""


@dataclass(frozen=True)
class DiagnosisConfig:
    """Which episodes a run is looked at in."""

    episodes: int = 30
    level: str = "wide"
    seed: int = 1_000
    """Unlike any seed that data is collected with."""
    latency_s: float = 0.02
    """Time that inference takes in these episodes."""

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
    planner, (settings, contract, _), notes = load_run(run), load_settings(run), _Notes()
    calibration = load_calibration(run)
    simulation = simulation or _simulate(contract.task, config, notes)
    latency = measure_latency(planner, calibration.held_out)
    curves = notes.attempt("training curves", lambda: read_curves(read_metrics(run)))
    data = notes.attempt("the data", lambda: _open_data(planner, settings))
    evaluation, rollouts = (None, ()) if simulation is None else _watch(planner, simulation, config, progress)
    n_episodes = 0 if data is None else len(np.unique(data.episode_of))
    levels, chunks = (None, None) if data is None else _errors(planner, data)
    teacher = None if data is None else _teacher(settings, data, notes)
    return (
        Diagnosis(
            run=run,
            settings=settings,
            contract=contract,
            latency=latency,
            config=config,
            curves=curves,
            levels=levels,
            chunks=chunks,
            evaluation=evaluation,
            rollouts=rollouts,
            coverage=_coverage(data, rollouts),
            ranges=_ranges(planner, rollouts, n_episodes),
            frozen=_frozen(calibration, rollouts),
            seams=measure_seams(rollouts) if rollouts else None,
            missing=tuple(notes.missing),
            data_changed=data is not None and _has_changed(settings),
            n_episodes=n_episodes,
            teacher=teacher,
            noise_share=None if data is None else _noise_share(settings.stores),
        ),
        simulation,
    )


def _open_data(planner: TorchPlanner, settings: RunSettings) -> TrainingData:
    data = open_stores(settings.stores, settings.policy, int(settings.training["seed"]))
    planner.contract.require_same(data.contract, "the run", "its data")
    return data


def _errors(planner: TorchPlanner, data: TrainingData) -> tuple[LevelErrors, ChunkErrors]:
    held_out, learnt = _gather(data, data.held_indices), _gather(data, data.learnt_indices)
    return level_errors(planner.policy, learnt, held_out), _chunk_errors(planner, data)


def _chunk_errors(planner: TorchPlanner, data: TrainingData) -> ChunkErrors:
    sides = [_gather(data, indices) for indices in (data.held_indices, data.learnt_indices)]
    held_out, learnt = ((obs.numpy(), actions.numpy()) for obs, actions, _ in sides)
    return chunk_errors(planner, held_out, learnt)


def _teacher(settings: RunSettings, data: TrainingData, notes: _Notes) -> ChunkErrors | None:
    if settings.teacher is None:
        return None
    path = Path(settings.teacher)
    return notes.attempt("its teacher", lambda: _chunk_errors(load_run(path), data))


def _has_changed(settings: RunSettings) -> bool:
    return bool(settings.episodes_sha256) and episodes_digest(settings.stores) != settings.episodes_sha256


def _noise_share(stores: Sequence[str]) -> float | None:
    opened = [EpisodeStore.open(Path(store), readonly=True) for store in stores]
    metrics = [store.read_meta(index).metrics for store in opened for index in store.indices]
    told = [bool(each["injected_noise"]) for each in metrics if "injected_noise" in each]
    return float(np.mean(told)) if told else None


def _gather(data: TrainingData, indices: Array) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Gather at most N_WINDOWS windows, evenly."""
    return data.gather(indices[np.unique(np.linspace(0, len(indices) - 1, N_WINDOWS).round().astype(int))])


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


def _coverage(data: TrainingData | None, rollouts: Sequence[Rollout]) -> Coverage | None:
    if data is None or not rollouts:
        return None
    blocks = np.array_split(np.arange(len(data.windows)), len(data.windows) // BLOCK + 1)
    newest = np.concatenate([data.gather(block)[0][:, -1].numpy() for block in blocks])  # (W, Do)
    return measure_coverage(newest, data.episode_of, [each.observations for each in rollouts])


def _ranges(planner: TorchPlanner, rollouts: Sequence[Rollout], n_episodes: int) -> Ranges | None:
    if not rollouts:
        return None
    policy = planner.policy
    device = policy.obs_scale.low.device
    with torch.inference_mode():
        seen = [policy.encoder(torch.from_numpy(each.observations).to(device)).cpu().numpy() for each in rollouts]
    fitted = (policy.obs_scale.low.cpu().numpy(), policy.obs_scale.high.cpu().numpy())
    names = encoded_names(policy.encoder.spec, planner.contract)
    return measure_ranges(names, fitted, seen, n_episodes)


def _frozen(calibration: Calibration, rollouts: Sequence[Rollout]) -> Frozen | None:
    if not rollouts:
        return None
    data = np.concatenate([calibration.held_out, calibration.learnt])
    return find_frozen(data.reshape(-1, data.shape[-1]), np.concatenate([each.observations for each in rollouts]))
