"""Diffusion in discrete steps with the squared-cosine schedule, as the first diffusion policies were trained.

Source: Ho et al., DDPM, NeurIPS 2020; Chi et al., Diffusion Policy, RSS 2023. Schedules and samplers are those of the
package diffusers.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import torch
from torch import Tensor

from ashore.policies.generation.scaling import Given, Network, Scaling


@dataclass(frozen=True)
class DDPMConfig:
    """Noise of the diffusion process; the network predicts the noise."""

    kind: Literal["ddpm"] = "ddpm"
    steps: int = 100
    schedule: Literal["squaredcos_cap_v2"] = "squaredcos_cap_v2"

    @property
    def sigma_data(self) -> float:
        """Standard deviation that Gaussian-normalised chunks are given; noise ends at 1."""
        return 0.5

    def scaling(self, step: Tensor) -> Scaling:
        """Precondition at steps (B,) of 0 to steps - 1, as floats; the level is that of the equal EDM noise."""
        signal = signal_shares(self)[step.long().cpu()].to(step)
        noise_to_signal = ((1 - signal) / signal).sqrt()
        return Scaling(
            torch.ones_like(signal), signal**-0.5, -noise_to_signal, (torch.log(noise_to_signal) / 4)[:, None]
        )


@cache
def signal_shares(config: DDPMConfig) -> Tensor:
    """Give the cumulative products of (1 - beta), (steps,) float64."""
    return torch.as_tensor(scheduler(config, "DDPMScheduler").alphas_cumprod).double()


def scheduler(config: DDPMConfig, name: str, **options: Any) -> Any:
    """Make a scheduler of diffusers whose model output is the clean chunk, unclipped: clipping is the sampler's."""
    import diffusers

    common = {"num_train_timesteps": config.steps, "beta_schedule": config.schedule, "prediction_type": "sample"}
    return getattr(diffusers, name)(**common, **options)


def noise_loss(
    network: Network, actions: Tensor, given: Given, config: DDPMConfig, generator: torch.Generator
) -> Tensor:
    """Draw noise and compute the mean of ||F(sqrt(abar) A + sqrt(1 - abar) n) - n||^2; algorithm 1 of DDPM.

    Arguments as in edm.denoising_loss.
    """
    step = torch.randint(config.steps, (len(actions),), generator=generator).to(actions)
    noise = torch.randn(actions.shape, generator=generator).to(actions)
    signal = signal_shares(config)[step.long().cpu()].to(actions)[:, None, None]
    noisy = signal.sqrt() * actions + (1 - signal).sqrt() * noise
    predicted = network(noisy, config.scaling(step).level, *given).float()
    return ((predicted - noise) ** 2).mean()
