"""`ashore train`: train a policy on episode stores."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional


@dataclass(frozen=True)
class Train:
    """Train a diffusion policy on episode stores, or go on with the run that is already at --out.

    The run is resumed from its last checkpoint where the folder holds one made with the same settings. For example:

      ashore train out/arm --policy diffusion --minutes 3 --out out/teacher
      ashore train out/arm out/more --updates 20000 --out out/teacher
    """

    stores: Annotated[tuple[Path, ...], Positional]
    """Folders of episode stores that share one contract."""
    out: Path = Path("out/run")
    """Folder of the run."""
    policy: Literal["diffusion"] = "diffusion"
    """Kind of policy."""
    minutes: float = 3.0
    """Wall time to train for, unless --updates is given."""
    updates: int | None = None
    """Number of optimizer updates; such a run resumes to the same bits."""
    prediction_horizon: int = 16
    """Control steps in a chunk."""
    action_horizon: int = 4
    """Steps of a chunk that are executed before the next one is planned."""
    batch_size: int = 256
    """Windows in one update."""
    learning_rate: float = 1e-3
    """Largest learning rate; warmed up, then lowered along a cosine."""
    seed: int = 0
    """Seed of the weights, the order of the data and the noise."""
    threads: int = 1
    """CPU threads of torch."""

    def run(self) -> int:
        """Train, and say where the run is."""
        from ashore.cli.console import say
        from ashore.cli.progress import shown
        from ashore.policies.policy import PolicyConfig
        from ashore.policies.training import train
        from ashore.policies.training_loop import TrainingConfig

        config = TrainingConfig(
            updates=self.updates,
            minutes=self.minutes,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            seed=self.seed,
            threads=self.threads,
        )
        with shown(f"train {self.policy}") as progress:
            shape = PolicyConfig(prediction_horizon=self.prediction_horizon, action_horizon=self.action_horizon)
            run = train(self.stores, self.out, config, shape, progress)
        say(f"The run is in {run}; its curves: tensorboard --logdir {run}/tb")
        say(f"Next: ashore distill {run}")
        return 0
