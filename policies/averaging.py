"""The slow average of a policy's weights that is evaluated and shipped."""

import torch
from torch import nn


def average_decay(update: int, largest: float) -> float:
    """Give the decay after `update` updates (from 0): min(largest, 1 - (1 + update)^-0.75), so that it warms up.

    Source: Chi et al., Diffusion Policy, RSS 2023, released code.
    """
    return min(largest, 1.0 - float((1.0 + update) ** -0.75))


@torch.no_grad()
def follow(average: nn.Module, current: nn.Module, decay: float) -> None:
    """Move every parameter of the average towards the current one by 1 - decay."""
    torch._foreach_lerp_(list(average.parameters()), list(current.parameters()), 1.0 - decay)
