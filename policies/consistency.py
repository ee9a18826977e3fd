"""Consistency: one network evaluation from noise to actions, learnt from a diffusion teacher.

Source: Song, Dhariwal, Chen, Sutskever, Consistency Models, ICML 2023 (distillation, algorithm 2). Departures: the
largest noise is 20 and the smallest 0.01 on 24 levels, the distance is a pseudo-Huber one, and the target is the
average that is evaluated.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ashore.policies.diffusion import EDMConfig, Network, noise_levels, preconditioned


@dataclass(frozen=True)
class ConsistencyConfig:
    """Distillation of a teacher into a student that needs one evaluation."""

    levels: int = 24
    sigma_min: float = 0.01
    """Here the student's output is its input."""
    start_std: float = 1.0
    """Standard deviation of the noise that a chunk is planned from at the largest level.

    1 keeps near the mean, for tasks with one right answer (Prasad et al., Consistency Policy, RSS 2024); sigma_max
    gives each of several its share.
    """
    huber: float = 0.03
    """The pseudo-Huber distance bends at huber * sqrt(Tp * Da)."""


def consistent(
    network: Network, noisy: Tensor, sigma: Tensor, observation: Tensor, scales: tuple[float, float]
) -> Tensor:
    """Compute f(x, sigma), the clean chunk at the end of x's trajectory, equal to x at the smallest level.

    Args:
        network: F, of the same form as the teacher's.
        noisy: (B, Tp, Da).
        sigma: (B,).
        observation: (B, To, De).
        scales: (sigma_data, smallest sigma).
    """
    sd, floor = scales
    s = sigma[:, None, None]
    total = (s * s + sd * sd).sqrt()
    above = s - floor
    predicted = network(noisy / total, torch.log(sigma) / 4, observation).float()
    return noisy * (sd * sd / (above * above + sd * sd)) + predicted * (sd * above / total)


@dataclass(frozen=True)
class Trio:
    """The three networks of a distillation."""

    student: Network
    target: Network
    """A slow average of the student; no gradient flows through it."""
    teacher: Network


def distillation_levels(config: ConsistencyConfig, edm: EDMConfig) -> Tensor:
    """List the falling noise levels (levels,) between which the student learns to agree with itself."""
    return torch.tensor(noise_levels(config.levels, replace(edm, sigma_min=config.sigma_min))[:-1])


def distillation_loss(
    trio: Trio,
    actions: Tensor,
    observation: Tensor,
    configs: tuple[ConsistencyConfig, EDMConfig],
    generator: torch.Generator,
) -> Tensor:
    """Ask the student for the same chunk from two neighbouring points of one of the teacher's trajectories.

    Args:
        trio: student, target and teacher.
        actions: (B, Tp, Da) normalised.
        observation: (B, To, De) normalised.
        configs: of the distillation and of the teacher's noise.
        generator: the source of all chance here, on the CPU.
    """
    config, edm = configs
    levels = distillation_levels(config, edm).to(actions)
    index = torch.randint(config.levels - 1, (len(actions),), generator=generator).to(actions.device)
    high, low = levels[index], levels[index + 1]  # (B,) each
    noise = torch.randn(actions.shape, generator=generator).to(actions)
    noisy = actions + high[:, None, None] * noise
    scales = (edm.sigma_data, config.sigma_min)
    with torch.no_grad():
        calmer = _teacher_step(trio.teacher, noisy, (high, low), observation, edm.sigma_data)
        wanted = consistent(trio.target, calmer, low, observation, scales)
    given = consistent(trio.student, noisy, high, observation, scales)
    bend = config.huber * (actions[0].numel() ** 0.5)
    squared = ((given - wanted) ** 2).sum((1, 2))
    loss: Tensor = (torch.sqrt(squared + bend * bend) - bend).mean()
    return loss


def _teacher_step(
    teacher: Network, noisy: Tensor, sigmas: tuple[Tensor, Tensor], observation: Tensor, sigma_data: float
) -> Tensor:
    """Take one Heun step of the teacher's ODE from sigmas[0] (B,) to sigmas[1] (B,)."""
    high, low = sigmas[0][:, None, None], sigmas[1][:, None, None]
    slope = (noisy - preconditioned(teacher, noisy, sigmas[0], observation, sigma_data)) / high
    trial = noisy + (low - high) * slope
    second = (trial - preconditioned(teacher, trial, sigmas[1], observation, sigma_data)) / low
    return noisy + (low - high) * (slope + second) / 2
