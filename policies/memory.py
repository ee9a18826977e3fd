"""What a run will need in memory, told before it starts."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ashore.policies.errors import NotEnoughMemory
from ashore.policies.networks.presets import n_parameters
from ashore.policies.policy import Policy
from ashore.policies.training_data import TrainingData

FLOAT_BYTES = 4
COPIES = 5
"""Of every parameter: weight, gradient, two moments of the optimizer, average."""
LIBRARIES_BYTES = 400e6
"""Python with torch and accelerate at work, measured."""
PROBED = 4
"""Windows that are pushed through the network to measure what one keeps for its gradient."""


@dataclass(frozen=True)
class Estimate:
    """Bytes that a run needs, by what needs them."""

    libraries: float
    data: float
    weights: float
    activations: float

    @property
    def total(self) -> float:
        """All of them."""
        return self.libraries + self.data + self.weights + self.activations

    def lines(self) -> list[str]:
        """Tell the parts, each with its name."""
        names = ("libraries", "data", "weights", "activations")
        return [f"{name}: {getattr(self, name) / 1e6:.0f} MB" for name in names]


def estimate(policy: Policy, data: TrainingData, batch_size: int) -> Estimate:
    """Estimate what training needs; pictures are read as they are shown and hardly count."""
    samplers = getattr(data.windows, "samplers", (data.windows,))  # One a task.
    held = sum(getattr(getattr(s, name, None), "nbytes", 0) for s in samplers for name in ("obs", "actions"))
    index = 4 * 8 * len(data.windows)  # Starts, ends and episodes of the windows, and their order.
    weights = COPIES * FLOAT_BYTES * n_parameters(policy)
    return Estimate(LIBRARIES_BYTES, held + index, weights, batch_size * _activation_bytes(policy))


def require_memory(policy: Policy, data: TrainingData, batch_size: int) -> Estimate:
    """Estimate what training needs, and refuse where less is free.

    Raises:
        NotEnoughMemory: says what needs how much.
    """
    needed, free = estimate(policy, data, batch_size), free_bytes()
    if needed.total > free:
        raise NotEnoughMemory(needed.lines(), needed.total, free)
    return needed


def free_bytes() -> float:
    """Give the memory that is free on this machine; endless where it does not say."""
    file = Path("/proc/meminfo")
    if not file.exists():
        return float("inf")
    lines = dict(line.split(":", 1) for line in file.read_text().splitlines())
    return 1024.0 * int(lines["MemAvailable"].split()[0])


def _activation_bytes(policy: Policy) -> float:
    """Measure what the network keeps of one window for its gradient."""
    kept: set[tuple[int, int]] = set()
    parameters = {parameter.data_ptr() for parameter in policy.network.parameters()}

    def note(tensor: Tensor) -> Tensor:
        if tensor.data_ptr() not in parameters:
            kept.add((tensor.data_ptr(), tensor.numel() * tensor.element_size()))
        return tensor

    rows, width = policy.action_scale.shape
    chunk, level = torch.zeros(PROBED, rows, width), torch.zeros(PROBED, policy.n_levels)
    observation = torch.zeros(PROBED, policy.config.obs_horizon, policy.encoder.width)
    goal = torch.zeros(PROBED, policy.goal_encoder.width)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        policy.network(chunk, level, observation, goal)
    return sum(size for _, size in kept) / PROBED
