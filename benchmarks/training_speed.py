"""Samples a second of the training loop, of its update alone, and of one large matrix product on the same cores."""

import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Self

import torch
from torch.utils.flop_counter import FlopCounterMode

from ashore.policies.averaging import average_decay, follow
from ashore.policies.losses import FromData, Sample
from ashore.policies.policy import Policy
from ashore.policies.training_data import open_stores
from ashore.policies.training_loop import TrainingConfig, TrainingLoop

if TYPE_CHECKING:
    from ashore.policies.policy import PolicyConfig

WARM_UPDATES = 3
MATMUL_SIZE, MATMULS = 2048, 5


@dataclass(frozen=True)
class Speed:
    """Samples a second."""

    loop: float
    """Of whole updates: windows gathered, normalised, learnt from, averaged; checkpoints aside."""
    alone: float
    """Of forward, backward, optimizer and average, on one batch that is there."""
    floor: float
    """Of a network that needs three times its forward pass, at the rate of one large matrix product."""

    def best(self, other: Self) -> Self:
        """Take the better of each figure."""
        return type(self)(*(max(getattr(self, f.name), getattr(other, f.name)) for f in fields(self)))


def time_training(store: Path, place: Path, shape: "PolicyConfig", config: TrainingConfig, seconds: float) -> Speed:
    """Time a training of a policy with fresh weights; each of the two timings takes some seconds."""
    before = torch.get_num_threads()
    torch.set_num_threads(config.threads)
    data = open_stores([store], shape, config.seed)
    policy = Policy(shape, data.contract)
    data.fit(policy)
    loop = TrainingLoop(config, policy, FromData(), place)
    whole = _rate(lambda: loop.step(data), config.batch_size, seconds)
    sample = loop.sample(policy, data.batch(0, config.batch_size), torch.Generator().manual_seed(0), drop=0.0)
    alone = _rate(lambda: update(loop, sample), config.batch_size, seconds)
    floor = _matmul_flops_per_s() / (3 * _forward_flops(loop, sample) / config.batch_size)
    torch.set_num_threads(before)
    return Speed(whole, alone, floor)


def update(loop: TrainingLoop, sample: Sample) -> None:
    """Make an update from a batch that is ready, with all that the loop does after it has one."""
    loss = loop.loss(loop.network, loop.average, sample)
    loop.accelerator.backward(loss)
    loop.optimizer.step()
    loop.optimizer.zero_grad(set_to_none=True)
    follow(loop.average.network, loop.policy.network, average_decay(loop.update, loop.config.average_decay))


def _rate(step: Callable[[], object], n_samples: int, seconds: float) -> float:
    """Make updates of so many samples for some seconds, after a few others; returns samples a second."""
    for _ in range(WARM_UPDATES):
        step()
    n_updates, wall_s, began_s = 0, 0.0, time.perf_counter()
    while wall_s < seconds:
        step()
        n_updates += 1
        wall_s = time.perf_counter() - began_s
    return n_samples * n_updates / wall_s


def _forward_flops(loop: TrainingLoop, sample: Sample) -> int:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        loop.loss(loop.network, loop.average, sample)
    return int(counter.get_total_flops())


def _matmul_flops_per_s() -> float:
    """Time a large product of matrices in fp32; the best of a few."""
    left, right = (torch.rand(MATMUL_SIZE, MATMUL_SIZE) for _ in range(2))
    walls_s = []
    for _ in range(MATMULS):
        began_s = time.perf_counter()
        torch.mm(left, right)
        walls_s.append(time.perf_counter() - began_s)
    return float(2 * MATMUL_SIZE**3 / min(walls_s))
