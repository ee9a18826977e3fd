"""Checks what a bundle says of itself and its robot: types, sizes, and that interface and limits can be used."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from math import isfinite
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np

from ashore.datasets.contract import Contract, Feature
from ashore.datasets.errors import AshoreError
from ashore.sim.interfaces import make_interface
from ashore.sim.robot import Interface, RobotCard

MAX_WIDTH = 100_000
"""Elements of all observations, of all actions, or of the commands."""
RATES_HZ = (0.01, 10_000.0)
PERIODS, LEAST_S = 10, 1.0
"""A command may grow this many control periods old, or LEAST_S where that is longer, before it must be refused."""
UNUSABLE = (AshoreError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


def contract_faults(contract: Contract) -> list[str]:
    """List what keeps a contract from being used: values of other types, sizes and rates beyond all robots."""
    faults = _type_faults(contract, Contract, "contract")
    if faults:
        return faults
    for side in (contract.observations, contract.actions):
        faults += _size_faults(side)
    return faults + _rate_faults("control_hz", contract.control_hz)


def card_faults(contract: Contract, card: RobotCard) -> list[str]:
    """List what keeps a robot's card, whose limits are in order, from being used with a contract that is in order."""
    faults = _type_faults(card, RobotCard, "card") or _size_faults(card.commands)
    faults = faults or _rate_faults("command_hz", card.command_hz)
    if faults:
        return faults
    longest_s = max(LEAST_S, PERIODS * contract.period_s)
    if card.limits.timeout_s > longest_s:
        faults.append(f"timeout_s: {card.limits.timeout_s}; must be at most {longest_s:g}, or old commands would count")
    try:
        interface = make_interface(card.interface)
        widths = _tried(interface, contract, card)
    except UNUSABLE as error:
        return [*faults, f"interface: it cannot be used with this contract ({type(error).__name__}: {error})"]
    return faults + _reference_faults(card, widths)


def _tried(interface: Interface, contract: Contract, card: RobotCard) -> dict[str, int]:
    """Derive, decode and stop once, on zeros; gives the width of every observation."""
    measured = {f.name: np.zeros((1, *f.shape)) for f in contract.observations if f.name not in interface.derived}
    with np.errstate(all="ignore"):  # A zero is no quaternion.
        observed = interface.derive(measured)
        told = interface.decode({f.name: np.zeros((1, *f.shape)) for f in contract.actions}, observed)
        stop = interface.stop(observed, np.zeros((1, card.command_width)))
    for name, command in (("decode", told), ("stop", stop)):
        if np.shape(command) != (1, card.command_width):
            raise ValueError(
                f"{name} gives commands of shape {np.shape(command)[1:]}, the card's are {card.command_width}"
            )
    return {name: int(np.size(value)) for name, value in observed.items()}


def _reference_faults(card: RobotCard, widths: Mapping[str, int]) -> list[str]:
    faults = []
    for i, source in enumerate(card.limits.lead_of):
        if source is not None and not 0 <= source[1] < widths.get(source[0], 0):
            faults.append(f"lead_of of element {i}: there is no observation {source[0]!r} with an element {source[1]}")
    for side in ("observed_low", "observed_high"):
        bounds: Mapping[str, tuple[float, ...]] = getattr(card.limits, side)
        faults += [
            f"{side}.{name}: {len(row)} bounds for an observation of {widths.get(name, 0)} elements"
            for name, row in bounds.items()
            if len(row) != widths.get(name, 0)
        ]
    for name, row in card.limits.measured_high.items():
        if name in widths:
            faults.append(f"measured_high.{name}: it is an observation; bound it by observed_low and observed_high")
        if len(row) > MAX_WIDTH:
            faults.append(f"measured_high.{name}: {len(row)} elements; at most {MAX_WIDTH}")
    return faults


def _size_faults(features: tuple[Feature, ...]) -> list[str]:
    size = sum(feature.size for feature in features)
    return [f"{size} elements together; at most {MAX_WIDTH}"] if size > MAX_WIDTH else []


def _rate_faults(name: str, rate_hz: float) -> list[str]:
    low, high = RATES_HZ
    return [] if low <= rate_hz <= high else [f"{name}: {rate_hz:g}; must be from {low:g} to {high:g}"]


def _type_faults(value: Any, hint: Any, where: str) -> list[str]:
    """List where a value is not of its annotation, all the way down; floats must be finite, ints may stand for them."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return []
    if origin in (Union, UnionType):
        faults = [_type_faults(value, one, where) for one in arguments]
        return [] if [] in faults else faults[0]
    if origin is tuple and isinstance(value, tuple):
        hints = arguments[:1] * len(value) if arguments[-1] is Ellipsis else arguments
        if len(hints) == len(value):
            parts = enumerate(zip(value, hints, strict=True))
            return [fault for i, (item, one) in parts for fault in _type_faults(item, one, f"{where}[{i}]")]
    elif origin is not None and origin is not Literal and isinstance(value, Mapping):
        return [fault for key, item in value.items() for fault in _type_faults(item, arguments[1], f"{where}.{key}")]
    elif is_dataclass(hint) and isinstance(hint, type) and isinstance(value, hint):
        hints_of = get_type_hints(hint)
        named = [(f.name, getattr(value, f.name), hints_of[f.name]) for f in fields(hint)]
        return [fault for name, item, one in named for fault in _type_faults(item, one, f"{where}.{name}")]
    elif _is_plain(value, hint, arguments if origin is Literal else ()):
        return []
    return [f"{where}: {value!r} is not {getattr(hint, '__name__', hint)}"]


def _is_plain(value: Any, hint: Any, choices: tuple[Any, ...]) -> bool:
    if choices:
        return value in choices
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and _is_finite(value)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(hint, type) and isinstance(value, hint)


def _is_finite(value: float) -> bool:
    try:
        return isfinite(value)
    except OverflowError:  # A whole number with more than 308 digits.
        return False
