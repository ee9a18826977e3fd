"""Where randomized values come from: one small class a distribution, over numbers or vectors, element by element.

Each maps a uniform number to its own value (`quantile`), so that several can be drawn together with a correlation.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Value = float | tuple[float, ...]
TRIES = 2000
"""Scattered points that never kept apart in so many tries would be drawn for ever."""


class Distribution(Protocol):
    """Where a parameter's values come from."""

    kind: ClassVar[str]
    """Its name in files."""

    def sample(self, rng: np.random.Generator) -> Array:
        """Draw one value."""

    def nominal(self) -> Array:
        """The value without randomization; its shape is that of every value."""

    def support(self) -> tuple[Array, Array]:
        """Lowest and highest value, element by element."""

    def faults(self) -> Iterator[str]:
        """Yield what is wrong with its numbers."""


class Quantiled(Distribution, Protocol):
    """A distribution that can be drawn together with others."""

    def quantile(self, u: Array) -> Array:
        """The values below which shares u (..., *shape) in 0 to 1 of all values lie."""


@dataclass(frozen=True)
class Fixed:
    """Always the same value."""

    kind: ClassVar[str] = "fixed"
    value: Value

    def sample(self, rng: np.random.Generator) -> Array:
        """Return the value."""
        return self.nominal()

    def nominal(self) -> Array:
        """Return the value."""
        return np.asarray(self.value, dtype=np.float64)

    def quantile(self, u: Array) -> Array:
        """Return the value, whatever u is."""
        return np.broadcast_to(self.nominal(), np.shape(u)).copy()

    def support(self) -> tuple[Array, Array]:
        """The value, twice."""
        return self.nominal(), self.nominal()

    def faults(self) -> Iterator[str]:
        """Yield what is wrong with its numbers."""
        yield from _number_faults(value=self.value)


@dataclass(frozen=True)
class Uniform:
    """Uniform between low and high, element by element."""

    kind: ClassVar[str] = "uniform"
    low: Value
    high: Value
    middle: Value | None = None
    """The nominal value; the mean where it is None."""

    def sample(self, rng: np.random.Generator) -> Array:
        """Draw a value of the bounds' shape."""
        return np.asarray(rng.uniform(self.low, self.high))

    def nominal(self) -> Array:
        """Return the value without randomization."""
        value = self.middle if self.middle is not None else (np.asarray(self.low) + np.asarray(self.high)) / 2
        return np.asarray(value, dtype=np.float64)

    def quantile(self, u: Array) -> Array:
        """Go linearly from low to high."""
        return np.asarray(self.low + (np.asarray(self.high) - self.low) * u)

    def support(self) -> tuple[Array, Array]:
        """The bounds."""
        return np.asarray(self.low, dtype=np.float64), np.asarray(self.high, dtype=np.float64)

    def faults(self) -> Iterator[str]:
        """Yield what is wrong with its numbers."""
        yield from _bound_faults(self.low, self.high, middle=self.middle)


@dataclass(frozen=True)
class LogUniform:
    """Uniform in the logarithm: as often between 0.1 and 1 as between 1 and 10; the nominal value is the middle."""

    kind: ClassVar[str] = "log_uniform"
    low: Value
    high: Value
    middle: Value | None = None
    """The nominal value; the geometric mean where it is None."""

    def sample(self, rng: np.random.Generator) -> Array:
        """Draw a value of the bounds' shape."""
        return self.quantile(rng.random(np.shape(self.low)))

    def nominal(self) -> Array:
        """Return the value without randomization."""
        mean = np.sqrt(np.multiply(self.low, self.high))
        return np.asarray(mean if self.middle is None else self.middle, dtype=np.float64)

    def quantile(self, u: Array) -> Array:
        """Go linearly in the logarithm."""
        value = np.exp(np.log(self.low) + (np.log(self.high) - np.log(self.low)) * u)
        return np.asarray(np.clip(value, self.low, self.high))

    def support(self) -> tuple[Array, Array]:
        """The bounds."""
        return np.asarray(self.low, dtype=np.float64), np.asarray(self.high, dtype=np.float64)

    def faults(self) -> Iterator[str]:
        """Yield what is wrong with its numbers."""
        faults = list(_bound_faults(self.low, self.high, middle=self.middle))
        yield from faults
        if not faults and np.any(np.asarray(self.low) <= 0):
            yield f"low: {self.low} has no logarithm; give a bound above 0, or use uniform"


