"""`ashore train`: train a policy on episode stores."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional

if TYPE_CHECKING:
    from ashore.policies.policy import PolicyConfig
    from ashore.policies.selection import Screen

SIMULATIONS = 50
"""Episodes at a time when candidates are screened."""


@dataclass(frozen=True)
class Train:
    """Train a policy on episode stores, or go on with the run that is already at --out.

    The run is resumed from its last checkpoint where the folder holds one made with the same settings. Its settings are
    shown before it starts and stored in RUN/options.yaml, which another run takes as --config. For example:

      ashore train out/arm --policy diffusion --minutes 3 --out out/teacher
      ashore train out/arm out/more --updates 20000 --candidates 10 --out out/teacher
      ashore train out/arm --network unet --size medium --process ddpm --out out/unet
      ashore train out/arm --policy act --out out/baseline
      ashore train out/arm --goal object_pos_base_m --out out/goals
      ashore train out/stack out/drawer --multi-task --out out/both
      ashore train --config out/teacher/options.yaml --seed 1 --out out/another
    """

    stores: Annotated[tuple[Path, ...], Positional] = ()
    """Folders of episode stores that share one contract."""
    out: Path = Path("out/run")
    """Folder of the run."""
    policy: Literal["diffusion", "consistency", "bc", "act"] = "diffusion"
    """Kind of policy: consistency learns without a teacher; bc and act are baselines that regress."""
    network: Literal["mlp", "unet", "transformer"] = "mlp"
    """Network: mlp learns most in a CPU-minute, unet and transformer want a GPU; act has its own."""
    size: Literal["small", "medium", "large"] = "small"
    """Size of the network; the number of parameters is shown."""
    process: Literal["edm", "ddpm"] = "edm"
    """Diffusion process: EDM, or DDPM with the squared-cosine schedule as first published."""
    minutes: float = 3.0
    """Wall time to train for, unless --updates is given."""
    updates: int | None = None
    """Number of optimizer updates; such a run resumes to the same bits."""
    obs_horizon: int = 2
    """Control steps that a policy sees."""
    prediction_horizon: int = 16
    """Control steps in a chunk."""
    action_horizon: int = 4
    """Steps of a chunk that are executed before the next one is planned."""
    action_scale: Literal["gaussian", "minmax"] = "gaussian"
    """Scaling of actions: to one deviation an element, or to [-1, 1]."""
    goal: tuple[str, ...] = ()
    """Observations whose values at an episode's end are the goal that the policy is told."""
    multi_task: bool = False
    """Learn the tasks of all stores with one policy, which is told a task's number; `--task` chooses it later."""
    batch_size: int = 256
    """Windows in one update."""
    learning_rate: float = 1e-3
    """Largest learning rate; warmed up, then lowered along a cosine."""
    candidates: int = 0
    """Moments to choose from by success in simulation, evenly over the second half; 0 keeps the last one."""
    screen_episodes: int = 50
    """Episodes, the same for all, that each candidate is screened on."""
    confirm_episodes: int = 200
    """Fresh episodes that the chosen candidate's success is told from, free of the luck of the best of many."""
    patience: int = 0
    """Candidates in a row without a better one after which training stops early; 0 for never."""
    level: str = "wide"
    """What varies between those episodes: none, narrow, wide, or a file."""
    seed: int = 0
    """Seed of the weights, the order of the data and the noise."""
    threads: int = 1
    """CPU threads of torch."""
    config: Path | None = field(default=None)
    """YAML of any of these options; what is given on the command line goes before."""

    @classmethod
    def prepared(cls, arguments: Sequence[str]) -> "tuple[Sequence[str], Train | None]":
        """Take the options of a --config file as defaults of the command line.

        Raises:
            UnreadableFile, BadOptions: it cannot be read, or has options that do not exist or fit.
        """
        from ashore.cli.train_options import with_config

        return arguments, with_config(cls, arguments)

    def run(self) -> int:
        """Train, and say where the run is."""
        from ashore.cli.console import say
        from ashore.cli.errors import NoStores
        from ashore.cli.progress import shown
        from ashore.cli.train_options import show_options, show_prospect, store_options
        from ashore.policies.devices import is_first_process
        from ashore.policies.training import train
        from ashore.policies.training_loop import TrainingConfig, never

        if not self.stores:
            raise NoStores()
        config = TrainingConfig(
            updates=self.updates,
            minutes=self.minutes,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            candidates=self.candidates,
            seed=self.seed,
            threads=self.threads,
        )
        shape = self.shape()
        show_options(self)
        with shown(f"train {self.policy}") as progress:
            screen = self._screen() if self.candidates else None
            run = train(self.stores, self.out, config, shape, progress, screen or never, show_prospect)
        if not is_first_process():
            return 0
        store_options(self, run)
        if screen is not None:
            self._select(screen)
        say(f"The run is in {run}; its curves: tensorboard --logdir {run}/tb")
        say(f"Next: ashore distill {run}" if self.policy == "diffusion" else f"Next: ashore evaluate {run}")
        return 0

    def shape(self) -> "PolicyConfig":
        """Compose the policy that these options ask for."""
        from ashore.policies.generation.consistency import ConsistencyConfig
        from ashore.policies.generation.ddpm import DDPMConfig
        from ashore.policies.generation.edm import EDMConfig
        from ashore.policies.generation.regression import RegressionConfig
        from ashore.policies.goals import GoalConfig
        from ashore.policies.networks.presets import preset
        from ashore.policies.policy import PolicyConfig

        processes = {
            "diffusion": EDMConfig() if self.process == "edm" else DDPMConfig(),
            "consistency": ConsistencyConfig(form="training", levels=160),
            "bc": RegressionConfig(),
            "act": RegressionConfig(distance="l1"),
        }
        return PolicyConfig(
            obs_horizon=self.obs_horizon,
            prediction_horizon=self.prediction_horizon,
            action_horizon=self.action_horizon,
            goal=GoalConfig(features=self.goal, tasks=self._tasks()),
            action_scale=self.action_scale,
            network=preset("act" if self.policy == "act" else self.network, self.size),
            process=processes[self.policy],
        )

    def _tasks(self) -> tuple[str, ...]:
        from ashore.datasets.store import EpisodeStore

        if not self.multi_task:
            return ()
        return tuple(dict.fromkeys(EpisodeStore.open(s, readonly=True).contract.task for s in self.stores))

    def _screen(self) -> "Screen":
        from ashore.cli.opening import open_simulation
        from ashore.datasets.store import EpisodeStore
        from ashore.policies.checkpoint import Asked
        from ashore.policies.selection import Screen

        task = EpisodeStore.open(self.stores[0], readonly=True).contract.task
        n = min(self.screen_episodes, SIMULATIONS)
        asked = Asked(goal={} if self.goal else None, task=task if self.multi_task else None)
        simulation = open_simulation(task, n, self.level)  # Now, since a task that is not here should be told now.
        return Screen(self.out, simulation, self.level, self.screen_episodes, self.patience, asked=asked)

    def _select(self, screen: "Screen") -> None:
        from ashore.cli.console import say, show_table

        with_ = screen.select(self.confirm_episodes)
        rows = [
            (str(s.update), f"{s.success_rate:.1%}", f"{s.low:.1%} to {s.high:.1%}", f"{s.score:.3f}")
            for s in with_.screened
        ]
        show_table(f"candidates on {with_.episodes} episodes", ("update", "success", "95 % interval", "score"), rows)
        say(
            f"Chosen: update {with_.chosen}. On {with_.confirmed_episodes} fresh episodes: {with_.success_rate:.1%} "
            f"({with_.low:.1%} to {with_.high:.1%}), {100 * with_.optimism:+.1f} points of its screening were luck."
        )
