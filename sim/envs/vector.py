"""One task as a Gymnasium vector environment: all its worlds in one batch; `sim/envs/__init__.py` registers it."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space, create_empty_array
from numpy.typing import NDArray

from ashore.datasets.errors import InvalidSample, quoted
from ashore.sim.envs.episodes import RENDER_MODES, SEED_LIMIT, EnvEpisodes, require_no_options
from ashore.sim.errors import InvalidEnvironment
from ashore.sim.viewing import make_window

Array = NDArray[Any]
Observations = dict[str, Array]
AUTORESET = (AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP)


class TaskVectorEnv(VectorEnv[Observations, Array, Array]):
    """N episodes side by side; row i is TaskEnv with seed + i, to the bit.

    NextStep    action  a0   a1   --   a2        the step after an end starts the next episode and ignores its action
                reward  r0   r1   0    r2
    SameStep    action  a0   a1   a2             the ending step returns the next episode's start; the last observation
                reward  r0   r1   r2             and info are info["final_obs"] and info["final_info"]
    """

    metadata: dict[str, Any] = {"render_modes": list(RENDER_MODES)}  # noqa: RUF012 (Gymnasium's own attribute)

    def __init__(
        self,
        num_envs: int = 1,
        task: str = "arm/pick-place",
        level: str = "wide",
        reward: str = "shaped",
        render_mode: str | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        copy: bool = True,
    ) -> None:
        """Make the worlds.

        Args:
            num_envs: N.
            task: name in sim.tasks.TASKS.
            level: of the randomization: none, narrow or wide.
            reward: "shaped" pays the task's progress, "sparse" its verdict, as `EnvEpisodes` says.
            render_mode: "rgb_array", "human" (MuJoCo's viewer shows the first world) or None.
            autoreset_mode: NextStep or SameStep.
            copy: whether observations are the caller's own; False gives the same arrays again, written anew.

        Raises:
            UnknownName: there is no such task or level.
            InvalidEnvironment: there is no such reward, render mode or autoreset mode.
            NoSimulations: num_envs is below 1.
            RenderingUnavailable, ViewerUnavailable: this machine cannot draw.
        """
        valid = [mode.value for mode in AUTORESET]
        if autoreset_mode not in (*AUTORESET, *valid):
            raise InvalidEnvironment(task, [f"autoreset_mode: {autoreset_mode!r}; valid: {quoted(valid)}"])
        self._episodes = EnvEpisodes(task, num_envs, level, reward, render_mode)
        simulation = self._episodes.simulation
        self.num_envs = num_envs
        self.single_observation_space = self._episodes.observation_space
        self.single_action_space = self._episodes.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.render_mode = render_mode
        self._mode = AutoresetMode(autoreset_mode)
        fps = {"autoreset_mode": self._mode, "render_fps": simulation.task.contract.control_hz}
        self.metadata = {**self.metadata, **fps}
        self._task, self._copy = task, copy
        self._window = make_window(simulation.engine, render_mode, simulation.task.contract.period_s)
        self._observations: Observations = create_empty_array(self.single_observation_space, num_envs)  # type: ignore[assignment]
        self._over = np.zeros(num_envs, dtype=bool)
        self._is_begun = False

    def reset(
        self, *, seed: int | Sequence[int] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observations, dict[str, Any]]:
        """Start the next N episodes, or number 0 of seeds seed, seed + 1 ..., or of those that are listed (N,).

        Raises:
            InvalidEnvironment: options are given.
            InvalidSample: not N seeds are listed, or one is below 0.
        """
        super().reset(seed=None)
        require_no_options(self._task, options)
        if seed is None and not self._is_begun:
            seed = self.np_random.integers(SEED_LIMIT, size=self.num_envs).tolist()
        seeds = [int(seed) + row for row in range(self.num_envs)] if isinstance(seed, int | np.integer) else seed
        if seeds is not None and (len(seeds) != self.num_envs or min(seeds) < 0):
            expected = f"expected one number or {self.num_envs}, none below 0"
            raise InvalidSample("the reset", [f"seed: {seed}; {expected}"])
        self._episodes.begin(np.arange(self.num_envs), seeds)
        self._is_begun, self._over = True, np.zeros(self.num_envs, dtype=bool)
        self._window.refresh()
        return self._observe(), self._start_infos({}, np.arange(self.num_envs))

    def step(self, actions: Array) -> tuple[Observations, Array, Array, Array, dict[str, Any]]:
        """Run one control step with actions (N, Da); infos tell success and divergence, starts and ends."""
        was_over = self._over
        reward, terminated, truncated = self._episodes.step(np.asarray(actions))
        judge = self._episodes.simulation.judge
        terminated, truncated = terminated & ~was_over, truncated & ~was_over
        over = terminated | truncated
        verdicts = {"success": judge.success(), "diverged": self._episodes.simulation.diverged}
        is_final = self._mode is AutoresetMode.SAME_STEP
        starts = over if is_final else was_over
        infos: dict[str, Any] = {key: values & ~starts for key, values in verdicts.items()}
        infos |= {"_success": ~starts, "_diverged": ~starts}
        infos = self._end(over, infos, verdicts if is_final else None)
        self._begin(starts, infos)
        self._over = over & ~starts
        self._window.refresh()
        return self._observe(), reward, terminated, truncated, infos

    def render(self) -> tuple[Array, ...] | None:
        """Draw N pictures (H, W, 3) uint8 where the render mode is rgb_array; a window draws itself."""
        if self.render_mode != "rgb_array":
            return None
        pictures = [self._window.picture(row) for row in range(self.num_envs)]
        return tuple(picture for picture in pictures if picture is not None)

    def close_extras(self, **kwargs: Any) -> None:
        """Free what draws."""
        self._window.close()

    def _end(self, over: Array, infos: dict[str, Any], verdicts: dict[str, Array] | None) -> dict[str, Any]:
        """Tell the figures of episodes over (N,) bool; with verdicts, also what a start in the same step hides."""
        if not over.any():
            return infos
        last = self._observe() if verdicts is not None else {}
        for row in np.flatnonzero(over).tolist():
            ending = self._episodes.end_info(row)
            if verdicts is not None:
                shown = {name: values[row].copy() for name, values in last.items()}
                verdict = {key: bool(values[row]) for key, values in verdicts.items()}
                ending = {"final_obs": shown, "final_info": {**verdict, **ending}}
            infos = self._add_info(infos, ending, row)
        return infos

    def _begin(self, over: Array, infos: dict[str, Any]) -> None:
        if over.any():
            rows = np.flatnonzero(over)
            self._episodes.begin(rows)
            self._start_infos(infos, rows)

    def _start_infos(self, infos: dict[str, Any], rows: Array) -> dict[str, Any]:
        for row in rows.tolist():
            infos = self._add_info(infos, self._episodes.start_info(row), row)
        return infos

    def _observe(self) -> Observations:
        self._episodes.write(self._observations)
        return deepcopy(self._observations) if self._copy else self._observations
