"""Noise that is put on an expert's commands, never on its labels, so that demonstrations show how to recover.

Source: Laskey, Lee, Fox, Dragan, Goldberg, DART: Noise Injection for Robust Imitation Learning (CoRL 2017); here the
noise comes in bursts that last, since white noise on a servo's set-point hardly moves it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Injection:
    """How commands are disturbed; standard deviations one a command element, in its unit."""

    burst_std: tuple[float, ...]
    """Of the constant offset that lasts through one burst."""
    white_std: tuple[float, ...]
    """Of the offset that is new at every command."""
    burst_rate_hz: float = 0.6
    """Bursts that begin per second, where none is under way."""
    burst_s: tuple[float, float] = (0.1, 0.35)
    """Shortest and longest burst."""


def inject(injection: Injection, seeds: Sequence[int], n_ticks: int, period_s: float) -> Array:
    """Draw the offsets of N episodes, each from its own seed.

    Args:
        injection: what to draw.
        seeds: (N,) one an episode.
        n_ticks: commands in an episode, T.
        period_s: one command period.

    Returns:
        (N, T, Dc) to be added to commands.
    """
    return np.stack([_one(injection, np.random.default_rng([seed, 1]), n_ticks, period_s) for seed in seeds])


def _one(injection: Injection, rng: np.random.Generator, n_ticks: int, period_s: float) -> Array:
    offsets = rng.standard_normal((n_ticks, len(injection.white_std))) * injection.white_std
    tick = 0
    while True:
        tick += round(rng.exponential(1.0 / injection.burst_rate_hz) / period_s)
        length = max(1, round(rng.uniform(*injection.burst_s) / period_s))
        if tick >= n_ticks:
            return offsets
        offsets[tick : tick + length] += rng.standard_normal(len(injection.burst_std)) * injection.burst_std
        tick += length
