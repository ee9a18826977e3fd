"""Diffusion in the EDM formulation.

Source: Karras, Aittala, Aila, Laine, Elucidating the Design Space of Diffusion-Based Generative Models, NeurIPS 2022.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ashore.policies.errors import InvalidConfig
from ashore.policies.generation.scaling import Given, Network, Scaling, predict


@dataclass(frozen=True)
class EDMConfig:
    """Noise of the diffusion process, for chunks of standard deviation sigma_data."""

    kind: Literal["edm"] = "edm"
    sigma_data: float = 0.5
    sigma_min: float = 0.002
    sigma_max: float = 20.0
    """The paper's 80 is made for images; 20 gave better actions from the same weights."""
    rho: float = 7.0
    log_sigma_mean: float = -1.2
    log_sigma_std: float = 1.2

    def __post_init__(self) -> None:
        faults = [
            f"{name}: {getattr(self, name)}; must be positive and finite"
            for name in ("sigma_data", "sigma_min", "sigma_max", "rho", "log_sigma_std")
            if not 0 < getattr(self, name) < float("inf")
        ]
        if not self.sigma_min < self.sigma_max:
            faults.append(f"sigma_min {self.sigma_min} must lie below sigma_max {self.sigma_max}")
        if faults:
            raise InvalidConfig("the diffusion's noise", faults)

    def scaling(self, sigma: Tensor) -> Scaling:
        """Precondition at levels (B,); equation 7 and table 1."""
        sd = self.sigma_data
        total = sigma * sigma + sd * sd
        skip, out = sd * sd / total, sigma * sd / total.sqrt()
        return Scaling(1 / total.sqrt(), skip, out, (torch.log(sigma) / 4)[:, None])

    def noise_levels(self, n: int) -> tuple[float, ...]:
        """List n falling levels from sigma_max to sigma_min, then 0; equation 5. A single level is sigma_max."""
        top, bottom = self.sigma_max ** (1 / self.rho), self.sigma_min ** (1 / self.rho)
        return (*((top + i / max(n - 1, 1) * (bottom - top)) ** self.rho for i in range(n)), 0.0)

    def weight(self, sigma: Tensor) -> Tensor:
        """Give lambda(sigma) (B,), under which every level asks as much of F; equation 8."""
        sd = self.sigma_data
        return (sigma * sigma + sd * sd) / (sigma * sd) ** 2


def denoising_loss(
    network: Network, actions: Tensor, given: Given, config: EDMConfig, generator: torch.Generator
) -> Tensor:
    """Draw noise and compute the mean of lambda(sigma) ||D(A + sigma n) - A||^2; equation 8.

    Args:
        network: F.
        actions: (B, Tp, Da) normalised.
        given: what they are conditioned on.
        config: the noise distribution.
        generator: the source of all chance here, on the CPU.
    """
    normal = torch.randn(len(actions), generator=generator).to(actions)
    sigma = torch.exp(normal * config.log_sigma_std + config.log_sigma_mean)
    noise = torch.randn(actions.shape, generator=generator).to(actions)
    clean = predict(network, actions + sigma[:, None, None] * noise, config.scaling(sigma), given)
    return (config.weight(sigma)[:, None, None] * (clean - actions) ** 2).mean()
