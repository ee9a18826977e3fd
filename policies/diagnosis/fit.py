"""How well a run fits what it learnt and what was held back: the curves of its training, and its error by noise."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ashore.policies.generation.ddpm import DDPMConfig, signal_shares
from ashore.policies.generation.scaling import Given, predict
from ashore.policies.policy import Policy

Array = NDArray[Any]
Windows = tuple[Tensor, Tensor, Tensor]
"""Windows (B, To, Do), chunks (B, Tp, Da) and raw goals (B, size), contract units."""
Verdict = Literal["overfits", "still learning", "sound", "unknown"]
LEVELS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 20.0)
"""Noise levels that the network is asked at, in normalised actions, whose own standard deviation is 0.5."""
RISE = 1.1
"""A held-out loss this many times its lowest earlier value has risen."""
GAP = 1.5
"""Held-out errors this many times those on learnt windows are a gap."""
FALL = 0.1
"""A training loss that fell by more than this share over its last fifth is still falling."""
WORSE = 1.3
"""A student whose plans miss by this many times what its teacher's do has not learnt enough from it."""
MIN_ROWS = 10
"""Rows of the training loss that its end is judged by."""


@dataclass(frozen=True)
class Curves:
    """Losses as training logged them."""

    updates: Array
    """(K,) of the training loss."""
    loss: Array
    """(K,)."""
    held_out_updates: Array
    """(H,) of the held-out loss."""
    held_out_loss: Array
    """(H,)."""

    @property
    def rise(self) -> float | None:
        """The last held-out loss over the lowest one; None where there are fewer than three."""
        if len(self.held_out_loss) < 3:
            return None
        return float(self.held_out_loss[-1]) / max(float(self.held_out_loss.min()), 1e-12)

    @property
    def best_update(self) -> int:
        """When the held-out loss was lowest."""
        return int(self.held_out_updates[np.argmin(self.held_out_loss)])

    @property
    def fall(self) -> float | None:
        """Share by which the training loss fell from the fifth before the last to the last; None with few rows."""
        part = len(self.loss) // 5
        if len(self.loss) < MIN_ROWS:
            return None
        before, after = float(np.mean(self.loss[-2 * part : -part])), float(np.mean(self.loss[-part:]))
        return 1 - after / max(before, 1e-12)


@dataclass(frozen=True)
class LevelErrors:
    """Error of the averaged network's cleaned chunk, root mean square over windows and elements, by noise level."""

    levels: Array
    """(L,) standard deviation of the noise, normalised actions."""
    learnt: Array
    """(L,) on windows that were learnt, normalised actions."""
    held_out: Array
    """(L,) on windows that were held back."""

    @property
    def gap(self) -> float:
        """Geometric mean of held-out errors over learnt ones."""
        return float(np.exp(np.mean(np.log(np.maximum(self.held_out, 1e-12) / np.maximum(self.learnt, 1e-12)))))


def read_curves(rows: Sequence[Mapping[str, float]]) -> Curves:
    """Take the losses out of a run's metrics."""

    def column(name: str) -> tuple[Array, Array]:
        pairs = [(row["update"], row[name]) for row in rows if name in row]
        values = np.array(pairs, np.float64).reshape(-1, 2)
        return values[:, 0], values[:, 1]

    return Curves(*column("loss"), *column("held_out_loss"))


def level_errors(policy: Policy, learnt: Windows, held_out: Windows) -> LevelErrors:
    """Ask a policy's network to clean chunks at each of LEVELS, with the same noise for both sets.

    A network that regresses is shown no noise, and answers alike at every level.

    Args:
        policy: with its averaged weights.
        learnt: what was learnt.
        held_out: the same of episodes that were held back.
    """
    sides = [np.array([denoising_error(policy, side, level) for level in LEVELS]) for side in (learnt, held_out)]
    return LevelErrors(np.array(LEVELS), *sides)


@torch.inference_mode()
def denoising_error(policy: Policy, windows: Windows, level: float) -> float:
    """Give the root mean square error of the chunks that the network makes of noisy ones, normalised.

    Args:
        policy: the policy.
        windows: what it is asked about.
        level: standard deviation of the noise.
    """
    device = policy.action_scale.mean.device
    obs, actions, goals = (part.to(device) for part in windows)
    wanted, given = policy.normalize(actions, obs), Given(policy.observe(obs), policy.goal_encoder(goals))
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(wanted.shape, generator=generator).to(device)
    cleaned = _clean(policy, wanted + level * noise, level, given)
    return float(((cleaned - wanted) ** 2).mean().sqrt())


def verdict(curves: Curves | None, errors: LevelErrors | None, over_teacher: float | None = None) -> Verdict:
    """Say in one word how the run fits; what was learnt too well counts before what is not learnt yet.

    Args:
        curves: of its training.
        errors: by noise level.
        over_teacher: how many times as far from the demonstrations it plans as its teacher; None without one.
    """
    rise = curves.rise if curves is not None else None
    if (rise is not None and rise > RISE) or (errors is not None and errors.gap > GAP):
        return "overfits"
    fall = curves.fall if curves is not None else None
    if (fall is not None and fall > FALL) or (over_teacher is not None and over_teacher > WORSE):
        return "still learning"
    return "unknown" if errors is None and rise is None else "sound"


def _clean(policy: Policy, noisy: Tensor, level: float, given: Given) -> Tensor:
    """Clean chunks (B, Tp, Da) with noise of this standard deviation, by what the network was trained on."""
    process = policy.config.process
    if isinstance(process, DDPMConfig):  # Its levels are steps, and its noisy chunks have shrunk by the signal's share.
        signal = signal_shares(process)
        step = int(torch.argmin(torch.abs(torch.log((1 - signal) / signal) / 2 - np.log(level))))
        steps = torch.full((len(noisy),), float(step), device=noisy.device)
        return predict(policy.network, noisy * float(signal[step]) ** 0.5, process.scaling(steps), given)
    sigma = torch.full((len(noisy),), level, device=noisy.device)
    return predict(policy.network, noisy, process.scaling(sigma), given)
