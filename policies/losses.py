"""What a run minimises: the one thing in which training a teacher and distilling a student differ."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ashore.policies.consistency import Trio, distillation_loss
from ashore.policies.diffusion import Network, denoising_loss
from ashore.policies.policy import Policy


class Loss(Protocol):
    """A training loss on one normalised batch."""

    def __call__(self, network: Network, average: Policy, batch: tuple[Tensor, Tensor], rng: torch.Generator) -> Tensor:
        """Compute the mean loss.

        Args:
            network: the one that is trained.
            average: the policy with its slowly averaged weights.
            batch: observations (B, To, De) and actions (B, Tp, Da), normalised.
            rng: the source of all chance, on the CPU.
        """


@dataclass(frozen=True)
class DiffusionLoss:
    """Denoise demonstrated chunks."""

    def __call__(self, network: Network, average: Policy, batch: tuple[Tensor, Tensor], rng: torch.Generator) -> Tensor:
        """Compute the EDM loss; see Loss."""
        return denoising_loss(network, batch[1], batch[0], average.config.edm, rng)


@dataclass(frozen=True)
class ConsistencyLoss:
    """Agree with oneself along the trajectories of a teacher."""

    teacher: Network

    def __call__(self, network: Network, average: Policy, batch: tuple[Tensor, Tensor], rng: torch.Generator) -> Tensor:
        """Compute the consistency distillation loss with the average as target; see Loss."""
        config = average.config
        trio = Trio(network, average.network, self.teacher)
        return distillation_loss(trio, batch[1], batch[0], (config.consistency, config.edm), rng)
