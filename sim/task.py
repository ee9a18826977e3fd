"""The face of a task: scene, start, measurements, success, expert and the randomization that makes sense for it.

A task says everything in engine-neutral words, so that MuJoCo and the PyBullet twin run the very same one.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.contract import Contract
from ashore.sim.engine import Engine
from ashore.sim.errors import NoPicture
from ashore.sim.injection import Injection
from ashore.sim.randomization import Draw, Randomization
from ashore.sim.robot import Robot
from ashore.sim.sensors import SensorSpec

if TYPE_CHECKING:
    from mujoco import MjSpec

Array = NDArray[Any]


class Judge(Protocol):
    """Watches N episodes and gives the task's verdict; fed once a command period with the true state.

    What it remembers stands in arrays (or dictionaries of arrays) of a fixed shape with one row an episode, so that
    single episodes can start afresh.
    """

    def update(self, truth: Mapping[str, Array], time_s: Array) -> None:
        """Take in {name: (N, *shape)} as Task.measure gives it, at each episode's time since its reset (N,)."""

    def success(self) -> Array:
        """The verdict as of now (N,) bool."""

    def terminated(self) -> Array:
        """Whether the episode ended of itself, by success that will stay or by a crash (N,) bool."""

    def progress(self) -> Array:
        """How far each task has come (N,), from 0 at worst to 1 when done: the shaped reward."""

    def metrics(self) -> dict[str, Array]:
        """Named figures of each episode, {name: (N,)}, units in the names."""


class Expert(Protocol):
    """A program that solves the task from the true state; the source of demonstrations."""

    def act(self, truth: Mapping[str, Array], time_s: float) -> Array:
        """The action (N, Da) in contract order, for this control step's true observations, derived ones included."""


class Task(ABC):
    """One task of one robot."""

    name: str
    """Registry name such as arm/pick-place."""
    robot: Robot
    contract: Contract
    episode_s: float
    """Time limit of an episode."""

    @abstractmethod
    def scene(self) -> "MjSpec":
        """The whole scene, robot included; a new one each time, for the caller to change and compile."""

    @abstractmethod
    def randomization(self, level: str) -> Randomization:
        """The randomization of this level: none, narrow or wide; start states vary at every level."""

    @abstractmethod
    def sensors(self) -> Mapping[str, SensorSpec]:
        """How each measured observation is disturbed: {observation: names of its noise and delay parameters}."""

    @abstractmethod
    def reset(self, engine: Engine, ids: Array, draws: Sequence[Draw]) -> None:
        """Place robot and objects of the simulations ids (K,) as their draws say."""

    @abstractmethod
    def measure(self, engine: Engine, draws: Sequence[Draw]) -> dict[str, Array]:
        """The true value of every measured observation {name: (N, *shape)}, as robot and perception would give it."""

    @abstractmethod
    def judge(self, n: int) -> Judge:
        """A judge for n episodes that start now."""

    @abstractmethod
    def expert(self, n: int, rng: np.random.Generator) -> Expert:
        """An expert for n episodes that start now."""

    def injection(self) -> Injection | None:
        """How demonstrations of this task are disturbed, so that they show recovery; None where they are not."""
        return None

    def show(self, engine: Engine, ids: Array, observed: Mapping[str, Array]) -> None:
        """Place robot and objects of the simulations ids (K,) as observations {name: (K, *shape)} say, for pictures.

        Raises:
            NoPicture: the task does not tell how.
        """
        raise NoPicture(self.name)

    def encoding(self) -> Mapping[str, Any]:
        """How a policy should see this task, as fields of `policies.encoding.EncodingSpec`; empty for the generic way.

        For example {"relative": [["object_pos_base_m", "tcp_pos_base_m"]], "fine_scale": 0.02,
        "yaw": [["object_quat_base_wxyz", "tcp_quat_base_wxyz", 4]], "snap": ["gripper_target_m"]}.
        """
        return {}
