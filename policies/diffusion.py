"""Diffusion in the EDM formulation: preconditioning, training loss, noise levels and samplers, as pure functions.

Source: Karras, Aittala, Aila, Laine, Elucidating the Design Space of Diffusion-Based Generative Models, NeurIPS 2022.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

Denoise = Callable[[Tensor, Tensor], Tensor]
"""D(noisy (B, Tp, Da), sigma (B,)) -> clean (B, Tp, Da), the observation already bound."""
Network = Callable[[Tensor, Tensor, Tensor], Tensor]
"""F(scaled noisy (B, Tp, Da), c_noise (B,), observation (B, To, De)) -> (B, Tp, Da)."""


@dataclass(frozen=True)
class EDMConfig:
    """Noise of the diffusion process, for chunks normalised to [-1, 1]."""

    sigma_data: float = 0.5
    sigma_min: float = 0.002
    sigma_max: float = 20.0
    """The paper's 80 is made for images; 20 gave better actions from the same weights."""
    rho: float = 7.0
    log_sigma_mean: float = -1.2
    log_sigma_std: float = 1.2


def preconditioned(network: Network, noisy: Tensor, sigma: Tensor, observation: Tensor, sigma_data: float) -> Tensor:
    """Compute D(x, sigma) = c_skip x + c_out F(c_in x, ln(sigma) / 4); equation 7 and table 1 of the paper.

    Args:
        network: F.
        noisy: (B, Tp, Da).
        sigma: (B,).
        observation: (B, To, De).
        sigma_data: standard deviation of clean actions.
    """
    s = sigma[:, None, None]
    total = s * s + sigma_data * sigma_data
    predicted = network(noisy / total.sqrt(), torch.log(sigma) / 4, observation).float()
    return noisy * (sigma_data * sigma_data / total) + predicted * (s * sigma_data / total.sqrt())


def denoising_loss(
    network: Network, actions: Tensor, observation: Tensor, config: EDMConfig, generator: torch.Generator
) -> Tensor:
    """Draw noise and compute the mean of lambda(sigma) ||D(A + sigma n) - A||^2, of weight 1 on F; equation 8.

    Args:
        network: F.
        actions: (B, Tp, Da) normalised.
        observation: (B, To, De) normalised.
        config: the noise distribution.
        generator: the source of all chance here, on the CPU.
    """
    normal = torch.randn(len(actions), generator=generator).to(actions)
    sigma = torch.exp(normal * config.log_sigma_std + config.log_sigma_mean)
    noise = torch.randn(actions.shape, generator=generator).to(actions)
    clean = preconditioned(network, actions + sigma[:, None, None] * noise, sigma, observation, config.sigma_data)
    sd = config.sigma_data
    weight = (sigma * sigma + sd * sd) / (sigma * sd) ** 2
    return (weight[:, None, None] * (clean - actions) ** 2).mean()


def noise_levels(n: int, config: EDMConfig) -> tuple[float, ...]:
    """List n falling levels from sigma_max to sigma_min, then 0; equation 5. A single level is sigma_max."""
    top, bottom = config.sigma_max ** (1 / config.rho), config.sigma_min ** (1 / config.rho)
    return (*((top + i / max(n - 1, 1) * (bottom - top)) ** config.rho for i in range(n)), 0.0)


def sample_euler(denoise: Denoise, noise: Tensor, levels: Sequence[float]) -> Tensor:
    """Follow the probability-flow ODE from noise to actions by Euler steps, one evaluation each.

    Args:
        denoise: D.
        noise: (B, Tp, Da) standard normal; scaled by the first level here.
        levels: n + 1 of them, falling, ending in 0.

    Returns:
        (B, Tp, Da).
    """
    x = noise * levels[0]
    for here, there in pairwise(levels):
        clean = denoise(x, _level(noise, here))
        x = clean + (x - clean) * (there / here)
    return x


def sample_heun(denoise: Denoise, noise: Tensor, levels: Sequence[float]) -> Tensor:
    """Follow the same ODE by Heun steps, 2n - 1 evaluations; algorithm 1 of the paper without churn.

    Arguments and result as in sample_euler.
    """
    x = noise * levels[0]
    for here, there in pairwise(levels):
        slope = (x - denoise(x, _level(noise, here))) / here
        trial = x + (there - here) * slope
        if there > 0:
            slope = (slope + (trial - denoise(trial, _level(noise, there))) / there) / 2
        x = x + (there - here) * slope
    return x


def _level(noise: Tensor, sigma: float) -> Tensor:
    """Give (B,) times sigma, computed from a tensor so that an exported graph keeps its batch free."""
    return noise[:, 0, 0] * 0 + sigma
