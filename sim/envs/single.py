"""One task as a Gymnasium environment; `sim/envs/__init__.py` registers it."""

from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from ashore.sim.envs.episodes import RENDER_MODES, SEED_LIMIT, EnvEpisodes, require_no_options
from ashore.sim.viewing import make_window

Array = NDArray[Any]
FIRST = np.array([0])


class TaskEnv(gymnasium.Env[dict[str, Array], Array]):
    """One episode after the other: observations by name, actions in contract order.

    A reset with a seed starts episode (seed, 0), the same as ashore collect draws it; each further reset without one
    starts the next number. A simulation that diverged truncates its episode.
    """

    metadata: dict[str, Any] = {"render_modes": list(RENDER_MODES)}  # noqa: RUF012 (Gymnasium's own attribute)

    def __init__(self, task: str, level: str = "wide", reward: str = "shaped", render_mode: str | None = None) -> None:
        """Make the world.

        Args:
            task: name in sim.tasks.TASKS.
            level: of the randomization: none, narrow or wide.
            reward: "shaped" pays the task's progress, "sparse" its verdict, as `EnvEpisodes` says.
            render_mode: "rgb_array", "human" (MuJoCo's viewer) or None.

        Raises:
            UnknownName: there is no such task or level.
            InvalidEnvironment: there is no such reward or render mode.
            RenderingUnavailable, ViewerUnavailable: this machine cannot draw.
        """
        self._episodes = EnvEpisodes(task, 1, level, reward, render_mode)
        self._task = task
        self._spaces = self._episodes.observation_space
        self.observation_space = self._spaces  # type: ignore[assignment]
        self.action_space = self._episodes.action_space
        self.render_mode = render_mode
        simulation = self._episodes.simulation
        self.metadata = {**self.metadata, "render_fps": simulation.task.contract.control_hz}
        self._window = make_window(simulation.engine, render_mode, simulation.task.contract.period_s)
        self._is_begun = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Array], dict[str, Any]]:
        """Start the next episode, or number 0 of a seed; info has its seed, number and draw.

        Raises:
            InvalidEnvironment: options are given.
        """
        super().reset(seed=seed)
        require_no_options(self._task, options)
        if seed is None and not self._is_begun:
            seed = int(self.np_random.integers(SEED_LIMIT))
        self._episodes.begin(FIRST, None if seed is None else [seed])
        self._is_begun = True
        self._window.refresh()
        return self._observe(), self._episodes.start_info(0)

    def step(self, action: Array) -> tuple[dict[str, Array], float, bool, bool, dict[str, Any]]:
        """Run one control step with an action (Da,); info tells success and divergence, and at the end the figures."""
        reward, terminated, truncated = self._episodes.step(np.asarray(action)[None])
        judge = self._episodes.simulation.judge
        info: dict[str, Any] = {
            "success": bool(judge.success()[0]),
            "diverged": bool(self._episodes.simulation.diverged[0]),
        }
        if terminated[0] or truncated[0]:
            info |= self._episodes.end_info(0)
        self._window.refresh()
        return self._observe(), float(reward[0]), bool(terminated[0]), bool(truncated[0]), info

    def render(self) -> Array | None:
        """Draw (H, W, 3) uint8 where the render mode is rgb_array; a window draws itself."""
        return self._window.picture(0)

    def close(self) -> None:
        """Free what draws."""
        self._window.close()

    def _observe(self) -> dict[str, Array]:
        made = {name: np.empty((1, *(box.shape or ())), box.dtype) for name, box in self._spaces.items()}
        self._episodes.write(made)
        return {name: values[0] for name, values in made.items()}