@dataclass(frozen=True)
class TruncatedNormal:
    """Normal, cut off at low and high; the nominal value is the mean."""

    kind: ClassVar[str] = "truncated_normal"
    mean: Value
    std: Value
    low: Value
    high: Value

    def sample(self, rng: np.random.Generator) -> Array:
        """Draw a value of the mean's shape."""
        return self.quantile(rng.random(np.shape(self.mean)))

    def nominal(self) -> Array:
        """Return the mean before cutting."""
        return np.asarray(self.mean, dtype=np.float64)

    def quantile(self, u: Array) -> Array:
        """Invert the cut distribution function."""
        from scipy.special import ndtr, ndtri

        below, upto = (ndtr((np.asarray(bound) - self.mean) / self.std) for bound in (self.low, self.high))
        value = self.mean + np.asarray(self.std) * ndtri(below + (upto - below) * u)
        return np.asarray(np.clip(value, self.low, self.high))

    def support(self) -> tuple[Array, Array]:
        """The cuts."""
        return np.asarray(self.low, dtype=np.float64), np.asarray(self.high, dtype=np.float64)

    def faults(self) -> Iterator[str]:
        """Yield what is wrong with its numbers."""
        faults = [*_bound_faults(self.low, self.high, mean=self.mean), *_number_faults(std=self.std)]
        yield from faults
        if not faults and np.shape(self.std) != np.shape(self.mean):
            yield f"std: {np.size(self.std)} numbers for {np.size(self.mean)} in mean; give as many of each"
        elif not faults and np.any(np.asarray(self.std) <= 0):
            yield f"std: {self.std} is no deviation; give one above 0"


@dataclass(frozen=True)
class Beta:
    """Beta-distributed between low and high: a and b above 1 favour the middle, below 1 the ends."""

    kind: ClassVar[str] = "beta"
    a: float
    b: float
    low: Value = 0.0
    high: Value = 1.0
    middle: Value | None = None
    """The nominal value; the mean where it is None."""

    def sample(self, rng: np.random.Generator) -> Array:
        """Draw a value of the bounds' shape."""
        return self.quantile(rng.random(np.shape(self.low)))

    def nominal(self) -> Array:
        """Return the value without randomization."""
        low, high = self.support()
        return np.asarray(low + (high - low) * self.a / (self.a + self.b) if self.middle is None else self.middle)

    def quantile(self, u: Array) -> Array:
        """Invert the regularized incomplete beta function."""
        from scipy.special import betaincinv

        low, high = self.support()
        # Shares that no generator draws; the inverse is not monotone among them.
        return np.asarray(low + (high - low) * betaincinv(self.a, self.b, np.clip(u, 2.0**-60, 1.0)))

    def support(self) -> tuple[Array, Array]:
        """The bounds."""
        return np.asarray(self.low, dtype=np.float64), np.asarray(self.high, dtype=np.float64)

    def faults(self) -> Iterator[str]:
        """Yield what is wrong with its numbers."""
        yield from _bound_faults(self.low, self.high, middle=self.middle)
        faults = list(_number_faults(a=self.a, b=self.b))
        yield from faults
        if not faults and (np.ndim(self.a) or np.ndim(self.b)):
            yield f"a, b: {self.a}, {self.b}; give one number each, for all elements"
        elif not faults and (self.a <= 0 or self.b <= 0):
            yield f"a, b: {self.a}, {self.b}; both must be above 0"


@dataclass(frozen=True)
class Categorical:
    """One of several values, the first is the nominal one; names, such as those of textures, are drawn by place."""

    kind: ClassVar[str] = "categorical"
    values: tuple[float, ...] | tuple[str, ...]
    weights: tuple[float, ...] = ()
    """How often each comes, relative to the others; all alike where empty."""

    @property
    def names(self) -> tuple[str, ...]:
        """The values, where they are names."""
        return tuple(value for value in self.values if isinstance(value, str)) if np.ndim(self.values) else ()

    def sample(self, rng: np.random.Generator) -> Array:
        """Draw a value, or a name's place."""
        return self.quantile(rng.random())

    def nominal(self) -> Array:
        """Return the first value."""
        return np.asarray(self._numbers()[0])

    def quantile(self, u: Array | float) -> Array:
        """Go through the values in their order."""
        weights = np.asarray(self.weights or (1.0,) * len(self.values), dtype=np.float64)
        upto = np.cumsum(weights) / np.sum(weights)
        place = np.minimum(np.searchsorted(upto, u, side="right"), len(self.values) - 1)
        return np.asarray(self._numbers()[place])

    def support(self) -> tuple[Array, Array]:
        """The smallest and the largest value."""
        return np.asarray(np.min(self._numbers())), np.asarray(np.max(self._numbers()))

    def faults(self) -> Iterator[str]:
        """Yield what is wrong with its values."""
        if np.ndim(self.values) == 0 or not self.values:
            yield f"values: {self.values!r}; give a list of at least one number or name"
            return
        if not self.names:
            faults = list(_number_faults(values=self.values))
            yield from faults or (["values: give single numbers"] if np.ndim(self.values) > 1 else [])
        elif len(self.names) != len(self.values):
            yield f"values: {self.values} mixes names and numbers"
        faults = list(_number_faults(weights=self.weights)) if self.weights != () else []
        yield from faults
        if faults or self.weights == ():
            return
        if np.shape(self.weights) != (len(self.values),) or min(self.weights) < 0 or sum(self.weights) <= 0:
            yield f"weights: {self.weights}; give one of at least 0 for each of {len(self.values)} values, not all 0"

    def _numbers(self) -> Array:
        return np.arange(len(self.values), dtype=np.float64) if self.names else np.asarray(self.values, np.float64)


