"""The convolutional UNet of Diffusion Policy: most learning for a sample, and the network to give a GPU."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from ashore.policies.errors import InvalidConfig
from ashore.policies.networks.activation import mish
from ashore.policies.networks.convolution import Convolution, Upsampling
from ashore.policies.networks.denoiser import Shape, sinusoidal


@dataclass(frozen=True)
class UNetConfig:
    """Size of the UNet; the chunk's length has to be a multiple of 2 for each width after the first."""

    kind: Literal["unet"] = "unet"
    widths: tuple[int, ...] = (64, 128, 256)
    """Channels at each resolution in time, finest first."""
    kernel: int = 5
    """Steps that a convolution sees; odd."""
    groups: int = 8
    """Groups of channels that are normalised together."""
    level_width: int = 128
    """Width of the embedding of the noise level(s)."""

    def __post_init__(self) -> None:
        """Check the fields.

        Raises:
            InvalidConfig: a width is not a multiple of the groups, the kernel is even, or the level's width is odd.
        """
        faults = []
        if not self.widths or min(self.widths) < 1 or self.groups < 1 or any(w % self.groups for w in self.widths):
            faults.append(f"widths: {self.widths}; expected one or more positive multiples of groups ({self.groups})")
        if self.kernel < 1 or self.kernel % 2 == 0:
            faults.append(f"kernel: {self.kernel}; expected an odd number of steps, such as 3 or 5")
        if self.level_width < 4 or self.level_width % 2:
            faults.append(f"level_width: {self.level_width}; expected an even number of at least 4")
        if faults:
            raise InvalidConfig("the UNet's config", faults)

    @property
    def divisor(self) -> int:
        """What a chunk's length has to be a multiple of."""
        return 1 << (len(self.widths) - 1)


class UNetDenoiser(nn.Module):
    """Convolutions over the chunk at falling, then rising resolution; noise level and observation scale and shift each.

    Source: Chi et al., Diffusion Policy, RSS 2023, section 3.1 and the released ConditionalUnet1D, with scale and bias
    (FiLM), global condition and without local condition. As there, the finest skip is not used. Layer by layer and
    parameter by parameter it is that network; the one departure is what the noise level enters as: cosines and sines
    of the logarithm of sigma in place of a step's number. A second level (L = 2) only widens the first layer of the
    embedding.
    """

    def __init__(self, config: UNetConfig, shape: Shape) -> None:
        """Build the network.

        Raises:
            InvalidConfig: the chunk's length cannot be halved often enough; names the nearest that can.
        """
        super().__init__()
        _require_length(shape.chunk[0], config)
        self.config = config
        width, widths = config.level_width, config.widths
        self.level = nn.Sequential(
            nn.Linear(shape.levels * width, 4 * width), nn.Mish(), nn.Linear(4 * width, width), nn.Mish()
        )
        n_given = width + shape.observation[0] * shape.observation[1] + shape.goal
        self.down = nn.ModuleList(
            Stage(config, (n_in, n_out), n_given) for n_in, n_out in pairwise((shape.chunk[1], *widths))
        )
        self.shrink = nn.ModuleList(Convolution(n, n, 3, stride=2) for n in widths[:-1])
        self.middle = Stage(config, (widths[-1], widths[-1]), n_given)
        self.up = nn.ModuleList(Stage(config, (2 * n_in, n_out), n_given) for n_in, n_out in pairwise(reversed(widths)))
        self.grow = nn.ModuleList(Upsampling(n) for n in reversed(widths[:-1]))
        self.last = ConvolutionUnit(config, widths[0], widths[0])
        self.exit = Convolution(widths[0], shape.chunk[1], 1)

    def forward(self, noisy_actions: Tensor, noise_level: Tensor, observation: Tensor, goal: Tensor) -> Tensor:
        """Predict a chunk; see Denoiser."""
        level = self.level(sinusoidal(noise_level, self.config.level_width))
        given = torch.cat((level, mish(torch.cat((observation.flatten(1), goal), dim=-1))), dim=-1)
        hidden, skips = noisy_actions, []
        for i, stage in enumerate(self.down):
            hidden = stage(hidden, given)
            skips.append(hidden)
            if i < len(self.shrink):
                hidden = self.shrink[i](hidden)
        hidden = self.middle(hidden, given)
        for stage, grow in zip(self.up, self.grow, strict=True):
            hidden = grow(stage(torch.cat((hidden, skips.pop()), dim=-1), given))
        predicted: Tensor = self.exit(self.last(hidden))
        return predicted


class Stage(nn.Module):
    """Two residual blocks at one resolution."""

    def __init__(self, config: UNetConfig, widths: tuple[int, int], n_given: int) -> None:
        super().__init__()
        self.first = ConvolutionBlock(config, widths, n_given)
        self.second = ConvolutionBlock(config, (widths[1], widths[1]), n_given)

    def forward(self, hidden: Tensor, given: Tensor) -> Tensor:
        """Refine (B, T, C) to (B, T, C_out), given the condition (B, n_given)."""
        refined: Tensor = self.second(self.first(hidden, given), given)
        return refined


class ConvolutionBlock(nn.Module):
    """Two convolution units with scale and shift between them, beside a shortcut."""

    def __init__(self, config: UNetConfig, widths: tuple[int, int], n_given: int) -> None:
        super().__init__()
        n_in, n_out = widths
        self.first = ConvolutionUnit(config, n_in, n_out)
        self.film = nn.Linear(n_given, 2 * n_out)
        self.second = ConvolutionUnit(config, n_out, n_out)
        self.shortcut = nn.Identity() if n_in == n_out else Convolution(n_in, n_out, 1)

    def forward(self, hidden: Tensor, given: Tensor) -> Tensor:
        """Refine (B, T, C) to (B, T, C_out), given the condition (B, n_given)."""
        scale, shift = self.film(given)[:, None].chunk(2, dim=-1)
        refined: Tensor = self.second(scale * self.first(hidden) + shift) + self.shortcut(hidden)
        return refined


class ConvolutionUnit(nn.Module):
    """Convolution, group normalisation, Mish."""

    def __init__(self, config: UNetConfig, n_in: int, n_out: int) -> None:
        super().__init__()
        self.convolution = Convolution(n_in, n_out, config.kernel)
        self.norm = nn.GroupNorm(config.groups, n_out)

    def forward(self, hidden: Tensor) -> Tensor:
        """Map (B, T, C) to (B, T, C_out)."""
        # This view of (B, T, C) is torch's channels-last layout, which it normalises in place of a copy.
        channels_last = self.convolution(hidden).unsqueeze(2).permute(0, 3, 1, 2)
        activated: Tensor = mish(self.norm(channels_last).permute(0, 2, 3, 1).squeeze(2))
        return activated


def _require_length(length: int, config: UNetConfig) -> None:
    if length % config.divisor:
        below = length // config.divisor * config.divisor
        valid = " or ".join(str(n) for n in (below, below + config.divisor) if n)
        fault = f"chunk length: {length}; {len(config.widths)} widths need a multiple of {config.divisor}: take {valid}"
        raise InvalidConfig("the UNet", [f"{fault}, or another network, such as mlp"])
