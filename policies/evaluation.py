"""A policy closed loop in simulation: the executor and the guard of the robot, and inference that takes its time."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.contract import Contract
from ashore.datasets.progress import Progress, silent
from ashore.policies.errors import EvaluationMismatch
from ashore.policies.execution.executor import ChunkExecutor
from ashore.policies.execution.guard import Guard, Verdict
from ashore.policies.intervals import Interval, wilson
from ashore.policies.planner import Planner
from ashore.sim.interfaces import make_interface
from ashore.sim.randomization import Draw, Randomization, draw_to_json
from ashore.sim.task import Judge

Array = NDArray[Any]
NOISE_STREAM = 2
"""Tells the planner's noise of an episode from everything else that is drawn from its seed."""


class TaskFacts(Protocol):
    """What an evaluation must know of a task."""

    @property
    def contract(self) -> Contract:
        """What is observed and told."""


class Simulated(Protocol):
    """What an evaluation asks of a simulation, on whichever engine."""

    n: int
    judge: Judge
    randomization: Randomization
    command_period_s: float

    @property
    def task(self) -> TaskFacts:
        """The task that runs."""

    @property
    def n_ticks(self) -> int:
        """Command periods in an episode."""

    @property
    def time_s(self) -> float:
        """Time since the reset."""

    def reset(self, draws: Sequence[Draw], seeds: Sequence[int]) -> None:
        """Start N episodes."""

    def observe(self) -> Mapping[str, Array]:
        """The newest measurements {name: (N, *shape)}."""

    def step(self, command: Array) -> None:
        """Run one command period with commands (N, Dc)."""


class Watcher(Protocol):
    """Looks on at an evaluation and changes nothing of it."""

    def begin(self, kept: int) -> None:
        """Hear that a batch starts, of which the first `kept` episodes count."""

    def step(self, observed: Array, actions: Array, plans: Array, is_running: Array) -> None:
        """See one control step of N episodes.

        Args:
            observed: (N, Do) float32 in contract order.
            actions: (N, Da) that are executed now; NaN where there is none yet.
            plans: (N,) number of the chunk that each comes from; 0 is the first.
            is_running: (N,) bool, whether the episode has not ended yet.
        """


class Unwatched:
    """Nobody looks on."""

    def begin(self, kept: int) -> None:
        """Do nothing."""

    def step(self, observed: Array, actions: Array, plans: Array, is_running: Array) -> None:
        """Do nothing."""


UNWATCHED = Unwatched()


@dataclass(frozen=True)
class Evaluation:
    """What M episodes showed."""

    success: Array
    """(M,) bool, the task's verdicts."""
    metrics: Mapping[str, Array]
    """{name: (M,)} the task's figures at the end of each episode, units in the names."""
    interval: Interval
    """Success rate with its 95 % Wilson bounds."""
    guard_interventions: Array
    """(M,) command periods in which the guard changed the command."""
    guard_stops: Array
    """(M,) command periods in which the guard stopped the robot."""
    guard_reasons: Mapping[str, int]
    """{reason: command periods of all episodes}."""
    draws: Sequence[Draw]
    seeds: Sequence[int]
    latency_s: float
    wall_s: float

    def to_json(self) -> dict[str, Any]:
        """Return plain data; figures that are not finite become None."""
        figures = {name: [v if np.isfinite(v) else None for v in row.tolist()] for name, row in self.metrics.items()}
        return {
            "episodes": len(self.success),
            "success": self.success.tolist(),
            "success_rate": self.interval.rate,
            "success_low": self.interval.low,
            "success_high": self.interval.high,
            "metrics": figures,
            "guard_interventions": self.guard_interventions.tolist(),
            "guard_stops": self.guard_stops.tolist(),
            "guard_reasons": dict(self.guard_reasons),
            "draws": [draw_to_json(draw) for draw in self.draws],
            "seeds": list(self.seeds),
            "latency_s": self.latency_s,
            "wall_s": self.wall_s,
        }


