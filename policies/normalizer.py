"""Scaling of observations and chunks, fitted once and kept as buffers of the module that is trained and exported."""

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


class ChunkNormalizer(nn.Module):
    """Scale chunks (..., Tp, Da) so that every element of every row has one standard deviation, the diffusion model's.

    Rows apart: actions relative to the robot spread ever wider with time, and with one scale for all rows the first
    ones, which are executed, would hardly count. This departs from the min-max scaling of Diffusion Policy, under which
    demonstrated chunks of the arm have deviations of 0.05 to 1 where the model assumes 0.5.
    """

    count: Tensor
    low: Tensor
    high: Tensor
    mean: Tensor
    scale: Tensor

    def __init__(self, chunk: tuple[int, int], std: float) -> None:
        """Make it for chunks (Tp, Da) that shall have the standard deviation `std`."""
        super().__init__()
        self.std = std
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))
        self.register_buffer("low", torch.full(chunk, torch.inf))
        self.register_buffer("high", torch.full(chunk, -torch.inf))
        self.register_buffer("mean", torch.zeros(chunk))
        self.register_buffer("scale", torch.ones(chunk))

    @torch.no_grad()
    def include(self, chunks: Tensor) -> None:
        """Take in more chunks (B, Tp, Da); mean and deviation are those of all so far (Chan et al.'s update)."""
        values = chunks.double()
        n_old, n_new = float(self.count), float(len(values))
        old_mean, shift = self.mean.double(), values.mean(0) - self.mean.double()
        old_squares = (self.scale.double() * self.std) ** 2 * n_old
        squares = old_squares + values.var(0, correction=0) * n_new + shift**2 * n_old * n_new / (n_old + n_new)
        self.count.add_(len(values))
        self.low.copy_(torch.minimum(self.low, chunks.amin(0)))
        self.high.copy_(torch.maximum(self.high, chunks.amax(0)))
        self.mean.copy_(old_mean + shift * n_new / (n_old + n_new))
        self.scale.copy_((squares / (n_old + n_new)).sqrt() / self.std)

    def normalize(self, chunks: Tensor) -> Tensor:
        """Scale chunks (B, Tp, Da); elements that hardly vary are only centred."""
        return (chunks - self.mean) / self._safe_scale()

    def denormalize(self, chunks: Tensor) -> Tensor:
        """Undo normalize."""
        return chunks * self._safe_scale() + self.mean

    def limit(self, chunks: Tensor) -> Tensor:
        """Keep denormalised chunks (B, Tp, Da) within what was demonstrated."""
        return torch.minimum(torch.maximum(chunks, self.low), self.high)

    def half_range(self) -> Tensor:
        """Give half of each element's demonstrated range over all rows (Da,): the unit of normalised differences."""
        span = self.high.amax(0) - self.low.amin(0)
        return torch.where(span > NARROW, span / 2, torch.ones_like(span))

    def _safe_scale(self) -> Tensor:
        is_narrow = self.high - self.low < NARROW
        return torch.where(is_narrow, torch.ones_like(self.scale), self.scale)
