"""What a run minimises: the one thing in which learning from data and learning from a teacher differ."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from ashore.policies.errors import InvalidConfig
from ashore.policies.generation.consistency import (
    ConsistencyConfig,
    Trio,
    distillation_loss,
    solution_loss,
    training_loss,
    trajectory_loss,
)
from ashore.policies.generation.ddpm import DDPMConfig, noise_loss
from ashore.policies.generation.edm import EDMConfig, denoising_loss
from ashore.policies.generation.regression import regression_loss
from ashore.policies.generation.scaling import Given, Network
from ashore.policies.policy import Policy


class Sample(NamedTuple):
    """One normalised batch, and all that chance may depend on."""

    actions: Tensor
    """(B, Tp, Da)."""
    given: Given
    rng: torch.Generator
    """The source of all chance, on the CPU."""
    share: float
    """How much of the training is done, 0 to 1."""


class Loss(Protocol):
    """A training loss on one batch."""

    def __call__(self, network: Network, average: Policy, sample: Sample) -> Tensor:
        """Compute the mean loss of the network that is trained; `average` has its slowly averaged weights."""


@dataclass(frozen=True)
class FromData:
    """Learn from demonstrated chunks alone."""

    def __call__(self, network: Network, average: Policy, sample: Sample) -> Tensor:
        """Compute the loss of the policy's process; see Loss."""
        process, (actions, given, rng, share) = average.config.process, sample
        if isinstance(process, EDMConfig):
            return denoising_loss(network, actions, given, process, rng)
        if isinstance(process, DDPMConfig):
            return noise_loss(network, actions, given, process, rng)
        if isinstance(process, ConsistencyConfig):
            return training_loss(network, actions, given, process, (rng, share))
        return regression_loss(network, actions, given, process, rng)


TEACHINGS = {"solution": solution_loss, "distillation": distillation_loss, "trajectory": trajectory_loss}


@dataclass(frozen=True)
class FromTeacher:
    """Learn a consistency policy from a diffusion one."""

    teacher: Network
    noise: EDMConfig
    """Of the teacher."""

    def __call__(self, network: Network, average: Policy, sample: Sample) -> Tensor:
        """Compute the loss of the student's form; see Loss."""
        process = average.config.process
        if not isinstance(process, ConsistencyConfig) or process.form not in TEACHINGS:
            raise InvalidConfig("the student", [f"process: {process}; a teacher teaches {', '.join(TEACHINGS)}"])
        trio = Trio(network, average.network, self.teacher)
        return TEACHINGS[process.form](trio, sample.actions, sample.given, (process, self.noise), sample.rng)
