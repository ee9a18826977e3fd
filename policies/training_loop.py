"""The training loop: network, average and optimizer of one run, and how they move; the same bits after any kill."""

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ashore.datasets.progress import Progress
from ashore.policies.averaging import average_decay, follow
from ashore.policies.checkpoint import (
    Checkpoint,
    candidate_path,
    drop_candidates,
    load_checkpoint,
    save_candidate,
    save_checkpoint,
)
from ashore.policies.devices import Precision, autocast
from ashore.policies.errors import InvalidConfig, TrainingDiverged
from ashore.policies.generation.scaling import Given
from ashore.policies.losses import Loss, Sample
from ashore.policies.metrics import MetricsLog, NoLog
from ashore.policies.policy import Policy
from ashore.policies.training_data import TrainingData

Judge = Callable[[Path], bool]
"""Looks at the weights file of a candidate and says whether training may stop."""


def never(candidate: Path) -> bool:
    """Train to the end of the schedule."""
    return False


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
    candidates: int = 0
    """Moments whose averaged weights are kept, evenly over the second half, for a choice by simulated success."""

    def __post_init__(self) -> None:
        positive = ("minutes", "batch_size", "learning_rate", "threads", "checkpoint_s", "log_updates")
        faults = [f"{n}: {getattr(self, n)}; must be positive" for n in positive if not getattr(self, n) > 0]
        if self.updates is not None and self.updates < 1:
            faults.append(f"updates: {self.updates}; must be at least 1, or None to train for `minutes`")
        if self.candidates < 0:
            faults.append(f"candidates: {self.candidates}; must be 0 or more")
        if not 0 <= self.average_decay < 1:
            faults.append(f"average_decay: {self.average_decay}; must lie in [0, 1)")
        if faults:
            raise InvalidConfig("the training config", faults)


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
        self.has_stopped = False
        self.n_kept = 0
        n, rank = self.accelerator.num_processes, self.accelerator.process_index
        self._check_processes(n)
        self.rows = slice(rank, None, n)

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and judges; the only one on one device."""
        return bool(self.accelerator.is_main_process)

    def _check_processes(self, n: int) -> None:
        faults = []
        if n > 1 and hasattr(self.policy.network, "reconstruct"):
            faults.append(f"processes: {n}; a network with a latent trains in one")
        if n > 1 and self.config.updates is None:
            faults.append(f"processes: {n}; several need a number of `updates`, since their clocks differ")
        if faults:
            raise InvalidConfig("the training config", faults)

    def run(
        self, data: TrainingData, progress: Progress, judge: Judge, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Train to the end of the schedule, or until the judge has seen enough, saving checkpoints on the way."""
        config, log = self.config, MetricsLog(self.path, self.update) if self.is_first else NoLog()
        before_s, saved_s, logged = clock() - self.elapsed_s, clock(), (self.update, self.elapsed_s)
        while self.share_done() < 1.0:
            loss = self.step(data)
            self.elapsed_s = clock() - before_s
            if self.candidate_is_due():
                judging_s = clock()
                self.has_stopped = self.judged(judge)
                before_s += clock() - judging_s
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
        batch = data.batch(self.update, config.batch_size)
        obs, actions, goals = (tensor[self.rows].to(device) for tensor in batch)
        origin = [config.seed, self.update, *([self.rows.start] if self.rows.start else [])]
        rng = torch.Generator().manual_seed(int(np.random.SeedSequence(origin).generate_state(1)[0]))
        sample = self.sample(self.policy, (obs, actions, goals), rng, self.policy.config.goal.drop)
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate()
        with autocast(device, config.precision):
            loss = self.loss(self.network, self.average, sample)
        self.accelerator.backward(loss)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        follow(self.average.network, self.policy.network, average_decay(self.update, config.average_decay))
        self.update += 1
        return loss.detach()

    def sample(self, policy: Policy, batch: tuple[Tensor, Tensor, Tensor], rng: torch.Generator, drop: float) -> Sample:
        """Normalise a batch of raw windows, actions and goals, and take a share of the goals away."""
        obs, actions, goals = batch
        encoded = policy.goal_encoder(goals)
        if policy.goal_encoder.width:
            encoded = encoded * (torch.rand(len(obs), 1, generator=rng) >= drop).to(encoded)
        given = Given(policy.observe(obs), encoded)
        return Sample(policy.normalize(actions, obs), given, rng, min(self.share_done(), 1.0))

    def share_done(self) -> float:
        """Tell which share of the schedule is behind, from 0 to 1."""
        if self.has_stopped:
            return 1.0
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
        batch = data.gather(data.sample_held(1024))
        obs, actions, goals = (tensor.to(device) for tensor in batch)
        sample = self.sample(self.average, (obs, actions, goals), torch.Generator().manual_seed(0), 0.0)
        return float(self.loss(self.average.network, self.average, sample))

    def candidate_is_due(self) -> bool:
        """Tell whether the next of the evenly spaced moments is reached; the last one is the end."""
        places = [0.5 + 0.5 * (i + 1) / self.config.candidates for i in range(self.config.candidates)]
        return len(places) > self.n_kept and self.share_done() >= places[self.n_kept] - 1e-9

    def judged(self, judge: Judge) -> bool:
        """Keep the averaged weights of this moment in RUN/candidates/ and ask the judge: one process does, all know."""
        from accelerate.utils import broadcast_object_list  # type: ignore[import-untyped]

        self.n_kept += 1
        verdict = [False]
        if self.is_first:
            path = candidate_path(self.path, self.update)
            save_candidate(path, self.average.state_dict())
            verdict = [judge(path)]
        return bool(broadcast_object_list(verdict)[0])

    def save(self) -> None:
        """Replace the run's checkpoint by this moment, from the main process alone."""
        if not self.is_first:
            return
        names = [name for name, _ in self.policy.network.named_parameters()]
        moments: dict[str, Tensor] = {}
        for name, parameter in zip(names, self.policy.network.parameters(), strict=True):
            for key, value in self.optimizer.state[parameter].items():
                moments[f"{key}.{name}"] = value
        model, average = self.policy.state_dict(), self.average.state_dict()
        parts = {"model": model, "average": average, "optimizer": moments}
        save_checkpoint(self.path, Checkpoint(self.update, self.elapsed_s, self.has_stopped, **parts))

    def resume(self) -> None:
        """Go back to the run's last checkpoint."""
        saved = load_checkpoint(self.path)
        self.policy.load_state_dict(dict(saved.model))
        self.average.load_state_dict(dict(saved.average))
        for name, parameter in self.policy.network.named_parameters():
            keys = ("step", "exp_avg", "exp_avg_sq")
            state: dict[str, Any] = {key: saved.optimizer[f"{key}.{name}"].to(parameter.device) for key in keys}
            self.optimizer.state[parameter] = state
        self.update, self.elapsed_s, self.has_stopped = saved.update, saved.elapsed_s, saved.has_stopped
        self.n_kept = len(drop_candidates(self.path, after=self.update))
