"""A card's limits as arrays, checked once: what the guard computes with every command period."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.policies.errors import InvalidCommand, InvalidLimits
from ashore.policies.execution.motion import Bounds
from ashore.policies.execution.space import space_faults
from ashore.sim.robot import RobotCard

Array = NDArray[Any]


class Box:
    """The intervals that the command elements of N robots may lie in at this moment."""

    def __init__(self, card: RobotCard, n: int) -> None:
        """Check the card's limits and keep them, repeated for n robots.

        Raises:
            InvalidLimits: lists every fault.
        """
        faults = limit_faults(card)
        if faults:
            raise InvalidLimits(card.name, faults)
        limits = card.limits
        rows = (np.asarray(limits.low, np.float64), np.asarray(limits.high, np.float64), _or_infinite(limits.max_lead))
        self.low, self.high, self._max_lead = (np.tile(row, (n, 1)) for row in rows)
        self.names = sorted({source[0] for source in limits.lead_of if source is not None})
        self._led = [(name, *_columns(limits.lead_of, name)) for name in self.names]

    def led(self, observed: Mapping[str, Array]) -> Array:
        """Gather the measured value that each command element drives (N, Dc); NaN where nothing finite is led.

        Raises:
            InvalidCommand: an observation has fewer elements than are led.
        """
        values = np.full(self.low.shape, np.nan)
        for name, columns, elements, least in self._led:
            measured = np.asarray(observed[name]).reshape(len(values), -1)
            if measured.shape[1] < least:
                raise InvalidCommand([f"observation {name}: {measured.shape[1]} values, commands lead {least}"])
            values[:, columns] = measured[:, elements]
        values[np.isinf(values)] = np.nan
        return values

    def near(self, wanted: Array, led: Array) -> Array:
        """Bring wanted commands (N, Dc) within the lead limit, where anything is led."""
        return np.asarray(np.fmin(np.fmax(wanted, led - self._max_lead), led + self._max_lead))


def _columns(lead_of: Sequence[tuple[str, int] | None], name: str) -> tuple[Any, Any, int]:
    """Give the command elements that drive an observation, which of its elements each does, and how many it needs."""
    pairs = [(column, source[1]) for column, source in enumerate(lead_of) if source is not None and source[0] == name]
    columns, elements = [column for column, _ in pairs], [element for _, element in pairs]
    return _index(columns), _index(elements), max(elements) + 1


def _index(places: list[int]) -> slice | Array:
    """Index places; those in a row as a slice, which is a tenth of the work."""
    in_a_row = list(range(places[0], places[0] + len(places)))
    return slice(places[0], places[0] + len(places)) if places == in_a_row else np.array(places)


def bounds_of(card: RobotCard, speed: float = 1.0) -> Bounds:
    """Give what a card's set-points may do in a command period.

    Args:
        card: a checked one.
        speed: share of the card's speed, over 0 to 1, of set-points that lead a measured value. Accelerations and jerks
            stay what they are, so that a stop is as quick as the arm can make it.

    Raises:
        InvalidLimits: the speed is no such share, or no set-point of this robot leads a measured value.
    """
    limits, width = card.limits, card.command_width
    free = (None,) * width
    leads = np.array([source is not None for source in limits.lead_of])
    if not 0 < speed <= 1:
        raise InvalidLimits(card.name, [f"speed: {speed}; must be over 0, and 1 at most"])
    if speed < 1 and not leads.any():
        told = "none of its commands leads a measured position; narrow `low` and `high` of its file instead"
        raise InvalidLimits(card.name, [f"speed: {speed}; {told}"])
    share = np.where(leads, speed, 1.0)
    return Bounds.of(
        np.asarray(limits.low, np.float64),
        np.asarray(limits.high, np.float64),
        np.asarray(limits.max_rate, np.float64) * share,
        _or_infinite(limits.max_acceleration or free),
        _or_infinite(limits.max_jerk or free),
        1.0 / card.command_hz,
    )


def limit_faults(card: RobotCard) -> list[str]:
    """List what is wrong with a card's limits: widths, numbers that are not finite, low above high, times."""
    limits, width = card.limits, card.command_width
    rows = {name: getattr(limits, name) for name in ("low", "high", "max_rate", "max_lead", "lead_of")}
    rows |= {name: getattr(limits, name) for name in ("max_acceleration", "max_jerk") if getattr(limits, name)}
    found = [
        f"{name}: {len(row)} values for {width} command elements" for name, row in rows.items() if len(row) != width
    ]
    if found:
        return found
    for name in ("low", "high", "max_rate"):
        if not np.all(np.isfinite(rows[name])):
            found.append(f"{name}: holds NaN or infinity")
    found += [
        f"low and high of element {i}: {a} > {b}"
        for i, (a, b) in enumerate(zip(limits.low, limits.high, strict=True))
        if a > b
    ]
    found += [
        f"max_rate of element {i}: {rate}; must be positive" for i, rate in enumerate(limits.max_rate) if not rate > 0
    ]
    for name in ("max_acceleration", "max_jerk"):
        found += [
            f"{name} of element {i}: {value}; must be positive and finite, or null"
            for i, value in enumerate(getattr(limits, name))
            if value is not None and not 0 < value < np.inf
        ]
    for i, (lead, source) in enumerate(zip(limits.max_lead, limits.lead_of, strict=True)):
        if (lead is None) != (source is None):
            found.append(f"max_lead and lead_of of element {i}: give both or neither")
        elif lead is not None and not 0 < lead < np.inf:
            found.append(f"max_lead of element {i}: {lead}; must be positive and finite")
    for side in ("observed_low", "observed_high"):
        bounds: Mapping[str, tuple[float, ...]] = getattr(limits, side)
        found += [f"{side}.{name}: holds NaN" for name, row in bounds.items() if np.any(np.isnan(row))]
    found += [
        f"measured_high.{name}: expected positive, finite numbers"
        for name, row in limits.measured_high.items()
        if not row or not all(isinstance(value, int | float) and 0 < value < np.inf for value in row)
    ]
    if not 0 < limits.timeout_s < np.inf:
        found.append(f"timeout_s: {limits.timeout_s}; must be positive and finite")
    found += _space_faults(card)
    if not 0 < card.command_hz < np.inf:
        found.append(f"command_hz: {card.command_hz}; must be positive and finite")
    return found


def _space_faults(card: RobotCard) -> list[str]:
    if not card.space:
        return []
    joints = card.interface.get("joints")
    if "chain" not in card.interface:
        return ["space: the robot's interface has no chain of joints; remove it"]
    return space_faults(card.space, sum(source is not None and source[0] == joints for source in card.limits.lead_of))


def _or_infinite(values: Sequence[float | None]) -> Array:
    return np.asarray([np.inf if value is None else value for value in values], np.float64)
