"""One figure of a benchmark: what was measured, what it is compared with, and the goal that it should meet."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, Self

from rich.table import Table

Sense = Literal["<=", ">="]


@dataclass(frozen=True)
class Row:
    """One line of a benchmark's table, and one object of its JSON."""

    figure: str
    value: float
    unit: str
    peer: str | None = None
    """What does the same elsewhere."""
    peer_value: float | None = None
    ratio: float | None = None
    """Value over the peer's value."""
    goal: str | None = None
    """Such as "<= 5": of the value, or of the ratio where it says so."""
    met: bool | None = None

    @classmethod
    def of(cls, figure: str, value: float, unit: str, sense: Sense = "<=", goal: float | None = None) -> Self:
        """Make a row whose goal, if any, bounds the value."""
        met = None if goal is None else _meets(value, sense, goal)
        return cls(figure, value, unit, goal=None if goal is None else f"{sense} {goal:g}", met=met)

    @classmethod
    def against(
        cls,
        figure: str,
        value: float,
        unit: str,
        peer: tuple[str, float],
        sense: Sense = "<=",
        goal: float | None = None,
    ) -> Self:
        """Make a row beside a peer (its name, its value); the goal, if any, bounds the ratio."""
        name, peer_value = peer
        ratio = value / peer_value if peer_value else None
        met = None if goal is None or ratio is None else _meets(ratio, sense, goal)
        text = None if goal is None else f"ratio {sense} {goal:g}"
        return cls(figure, value, unit, name, peer_value, ratio, text, met)


def table_of(name: str, rows: Sequence[Row]) -> Table:
    """Lay rows out for a terminal."""
    table = Table(title=f"benchmark {name}", title_justify="left")
    for heading in ("figure", "value", "unit", "peer", "peer's value", "ratio", "goal", "met"):
        table.add_column(heading, justify="right" if heading in ("value", "peer's value", "ratio") else "left")
    for row in rows:
        met = "" if row.met is None else "yes" if row.met else "NO"
        numbers = [_text(row.value), row.unit, row.peer or "", _text(row.peer_value), _text(row.ratio)]
        table.add_row(row.figure, *numbers, row.goal or "", met)
    return table


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write rows as a JSON list, replacing what was there in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n", encoding="utf-8")
    partial.replace(path)


def _meets(value: float, sense: Sense, goal: float) -> bool:
    return bool(value <= goal) if sense == "<=" else bool(value >= goal)


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
