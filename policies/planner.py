"""The face of a policy at work: observations in, a chunk of actions out, whether torch or ONNX Runtime computes it."""

from typing import Any, Protocol

from numpy.typing import NDArray

from ashore.datasets.contract import Contract
from ashore.sim.robot import RobotCard

Array = NDArray[Any]


class Planner(Protocol):
    """Plans chunks for B robots at once.

    step        n-1   n     n+1   n+2   n+3   n+4     To = 2, Tp = 6, Ta = 3
    observed    x     x
    predicted   0     1     2     3     4     5       index 0 is the oldest observed step
    executed          x     x     x                   chunk[To-1 : To-1+Ta], so To - 1 + Ta <= Tp
    """

    contract: Contract
    card: RobotCard
    obs_horizon: int
    prediction_horizon: int
    action_horizon: int
    noise_shape: tuple[int, int]
    """Of one chunk: (n * Tp, Da), n standard normal chunks one after the other, as many as the sampler uses up."""

    def plan(self, obs: Array, noise: Array) -> Array:
        """Plan chunks from histories.

        Args:
            obs: (B, To, Do) float32 in contract order and units, oldest step first.
            noise: (B, *noise_shape) float32 standard normal; the same noise gives the same chunk.

        Returns:
            (B, Tp, Da) float32 actions, absolute, in contract units.
        """
