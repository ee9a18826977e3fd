"""What a policy has seen: ranges and neighbourhoods of the observations that it learnt from; numpy alone.

It tells, before and while a robot runs, whether what is observed is of that kind, and names what is not.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.contract import Contract
from ashore.policies.ranking.detectors import NearestNeighbours

Array = NDArray[Any]
SPARE = 0.1
"""How far beyond the range that was learnt counts as within, as a share of it."""
FLOOR = 1e-3
"""The same of what never varied, contract units."""
ROOM = 1.5
"""Limit of the distance, as a multiple of the largest one of episodes that were held back."""
RESTLESS = 0.99
"""Share of the steps in which a feature must have changed for a still one to be a dead sensor."""


@dataclass(frozen=True)
class Familiarity:
    """Observations that a policy learnt from."""

    contract: Contract
    low: Array
    """(Do,) contract order and units, with room to spare."""
    high: Array
    limit: float
    """Distance from its neighbours beyond which an observation is of another kind; see distance."""
    restless: tuple[str, ...]
    """Features that changed in every step."""
    detector: NearestNeighbours

    @classmethod
    def of(cls, contract: Contract, held_out: Array, learnt: Array) -> Self:
        """Take in windows (H, To, Do) of episodes that were held back, and (R, To, Do) of those that were learnt."""
        newest = np.concatenate([held_out[:, -1], learnt[:, -1]]).astype(np.float64)
        low, high = newest.min(0), newest.max(0)
        spare = np.maximum(SPARE * (high - low), FLOOR)
        detector = NearestNeighbours(learnt[:, -1:].astype(np.float64))
        limit = ROOM * float(detector.score(held_out[:, -1:].astype(np.float64)).max())
        return cls(contract, low - spare, high + spare, limit, _restless(contract, learnt), detector)

    def distance(self, obs: Array) -> float:
        """Give how far an observation (Do,) is from its neighbours, over the limit: above 1 is of another kind."""
        return float(self.detector.score(np.asarray(obs, np.float64)[None, None])[0]) / max(self.limit, 1e-12)

    def strange(self, observed: Mapping[str, Array]) -> list[str]:
        """Say which features {name: (*shape)} are outside what was learnt: name, value, range."""
        found = []
        for name, place in self.contract.observation_slices.items():
            value = np.asarray(observed[name], np.float64).ravel()
            beyond = np.maximum(self.low[place] - value, value - self.high[place])
            worst = int(np.argmax(np.nan_to_num(beyond, nan=np.inf)))
            if not beyond[worst] <= 0:
                low, high = self.low[place][worst], self.high[place][worst]
                found.append(f"{name}[{worst}]: {value[worst]:.4g}, learnt {low:.4g} to {high:.4g}")
        return found


def _restless(contract: Contract, windows: Array) -> tuple[str, ...]:
    """Name the features that change from one step of the windows (R, To, Do) to the next, whatever happens."""
    if windows.shape[1] < 2:
        return ()
    changes = np.diff(windows, axis=1) != 0  # (R, To - 1, Do)
    shares = {name: float(changes[..., place].any(-1).mean()) for name, place in contract.observation_slices.items()}
    return tuple(name for name, share in shares.items() if share >= RESTLESS)