def evaluate(
    planner: Planner,
    simulation: Simulated,
    draws: Sequence[Draw],
    seeds: Sequence[int],
    latency_s: float = 0.0,
    progress: Progress = silent,
    watcher: Watcher = UNWATCHED,
) -> Evaluation:
    """Run episodes closed loop, as many at a time as the simulation holds.

    A chunk arrives latency_s after it was asked for, and until then the one before plays on. An episode begins when its
    first chunk is there, as on a robot, where no command is sent before, and ends when the judge says that it has
    terminated, or at its time limit. A policy's noise comes from the episode's seed, so that an episode does not depend
    on which others run beside it.

    Args:
        planner: the policy.
        simulation: of the planner's task.
        draws: (M,) one an episode.
        seeds: (M,) for sensor noise and the policy's noise.
        latency_s: time that inference takes.
        progress: called with (episodes done, M, note).
        watcher: sees every control step.

    Raises:
        EvaluationMismatch: no episodes, another number of seeds than draws, or a latency below zero.
        ContractMismatch: the policy was made for another contract.
    """
    _check(planner, simulation, draws, seeds, latency_s)
    began_s, done, results = time.perf_counter(), 0, []
    for start in range(0, len(draws), simulation.n):
        rows = np.arange(start, start + simulation.n).clip(
            max=len(draws) - 1
        )  # The last batch repeats its last episode.
        batch = _Batch(planner, simulation, latency_s, [seeds[row] for row in rows], watcher)
        simulation.reset([draws[row] for row in rows], [seeds[row] for row in rows])
        kept = min(simulation.n, len(draws) - start)
        watcher.begin(kept)
        for tick in range(simulation.n_ticks):
            batch.tick()
            if tick % 50 == 49:
                progress(done, len(draws), f"{simulation.time_s:.1f} s into {kept} episodes")
            if batch.has_ended:
                break
        results.append(batch.result(kept))
        done += kept
        progress(done, len(draws), f"{np.mean(np.concatenate([r.success for r in results])):.1%} succeeded")
    return _joined(results, draws, seeds, latency_s, time.perf_counter() - began_s)


@dataclass(frozen=True)
class _Result:
    success: Array
    metrics: Mapping[str, Array]
    interventions: Array
    stops: Array
    reasons: Mapping[str, Array]


