"""What a single and a vector environment share: N episodes with seeds of their own, their spaces, rewards and infos."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from ashore.datasets.contract import Feature
from ashore.datasets.errors import InvalidSample, quoted
from ashore.sim.control_steps import ControlSteps
from ashore.sim.errors import InvalidEnvironment
from ashore.sim.randomization import draw_episodes, episode_seed
from ashore.sim.simulation import Simulation, make_simulation

Array = NDArray[Any]
REWARDS = ("shaped", "sparse")
RENDER_MODES = ("human", "rgb_array")
SEED_LIMIT = 2**31
"""Seeds that are drawn where none is given are below this."""


class EnvEpisodes:
    """N episodes, each with a seed and a number of its own: (seed, 0) after a reset with a seed, then (seed, 1) ...

    The reward of a step is what it gained: potential after it minus potential before it, with the task's progress in
    [0, 1] as the potential ("shaped") or its verdict, 0 or 1 ("sparse"). So an episode's return is what it achieved,
    whatever way it took, and what is lost again is paid back. Source: Ng, Harada and Russell, Policy Invariance Under
    Reward Transformations, ICML 1999, whose potential differences these are.
    """

    def __init__(self, task: str, n: int, level: str, reward: str, render_mode: str | None) -> None:
        """Make the worlds.

        Raises:
            UnknownName: there is no such task or level.
            InvalidEnvironment: there is no such reward or render mode, or the task is no simulation of Ashore's.
        """
        faults = [] if reward in REWARDS else [f"reward: {reward!r}; valid: {quoted(REWARDS)}"]
        if render_mode is not None and render_mode not in RENDER_MODES:
            faults.append(f"render_mode: {render_mode!r}; valid: {quoted(RENDER_MODES)} or None")
        simulation = make_simulation(task, n, level)
        if not isinstance(simulation, Simulation):
            faults.append(f"task: {task!r} is a Gymnasium environment already; make that one")
        if faults or not isinstance(simulation, Simulation):
            raise InvalidEnvironment(task, faults)
        self.simulation = simulation
        self.steps = ControlSteps(simulation)
        contract = simulation.task.contract
        # Ordered, or Gymnasium sorts the names: flattened, it is then contract.flatten_observation.
        boxes = OrderedDict((feature.name, _observation_box(feature)) for feature in contract.observations)
        self.observation_space: spaces.Dict[Any] = spaces.Dict(boxes)  # type: ignore[arg-type]
        self.action_space = _action_box(contract.actions)
        self._is_shaped = reward == "shaped"
        self._base, self._numbers = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
        self._taken = np.zeros(n, dtype=np.int64)
        self._before = np.zeros(n)

    def begin(self, rows: Array, seeds: Sequence[int] | None = None) -> None:
        """Start episodes rows (K,): number 0 of these seeds (K,), or the next number of the seed that each has."""
        if seeds is None:
            self._numbers[rows] += 1
        else:
            self._base[rows], self._numbers[rows] = seeds, 0
        keys = [(int(self._base[row]), int(self._numbers[row])) for row in rows]
        randomization, simulation = self.simulation.randomization, self.simulation
        draws = [draw_episodes(randomization, seed, [number])[0] for seed, number in keys]
        chosen = [episode_seed(seed, number) for seed, number in keys]
        simulation.reset(draws, chosen, None if len(rows) == simulation.n else rows)
        self.steps.renew()
        self._taken[rows] = 0
        self._before[rows] = self._potential()[rows]

    def step(self, actions: Array) -> tuple[Array, Array, Array]:
        """Run one control step with actions (N, Da) and give reward, terminated and truncated, each (N,).

        An episode that was over before stands still and earns nothing.

        Raises:
            InvalidSample: the actions have another shape, or one of an episode that runs is not finite.
        """
        judge = self.simulation.judge
        was_over = judge.terminated() | (self._taken >= self.steps.n_steps)
        self._require_sound(actions, ~was_over)
        self.simulation.hold(was_over)
        self.steps.step(actions)
        self._taken += ~was_over
        after, diverged = self._potential(), self.simulation.diverged
        # Nothing can be learned from a world that broke.
        reward = np.where(diverged | was_over, 0.0, after - self._before)
        self._before = after
        terminated = judge.terminated() & ~diverged
        truncated = diverged | (~terminated & (self._taken >= self.steps.n_steps))
        return reward, terminated, truncated

    def write(self, into: Mapping[str, Array]) -> None:
        """Write the newest observations into arrays {name: (N, *shape)}."""
        observed = self.steps.observe()
        for name, values in into.items():
            values[...] = observed[name]

    def start_info(self, row: int) -> dict[str, Any]:
        """Tell which episode a row plays: its seed, its number and its draw."""
        seed, number = int(self._base[row]), int(self._numbers[row])
        draw = {name: np.array(value) for name, value in self.simulation.draws[row].items()}
        return {"seed": seed, "episode": number, "draw": draw}

    def end_info(self, row: int) -> dict[str, Any]:
        """Tell which episode a row has played, and the task's figures of it."""
        figures = {name: float(values[row]) for name, values in self.simulation.judge.metrics().items()}
        return {**self.start_info(row), "metrics": figures}

    def _require_sound(self, actions: Array, runs: Array) -> None:
        expected = (self.simulation.n, *self.action_space.shape)
        if actions.shape != expected:
            raise InvalidSample("the step", [f"actions: shape {actions.shape}, expected {expected}"])
        broken = np.flatnonzero(~np.isfinite(actions).all(axis=1) & runs)
        if len(broken):
            raise InvalidSample(
                "the step", [f"actions: NaN or infinity in row {broken[0]}, {len(broken)} row(s) in all"]
            )

    def _potential(self) -> Array:
        judge = self.simulation.judge
        return np.asarray(judge.progress() if self._is_shaped else judge.success(), dtype=np.float64)


def require_no_options(task: str, options: Mapping[str, Any] | None) -> None:
    """Refuse options of a reset: there are none.

    Raises:
        InvalidEnvironment: some are given.
    """
    if options:
        known = "a reset knows no options; level and reward are given to gymnasium.make"
        raise InvalidEnvironment(task, [f"options: {quoted(options)}; {known}"])


def _observation_box(feature: Feature) -> spaces.Box:
    """A box without bounds: a noisy measurement may lie beyond what the quantity itself can be."""
    return spaces.Box(-np.inf, np.inf, feature.shape, np.dtype(feature.dtype).type)


def _action_box(features: Sequence[Feature]) -> spaces.Box:
    lows = [v for feature in features for v in feature.low or (-np.inf,) * feature.size]
    highs = [v for feature in features for v in feature.high or (np.inf,) * feature.size]
    return spaces.Box(np.array(lows, dtype=np.float32), np.array(highs, dtype=np.float32), dtype=np.float32)
