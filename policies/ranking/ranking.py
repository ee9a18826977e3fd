"""Order policies before any runs on the robot: paired episodes in simulation, and a look at real observations."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ashore.datasets.contract import Contract
from ashore.datasets.errors import UnknownName
from ashore.datasets.progress import Progress, silent
from ashore.policies.errors import CannotRank
from ashore.policies.evaluation import Simulated, evaluate
from ashore.policies.planner import Planner
from ashore.policies.ranking.detectors import DETECTORS, make_detector, strangeness
from ashore.policies.ranking.scores import Findings, Ranked, RankingConfig, order
from ashore.policies.ranking.slices import worst_slice
from ashore.policies.ranking.windows import RealEpisodes, load_calibration, load_real
from ashore.sim.randomization import Draw, draw_episodes, episode_seed


@dataclass(frozen=True)
class Ranking:
    """Policies from best to worst, and how they were compared."""

    task: str
    policies: tuple[Ranked, ...]
    config: RankingConfig
    real: RealEpisodes | None

    def rows(self) -> list[dict[str, Any]]:
        """Give one table row a policy, best first."""
        return [
            {
                "place": policy.place,
                "policy": policy.name,
                "score": policy.score,
                "success": policy.findings.evaluation.interval.rate,
                "success_low": policy.findings.evaluation.interval.low,
                "success_high": policy.findings.evaluation.interval.high,
                "strangeness": policy.findings.strangeness,
                "score_simulation": policy.score_simulation,
                "score_real": policy.score_real,
                "worst_slice": policy.findings.worst.to_json() if policy.findings.worst else None,
                "guard_interventions": int(policy.findings.evaluation.guard_interventions.sum()),
                "guard_stops": int(policy.findings.evaluation.guard_stops.sum()),
                "vetoes": list(policy.vetoes),
            }
            for policy in self.policies
        ]


@dataclass(frozen=True)
class _Candidate:
    run: Path
    name: str
    planner: Planner


def rank(
    runs: Sequence[Path | str],
    real: Path | str | None = None,
    config: RankingConfig | None = None,
    progress: Progress = silent,
    simulation: Simulated | None = None,
) -> Ranking:
    """Order runs by how well they should do on the robot.

    Every policy meets the same draws and seeds, and the same real observations.

    Args:
        runs: run folders of one contract.
        real: store of episodes recorded on the robot or the twin; without it the order is that of simulated success.
        config: how they are compared.
        progress: called with (episodes done, all episodes, note).
        simulation: the task to run; None makes the contract's own.

    Raises:
        NotARun: a folder is no run.
        CannotRank: no runs, one twice, or contracts that differ.
        UnknownName: no such detector, level or task.
    """
    config = config or RankingConfig()
    if config.detector not in DETECTORS:
        raise UnknownName("detector", config.detector, sorted(DETECTORS))
    candidates = _open(runs)
    contract = candidates[0].planner.contract
    episodes = load_real(real) if real is not None else None
    _check(candidates, episodes)
    ground = simulation if simulation is not None else _ground(contract, config)
    draws = _draws(ground, config)
    seeds = [episode_seed(config.seed, index) for index in range(config.episodes)]
    findings = []
    for index, candidate in enumerate(candidates):
        told = _Told(progress, index * config.episodes, len(candidates) * config.episodes, candidate.name)
        evaluation = evaluate(candidate.planner, ground, draws, seeds, config.latency_s, told)
        strange = _strangeness(candidate, episodes, config)
        findings.append(Findings(candidate.run, evaluation, worst_slice(draws, evaluation.success), strange))
    policies = order(findings, [candidate.name for candidate in candidates], config)
    return Ranking(contract.task, policies, config, episodes)


class _Told:
    """Passes progress on as a part of the whole."""

    def __init__(self, progress: Progress, offset: int, total: int, name: str) -> None:
        self._progress, self._offset, self._total, self._name = progress, offset, total, name

    def __call__(self, done: int, total: int, note: str) -> None:
        self._progress(self._offset + done, self._total, f"{self._name}: {note}")


def _open(runs: Sequence[Path | str]) -> list[_Candidate]:
    from ashore.policies.checkpoint import load_run

    paths = [Path(run) for run in runs]
    places = [path.resolve() for path in paths]
    faults = [] if paths else ["no runs were given"]
    faults += [f"{path} is given twice" for path, place in zip(paths, places, strict=True) if places.count(place) > 1]
    if faults:
        raise CannotRank(faults)
    names = [place.name for place in places]
    unique = [name if names.count(name) == 1 else str(path) for name, path in zip(names, paths, strict=True)]
    return [_Candidate(path, name, load_run(path)) for path, name in zip(paths, unique, strict=True)]


def _check(candidates: Sequence[_Candidate], real: RealEpisodes | None) -> None:
    first = candidates[0]
    others = [(candidate.name, candidate.planner.contract) for candidate in candidates[1:]]
    others += [(f"the real episodes {real.name}", real.contract)] if real is not None else []
    faults = []
    for name, other in others:
        ours = first.planner.contract
        if not other.actions:
            ours, other = ours.as_reference(), other.as_reference()
        faults += [f"{first.name} and {name}: {d}" for d in ours.differences(other)]
    if faults:
        raise CannotRank(faults)


def _ground(contract: Contract, config: RankingConfig) -> Simulated:
    from ashore.sim.simulation import make_simulation

    simulation: Simulated = make_simulation(contract.task, min(config.parallel, config.episodes), config.level)
    return simulation


def _draws(ground: Simulated, config: RankingConfig) -> list[Draw]:
    if config.episodes < 1:
        raise CannotRank([f"episodes: {config.episodes}; at least 1 is needed"])
    return draw_episodes(ground.randomization, config.seed, range(config.episodes))


def _strangeness(candidate: _Candidate, real: RealEpisodes | None, config: RankingConfig) -> float | None:
    if real is None:
        return None
    planner, calibration = candidate.planner, load_calibration(candidate.run)
    windows = real.windows(planner.obs_horizon, planner.action_horizon)
    return strangeness(make_detector(config.detector, calibration.learnt), calibration.held_out, windows)
