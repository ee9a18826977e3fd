"""Domain randomization as a table: named parameters, each with a distribution and the model fields that it touches.

A Draw is the named values of one episode. It is stored with the episode, replayed, and sliced by the ranker.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Draw = Mapping[str, Array]
Group = Literal["start", "dynamics", "actuation", "sensing", "timing"]
How = Literal["set", "scale", "shift"]
LEVELS = ("none", "narrow", "wide")


class Distribution(Protocol):
    """Where a parameter's values come from."""

    def sample(self, rng: np.random.Generator) -> Array:
        """Draw one value."""

    def nominal(self) -> Array:
        """The value without randomization."""


@dataclass(frozen=True)
class Fixed:
    """Always the same value."""

    value: float | tuple[float, ...]

    def sample(self, rng: np.random.Generator) -> Array:
        """Return the value."""
        return self.nominal()

    def nominal(self) -> Array:
        """Return the value."""
        return np.asarray(self.value, dtype=np.float64)


@dataclass(frozen=True)
class Uniform:
    """Uniform between low and high, element by element."""

    low: float | tuple[float, ...]
    high: float | tuple[float, ...]
    middle: float | tuple[float, ...] | None = None
    """The nominal value; the mean where it is None."""

    def sample(self, rng: np.random.Generator) -> Array:
        """Draw a value of the bounds' shape."""
        return np.asarray(rng.uniform(self.low, self.high))

    def nominal(self) -> Array:
        """Return the value without randomization."""
        value = self.middle if self.middle is not None else (np.asarray(self.low) + np.asarray(self.high)) / 2
        return np.asarray(value, dtype=np.float64)


@dataclass(frozen=True)
class Scattered:
    """Several points, each uniform between low and high, drawn again until no two are nearer than apart."""

    low: tuple[float, ...]
    high: tuple[float, ...]
    n_points: int
    apart: float
    middle: tuple[tuple[float, ...], ...]
    """The nominal points."""

    def sample(self, rng: np.random.Generator) -> Array:
        """Draw points (n_points, len(low))."""
        while True:
            points = rng.uniform(self.low, self.high, (self.n_points, len(self.low)))
            gaps = np.linalg.norm(points[:, None] - points[None], axis=-1) + self.apart * np.eye(self.n_points)
            if np.all(gaps >= self.apart):
                return points

    def nominal(self) -> Array:
        """Return the points without randomization."""
        return np.asarray(self.middle, dtype=np.float64)


@dataclass(frozen=True)
class Target:
    """Elements of a model field that a parameter changes."""

    field: str
    """Field of MjModel, such as body_mass."""
    names: tuple[str, ...]
    """Objects of the field's kind: bodies for body_*, joints for dof_*, geoms for geom_*, actuators for actuator_*."""
    columns: tuple[int, ...] = ()
    """Columns of the field; all where empty."""


@dataclass(frozen=True)
class Parameter:
    """One named randomized value."""

    name: str
    distribution: Distribution
    group: Group
    targets: tuple[Target, ...] = ()
    """Model fields it is applied to; empty where the task or the sensors read it."""
    how: How = "set"
    """Whether the value replaces, multiplies or adds to the nominal field."""


@dataclass(frozen=True)
class Randomization:
    """The parameters of one level of one task."""

    parameters: tuple[Parameter, ...]

    def draw(self, rng: np.random.Generator) -> Draw:
        """Draw the values of one episode."""
        return {parameter.name: parameter.distribution.sample(rng) for parameter in self.parameters}

    def nominal(self) -> Draw:
        """The values without randomization."""
        return {parameter.name: parameter.distribution.nominal() for parameter in self.parameters}


def draw_episodes(randomization: Randomization, seed: int, indices: Sequence[int]) -> list[Draw]:
    """Draw episodes by their index, each from its own stream, so that the same index gives the same draw anywhere."""
    return [randomization.draw(episode_rng(seed, index)) for index in indices]


def episode_rng(seed: int, index: int) -> np.random.Generator:
    """The generator of one episode's draw."""
    return np.random.default_rng(np.random.SeedSequence([seed, index, 0]))


def episode_seed(seed: int, index: int) -> int:
    """The seed of one episode's sensor noise and planner noise."""
    return int(np.random.SeedSequence([seed, index, 1]).generate_state(1)[0])


def draw_to_json(draw: Draw) -> dict[str, float | list[float]]:
    """Write a draw as plain numbers."""
    return {name: np.asarray(value).tolist() for name, value in draw.items()}


def draw_from_json(raw: Mapping[str, Any]) -> Draw:
    """Read a draw that draw_to_json wrote."""
    return {name: np.asarray(value, dtype=np.float64) for name, value in raw.items()}


def stack(draws: Sequence[Draw], name: str) -> Array:
    """Stack one parameter of K draws to (K, *shape)."""
    return np.stack([np.asarray(draw[name], dtype=np.float64) for draw in draws])


def drawn(draws: Sequence[Draw], parameter: Parameter) -> Array:
    """Stack one parameter of K draws to (K, *shape); a draw that lacks it has its nominal value."""
    nominal = parameter.distribution.nominal()
    return np.stack([np.asarray(draw.get(parameter.name, nominal), dtype=np.float64) for draw in draws])
