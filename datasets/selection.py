"""Which episodes of a store are meant: by verdict, operator, source, instruction, draw, length and date."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import isnan
from typing import Any, Literal

import numpy as np

from ashore.datasets.episode import SOURCES, EpisodeMeta, Source
from ashore.datasets.errors import InvalidSelection, closest, quoted
from ashore.datasets.store import EpisodeStore

Verdict = Literal["yes", "no", "unjudged"]
_VERDICTS: dict[Verdict, bool | None] = {"yes": True, "no": False, "unjudged": None}


@dataclass(frozen=True)
class Selection:
    """What an episode must be; what is left out does not matter, and all that is given must hold."""

    success: Verdict | None = None
    """The task's own verdict; unjudged where nobody judged."""
    operator: tuple[str, ...] = ()
    """Names, one of which it must be."""
    source: Source | None = None
    instruction: str | None = None
    """Words that its instruction holds, in either case of letters."""
    draw: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """{name: (lowest, highest)}, both allowed; of a list, every value lies between."""
    min_steps: int | None = None
    max_steps: int | None = None
    since: str | None = None
    """ISO 8601 date, with or without time; UTC where it names no zone."""
    until: str | None = None
    """Likewise; a date without time means until its end."""

    def faults(self) -> list[str]:
        """List what is wrong with this selection by itself."""
        found = []
        if self.success is not None and self.success not in _VERDICTS:
            found.append(f"success: {self.success!r}; valid: {quoted(_VERDICTS)}")
        if self.source is not None and self.source not in SOURCES:
            found.append(f"source: {self.source!r}; valid: {quoted(SOURCES)}")
        for name, (low, high) in self.draw.items():
            if isnan(low) or isnan(high) or low > high:
                found.append(f"draw {name}: {low:g} to {high:g}; expected the lower end first")
        if (self.min_steps or 0) > (self.max_steps if self.max_steps is not None else float("inf")):
            found.append(f"steps: {self.min_steps} to {self.max_steps}; expected the lower end first")
        for name, text in (("since", self.since), ("until", self.until)):
            if text is not None and _moment(text, is_end=name == "until") is None:
                found.append(f"{name}: {text!r}; expected a date such as 2026-11-26 or 2026-11-26T10:00:00+00:00")
        return found


def parse_range(text: str) -> tuple[str, tuple[float, float]]:
    """Read "mass_kg=0.1:0.5" as a draw's name and range; either end may be left out.

    Raises:
        InvalidSelection: it is none.
    """
    name, _, ends = text.partition("=")
    low, colon, high = ends.partition(":")
    try:
        if not name or not colon:
            raise ValueError
        return name, (float(low or "-inf"), float(high or "inf"))
    except ValueError as error:
        raise InvalidSelection([f"draw {text!r}: expected NAME=LOW:HIGH, such as mass_kg=0.1:0.5"]) from error


def select(store: EpisodeStore, selection: Selection) -> list[int]:
    """List the indices of the episodes that are meant, rising; their arrays are read only where lengths matter.

    Raises:
        InvalidSelection: the selection contradicts itself, or names a draw or operator that no episode has.
    """
    metas = {index: store.read_meta(index) for index in store.indices}
    faults = selection.faults() + _name_faults(selection, metas)
    if faults:
        raise InvalidSelection(faults)
    chosen = [index for index, meta in metas.items() if _is_meant(selection, meta)]
    if selection.min_steps is None and selection.max_steps is None:
        return chosen
    low, high = selection.min_steps or 0, float("inf") if selection.max_steps is None else selection.max_steps
    return [index for index in chosen if low <= len(store.read(index, on_disk=True)) <= high]


def _name_faults(selection: Selection, metas: Mapping[int, EpisodeMeta]) -> list[str]:
    """Find names that no episode has: a slip of the pen should not pass for "there is none"."""
    found = []
    draws, operators = {name for meta in metas.values() for name in meta.draw}, {m.operator for m in metas.values()}
    for kind, names, present in (("draw", selection.draw, draws), ("operator", selection.operator, operators)):
        for name in names:
            if name not in present:
                found.append(
                    f"{kind} {name!r}: no episode has it; valid: {quoted(sorted(present))}.{closest(name, present)}"
                )
    return found


def _is_meant(selection: Selection, meta: EpisodeMeta) -> bool:
    created = _moment(meta.created, is_end=False)
    since = _moment(selection.since, is_end=False) if selection.since else None
    until = _moment(selection.until, is_end=True) if selection.until else None
    return (
        (selection.success is None or meta.success is _VERDICTS[selection.success])
        and (not selection.operator or meta.operator in selection.operator)
        and (selection.source is None or meta.source == selection.source)
        and (selection.instruction is None or selection.instruction.casefold() in meta.instruction.casefold())
        and (since is None or (created is not None and created >= since))
        and (until is None or (created is not None and created <= until))
        and all(_lies_in(meta.draw.get(name), *ends) for name, ends in selection.draw.items())
    )


def _lies_in(value: Any, low: float, high: float) -> bool:
    if value is None:
        return False
    try:
        numbers = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        return False
    return bool(numbers.size and np.all((numbers >= low) & (numbers <= high)))


def _moment(text: str, *, is_end: bool) -> datetime | None:
    """Read a date or a date and time as a moment; None where it is none."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if is_end and len(text) <= len("2026-11-26"):
        moment = moment.replace(hour=23, minute=59, second=59, microsecond=999999)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