@dataclass(frozen=True)
class Scattered:
    """Several points, each uniform between low and high, drawn again until no two are nearer than apart."""

    kind: ClassVar[str] = "scattered"
    low: tuple[float, ...]
    high: tuple[float, ...]
    n_points: int
    apart: float
    middle: tuple[tuple[float, ...], ...]
    """The nominal points."""

    def sample(self, rng: np.random.Generator) -> Array:
        """Draw points (n_points, len(low))."""
        while True:
            points = self._try(rng)
            if points is not None:
                return points

    def nominal(self) -> Array:
        """Return the points without randomization."""
        return np.asarray(self.middle, dtype=np.float64)

    def support(self) -> tuple[Array, Array]:
        """The bounds, for each point."""
        low, high = (np.broadcast_to(bound, (self.n_points, len(self.low))) for bound in (self.low, self.high))
        return low, high

    def faults(self) -> Iterator[str]:
        """Yield what is wrong with its numbers."""
        faults = [*_bound_faults(self.low, self.high), *_number_faults(apart=self.apart, middle=self.middle)]
        yield from faults
        if isinstance(self.n_points, bool) or not isinstance(self.n_points, int) or self.n_points < 1:
            yield f"n_points: {self.n_points!r}; give a whole number of at least 1"
        elif faults:
            return
        elif np.ndim(self.low) != 1 or np.ndim(self.apart) != 0:
            yield "low, high, apart: give a list of coordinates for low and high, and one number for apart"
        elif np.shape(self.middle) != (self.n_points, len(self.low)):
            yield f"middle: give {self.n_points} points of {len(self.low)} numbers"
        elif not self._ever_fits(np.random.default_rng(0)):
            yield f"apart: {self.n_points} points that far ({self.apart}) apart hardly ever fit between low and high"

    def _ever_fits(self, rng: np.random.Generator) -> bool:
        return any(self._try(rng) is not None for _ in range(TRIES))

    def _try(self, rng: np.random.Generator) -> Array | None:
        points = rng.uniform(self.low, self.high, (self.n_points, len(self.low)))
        gaps = np.linalg.norm(points[:, None] - points[None], axis=-1) + self.apart * np.eye(self.n_points)
        return points if np.all(gaps >= self.apart) else None


DISTRIBUTIONS: Mapping[str, type[Any]] = {
    each.kind: each for each in (Fixed, Uniform, LogUniform, TruncatedNormal, Beta, Categorical, Scattered)
}
"""Name in files to class."""


def _number_faults(**numbers: Any) -> Iterator[str]:
    """Yield which of these are neither a number nor an even list of numbers, or not finite; None is left out."""
    for name, value in numbers.items():
        if value is None:
            continue
        try:
            array = np.asarray(value, dtype=np.float64)
        except (TypeError, ValueError):
            yield f"{name}: {value!r} is neither a number nor a list of numbers, or its lists differ in length"
            continue
        if array.size == 0:
            yield f"{name}: an empty list; give at least one number"
        elif not np.all(np.isfinite(array)):
            yield f"{name}: {value} is not finite"


def _bound_faults(low: Any, high: Any, **between: Any) -> Iterator[str]:
    """Yield what is wrong with bounds, and with the one number that shall lie between them; it may be None."""
    faults = list(_number_faults(low=low, high=high, **between))
    yield from faults
    if faults:
        return
    if np.shape(low) != np.shape(high):
        yield f"low, high: {np.size(low)} and {np.size(high)} numbers; give as many of each"
        return
    if np.any(np.asarray(low) > high):
        yield f"low, high: low {low} is above high {high}"
    for name, value in between.items():
        if value is not None and np.shape(value) != np.shape(low):
            yield f"{name}: {np.size(value)} numbers for {np.size(low)} in low; give as many of each"
        elif value is not None and (np.any(np.asarray(value) < low) or np.any(np.asarray(value) > high)):
            yield f"{name}: {value} lies outside of low {low} and high {high}"
