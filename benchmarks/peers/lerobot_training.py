"""Time LeRobot's own training of its diffusion policy: `python lerobot_training.py --data FOLDER --seconds 20`.

A script for a Python that has LeRobot and not Ashore; `lerobot_write.py` makes the data set. Two figures: the whole
loop (its loader, preprocessor, update), and its update alone on one random batch. With --minutes it trains instead on
one thread for so many CPU-minutes, loading included, and scores the weights in Push-T on the way; `lerobot_pusht.py`
does that with --pusht, an .npz of `start_states` (E, 5) and `keypoints_local_px` (9, 2).
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from lerobot_policy import REPO_ID, add_down_dims, declare_torchvision, folder_of, make_config, random_batch

WARM_UPDATES = 5
PACE_UPDATES = 20
"""Updates after which the pace says how many a budget holds."""
HELD_BATCH = 256
UNKNOWN = 100_000
"""Updates of a schedule that is not run to its end: LeRobot's default."""


class Loop:
    """The parts of LeRobot's `train` on one CPU, put together in its order, for one update at a time."""

    def __init__(self, data: Path, down_dims: tuple[int, ...], batch: int, n_workers: int, n_updates: int) -> None:
        from accelerate import Accelerator  # type: ignore[import-untyped]
        from lerobot.datasets.factory import make_dataset
        from lerobot.optim.factory import make_optimizer_and_scheduler
        from lerobot.policies.factory import make_policy, make_pre_post_processors
        from lerobot.utils.random_utils import set_seed

        self.settings = make_settings(data, down_dims, batch, n_workers, n_updates)
        self.accelerator = Accelerator(step_scheduler_with_optimizer=False, cpu=True)
        set_seed(self.settings.seed, accelerator=self.accelerator)
        self.dataset = make_dataset(self.settings)
        policy = make_policy(cfg=self.settings.policy, ds_meta=self.dataset.meta)
        self.preprocessor, self.postprocessor = make_pre_post_processors(
            policy_cfg=self.settings.policy, dataset_stats=self.dataset.meta.stats
        )
        optimizer, scheduler = make_optimizer_and_scheduler(self.settings, policy)
        self.policy, self.optimizer, self.loader, self.scheduler = self.accelerator.prepare(
            policy, optimizer, self.make_loader(), scheduler
        )
        self.tracker = self.make_tracker()

    def make_loader(self) -> Any:
        """Make the loader, whose sampler leaves out each episode's last steps."""
        from lerobot.datasets.sampler import EpisodeAwareSampler
        from torch.utils.data import DataLoader

        settings, episodes = self.settings, self.dataset.meta.episodes
        sampler = EpisodeAwareSampler(
            episodes["dataset_from_index"],
            episodes["dataset_to_index"],
            drop_n_last_frames=settings.policy.drop_n_last_frames,
            shuffle=True,
        )
        return DataLoader(
            self.dataset,
            settings.batch_size,
            sampler=sampler,
            num_workers=settings.num_workers,
            prefetch_factor=2 if settings.num_workers else None,
        )

    def make_tracker(self) -> Any:
        """Make what keeps the figures that every update reports."""
        from lerobot.utils.logging_utils import AverageMeter, MetricsTracker

        meters = {name: AverageMeter(name) for name in ("loss", "grad_norm", "lr", "update_s", "dataloading_s")}
        dataset = self.dataset
        sizes = (self.settings.batch_size, dataset.num_frames, dataset.num_episodes)
        return MetricsTracker(*sizes, meters, accelerator=self.accelerator)

    def batches(self) -> Iterator[dict[str, Any]]:
        """Load and preprocess batches without end."""
        from lerobot.datasets.utils import cycle

        return (self.preprocessor(batch) for batch in cycle(self.loader))

    def update(self, batch: dict[str, Any]) -> int:
        """Make one update; returns the samples in it."""
        from lerobot.scripts.lerobot_train import update_policy

        clip = self.settings.optimizer.grad_clip_norm
        update_policy(self.tracker, self.policy, batch, self.optimizer, clip, self.accelerator, self.scheduler)
        self.tracker.step()
        return len(batch["action"])


def make_settings(data: Path, down_dims: tuple[int, ...], batch: int, n_workers: int, n_updates: int) -> Any:
    """Make the settings of a training run, with the policy's own optimizer and schedule."""
    from lerobot.configs.default import DatasetConfig
    from lerobot.configs.train import TrainPipelineConfig

    policy = make_config(down_dims)
    return TrainPipelineConfig(
        dataset=DatasetConfig(REPO_ID, root=str(data)),
        policy=policy,
        num_workers=n_workers,
        batch_size=batch,
        steps=n_updates,
        optimizer=policy.get_optimizer_preset(),
        scheduler=policy.get_scheduler_preset(),
    )


