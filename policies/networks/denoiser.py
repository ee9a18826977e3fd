"""The one face of every network: a noisy chunk, its noise level, the observation and the goal in; a chunk out."""

from dataclasses import dataclass
from math import log
from typing import Protocol

import torch
from torch import Tensor


class Denoiser(Protocol):
    """What diffusion, consistency and regression ask of a network; F of the EDM formulation."""

    def __call__(self, noisy_actions: Tensor, noise_level: Tensor, observation: Tensor, goal: Tensor) -> Tensor:
        """Predict a chunk.

        Args:
            noisy_actions: (B, Tp, Da), scaled to about unit variance; zeros for a policy that regresses.
            noise_level: (B, L) logarithms of noise levels, divided by 4: where the chunk is, and for a trajectory
                model (L = 2) where it shall go.
            observation: (B, To, De), normalised.
            goal: (B, Dg), normalised; Dg is 0 for a policy without goals.

        Returns:
            (B, Tp, Da).
        """


@dataclass(frozen=True)
class Shape:
    """What a network has to fit."""

    chunk: tuple[int, int]
    """(Tp, Da)."""
    observation: tuple[int, int]
    """(To, De)."""
    goal: int = 0
    """Dg."""
    levels: int = 1
    """L, noise levels that the network is told at once."""


def sinusoidal(noise_level: Tensor, width: int) -> Tensor:
    """Embed noise levels (B, L) as (B, L * width) cosines and sines of frequencies from 0.1 to 100, even in log."""
    steps = torch.arange(width // 2, dtype=torch.float32, device=noise_level.device) / (width // 2 - 1)
    angles = noise_level[..., None].float() * 0.1 * torch.exp(steps * log(1000.0))  # (B, L, width / 2)
    return torch.cat((torch.cos(angles), torch.sin(angles)), dim=-1).flatten(1)
