"""A residual MLP over the whole chunk: by far the most learning for a CPU-minute on small state policies."""

from dataclasses import dataclass
from math import log

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class MLPConfig:
    """Size of the residual MLP; 256 x 4 holds 2 to 3 million parameters."""

    width: int = 256
    blocks: int = 4
    expansion: int = 4
    """Width of a block's inner layer over the block's own."""
    level_width: int = 64
    """Width of the sinusoidal embedding of the noise level."""


class MLPDenoiser(nn.Module):
    """Predict a chunk from a noisy one: F of the EDM formulation, with the face of every denoiser here.

    Input is the flat chunk and the flat observation; the noise level scales and shifts each block (FiLM).
    """

    def __init__(self, config: MLPConfig, chunk: tuple[int, int], observation: tuple[int, int]) -> None:
        """Make the network for chunks (Tp, Da) and encoded observation windows (To, De)."""
        super().__init__()
        self.config = config
        self.chunk = chunk
        n_chunk, n_observation = chunk[0] * chunk[1], observation[0] * observation[1]
        self.level = nn.Sequential(nn.Linear(config.level_width, config.width), nn.SiLU())
        self.entry = nn.Linear(n_chunk + n_observation, config.width)
        self.blocks = nn.ModuleList(ResidualBlock(config) for _ in range(config.blocks))
        self.exit = nn.Sequential(nn.LayerNorm(config.width), nn.Linear(config.width, n_chunk))

    def forward(self, noisy_actions: Tensor, noise_level: Tensor, observation: Tensor) -> Tensor:
        """Compute F.

        Args:
            noisy_actions: (B, Tp, Da), scaled to about unit variance.
            noise_level: (B,) c_noise = ln(sigma) / 4.
            observation: (B, To, De), normalised.

        Returns:
            (B, Tp, Da).
        """
        hidden = self.features(noisy_actions, noise_level, observation)
        flat: Tensor = self.exit(hidden)
        return flat.reshape(-1, *self.chunk)

    def features(self, noisy_actions: Tensor, noise_level: Tensor, observation: Tensor) -> Tensor:
        """Compute the last hidden layer (B, width), before the output layer."""
        level = self.level(sinusoidal(noise_level, self.config.level_width))
        hidden: Tensor = self.entry(torch.cat((noisy_actions.flatten(1), observation.flatten(1)), dim=-1))
        for block in self.blocks:
            hidden = block(hidden, level)
        return hidden


class ResidualBlock(nn.Module):
    """h + W2 silu(W1 film(norm(h))), with scale and shift from the noise level."""

    def __init__(self, config: MLPConfig) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.width)
        self.film = nn.Linear(config.width, 2 * config.width)
        self.inner = nn.Linear(config.width, config.expansion * config.width)
        self.outer = nn.Linear(config.expansion * config.width, config.width)

    def forward(self, hidden: Tensor, level: Tensor) -> Tensor:
        """Refine (B, width) given the embedded level (B, width)."""
        scale, shift = self.film(level).chunk(2, dim=-1)
        inside = self.norm(hidden) * (1 + scale) + shift
        refined: Tensor = hidden + self.outer(functional.silu(self.inner(inside)))
        return refined


def sinusoidal(noise_level: Tensor, width: int) -> Tensor:
    """Embed noise levels (B,) as (B, width) cosines and sines of frequencies from 0.1 to 100, evenly in logarithm."""
    steps = torch.arange(width // 2, dtype=torch.float32, device=noise_level.device) / (width // 2 - 1)
    angles = noise_level[:, None].float() * 0.1 * torch.exp(steps * log(1000.0))
    return torch.cat((torch.cos(angles), torch.sin(angles)), dim=-1)
