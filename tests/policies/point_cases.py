"""A simulation small enough to read: points that follow their targets with a lag, and a planner that knows the way."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ashore.datasets.contract import Contract, Feature
from ashore.sim.randomization import Parameter, Randomization, stack
from ashore.sim.randomization.distributions import Uniform
from ashore.sim.robot import CommandLimits, RobotCard

CONTRACT = Contract(
    robot="test/point",
    task="test/reach",
    observations=(
        Feature("pos_world_m", (2,), "m", "world"),
        Feature("goal_world_m", (2,), "m", "world"),
    ),
    actions=(Feature("target_world_m", (2,), "m", "world"),),
    control_hz=10.0,
)
CARD = RobotCard(
    name="test/point",
    command_hz=50.0,
    commands=CONTRACT.actions,
    limits=CommandLimits((-2.0,) * 2, (2.0,) * 2, (200.0,) * 2, (None,) * 2, (None,) * 2, timeout_s=0.15),
    interface={"kind": "direct", "actions": ["target_world_m"]},
)
SPREAD = Randomization(
    (
        Parameter("goal_m", Uniform((-1.0, -1.0), (1.0, 1.0)), "start"),
        Parameter("lag_s", Uniform(0.1, 0.5), "actuation"),
    )
)


@dataclass(frozen=True)
class PointTask:
    contract: Contract = CONTRACT


class PointJudge:
    """Succeeds within 15 cm of the goal, and ends there."""

    def __init__(self, n: int) -> None:
        self._done, self._distance = np.zeros(n, bool), np.full(n, np.nan)

    def update(self, truth: Mapping[str, np.ndarray], time_s: float) -> None:
        self._distance = np.linalg.norm(truth["pos_world_m"] - truth["goal_world_m"], axis=1)
        self._done |= self._distance < 0.15

    def success(self) -> np.ndarray:
        return self._done.copy()

    def terminated(self) -> np.ndarray:
        return self._done.copy()

    def metrics(self) -> dict[str, np.ndarray]:
        return {"distance_m": self._distance}


class PointSimulation:
    """N points; each command period they move towards their targets as a first-order lag does."""

    def __init__(self, n: int, command_hz: float = CARD.command_hz) -> None:
        self.command_period_s = 1 / command_hz
        self.n_ticks = round(4 * command_hz)
        self.n, self.task, self.randomization = n, PointTask(), SPREAD
        self.commands: list[np.ndarray] = []
        self.n_resets = 0

    @property
    def time_s(self) -> float:
        return self._ticks * self.command_period_s

    def reset(self, draws: Sequence[Mapping[str, np.ndarray]], seeds: Sequence[int]) -> None:
        if len(draws) != self.n or len(seeds) != self.n:
            raise ValueError("one draw and one seed a point")
        self._goal, self._lag_s, self._ticks = stack(draws, "goal_m"), stack(draws, "lag_s"), 0
        self._pos = np.zeros((self.n, 2))
        self.judge, self.n_resets = PointJudge(self.n), self.n_resets + 1
        self.judge.update(self.observe(), 0.0)

    def observe(self) -> dict[str, np.ndarray]:
        return {"pos_world_m": self._pos, "goal_world_m": self._goal}

    def step(self, command: np.ndarray) -> None:
        self.commands.append(command)
        self._pos = self._pos + (command - self._pos) * (self.command_period_s / self._lag_s)[:, None]
        self._ticks += 1
        self.judge.update(self.observe(), self.time_s)


class PointPlanner:
    """Heads for the goal, with a little of the noise; skewed by an offset where one is given."""

    contract, card = CONTRACT, CARD
    obs_horizon, prediction_horizon, action_horizon = 2, 8, 4
    noise_shape = (8, 2)

    def __init__(self, offset_m: float = 0.0) -> None:
        self.offset_m, self.histories = offset_m, []

    def plan(self, obs: np.ndarray, noise: np.ndarray) -> np.ndarray:
        self.histories.append(obs.copy())
        return np.asarray(obs[:, -1:, 2:] + self.offset_m + 0.01 * noise, np.float32)
