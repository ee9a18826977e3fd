"""How sure one may be of a success rate after so many trials."""

from dataclasses import dataclass
from math import sqrt

from ashore.policies.errors import InvalidCount

Z_95 = 1.959963984540054
"""Two-sided 95 % quantile of the standard normal distribution."""


@dataclass(frozen=True)
class Interval:
    """A success rate between its bounds, all in [0, 1]."""

    low: float
    rate: float
    high: float

    def __str__(self) -> str:
        return f"{self.rate:.1%} ({self.low:.1%} to {self.high:.1%})"


def wilson(k: int, n: int, z: float = Z_95) -> Interval:
    """Give the Wilson score interval of k successes in n trials; 95 % unless another quantile z is given.

    Raises:
        InvalidCount: not 0 <= k <= n with n at least 1.

    Source: Wilson, Probable Inference, the Law of Succession, and Statistical Inference, JASA 22 (1927).
    """
    if not (0 <= k <= n and n >= 1):
        raise InvalidCount(k, n)
    rate, scale = k / n, 1 + z * z / n
    centre = (rate + z * z / (2 * n)) / scale
    half = z / scale * sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    low = 0.0 if k == 0 else max(0.0, centre - half)
    high = 1.0 if k == n else min(1.0, centre + half)
    return Interval(low, rate, high)
