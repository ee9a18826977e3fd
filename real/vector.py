"""Named, stamped vectors between our own nodes: sensor_msgs/JointState with one name an element."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.contract import Feature
from ashore.real.errors import InvalidMessage
from ashore.real.messages import message_class

Array = NDArray[Any]
VECTOR_TYPE = "sensor_msgs/JointState"
AGE, NUMBER, SOURCE = "age_s", "number", "source"
"""Extra elements of a proposal: how overdue its plan is, as the executor tells; its number, which rises; and who
proposes, a number drawn at each activation."""


def element_names(features: Sequence[Feature]) -> tuple[str, ...]:
    """Name every element of these features: feature.component, or feature.index where it has no components."""
    return tuple(
        f"{feature.name}.{part}"
        for feature in features
        for part in (feature.components or [str(i) for i in range(feature.size)])
    )


def proposal_names(commands: Sequence[Feature]) -> tuple[str, ...]:
    """Name the elements of a proposal: the commands', then AGE, NUMBER and SOURCE."""
    return (*element_names(commands), AGE, NUMBER, SOURCE)


def to_vector(names: Sequence[str], values: Array, stamp: Any) -> Any:
    """Make the message of these named values (D,)."""
    message = message_class(VECTOR_TYPE)()
    message.header.stamp = stamp
    message.name = list(names)
    message.position = np.asarray(values, dtype=np.float64).tolist()
    return message


def from_vector(message: Any, names: Sequence[str], where: str) -> Array:
    """Read the values (D,) of a named vector in the order of names.

    Raises:
        InvalidMessage: its names are others.
    """
    given = tuple(message.name)
    if len(message.position) != len(given):
        raise InvalidMessage(where, f"{len(message.position)} numbers for {len(given)} names", "one number a name")
    values = np.asarray(message.position, dtype=np.float64)
    if given == tuple(names):
        return values
    if sorted(given) != sorted(names):
        raise InvalidMessage(where, f"its names are {list(given)}", f"{list(names)}")
    return values[[given.index(name) for name in names]]
