"""Domain randomization as a table: named parameters, each with a distribution and the model fields that it touches.

A Draw is the named values of one episode. It is stored with the episode, replayed, and sliced by the ranker.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.errors import closest, quoted
from ashore.sim.errors import InvalidRandomization
from ashore.sim.randomization.distributions import Distribution, Quantiled

Array = NDArray[Any]
Draw = Mapping[str, Array]
Group = Literal["start", "dynamics", "actuation", "sensing", "timing", "appearance"]
How = Literal["set", "scale", "shift"]
LEVELS = ("none", "narrow", "wide")


@dataclass(frozen=True)
class Target:
    """Elements of a model field that a parameter changes."""

    field: str
    """Field of MjModel, such as body_mass, or opt.gravity."""
    names: tuple[str, ...] = ()
    """Objects of the field's kind, or shell patterns of their names such as panda_joint*: bodies for body_*, joints for
    dof_* and jnt_*, geoms for geom_*, actuators, cameras for cam_*, lights, materials for mat_*; none for opt.*."""
    columns: tuple[int, ...] = ()
    """Columns of the field; all where empty."""


@dataclass(frozen=True)
class Parameter:
    """One named randomized value."""

    name: str
    distribution: Distribution
    group: Group
    targets: tuple[Target, ...] = ()
    """Model fields it is applied to; empty where the task, the sensors or the command path read it. Of a value with
    several elements each object takes one; where there is a single object, each column."""
    how: How = "set"
    """Whether the value replaces, multiplies or adds to the nominal field. A shift of a quaternion is a rotation vector
    in the object's own axes, rad."""


@dataclass(frozen=True)
class Correlated:
    """Parameters that are drawn together: a Gaussian copula over their own distributions.

    Source: Nelsen, An Introduction to Copulas (2006), section 2.3; Kruskal (1958) for the rank correlation that comes
    of it, 6 / pi * asin(rho / 2).
    """

    names: tuple[str, ...]
    """The parameters (K), of one shape; those with several elements are drawn element by element."""
    rho: float | tuple[tuple[float, ...], ...]
    """Correlation of the underlying normals: one number for every two, or the matrix (K, K)."""

    @cached_property
    def matrix(self) -> Array:
        """The correlation matrix (K, K)."""
        if isinstance(self.rho, tuple):
            return np.asarray(self.rho, dtype=np.float64)
        count = len(self.names)
        return np.where(np.eye(count, dtype=bool), 1.0, float(self.rho))

    def faults(self) -> Iterator[str]:
        """Yield what is wrong with its numbers."""
        label = f"correlated {', '.join(self.names)}"
        try:
            matrix = self.matrix
        except (TypeError, ValueError):
            yield f"{label}: rho is one number or a matrix of {len(self.names)} rows of as many, given {self.rho}"
            return
        if len(set(self.names)) != len(self.names) or len(self.names) < 2:
            yield f"{label}: give at least two names, each once"
        elif not np.all(np.isfinite(matrix)):
            yield f"{label}: rho {self.rho} is not finite"
        elif matrix.shape != (len(self.names),) * 2 or not np.allclose(matrix, matrix.T):
            yield f"{label}: the matrix must be symmetric, {len(self.names)} by {len(self.names)}"
        elif not np.allclose(np.diag(matrix), 1.0) or np.linalg.eigvalsh(matrix)[0] <= 1e-9:
            yield f"{label}: no such correlation is possible (ones on the diagonal, positive definite)"

    def shares(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        """Draw the share (K, *shape) of its distribution's values that lie below each parameter's own."""
        from scipy.special import ndtr

        normal = rng.standard_normal((*shape, len(self.names)))
        mixed = np.einsum("...j,ij->...i", normal, np.linalg.cholesky(self.matrix))
        return np.asarray(np.moveaxis(ndtr(mixed), -1, 0))


@dataclass(frozen=True)
class Randomization:
    """The parameters of one level of one task."""

    parameters: tuple[Parameter, ...]
    correlated: tuple[Correlated, ...] = ()

    def __post_init__(self) -> None:
        faults = list(self._faults())
        if faults:
            raise InvalidRandomization("the randomization", faults)

    def draw(self, rng: np.random.Generator) -> Draw:
        """Draw the values of one episode; a correlation changes none but its own parameters' values."""
        draw = {parameter.name: parameter.distribution.sample(rng) for parameter in self.parameters}
        for group in self.correlated:
            shares = group.shares(rng, np.shape(draw[group.names[0]]))
            for name, share in zip(group.names, shares, strict=True):
                draw[name] = cast(Quantiled, self.parameter(name).distribution).quantile(share)
        return draw

    def nominal(self) -> Draw:
        """The values without randomization."""
        return {parameter.name: parameter.distribution.nominal() for parameter in self.parameters}

    def parameter(self, name: str) -> Parameter:
        """The parameter of a name that is there."""
        return self._by_name[name]

    @cached_property
    def _by_name(self) -> dict[str, Parameter]:
        return {parameter.name: parameter for parameter in self.parameters}

    def _faults(self) -> Iterator[str]:
        names = [parameter.name for parameter in self.parameters]
        yield from (f"{name}: given twice" for name in sorted({n for n in names if names.count(n) > 1}))
        odd = [f"{each.name}: {fault}" for each in self.parameters for fault in each.distribution.faults()]
        yield from odd
        taken: set[str] = set()
        for group in self.correlated:
            unknown = [name for name in group.names if name not in names]
            yield from (f"correlated: no parameter {n!r}; valid: {quoted(names)}.{closest(n, names)}" for n in unknown)
            yield from group.faults()
            yield from (f"correlated: {name!r} stands in two groups" for name in group.names if name in taken)
            taken |= set(group.names)
            if not unknown and not odd:
                yield from self._shape_faults(group)

    def _shape_faults(self, group: Correlated) -> Iterator[str]:
        members = [self._by_name[name] for name in group.names]
        yield from (
            f"correlated: {m.name!r} is {m.distribution.kind} and cannot be drawn together with others"
            for m in members
            if not hasattr(m.distribution, "quantile")
        )
        if len({np.shape(m.distribution.nominal()) for m in members}) > 1:
            yield f"correlated {', '.join(group.names)}: they differ in how many numbers they have"


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
    return np.array([draw[name] for draw in draws], dtype=np.float64)


def drawn(draws: Sequence[Draw], parameter: Parameter) -> Array:
    """Stack one parameter of K draws to (K, *shape); a draw that lacks it has its nominal value."""
    nominal = parameter.distribution.nominal()
    return np.stack([np.asarray(draw.get(parameter.name, nominal), dtype=np.float64) for draw in draws])
