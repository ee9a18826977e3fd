"""The interface of a robot that takes its actions as they are: commands are actions, stopping is holding the last."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class Direct:
    """Pass actions on in contract order."""

    derived: tuple[str, ...] = ()

    def __init__(self, actions: Sequence[str]) -> None:
        """Take the action features' names, in the order of the command vector."""
        self.actions = tuple(actions)

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> Self:
        """Make it from a card's `interface`: {"kind": "direct", "actions": [names]}."""
        return cls(spec["actions"])

    def derive(self, measured: Mapping[str, Array]) -> dict[str, Array]:
        """Return the measurements; nothing follows from them here."""
        return dict(measured)

    def decode(self, action: Mapping[str, Array], observed: Mapping[str, Array]) -> Array:
        """Join named actions {name: (N, *shape)} into commands (N, Dc)."""
        parts = [np.asarray(action[name]) for name in self.actions]
        return np.concatenate([part.reshape(len(part), -1) for part in parts], axis=-1)

    def stop(self, observed: Mapping[str, Array], last_command: Array) -> Array:
        """Hold the last command (N, Dc)."""
        return np.array(last_command)