class _Batch:
    """N episodes that run together: one tick is one command period of the one loop."""

    def __init__(
        self, planner: Planner, simulation: Simulated, latency_s: float, seeds: Sequence[int], watcher: Watcher
    ) -> None:
        self._watcher = watcher
        self._planner, self._simulation, self._latency_s = planner, simulation, latency_s
        card, contract, n = planner.card, planner.contract, simulation.n
        self._interface = make_interface(card.interface)
        self._executor = ChunkExecutor(contract, planner.obs_horizon, planner.action_horizon, n)
        self._guard = Guard(card, n)
        self._ticks_per_step = max(1, round(card.command_hz / contract.control_hz))
        self._tick = 0
        self._rngs = [np.random.default_rng([seed, NOISE_STREAM]) for seed in seeds]
        self._pending: list[tuple[float, float, Array, Array]] = []
        """(arrival s, stamp s, ids, chunks), oldest first."""
        self._is_waiting = np.zeros(n, bool)
        self._plans = np.full(n, -1)
        self._interventions, self._stops = np.zeros(n, np.int64), np.zeros(n, np.int64)
        self._reasons: dict[str, Array] = {}
        self._has_ended = np.zeros(n, bool)
        self._success = np.zeros(n, bool)
        self._metrics: dict[str, Array] = {}

    def tick(self) -> None:
        """Observe, plan where a plan is due, decode, guard, step."""
        simulation = self._simulation
        now_s = simulation.time_s
        observed = self._interface.derive(simulation.observe())
        is_step = self._tick % self._ticks_per_step == 0
        flat = self._planner.contract.flatten_observation(observed) if is_step else None  # (N, Do)
        if flat is not None:
            self._executor.observe(flat, now_s)
            self._ask(now_s)
        self._tick += 1
        self._deliver(now_s)
        action, age_s = self._executor.action(now_s)
        if flat is not None:
            self._watcher.step(flat, action, self._plans, ~self._has_ended)
        command = self._interface.decode(self._planner.contract.split_action(action), observed)
        verdict = self._guard.filter(command, observed, now_s, age_s)
        self._count(verdict)
        simulation.step(verdict.command)
        self._take_verdicts(np.asarray(simulation.judge.terminated(), bool))

    @property
    def has_ended(self) -> bool:
        """Whether every episode has terminated."""
        return bool(self._has_ended.all())

    def result(self, kept: int) -> _Result:
        """Give what the first `kept` episodes showed."""
        self._take_verdicts(np.ones(len(self._has_ended), bool))
        metrics = {name: values[:kept] for name, values in self._metrics.items()}
        reasons = {name: count[:kept] for name, count in self._reasons.items()}
        return _Result(self._success[:kept], metrics, self._interventions[:kept], self._stops[:kept], reasons)

    def _take_verdicts(self, terminated: Array) -> None:
        """Keep the verdict of episodes that end now; what the simulation does afterwards does not count."""
        ending, judge = terminated & ~self._has_ended, self._simulation.judge
        if not ending.any():
            return
        self._has_ended |= ending
        self._success[ending] = np.asarray(judge.success(), bool)[ending]
        for name, values in judge.metrics().items():
            kept = self._metrics.setdefault(name, np.zeros(len(ending)))
            kept[ending] = np.asarray(values, np.float64)[ending]

    def _ask(self, now_s: float) -> None:
        ids = np.flatnonzero(self._executor.due(now_s) & ~self._is_waiting)
        if not len(ids):
            return
        shape = self._planner.noise_shape
        noise = np.stack([self._rngs[i].standard_normal(shape, dtype=np.float32) for i in ids])
        chunks = self._planner.plan(self._executor.history()[ids], noise)
        arrival_s = now_s + (self._latency_s if self._tick else 0.0)
        self._pending.append((arrival_s, now_s, ids, chunks))
        self._is_waiting[ids] = True

    def _deliver(self, now_s: float) -> None:
        while self._pending and self._pending[0][0] <= now_s + 1e-9:
            _, stamp_s, ids, chunks = self._pending.pop(0)
            self._plans[ids] += self._executor.accept(ids, chunks, np.full(len(ids), stamp_s), now_s)
            self._is_waiting[ids] = False

    def _count(self, verdict: Verdict) -> None:
        is_running = ~self._has_ended
        self._interventions += verdict.intervened & is_running
        self._stops += verdict.stopped & is_running
        for name, hit in verdict.reasons:
            self._reasons[name] = self._reasons.get(name, 0) + (hit & is_running).astype(np.int64)


def _check(
    planner: Planner, simulation: Simulated, draws: Sequence[Draw], seeds: Sequence[int], latency_s: float
) -> None:
    faults = [] if len(draws) == len(seeds) else [f"{len(draws)} draws but {len(seeds)} seeds"]
    faults += [] if len(draws) else ["no episodes"]
    faults += [] if 0 <= latency_s < np.inf else [f"latency_s: {latency_s}; must be 0 or more and finite"]
    if abs(simulation.command_period_s * planner.card.command_hz - 1.0) > 1e-6:
        simulated_hz = 1.0 / simulation.command_period_s
        faults.append(f"the policy commands at {planner.card.command_hz:g} Hz, the simulation at {simulated_hz:g} Hz")
    if faults:
        raise EvaluationMismatch(faults)
    planner.contract.require_same(simulation.task.contract, "the policy", "the simulation")


def _joined(
    results: Sequence[_Result], draws: Sequence[Draw], seeds: Sequence[int], latency_s: float, wall_s: float
) -> Evaluation:
    success = np.concatenate([result.success for result in results])
    metrics = {name: np.concatenate([result.metrics[name] for result in results]) for name in results[0].metrics}
    reasons = {name: int(sum(result.reasons[name].sum() for result in results)) for name in results[0].reasons}
    return Evaluation(
        success,
        metrics,
        wilson(int(success.sum()), len(success)),
        np.concatenate([result.interventions for result in results]),
        np.concatenate([result.stops for result in results]),
        reasons,
        list(draws),
        list(seeds),
        latency_s,
        wall_s,
    )
