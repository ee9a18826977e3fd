"""From a Gymnasium environment's spaces to a contract, and from its samples to named arrays and back."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from ashore.datasets.contract import Contract, Feature
from ashore.datasets.features import DTYPES
from ashore.sim.errors import UnsupportedEnvironment

Array = NDArray[Any]
Environment = gymnasium.Env[Any, Any]
DEFAULT_CONTROL_HZ = 10.0
"""For an environment that tells neither its time step nor its frame rate, such as a grid world."""
DEFAULT_STEPS = 1000
"""Step limit for an environment that has none."""


@dataclass(frozen=True)
class Begun:
    """One environment after its reset."""

    observation: Any
    info: Mapping[str, Any]


class GymAdapter(Protocol):
    """What must be known of one kind of environment to use it as a task."""

    contract: Contract
    n_steps: int
    """Time limit of an episode in control steps."""

    def begin(self, environment: Environment, seed: int) -> Begun:
        """Reset the environment to the start state of this seed."""

    def measure(self, observation: Any, info: Mapping[str, Any]) -> dict[str, Array]:
        """Name the parts of one observation {name: (*shape)}."""

    def to_environment(self, command: Array) -> Any:
        """Turn one command (Da,) into the environment's action."""

    def is_success(self, info: Mapping[str, Any], best_reward: float, total_reward: float) -> bool:
        """The verdict so far on an episode."""


class BoxAdapter:
    """Any environment of Box spaces: its observation and its action are taken as they are."""

    def __init__(self, environment: Environment, environment_id: str) -> None:
        """Read spaces, rate and limits of an environment.

        Raises:
            UnsupportedEnvironment: lists every space that is no Box.
        """
        seen = environment.observation_space
        parts = dict(seen.spaces) if isinstance(seen, spaces.Dict) else {"observation": seen}
        boxes = _boxes({**parts, "action": environment.action_space}, environment_id)
        self._named = isinstance(seen, spaces.Dict)
        self._action_space = boxes.pop("action")
        spec = environment.spec
        self._goal_reward = spec.reward_threshold if spec else None
        self.n_steps = (spec.max_episode_steps if spec else None) or DEFAULT_STEPS
        self.contract = Contract(
            robot=f"gym/{environment_id}",
            task=f"gym/{environment_id}",
            observations=tuple(_feature(name, space) for name, space in boxes.items()),
            actions=(_feature("action", self._action_space),),
            control_hz=control_hz(environment),
        )

    def begin(self, environment: Environment, seed: int) -> Begun:
        """Reset with the seed, as the environment itself understands it."""
        return Begun(*environment.reset(seed=seed))

    def measure(self, observation: Any, info: Mapping[str, Any]) -> dict[str, Array]:
        """Name the parts of an observation {name: (*shape)}."""
        parts = observation if self._named else {"observation": observation}
        return {name: np.array(value) for name, value in parts.items()}

    def to_environment(self, command: Array) -> Any:
        """Clip a command (Da,) to the action space, in its shape and dtype."""
        space = self._action_space
        shaped = np.asarray(command, dtype=np.float64).reshape(space.shape)
        return np.clip(shaped, space.low, space.high).astype(space.dtype)

    def is_success(self, info: Mapping[str, Any], best_reward: float, total_reward: float) -> bool:
        """Say what the environment says (`is_success` or `success`); else whether the return meets its threshold."""
        for key in ("is_success", "success"):
            if key in info:
                return bool(info[key])
        return self._goal_reward is not None and total_reward >= self._goal_reward


def control_hz(environment: Environment) -> float:
    """Read the control rate: the frame rate in its metadata, else its dt, else DEFAULT_CONTROL_HZ."""
    dt_s = getattr(environment.unwrapped, "dt", None)
    frames = environment.metadata.get("render_fps")
    if frames:
        return float(frames)
    return 1.0 / float(dt_s) if dt_s else DEFAULT_CONTROL_HZ


def _boxes(parts: Mapping[str, spaces.Space[Any]], environment_id: str) -> dict[str, spaces.Box]:
    boxes = {name: space for name, space in parts.items() if isinstance(space, spaces.Box)}
    faults = [f"{name}: {space}; expected a Box" for name, space in parts.items() if name not in boxes]
    if faults:
        raise UnsupportedEnvironment(environment_id, faults)
    return boxes


def _feature(name: str, space: spaces.Box) -> Feature:
    bounded = np.all(np.isfinite(space.low)) and np.all(np.isfinite(space.high))
    low, high = space.low.astype(float).ravel(), space.high.astype(float).ravel()
    return Feature(
        name,
        space.shape or (1,),
        "1",
        "none",
        tuple(f"{name}{index}" for index in range(low.size)) if low.size <= 64 else (),
        dtype=str(space.dtype) if str(space.dtype) in DTYPES else "float32",
        low=tuple(low.tolist()) if bounded else None,
        high=tuple(high.tolist()) if bounded else None,
    )
