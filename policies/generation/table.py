"""Every sampler as a table: one row a network evaluation, and a chunk is planned by going down the rows.

    clean  = clip(skip * x + out * F(into * x, level, observation, goal))
    x      = keep * x + take * clean + before * (clean of the row above) + noise * (draw of the row)

Euler, Heun, DPM-Solver++, DDIM, DDPM and consistency chains differ in these numbers alone, so that torch and the
exported graph share them, and the graph loops over the rows.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ashore.policies.generation.scaling import Given, Network, Scaling, predict


@dataclass(frozen=True)
class Row:
    """One evaluation and one update."""

    into: float
    skip: float
    out: float
    level: tuple[float, ...]
    """(L,)."""
    keep: float
    take: float
    before: float = 0.0
    noise: float = 0.0


@dataclass(frozen=True)
class Table:
    """A sampler: its start and its rows."""

    start_std: float
    """Standard deviation of the noise that a chunk starts as."""
    rows: tuple[Row, ...]
    is_clipped: bool = False
    """Whether clean chunks are held within what was demonstrated at every row, and not only at the end."""

    @property
    def n_draws(self) -> int:
        """Standard normal chunks that are used up: one to start from, and one for each row that adds noise."""
        return 1 + sum(row.noise != 0 for row in self.rows)

    @property
    def draws(self) -> tuple[int, ...]:
        """Which draw each row adds; 0 where it adds none."""
        drawn, places = 0, []
        for row in self.rows:
            drawn += row.noise != 0
            places.append(drawn if row.noise != 0 else 0)
        return tuple(places)


def row_of(scaling: Scaling, keep: float, take: float, before: float = 0.0, noise: float = 0.0) -> Row:
    """Make a row from the scaling of one level (B = 1) and the numbers of its update."""
    into, skip, out = (float(part[0]) for part in (scaling.into, scaling.skip, scaling.out))
    return Row(into, skip, out, tuple(scaling.level[0].tolist()), keep, take, before, noise)


def follow(
    network: Network, table: Table, noise: Tensor, given: Given, bounds: tuple[Tensor, Tensor] | None = None
) -> Tensor:
    """Plan normalised chunks.

    Args:
        network: F.
        table: the sampler.
        noise: (B, n_draws * Tp, Da) standard normal.
        given: what is planned from.
        bounds: least and greatest demonstrated chunk (Tp, Da) each, normalised; needed by a table that clips.

    Returns:
        (B, Tp, Da).
    """
    draws = noise.reshape(noise.shape[0], table.n_draws, -1, noise.shape[-1])  # (B, n_draws, Tp, Da)
    x: Tensor = draws[:, 0] * table.start_std
    above = torch.zeros_like(x)
    for row, draw in zip(table.rows, table.draws, strict=True):
        clean = predict(network, x, _scaling(row, x), given)
        if table.is_clipped and bounds is not None:
            clean = torch.minimum(torch.maximum(clean, bounds[0]), bounds[1])
        x = row.keep * x + row.take * clean + row.before * above + row.noise * draws[:, draw]
        above = clean
    return x


def _scaling(row: Row, x: Tensor) -> Scaling:
    into, skip, out = (torch.full_like(x[:, 0, 0], value) for value in (row.into, row.skip, row.out))
    return Scaling(into, skip, out, x.new_tensor(row.level).expand(x.shape[0], -1))
