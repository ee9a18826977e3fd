"""What a goal-conditioned policy is told to reach: features of a later state, a task's number, or both."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ashore.datasets.contract import Contract
from ashore.datasets.errors import closest, quoted
from ashore.policies.errors import InvalidGoal
from ashore.policies.normalizer import Normalizer

Array = NDArray[Any]


@dataclass(frozen=True)
class GoalConfig:
    """Conditioning on goals; a policy without features and tasks has none."""

    features: tuple[str, ...] = ()
    """Observations whose values at an episode's end are what it was after (hindsight)."""
    tasks: tuple[str, ...] = ()
    """Tasks that one policy learns, told apart by number."""
    drop: float = 0.1
    """Share of windows that are learnt without their goal, which is what guidance needs."""
    guidance: float = 1.0
    """Weight of the goal when planning: 1 plain, above 1 more decidedly (classifier-free guidance)."""

    def size(self, contract: Contract) -> int:
        """Count the numbers of a raw goal: the features' elements in this order, then one a task."""
        sizes = {feature.name: feature.size for feature in contract.observations}
        return sum(sizes[name] for name in self.features) + len(self.tasks)

    def check(self, contract: Contract) -> None:
        """Check every name against a contract.

        Raises:
            InvalidGoal: lists every fault at once.
        """
        known = [feature.name for feature in contract.observations]
        faults = [
            f"{n}: no such observation; valid: {quoted(known)}.{closest(n, known)}"
            for n in self.features
            if n not in known
        ]
        if not isfinite(self.guidance):
            faults.append(f"guidance: {self.guidance}; must be finite")
        if not 0 <= self.drop < 1:
            faults.append(f"drop: {self.drop}; must lie in [0, 1)")
        if faults:
            raise InvalidGoal(faults)


def raw_goal(config: GoalConfig, contract: Contract, wanted: Mapping[str, Any], task: str | None = None) -> Array:
    """Write a goal (size,) down: the wanted values of its features, contract units, and which task.

    Raises:
        InvalidGoal: a feature or the task is missing, unknown, of another size or not finite; lists every fault.
    """
    sizes = {f.name: f.size for f in contract.observations if f.name in config.features}
    faults = [f"{n}: not a goal of this policy; valid: {quoted(sizes)}" for n in wanted if n not in sizes]
    faults += [f"{n}: not given; {size} number(s)" for n, size in sizes.items() if n not in wanted]
    values = {n: np.asarray(wanted[n], np.float64).reshape(-1) for n in sizes if n in wanted}
    faults += [f"{n}: {len(v)} number(s); expected {sizes[n]}" for n, v in values.items() if len(v) != sizes[n]]
    faults += [f"{n}: {v.tolist()}; must be finite" for n, v in values.items() if not np.all(np.isfinite(v))]
    if config.tasks and task not in config.tasks:
        faults.append(f"task: {task}; valid: {quoted(config.tasks)}")
    if faults:
        raise InvalidGoal(faults)
    number = np.array([float(task == name) for name in config.tasks])
    return np.concatenate([*(values[n] for n in config.features), number]).astype(np.float32)


class GoalEncoder(nn.Module):
    """Scale raw goals (B, size) and mark them as present: (B, width), width 0 for a policy without goals."""

    def __init__(self, config: GoalConfig, contract: Contract) -> None:
        super().__init__()
        config.check(contract)
        self.size = config.size(contract)
        self.width = self.size + 1 if self.size else 0
        self.n_features = self.size - len(config.tasks)
        self.scale = Normalizer((self.n_features,), "minmax")

    def fit(self, goals: Tensor) -> None:
        """Widen the range to these raw goals (N, size)."""
        if self.n_features:
            self.scale.include(goals[:, : self.n_features])

    def forward(self, goals: Tensor) -> Tensor:
        """Encode raw goals (B, size) to (B, width); an absent goal is all zeros instead."""
        if not self.width:
            return goals
        scaled = self.scale.normalize(goals[:, : self.n_features])
        return torch.cat((scaled, goals[:, self.n_features :], torch.ones_like(goals[:, :1])), dim=-1)
