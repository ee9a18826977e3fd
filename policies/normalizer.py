"""Per-element min-max scaling to [-1, 1], fitted once and kept as buffers of the module that is trained and exported."""

import torch
from torch import Tensor, nn

NARROW = 1e-4
"""An element whose range is narrower than this is only centred: its spread is noise, not signal."""


class MinMaxNormalizer(nn.Module):
    """Scale the last axis, (..., D), to [-1, 1] over the data it was fitted to.

    Source: Chi et al., Diffusion Policy, RSS 2023, whose released code centres narrow elements in the same way.
    """

    low: Tensor
    high: Tensor
    centre: Tensor
    half_range: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("low", torch.full((width,), torch.inf))
        self.register_buffer("high", torch.full((width,), -torch.inf))
        self.register_buffer("centre", torch.zeros(width))
        self.register_buffer("half_range", torch.ones(width))

    @torch.no_grad()
    def include(self, values: Tensor) -> None:
        """Widen the range to these values (..., D)."""
        flat = values.reshape(-1, values.shape[-1])
        self.low.copy_(torch.minimum(self.low, flat.amin(0)))
        self.high.copy_(torch.maximum(self.high, flat.amax(0)))
        span = self.high - self.low
        self.centre.copy_((self.high + self.low) / 2)
        self.half_range.copy_(torch.where(span > NARROW, span / 2, torch.ones_like(span)))

    def normalize(self, values: Tensor) -> Tensor:
        """Scale (..., D) to [-1, 1] over the fitted data."""
        return (values - self.centre) / self.half_range

    def denormalize(self, values: Tensor) -> Tensor:
        """Undo normalize."""
        return values * self.half_range + self.centre
