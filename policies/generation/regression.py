"""Plain regression, for baselines: the network is shown no noise and answers with the chunk."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ashore.policies.generation.scaling import Given, Network, Scaling, predict


@dataclass(frozen=True)
class RegressionConfig:
    """What is minimised between the answer and the demonstrated chunk."""

    kind: Literal["regression"] = "regression"
    sigma_data: float = 0.5
    """Standard deviation that Gaussian-normalised chunks are given."""
    distance: Literal["l1", "l2"] = "l2"
    latent_weight: float = 10.0
    """Of the latent's divergence from the standard normal, in networks that have a latent (ACT)."""

    def scaling(self, like: Tensor) -> Scaling:
        """Show the network zeros and take its answer as it is; (B,) says how many."""
        zero = torch.zeros_like(like)
        return Scaling(zero, zero, torch.ones_like(like), zero[:, None])


def regression_loss(
    network: Network, actions: Tensor, given: Given, config: RegressionConfig, generator: torch.Generator
) -> Tensor:
    """Compute the mean distance between answers and demonstrated chunks; of a network with a latent, ACT's loss.

    Arguments as in edm.denoising_loss. Source of the latter: Zhao, Kumar, Levine, Finn, Learning Fine-Grained Bimanual
    Manipulation with Low-Cost Hardware, RSS 2023.
    """
    reconstruct = getattr(network, "reconstruct", None)
    if reconstruct is None:
        answer = predict(network, torch.zeros_like(actions), config.scaling(actions[:, 0, 0]), given)
        return _distance(answer, actions, config)
    noise = torch.randn(len(actions), network.config.latent, generator=generator).to(actions)  # type: ignore[attr-defined]
    answer, mean, log_variance = reconstruct(actions, *given, noise)
    divergence: Tensor = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(-1).mean()
    return _distance(answer.float(), actions, config) + config.latent_weight * divergence


def _distance(answer: Tensor, actions: Tensor, config: RegressionConfig) -> Tensor:
    difference: Tensor = answer - actions
    each = difference.abs() if config.distance == "l1" else difference.square()
    return each.mean()
