"""What the command path and the sensors read from a draw: names, sizes and bounds, so that no value goes unread."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.errors import closest, quoted
from ashore.sim.randomization import Parameter, Randomization

Array = NDArray[Any]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Reading:
    """One parameter without targets that something reads, and which values make sense there."""

    name: str
    shapes: tuple[Shape, ...]
    """Shapes that are read; () is a single number."""
    low: float = -np.inf
    high: float = np.inf


def reading_faults(
    randomization: Randomization, readings: Sequence[Reading], own: Mapping[str, Parameter]
) -> Iterator[str]:
    """Yield the parameters without targets that nothing reads, and those whose values make no sense to their reader.

    Args:
        randomization: of the episodes.
        readings: what command path and sensors read; a name may stand there several times.
        own: the task's own table; what of it has no targets is read by the task, in the table's shape.
    """
    read = {reading.name for reading in readings}
    untargeted = {name: parameter for name, parameter in own.items() if not parameter.targets}
    known = [*untargeted, *sorted(read - set(untargeted))]
    for parameter in randomization.parameters:
        name, shape = parameter.name, np.shape(parameter.distribution.nominal())
        if parameter.targets:
            continue
        if name in read:
            found = (_value_fault(parameter, shape, reading) for reading in readings if reading.name == name)
            yield from sorted({f"{name}: {fault}" for fault in found if fault})
        elif name not in untargeted:
            valid = f"{quoted(known)}.{closest(name, known)}"
            yield f"{name}: nothing reads it; give it targets, or a name that is read: {valid}"
        elif shape != np.shape(untargeted[name].distribution.nominal()):
            yield f"{name}: {_told(shape)}; the task reads {_told(np.shape(untargeted[name].distribution.nominal()))}"


def _value_fault(parameter: Parameter, shape: Shape, reading: Reading) -> str | None:
    if shape not in reading.shapes:
        return f"{_told(shape)}; expected {' or '.join(dict.fromkeys(map(_told, reading.shapes)))}"
    least, most = (
        float(end(bound)) for end, bound in zip((np.min, np.max), parameter.distribution.support(), strict=True)
    )
    if least < reading.low:
        return f"it could become {least:g}; it must stay at least {reading.low:g}. Raise the distribution's low end"
    if most > reading.high:
        return f"it could become {most:g}; it must stay at most {reading.high:g}. Lower the distribution's high end"
    return None


def _told(shape: Shape) -> str:
    return "a single number" if shape == () else f"a list of {' x '.join(map(str, shape))}"
