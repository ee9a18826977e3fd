"""What the policy proposes to the guard: the newest of one commander, in order, and how old it is."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.contract import Feature
from ashore.real.errors import InvalidMessage
from ashore.real.nodes.travel import Travel
from ashore.real.vector import from_vector, proposal_names

Array = NDArray[Any]
WHERE = "'proposal'"


@dataclass(frozen=True)
class Proposal:
    """One command that is proposed."""

    command: Array
    """(Dc,) in the card's order and units."""
    received_s: float
    made_s: float
    """When it was sent, by our clock."""
    overdue_s: float
    """How overdue its plan was then."""

    def age_s(self, now_s: float) -> float:
        """Say how overdue the command is now."""
        return now_s - self.made_s + self.overdue_s


class Proposals:
    """Takes proposals of the first who proposes, each later than the one before; refuses all others."""

    def __init__(self, commands: Sequence[Feature], clock: Callable[[], float] = time.monotonic) -> None:
        self._names = proposal_names(commands)
        self._clock = clock
        self.forget()

    def forget(self) -> None:
        """Begin anew: who proposes next is the commander."""
        self.newest: Proposal | None = None
        self.contested = False
        """Whether somebody else has proposed too."""
        self._source, self._number = np.nan, -np.inf
        self._travel = Travel()

    def outdate(self) -> None:
        """Count the newest one as too old, before the clock jumps back."""
        if self.newest is not None:
            self.newest = replace(self.newest, received_s=-np.inf, made_s=-np.inf)
        self._travel = Travel()

    def take(self, message: Any) -> None:
        """Take a proposal in.

        Raises:
            InvalidMessage: it is not what a proposal is, of another commander, or not newer than the one before.
        """
        values = from_vector(message, self._names, WHERE)
        overdue_s, number, source = values[-3:].tolist()
        if not 0 <= overdue_s < np.inf:
            raise InvalidMessage(WHERE, f"its age is {overdue_s} s", "0 s or more")
        if self.newest is None:
            self._source = source
        if source != self._source:
            self.contested = True
            raise InvalidMessage(WHERE, "it comes from a second commander", "one policy, the first that proposed")
        if not number > self._number:
            raise InvalidMessage(WHERE, f"its number {number:g} does not follow {self._number:g}", "rising numbers")
        self._number = number
        now_s = self._clock()
        self.newest = Proposal(values[:-3], now_s, self._travel.made_s(message, now_s), overdue_s)
