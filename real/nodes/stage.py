"""One episode at a time on a simulation of one world: what the twin's process plays, without ROS."""

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.contract import Contract

if TYPE_CHECKING:
    from ashore.sim.simulation import Simulation

Array = NDArray[Any]


class Stage:
    """Resets by seed, steps until the task or its time ends the episode, and then stands still."""

    def __init__(self, simulation: "Simulation") -> None:
        self._simulation = simulation
        self.seed = 0
        self.episode_index = -1
        self.running = False

    @property
    def contract(self) -> Contract:
        """The task's contract."""
        return self._simulation.task.contract

    @property
    def physics_steps(self) -> int:
        """Physics steps in a command period."""
        return self._simulation.physics_steps

    def reset(self, seed: int) -> dict[str, Any]:
        """Place everything as this seed says; returns the facts of the new episode, its draw as JSON."""
        from ashore.sim.randomization import draw_to_json, episode_rng, episode_seed

        draw = self._simulation.randomization.draw(episode_rng(seed, 0))
        self._simulation.reset([draw], [episode_seed(seed, 0)])
        self.seed, self.running = seed, True
        self.episode_index += 1
        limit_s = self._simulation.task.episode_s
        return {"episode": self.episode_index, "seed": seed, "episode_s": limit_s, "draw": draw_to_json(draw)}

    def observe(self) -> dict[str, Array]:
        """Give what the sensors measure now {name: (1, *shape)}."""
        return self._simulation.observe()

    def step(self, command: Array, between: Callable[[], object] | None = None) -> dict[str, Any] | None:
        """Play one command period; returns the outcome when this one ended the episode.

        Args:
            command: (1, Dc).
            between: called between two physics steps.
        """
        if not self.running:
            return None
        simulation = self._simulation
        simulation.step(command, between)
        time_s = float(np.max(simulation.time_s))
        terminated = bool(simulation.judge.terminated()[0])
        truncated = not terminated and time_s >= simulation.task.episode_s - 1e-9
        if not terminated and not truncated:
            return None
        self.running = False
        return {
            "episode": self.episode_index,
            "seed": self.seed,
            "success": bool(simulation.judge.success()[0]),
            "terminated": terminated,
            "truncated": truncated,
            "time_s": round(time_s, 6),
            "metrics": _numbers(simulation.judge.metrics()),
        }


def make_stage(task_name: str, profile: str) -> Stage:
    """Build the twin of a task in this reality; PyBullet is loaded here."""
    from ashore.sim.twin.profile import load_profile
    from ashore.sim.twin.simulation import make_twin_simulation

    return Stage(make_twin_simulation(task_name, 1, load_profile(profile)))


def _numbers(metrics: Mapping[str, Array]) -> dict[str, float | None]:
    """Turn {name: (1,)} into JSON, which knows no NaN: None stands for it."""
    values = {name: float(np.asarray(value).reshape(-1)[0]) for name, value in metrics.items()}
    return {name: value if math.isfinite(value) else None for name, value in values.items()}