def count_samples(loop: Loop, batches: Iterator[dict[str, Any]], seconds: float) -> float:
    """Train for some seconds after a few updates; returns samples a second."""
    for _ in range(WARM_UPDATES):
        loop.update(next(batches))
    n_samples, wall_s, began_s = 0, 0.0, time.perf_counter()
    while wall_s < seconds:
        n_samples += loop.update(next(batches))
        wall_s = time.perf_counter() - began_s
    return n_samples / wall_s


def same_batch(batch: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield one batch without end."""
    while True:
        yield batch


def time_both(arguments: argparse.Namespace) -> dict[str, Any]:
    """Time the whole loop, then the update alone."""
    loop = Loop(arguments.data, arguments.down_dims, arguments.batch, arguments.workers, UNKNOWN)
    whole = count_samples(loop, loop.batches(), arguments.seconds)
    alone = count_samples(loop, same_batch(random_batch(arguments.batch)), arguments.seconds)
    n_parameters = sum(weight.numel() for weight in loop.policy.parameters())
    return {"loop": whole, "alone": alone, "n_parameters": n_parameters}


def train_scored(arguments: argparse.Namespace) -> dict[str, Any]:
    """Train for the CPU-minutes, on a schedule that ends with them, and score the weights from time to time."""
    from lerobot_pusht import score

    def make(n_updates: int) -> Loop:
        return Loop(arguments.data, arguments.down_dims, arguments.batch, 0, n_updates)

    held, loading_s = hold(make(UNKNOWN).dataset)
    one_s = pace_s(make(UNKNOWN), held) + loading_s * arguments.batch
    n_updates = max(1, round(60 * arguments.minutes / one_s))
    loop, points, cpu_s, scored_s = make(n_updates), [], 0.0, 0.0
    batches = held_batches(loop, held)
    for update in range(1, n_updates + 1):
        began_s = time.process_time()
        n_samples = loop.update(next(batches))
        cpu_s += time.process_time() - began_s + loading_s * n_samples
        if cpu_s - scored_s >= 60 * arguments.every or update == n_updates:
            scored_s = cpu_s
            place = {"cpu_min": cpu_s / 60, "updates": update, "n_samples": update * arguments.batch}
            points.append(place | score(loop, arguments.pusht, arguments.sampler, arguments.levels))
            sys.stderr.write(json.dumps(points[-1]) + "\n")
    if arguments.out:
        loop.accelerator.unwrap_model(loop.policy).save_pretrained(arguments.out)
    return {"batch": arguments.batch, "loading_cpu_ms": 1e3 * loading_s, "points": points}


def hold(dataset: Any) -> tuple[dict[str, torch.Tensor], float]:
    """Load every sample once; returns them in memory, and CPU seconds of one.

    The samples are what its loader gives, so that learning is the same; its time is added to every sample that is used,
    without being spent again.
    """
    from torch.utils.data import DataLoader

    began_s = time.process_time()
    batches = list(DataLoader(dataset, HELD_BATCH))
    loading_s = (time.process_time() - began_s) / len(dataset)
    names = [name for name in batches[0] if name.startswith(("observation.", "action"))]
    return {name: torch.cat([batch[name] for batch in batches]) for name in names}, loading_s


def held_batches(loop: Loop, held: dict[str, torch.Tensor]) -> Iterator[dict[str, Any]]:
    """Yield preprocessed batches without end, in the order of the loop's own sampler."""
    from torch.utils.data import BatchSampler

    batched = BatchSampler(loop.loader.sampler, loop.settings.batch_size, drop_last=False)
    while True:
        for indices in batched:
            yield loop.preprocessor({name: values[indices] for name, values in held.items()})


def pace_s(loop: Loop, held: dict[str, torch.Tensor]) -> float:
    """Measure CPU seconds of one update, loading aside."""
    batches = held_batches(loop, held)
    loop.update(next(batches))
    began_s = time.process_time()
    for _ in range(PACE_UPDATES):
        loop.update(next(batches))
    return (time.process_time() - began_s) / PACE_UPDATES


def main() -> None:
    """Time or train, and write one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=lambda text: folder_of(Path(text)), required=True)
    add_down_dims(parser, "128,256,512")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each of the two timings")
    parser.add_argument("--minutes", type=float, help="CPU-minutes to train for")
    parser.add_argument("--every", type=float, default=2.0, help="CPU-minutes between scores")
    parser.add_argument("--pusht", type=Path, help="start states and keypoints")
    parser.add_argument("--sampler", choices=("ddpm", "ddim"), default="ddim", help="while scoring")
    parser.add_argument("--levels", type=int, default=10)
    parser.add_argument("--out", type=Path, help="a folder for the last weights")
    arguments = parser.parse_args()
    if arguments.minutes and not arguments.pusht:
        parser.error("--minutes needs --pusht")
    torch.set_num_threads(1 if arguments.minutes else arguments.threads)
    declare_torchvision()
    found = train_scored(arguments) if arguments.minutes else time_both(arguments)
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
