"""Scaling of observations and chunks, fitted once and kept as buffers of the module that is trained and exported."""

from typing import Literal

import torch
from torch import Tensor, nn

NARROW = 1e-4
"""An element whose range is narrower than this is only centred: its spread is noise, not signal."""
ScaleKind = Literal["minmax", "gaussian"]


class Normalizer(nn.Module):
    """Scale every element of arrays (..., *shape) by what was demonstrated of it.

    Chunks (Tp, Da) are scaled row by row: actions relative to the robot spread ever wider with time, and with one scale
    for all rows the first ones, which are executed, would hardly count. "gaussian" gives each element the standard
    deviation that the diffusion model assumes; under the min-max scaling of Diffusion Policy (Chi et al., RSS 2023),
    whose released code centres narrow elements in the same way, chunks of an arm have deviations of 0.05 to 1 where
    the model assumes 0.5.
    """

    count: Tensor
    low: Tensor
    high: Tensor
    mean: Tensor
    deviation: Tensor

    def __init__(self, shape: tuple[int, ...], kind: ScaleKind, std: float = 1.0) -> None:
        """Make it for elements (*shape), which "gaussian" gives the deviation `std` and "minmax" the range [-1, 1]."""
        super().__init__()
        self.kind, self.std, self.shape = kind, std, shape
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))
        self.register_buffer("low", torch.full(shape, torch.inf))
        self.register_buffer("high", torch.full(shape, -torch.inf))
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("deviation", torch.zeros(shape))

    @torch.no_grad()
    def include(self, values: Tensor) -> None:
        """Take in more arrays (N, *shape); mean and deviation are those of all so far (Chan et al.'s update)."""
        more = values.double()
        n_old, n_new = float(self.count), float(len(more))
        old_mean, shift = self.mean.double(), more.mean(0) - self.mean.double()
        squares = self.deviation.double() ** 2 * n_old + more.var(0, correction=0) * n_new
        squares += shift**2 * n_old * n_new / (n_old + n_new)
        self.count.add_(len(more))
        self.low.copy_(torch.minimum(self.low, values.amin(0)))
        self.high.copy_(torch.maximum(self.high, values.amax(0)))
        self.mean.copy_(old_mean + shift * n_new / (n_old + n_new))
        self.deviation.copy_((squares / (n_old + n_new)).sqrt())

    def normalize(self, values: Tensor) -> Tensor:
        """Scale (..., *shape)."""
        return (values - self._centre()) / self._scale()

    def denormalize(self, values: Tensor) -> Tensor:
        """Undo normalize."""
        return values * self._scale() + self._centre()

    def limit(self, values: Tensor) -> Tensor:
        """Keep denormalised arrays (..., *shape) within what was demonstrated."""
        return torch.minimum(torch.maximum(values, self.low), self.high)

    def bounds(self) -> tuple[Tensor, Tensor]:
        """Give the least and the greatest of what was demonstrated, (*shape) each, normalised."""
        return self.normalize(self.low), self.normalize(self.high)

    def varies(self) -> Tensor:
        """Tell of each element (*shape) whether it takes more than one value."""
        return self.high - self.low > NARROW

    def half_range(self) -> Tensor:
        """Give half of each last-axis element's demonstrated range over all rows (Da,): the unit of differences."""
        span = self.high.reshape(-1, self.shape[-1]).amax(0) - self.low.reshape(-1, self.shape[-1]).amin(0)
        return torch.where(span > NARROW, span / 2, torch.ones_like(span))

    def _centre(self) -> Tensor:
        return (self.high + self.low) / 2 if self.kind == "minmax" else self.mean

    def _scale(self) -> Tensor:
        span = self.high - self.low
        spread = span / 2 if self.kind == "minmax" else self.deviation / self.std
        return torch.where(span < NARROW, torch.ones_like(span), spread)
