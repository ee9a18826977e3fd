"""How a policy's actions are expressed while it learns: relative to where the robot was when it planned."""

import torch
from torch import Tensor, nn

from ashore.datasets.contract import Contract


class RelativeActions(nn.Module):
    """Express actions relative to the newest observation of the window, where the contract says `relative_to`."""

    source: Tensor
    """(Da,) index of the observation element that each action element is relative to; 0 where it is not."""
    is_relative: Tensor
    """(Da,) 1 where an action element is relative, else 0."""

    def __init__(self, contract: Contract) -> None:
        super().__init__()
        source = torch.zeros(contract.action_width, dtype=torch.int64)
        is_relative = torch.zeros(contract.action_width)
        for action in contract.actions:
            if action.relative_to is not None:
                place, origin = contract.action_slices[action.name], contract.observation_slices[action.relative_to]
                source[place] = torch.arange(origin.start, origin.stop)
                is_relative[place] = 1.0
        self.register_buffer("source", source)
        self.register_buffer("is_relative", is_relative)

    def to_relative(self, actions: Tensor, obs: Tensor) -> Tensor:
        """Turn absolute actions (B, Tp, Da) into relative ones, for raw observation windows (B, To, Do)."""
        return actions - self._origin(obs)

    def to_absolute(self, actions: Tensor, obs: Tensor) -> Tensor:
        """Undo to_relative: relative actions (B, Tp, Da) and the same windows (B, To, Do) give contract values."""
        return actions + self._origin(obs)

    def _origin(self, obs: Tensor) -> Tensor:
        newest = obs[:, -1, :]  # (B, Do)
        return (torch.index_select(newest, -1, self.source) * self.is_relative)[:, None, :]
