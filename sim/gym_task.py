"""Any Gymnasium environment as a task, `gym/<environment id>`: N of them side by side, seen as a Simulation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from ashore.datasets.contract import Contract
from ashore.sim.errors import MissingEnvironment, NoSimulations
from ashore.sim.gym_spaces import BoxAdapter, Environment, GymAdapter
from ashore.sim.pusht import PUSHT_ID, PushTAdapter
from ashore.sim.randomization import Draw, Randomization
from ashore.sim.robot import CommandLimits, RobotCard
from ashore.sim.task import Judge

Array = NDArray[Any]
PREFIX = "gym/"


@dataclass(frozen=True)
class GymRobot:
    """What acts in the environment: a card whose commands are the contract's actions."""

    card: RobotCard


@dataclass(frozen=True)
class GymTask:
    """What is known of an environment as a task: the part of `sim.task.Task` that needs no engine."""

    name: str
    contract: Contract
    robot: GymRobot
    episode_s: float

    def encoding(self) -> Mapping[str, Any]:
        """See the observations as they are."""
        return {}


class GymJudge:
    """The environments' own verdicts on N episodes."""

    def __init__(self, n: int) -> None:
        self._success = np.zeros(n, dtype=bool)
        self._terminated = np.zeros(n, dtype=bool)
        self._best = np.full(n, -np.inf)
        self._return = np.zeros(n)
        self._length = np.zeros(n)

    def update(self, truth: Mapping[str, Array], time_s: Array) -> None:
        """Take in the true state; the environment judges by rewards, which take_in has brought already."""

    def take_in(self, index: int, reward: float, terminated: bool) -> None:
        """Take in what one environment said of its newest step."""
        self._best[index] = max(self._best[index], reward)
        self._return[index] += reward
        self._length[index] += 1
        self._terminated[index] |= terminated

    def mark(self, index: int, is_success: bool) -> None:
        """Note whether an episode has succeeded by now; success stays."""
        self._success[index] |= is_success

    def best_and_return(self, index: int) -> tuple[float, float]:
        """Largest and summed reward of one episode so far."""
        return float(self._best[index]), float(self._return[index])

    def success(self) -> Array:
        """Whether each episode has succeeded (N,) bool."""
        return self._success.copy()

    def terminated(self) -> Array:
        """Whether each environment ended its episode (N,) bool; its time limit apart."""
        return self._terminated.copy()

    def progress(self) -> Array:
        """Largest reward so far of each episode (N,), held between 0 and 1."""
        return np.clip(np.where(np.isfinite(self._best), self._best, 0.0), 0.0, 1.0)

    def metrics(self) -> dict[str, Array]:
        """Largest reward (Push-T's published score), return and length of each episode, each (N,)."""
        best = np.where(np.isfinite(self._best), self._best, 0.0)
        return {"max_reward": best, "return": self._return.copy(), "n_steps": self._length.copy()}


