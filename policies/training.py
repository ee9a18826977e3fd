"""The one training loop, for teachers and students alike: resumable to the same bits, at any moment killed."""

import copy
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ashore.datasets.progress import Progress, silent
from ashore.policies.averaging import average_decay, follow
from ashore.policies.cards import robot_card, task_encoding
from ashore.policies.checkpoint import (
    Checkpoint,
    RunSettings,
    has_checkpoint,
    load_checkpoint,
    load_settings,
    save_checkpoint,
    save_run,
)
from ashore.policies.devices import Precision, autocast
from ashore.policies.encoding import EncodingSpec
from ashore.policies.errors import InvalidConfig, RunExists, TrainingDiverged
from ashore.policies.losses import DiffusionLoss, Loss
from ashore.policies.metrics import MetricsLog
from ashore.policies.policy import Policy, PolicyConfig
from ashore.policies.training_data import TrainingData, episodes_digest, open_stores


@dataclass(frozen=True)
class TrainingConfig:
    """How long and how a policy is trained."""

    updates: int | None = None
    """Number of optimizer updates; None to train for `minutes`. Only runs with a number resume to the same bits."""
    minutes: float = 3.0
    """Wall time, where `updates` is None."""
    batch_size: int = 256
    learning_rate: float = 1e-3
    final_learning_rate: float = 0.02
    """Share of the learning rate that the cosine ends at."""
    warmup_updates: int = 100
    weight_decay: float = 1e-4
    average_decay: float = 0.999
    seed: int = 0
    threads: int = 1
    precision: Precision = "auto"
    checkpoint_s: float = 20.0
    log_updates: int = 50

    def __post_init__(self) -> None:
        positive = ("minutes", "batch_size", "learning_rate", "threads", "checkpoint_s", "log_updates")
        faults = [f"{n}: {getattr(self, n)}; must be positive" for n in positive if not getattr(self, n) > 0]
        if self.updates is not None and self.updates < 1:
            faults.append(f"updates: {self.updates}; must be at least 1, or None to train for `minutes`")
        if not 0 <= self.average_decay < 1:
            faults.append(f"average_decay: {self.average_decay}; must lie in [0, 1)")
        if faults:
            raise InvalidConfig("the training config", faults)


def train(
    stores: Sequence[Path | str],
    out: Path | str,
    training: TrainingConfig,
    policy: PolicyConfig | None = None,
    progress: Progress = silent,
) -> Path:
    """Train a diffusion policy on episode stores, or resume the run that is already there.

    Args:
        stores: folders of episode stores with one contract.
        out: the run's folder.
        training: duration and optimizer.
        policy: shape of the policy; where its encoding is the generic one, the task's own suggestion is taken.
        progress: told in updates, or in seconds where the duration is given in minutes.

    Returns:
        The run's folder.

    Raises:
        RunExists: the folder holds a run with other settings.
        TooFewWindows: the data does not fill a batch.
        TrainingDiverged: the loss is no longer a number.
    """
    shape = policy or PolicyConfig()
    data = open_stores(stores, (shape.obs_horizon, shape.prediction_horizon, shape.action_horizon), training.seed)
    if shape.encoding == EncodingSpec():
        shape = replace(shape, encoding=EncodingSpec.from_mapping(task_encoding(data.contract.task)))
    paths = tuple(str(Path(store).resolve()) for store in stores)
    settings = RunSettings("diffusion", shape, asdict(training), paths, episodes_digest(paths))
    return run_training(Path(out), settings, data, DiffusionLoss(), progress=progress)


def run_training(
    path: Path,
    settings: RunSettings,
    data: TrainingData,
    loss: Loss,
    start: Mapping[str, Tensor] | None = None,
    progress: Progress = silent,
) -> Path:
    """Make or resume a run and train it to its end; the loop behind train and distill.

    Args:
        path: the run's folder.
        settings: its config.json; `training` must be a TrainingConfig as a mapping.
        data: what it learns from.
        loss: what it minimises.
        start: state of the policy to start from, normalisers included; None to start afresh.
        progress: told how far it is.
    """
    config = TrainingConfig(**settings.training)
    data.require(config.batch_size)
    torch.set_num_threads(config.threads)
    open_run(path, settings, data)
    torch.manual_seed(config.seed)
    policy = Policy(settings.policy, data.contract)
    if start is not None:
        policy.load_state_dict(dict(start))
    elif not has_checkpoint(path):
        data.fit(policy)
    loop = TrainingLoop(config, policy, loss, path)
    if has_checkpoint(path):
        loop.resume()
    loop.run(data, progress)
    return path


def open_run(path: Path, settings: RunSettings, data: TrainingData) -> None:
    """Make the run's folder, or check that the one there has these very settings."""
    if not (path / "config.json").exists():
        data.save_calibration(path)
        save_run(path, settings, data.contract, robot_card(data))
        return
    there, contract, _ = load_settings(path)
    ours, theirs = settings.to_mapping(), there.to_mapping()
    differing = [f"{key}: there {theirs[key]!r}, here {ours[key]!r}" for key in ours if ours[key] != theirs[key]]
    if differing:
        raise RunExists(path, differing)
    contract.require_same(data.contract, f"the run {path}", "its data")


