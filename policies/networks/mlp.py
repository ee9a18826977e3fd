"""A residual MLP over the whole chunk: by far the most learning for a CPU-minute on small state policies."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from ashore.policies.networks.denoiser import Shape, sinusoidal


@dataclass(frozen=True)
class MLPConfig:
    """Size of the residual MLP; 256 x 4 holds 2 to 3 million parameters."""

    kind: Literal["mlp"] = "mlp"
    width: int = 256
    blocks: int = 4
    expansion: int = 4
    """Width of a block's inner layer over the block's own."""
    level_width: int = 64
    """Width of the sinusoidal embedding of a noise level."""


class MLPDenoiser(nn.Module):
    """Input is the flat chunk, observation and goal; the noise level scales and shifts each block (FiLM)."""

    def __init__(self, config: MLPConfig, shape: Shape) -> None:
        super().__init__()
        self.config = config
        self.chunk = shape.chunk
        n_chunk = shape.chunk[0] * shape.chunk[1]
        n_given = shape.observation[0] * shape.observation[1] + shape.goal
        self.level = nn.Sequential(nn.Linear(shape.levels * config.level_width, config.width), nn.SiLU())
        self.entry = nn.Linear(n_chunk + n_given, config.width)
        self.blocks = nn.ModuleList(ResidualBlock(config) for _ in range(config.blocks))
        self.exit = nn.Sequential(nn.LayerNorm(config.width), nn.Linear(config.width, n_chunk))

    def forward(self, noisy_actions: Tensor, noise_level: Tensor, observation: Tensor, goal: Tensor) -> Tensor:
        """Predict a chunk; see Denoiser."""
        level = self.level(sinusoidal(noise_level, self.config.level_width))
        hidden: Tensor = self.entry(torch.cat((noisy_actions.flatten(1), observation.flatten(1), goal), dim=-1))
        for block in self.blocks:
            hidden = block(hidden, level)
        flat: Tensor = self.exit(hidden)
        return flat.reshape(-1, *self.chunk)


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