class GymSimulation:
    """N environments, stepped one after the other; one that has ended keeps its last observation."""

    judge: Judge
    """The environments' verdicts on the episodes that run now."""

    def __init__(self, environment_id: str, n: int) -> None:
        """Make the environments.

        Raises:
            MissingEnvironment: no such environment is registered.
            UnsupportedEnvironment: its spaces are no Boxes.
        """
        self.n = n
        self._environments = [make_environment(environment_id) for _ in range(n)]
        self._adapter = make_adapter(environment_id, self._environments[0])
        contract = self._adapter.contract
        self.command_period_s = contract.period_s
        self.n_ticks = self._adapter.n_steps
        card = environment_card(contract)
        self.task = GymTask(f"{PREFIX}{environment_id}", contract, GymRobot(card), self.n_ticks * self.command_period_s)
        self.randomization = Randomization(())
        self._draws: Sequence[Draw] = ()
        self._ended = np.zeros(n, dtype=bool)
        self._state: list[dict[str, Array]] = []
        self._ticks = 0

    @property
    def time_s(self) -> float:
        """Time since the reset."""
        return self._ticks * self.command_period_s

    @property
    def draws(self) -> Sequence[Draw]:
        """The draws of the episodes that run now (N,); an environment randomizes itself by its seed."""
        return self._draws

    def reset(self, draws: Sequence[Draw], seeds: Sequence[int]) -> None:
        """Start N episodes from their seeds; draws are kept and change nothing."""
        self._draws, self._ticks = list(draws), 0
        self._ended = np.zeros(self.n, dtype=bool)
        self._verdicts = GymJudge(self.n)
        self.judge = self._verdicts
        begun = [self._adapter.begin(env, int(seed)) for env, seed in zip(self._environments, seeds, strict=True)]
        self._state = [self._adapter.measure(start.observation, start.info) for start in begun]

    def observe(self) -> dict[str, Array]:
        """The newest observations {name: (N, *shape)}."""
        return {name: np.stack([state[name] for state in self._state]) for name in self._state[0]}

    def truth(self) -> dict[str, Array]:
        """The same: what an environment shows is all that is known of it."""
        return self.observe()

    def step(self, command: Array) -> None:
        """Run one control step with commands (N, Da)."""
        for index in np.flatnonzero(~self._ended):
            self._step_one(int(index), command[index])
        self._ticks += 1

    def frame(self, index: int) -> Array:
        """Draw one environment as a picture (H, W, 3) uint8."""
        return np.asarray(self._environments[index].render())

    def _step_one(self, index: int, command: Array) -> None:
        environment, adapter = self._environments[index], self._adapter
        observation, reward, terminated, truncated, info = environment.step(adapter.to_environment(command))
        self._state[index] = adapter.measure(observation, info)
        self._verdicts.take_in(index, float(reward), bool(terminated))
        is_success = adapter.is_success(info, *self._verdicts.best_and_return(index))
        self._verdicts.mark(index, is_success)
        self._ended[index] = terminated or truncated


def make_environment(environment_id: str) -> Environment:
    """Make one environment, importing the package that its namespace names where that is installed.

    Raises:
        MissingEnvironment: no such environment is registered, or it lacks a package.
    """
    namespace = environment_id.partition("/")[0]
    if "/" in environment_id and namespace.isidentifier() and find_spec(namespace) is not None:
        import_module(namespace)
    try:
        return gymnasium.make(environment_id, render_mode="rgb_array")
    except gymnasium.error.Error as error:
        raise MissingEnvironment(environment_id, str(error), sorted(gymnasium.registry)) from error


def make_adapter(environment_id: str, environment: Environment) -> GymAdapter:
    """Choose the adapter: Push-T has its recordings' contract, any other environment that of its spaces."""
    return PushTAdapter() if environment_id == PUSHT_ID else BoxAdapter(environment, environment_id)


def make_gym_simulation(task_name: str, n: int) -> GymSimulation:
    """Make N episodes of `gym/<environment id>`."""
    if n < 1:
        raise NoSimulations(n)
    return GymSimulation(task_name.removeprefix(PREFIX), n)


def environment_card(contract: Contract) -> RobotCard:
    """Make the card of an environment: any bounded action may follow any other within one period."""
    unbounded = 1e6
    lows = [v for action in contract.actions for v in action.low or (-unbounded,) * action.size]
    highs = [v for action in contract.actions for v in action.high or (unbounded,) * action.size]
    width = contract.action_width
    limits = CommandLimits(
        low=tuple(lows),
        high=tuple(highs),
        max_rate=tuple((high - low) * contract.control_hz for low, high in zip(lows, highs, strict=True)),
        max_lead=(None,) * width,
        lead_of=(None,) * width,
        timeout_s=max(0.15, 3 * contract.period_s),
    )
    interface = {"kind": "direct", "actions": [action.name for action in contract.actions]}
    return RobotCard(contract.robot, contract.control_hz, contract.actions, limits, interface)