class TrainingLoop:
    """Network, average and optimizer of one run, and how they move."""

    def __init__(self, config: TrainingConfig, policy: Policy, loss: Loss, path: Path) -> None:
        from accelerate import Accelerator  # type: ignore[import-untyped]

        self.config = config
        self.loss = loss
        self.path = path
        self.accelerator = Accelerator()
        self.policy = policy.to(self.accelerator.device)
        self.average = copy.deepcopy(self.policy).eval().requires_grad_(False)
        parameters = list(self.policy.network.parameters())
        optimizer = torch.optim.AdamW(
            parameters, config.learning_rate, betas=(0.9, 0.99), weight_decay=config.weight_decay, fused=True
        )
        self.network, self.optimizer = self.accelerator.prepare(self.policy.network, optimizer)
        self.update = 0
        self.elapsed_s = 0.0

    def run(self, data: TrainingData, progress: Progress, clock: Callable[[], float] = time.monotonic) -> None:
        """Train to the end of the schedule, saving checkpoints on the way."""
        config, log = self.config, MetricsLog(self.path, self.update)
        before_s, saved_s, logged = clock() - self.elapsed_s, clock(), (self.update, self.elapsed_s)
        while self.share_done() < 1.0:
            loss = self.step(data)
            self.elapsed_s = clock() - before_s
            is_last, is_due = self.share_done() >= 1.0, clock() - saved_s >= config.checkpoint_s
            if is_last or is_due or self.update % config.log_updates == 0:
                value = self.finite(loss)
                speed = (self.update - logged[0]) * config.batch_size / max(self.elapsed_s - logged[1], 1e-9)
                logged = (self.update, self.elapsed_s)
                row = {"loss": value, "learning_rate": self.learning_rate(), "samples_per_s": speed}
                if is_last or is_due:
                    row["held_out_loss"] = self.held_out_loss(data)
                log.add(self.update, self.elapsed_s, row)
                progress(*self.place(), f"{speed:.0f} samples/s, loss {value:.4f}")
            if is_last or is_due:
                self.save()
                saved_s = clock()
        log.close()

    def step(self, data: TrainingData) -> Tensor:
        """Make one update; all chance in it follows from the seed and the update's number."""
        config, device = self.config, self.accelerator.device
        obs, actions = (tensor.to(device) for tensor in data.batch(self.update, config.batch_size))
        batch = (self.policy.observe(obs), self.policy.normalize(actions, obs))
        rng = torch.Generator().manual_seed(
            int(np.random.SeedSequence([config.seed, self.update]).generate_state(1)[0])
        )
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate()
        with autocast(device, config.precision):
            loss = self.loss(self.network, self.average, batch, rng)
        self.accelerator.backward(loss)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        follow(self.average.network, self.policy.network, average_decay(self.update, config.average_decay))
        self.update += 1
        return loss.detach()

    def share_done(self) -> float:
        """Tell which share of the schedule is behind, from 0 to 1."""
        if self.config.updates is not None:
            return self.update / self.config.updates
        return self.elapsed_s / (60.0 * self.config.minutes)

    def learning_rate(self) -> float:
        """Give the rate of the next update: a linear warm-up into a cosine."""
        config = self.config
        cosine = (1.0 + math.cos(math.pi * min(self.share_done(), 1.0))) / 2
        warmup = min(1.0, (self.update + 1) / max(config.warmup_updates, 1))
        share = config.final_learning_rate + (1.0 - config.final_learning_rate) * cosine
        return config.learning_rate * warmup * share

    def place(self) -> tuple[int, int]:
        """Give (done, total) in updates, or in whole seconds where the schedule is one of time."""
        if self.config.updates is not None:
            return self.update, self.config.updates
        total = round(60 * self.config.minutes)
        return min(round(self.elapsed_s), total), total

    def finite(self, loss: Tensor) -> float:
        """Give the loss as a number.

        Raises:
            TrainingDiverged: it is not finite.
        """
        value = float(loss)
        if not math.isfinite(value):
            raise TrainingDiverged(self.update, self.learning_rate())
        return value

    @torch.no_grad()
    def held_out_loss(self, data: TrainingData) -> float:
        """Compute the averaged network's loss on held-out windows, with the same noise every time."""
        device = self.accelerator.device
        obs, actions = (tensor.to(device) for tensor in data.gather(data.sample_held(1024)))
        batch = (self.average.observe(obs), self.average.normalize(actions, obs))
        return float(self.loss(self.average.network, self.average, batch, torch.Generator().manual_seed(0)))

    def save(self) -> None:
        """Replace the run's checkpoint by this moment, from the main process alone."""
        if not self.accelerator.is_main_process:
            return
        names = [name for name, _ in self.policy.network.named_parameters()]
        moments: dict[str, Tensor] = {}
        for name, parameter in zip(names, self.policy.network.parameters(), strict=True):
            for key, value in self.optimizer.state[parameter].items():
                moments[f"{key}.{name}"] = value
        model, average = self.policy.state_dict(), self.average.state_dict()
        save_checkpoint(self.path, Checkpoint(self.update, self.elapsed_s, model, average, moments))

    def resume(self) -> None:
        """Go back to the run's last checkpoint."""
        saved = load_checkpoint(self.path)
        self.policy.load_state_dict(dict(saved.model))
        self.average.load_state_dict(dict(saved.average))
        for name, parameter in self.policy.network.named_parameters():
            keys = ("step", "exp_avg", "exp_avg_sq")
            state: dict[str, Any] = {key: saved.optimizer[f"{key}.{name}"].to(parameter.device) for key in keys}
            self.optimizer.state[parameter] = state
        self.update, self.elapsed_s = saved.update, saved.elapsed_s
