"""A diffusion transformer over the steps of a chunk."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from ashore.policies.errors import InvalidConfig
from ashore.policies.networks.attention import Attention, faults_of, feedforward, learned
from ashore.policies.networks.denoiser import Shape, sinusoidal


@dataclass(frozen=True)
class TransformerConfig:
    """Size of the transformer."""

    kind: Literal["transformer"] = "transformer"
    width: int = 128
    """Width of a token."""
    blocks: int = 4
    heads: int = 4
    expansion: int = 4
    """Width of a block's inner layer over the block's own."""
    dropout: float = 0.0
    """Share of each branch's outputs that training sets to zero."""
    level_width: int = 128
    """Width of the sinusoidal embedding of a noise level."""

    def __post_init__(self) -> None:
        """Check the fields.

        Raises:
            InvalidConfig: the heads do not divide the width, a count is below 1, or dropout is no share.
        """
        counts = (("blocks", self.blocks), ("expansion", self.expansion))
        faults = faults_of(self.width, self.heads, counts, self.dropout)
        if self.level_width < 4 or self.level_width % 2:
            faults.append(f"level_width: {self.level_width}; expected an even number of at least 4")
        if faults:
            raise InvalidConfig("the transformer's config", faults)


class TransformerDenoiser(nn.Module):
    """A token for each action, attending to all; noise level, observation and goal scale, shift and gate each block.

    The condition enters by adaLN-Zero and not as tokens to attend to. Among the ways of conditioning that the paper
    compares, it learns fastest and adds least arithmetic: one layer a chunk and block, where cross-attention adds two
    layers a token. All gates and the exit start at zero, so that the untrained network predicts zero and each
    block begins as the identity.

    Source: Peebles and Xie, Scalable Diffusion Models with Transformers, ICCV 2023, section 3.2. Departures: tokens are
    the actions of a chunk and their positions are learned; the condition is the noise level's embedding plus one of
    all observed steps and the goal.
    """

    def __init__(self, config: TransformerConfig, shape: Shape) -> None:
        super().__init__()
        self.config = config
        width, (n_steps, n_actions) = config.width, shape.chunk
        n_given = shape.observation[0] * shape.observation[1] + shape.goal
        self.level = _two_layers(shape.levels * config.level_width, width)
        self.given = _two_layers(n_given, width)
        self.entry = nn.Linear(n_actions, width)
        self.positions = learned(n_steps, width)
        self.blocks = nn.ModuleList(ModulatedBlock(config) for _ in range(config.blocks))
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.modulation = _zeroed(nn.Linear(width, 2 * width))
        self.exit = _zeroed(nn.Linear(width, n_actions))

    def forward(self, noisy_actions: Tensor, noise_level: Tensor, observation: Tensor, goal: Tensor) -> Tensor:
        """Predict a chunk; see Denoiser."""
        level = self.level(sinusoidal(noise_level, self.config.level_width))
        given = nn.functional.silu(level + self.given(torch.cat((observation.flatten(1), goal), dim=-1)))
        tokens: Tensor = self.entry(noisy_actions) + self.positions
        for block in self.blocks:
            tokens = block(tokens, given)
        scale, shift = self.modulation(given)[:, None].chunk(2, dim=-1)
        predicted: Tensor = self.exit(self.norm(tokens) * (1 + scale) + shift)
        return predicted


class ModulatedBlock(nn.Module):
    """Attention among the tokens, then two layers for each; the condition scales, shifts and gates both branches."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        width = config.width
        self.modulation = _zeroed(nn.Linear(width, 6 * width))
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.attention = Attention(width, config.heads)
        self.feedforward = feedforward(width, config.expansion * width)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, tokens: Tensor, given: Tensor) -> Tensor:
        """Refine (B, Tp, C), given the condition (B, C)."""
        scale, shift, gate, inner_scale, inner_shift, inner_gate = self.modulation(given)[:, None].chunk(6, dim=-1)
        inside = self.norm(tokens) * (1 + scale) + shift
        tokens = tokens + gate * self.dropout(self.attention(inside, inside))
        inside = self.norm(tokens) * (1 + inner_scale) + inner_shift
        refined: Tensor = tokens + inner_gate * self.dropout(self.feedforward(inside))
        return refined


def _two_layers(n_in: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(n_in, width), nn.SiLU(), nn.Linear(width, width))


def _zeroed(layer: nn.Linear) -> nn.Linear:
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
