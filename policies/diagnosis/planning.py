"""How far planned chunks are from demonstrated ones on windows that were held back, and how long planning takes."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.contract import Contract
from ashore.policies.planner import Planner

Array = NDArray[Any]
N_TIMED, N_WARM = 120, 5
"""Plans that are timed, and those before that are not."""


@dataclass(frozen=True)
class ChunkErrors:
    """Planned less demonstrated, root mean square over windows, contract units."""

    rms: Array
    """(Tp, Da)."""
    rms_learnt: Array
    """(Tp, Da) on windows that were learnt."""
    spread: Array
    """(Da,) standard deviation of the demonstrated actions over windows and rows."""
    executed: slice
    """Rows that are executed: To - 1 to To - 1 + Ta."""
    n_windows: int

    @property
    def executed_rms(self) -> Array:
        """(Da,) over the rows that are executed."""
        return self._executed(self.rms)

    @property
    def relative(self) -> Array:
        """(Da,) the same as a share of the demonstrated actions' own spread; NaN where they have none."""
        return self._relative(self.executed_rms)

    @property
    def relative_learnt(self) -> Array:
        """(Da,) the same on windows that were learnt."""
        return self._relative(self._executed(self.rms_learnt))

    def over(self, other: "ChunkErrors") -> float:
        """Give the geometric mean, over the elements, of these errors on executed rows over another policy's."""
        ratio = np.maximum(self.executed_rms, 1e-12) / np.maximum(other.executed_rms, 1e-12)
        return float(np.exp(np.mean(np.log(ratio))))

    def _executed(self, rms: Array) -> Array:
        return np.asarray(np.sqrt(np.mean(rms[self.executed] ** 2, axis=0)))

    def _relative(self, errors: Array) -> Array:
        return np.asarray(np.where(self.spread > 1e-9, errors / np.maximum(self.spread, 1e-9), np.nan))


@dataclass(frozen=True)
class Latency:
    """Planning time of one robot's chunk on this machine, against what the loop leaves."""

    seconds: Array
    """(N,)."""
    period_s: float
    """Control period."""
    action_horizon: int
    """Ta, steps until the next chunk is due."""
    spare: int
    """Rows of a chunk beyond those that are executed: so many steps late it still plays on."""

    @property
    def p50_s(self) -> float:
        """Median."""
        return float(np.percentile(self.seconds, 50))

    @property
    def p99_s(self) -> float:
        """99th percentile."""
        return float(np.percentile(self.seconds, 99))

    @property
    def late_steps(self) -> int:
        """Steps of a chunk that have passed when it arrives, at the 99th percentile."""
        return int(np.ceil(self.p99_s / self.period_s - 1e-9))

    @property
    def keeps_up(self) -> bool:
        """Whether a chunk arrives before the next one is due."""
        return self.p99_s <= self.action_horizon * self.period_s

    @property
    def lasts(self) -> bool:
        """Whether the chunk before has rows enough to play on until the next one is there."""
        return self.late_steps <= self.spare


def draw_noise(shape: tuple[int, ...], count: int, seed: int) -> Array:
    """Draw the noise (count, *shape) that so many chunks want."""
    return np.random.default_rng(seed).standard_normal((count, *shape), dtype=np.float32)


def chunk_errors(
    contract: Contract, executed: slice, held_out: tuple[Array, Array], learnt: tuple[Array, Array]
) -> ChunkErrors:
    """Compare planned with demonstrated chunks, each (B, Tp, Da) in contract units, on both sets of windows."""
    spread = np.concatenate([held_out[1], learnt[1]]).std((0, 1))
    return ChunkErrors(_rms(contract, *held_out), _rms(contract, *learnt), spread, executed, len(held_out[0]))


def measure_latency(
    planner: Planner, windows: Array, n: int = N_TIMED, clock: Callable[[], float] = time.perf_counter
) -> Latency:
    """Time plans for one robot, each from another of the windows (M, To, Do)."""
    noise, seconds = draw_noise(planner.noise_shape, 1, 0), []
    for count in range(N_WARM + n):
        began_s = clock()
        planner.plan(windows[count % len(windows)][None], noise)
        seconds.append(clock() - began_s)
    spare = planner.prediction_horizon - (planner.obs_horizon - 1) - planner.action_horizon
    return Latency(np.array(seconds[N_WARM:]), planner.contract.period_s, planner.action_horizon, spare)


def _rms(contract: Contract, planned: Array, demonstrated: Array) -> Array:
    difference = _same_sign(planned, demonstrated, contract) - demonstrated
    return np.asarray(np.sqrt(np.mean(difference.astype(np.float64) ** 2, axis=0)))


def _same_sign(planned: Array, demonstrated: Array, contract: Contract) -> Array:
    """Give planned quaternions the sign of the demonstrated ones, since both signs mean one rotation."""
    turned = planned.copy()
    for name, place in contract.action_slices.items():
        if name.endswith("_wxyz"):
            product = np.sum(planned[..., place] * demonstrated[..., place], axis=-1, keepdims=True)
            turned[..., place] *= np.where(product < 0, -1, 1).astype(turned.dtype)
    return turned
