"""The one form of every prediction: D(x) = skip * x + out * F(into * x, level), whatever the process."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

Network = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""F(scaled noisy (B, Tp, Da), level (B, L), observation (B, To, De), goal (B, Dg)) -> (B, Tp, Da); see Denoiser."""


class Given(NamedTuple):
    """What a chunk is planned from."""

    observation: Tensor
    """(B, To, De), normalised."""
    goal: Tensor
    """(B, Dg), normalised; Dg is 0 for a policy without goals."""


@dataclass(frozen=True)
class Scaling:
    """Preconditioning of a network at some noise levels; table 1 of Karras et al., NeurIPS 2022, names the terms."""

    into: Tensor
    """(B,) c_in."""
    skip: Tensor
    """(B,) c_skip."""
    out: Tensor
    """(B,) c_out."""
    level: Tensor
    """(B, L) c_noise, one or two of them."""


def predict(network: Network, noisy: Tensor, scaling: Scaling, given: Given) -> Tensor:
    """Compute the clean chunks (B, Tp, Da) that a network sees in noisy ones (B, Tp, Da), in float32."""
    into, skip, out = (part[:, None, None] for part in (scaling.into, scaling.skip, scaling.out))
    predicted = network(noisy * into, scaling.level, given.observation, given.goal).float()
    return noisy * skip + predicted * out


def guided(network: Network, weight: float) -> Network:
    """Move predictions away from those without a goal: F = F_without + weight (F_with - F_without).

    1 is the plain conditional network and costs one evaluation, anything else two. A goal that is absent
    is all zeros. Source: Ho and Salimans, Classifier-Free Diffusion Guidance, 2022; for policies Reuss et al., BESO,
    RSS 2023.
    """
    if weight == 1.0:
        return network

    def answer(noisy: Tensor, level: Tensor, observation: Tensor, goal: Tensor) -> Tensor:
        without = network(noisy, level, observation, torch.zeros_like(goal))
        return without + weight * (network(noisy, level, observation, goal) - without)

    return answer
