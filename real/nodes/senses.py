"""What a node knows of the robot: the newest sample of every topic that it needs, and how old the oldest of them is.

The age of a message is the time since it arrived, and how much longer than the quickest one before it had travelled:
that difference needs no clocks that agree, and tells a late message from a fresh one.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.contract import Feature
from ashore.real.errors import InvalidMessage
from ashore.real.mapping import Channel
from ashore.real.nodes.link import Link
from ashore.real.nodes.travel import Travel, stamp_ns

Array = NDArray[Any]


class Senses:
    """Keeps the newest measurement of each feature, with the time when it was made, each topic by itself."""

    def __init__(
        self, features: Sequence[Feature], channels: Sequence[Channel], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._shapes = {feature.name: feature.shape for feature in features}
        self._channels = tuple(channels)
        self._clock = clock
        self._latest: list[tuple[float, dict[str, Array]] | None] = [None] * len(self._channels)
        self._stamps_ns = [0] * len(self._channels)
        self._travel = [Travel() for _ in self._channels]
        self._gaps_s: list[deque[float]] = [deque(maxlen=20) for _ in self._channels]
        """Times between arrivals of late."""
        self._arrived_s = [np.nan] * len(self._channels)

    def connect(self, link: Link) -> None:
        """Subscribe to every topic."""
        for index, channel in enumerate(self._channels):
            link.subscribe(channel.topic, channel.type, "stream", partial(self.take, index))

    def take(self, index: int, message: Any) -> None:
        """Take in a message of the topic with this index.

        Raises:
            InvalidMessage: it does not hold what the mapping says, or is not newer than the one before.
        """
        channel = self._channels[index]
        values = channel.read(message)
        made_ns = stamp_ns(message)
        if made_ns and made_ns <= self._stamps_ns[index]:
            raise InvalidMessage(repr(channel.topic), "it is not newer than the one before", "rising stamps")
        self._stamps_ns[index] = made_ns
        now_s = self._clock()
        made_s = self._travel[index].made_s(message, now_s)
        if np.isfinite(self._arrived_s[index]):
            self._gaps_s[index].append(now_s - self._arrived_s[index])
        self._arrived_s[index] = now_s
        shaped = {name: value.reshape(1, *self._shapes[name]) for name, value in values.items() if name in self._shapes}
        self._latest[index] = (made_s, shaped)

    def slow(self, period_s: float) -> list[str]:
        """Say which topics are silent, or come more seldom than half of what they shall.

        Args:
            period_s: of topics whose mapping says nothing else.
        """
        found = []
        for channel, gaps_s, arrived_s in zip(self._channels, self._gaps_s, self._arrived_s, strict=True):
            wanted_s = period_s if channel.rate_hz is None else 1.0 / channel.rate_hz
            if not gaps_s or self._clock() - arrived_s > max(1.0, 3 * wanted_s):
                found.append(f"topic {channel.topic!r}: silent; expected {1 / wanted_s:g} Hz")
            elif float(np.median(gaps_s)) > 2 * wanted_s:
                found.append(f"topic {channel.topic!r}: {1 / np.median(gaps_s):.3g} Hz; expected {1 / wanted_s:g} Hz")
        return found

    def forget(self) -> None:
        """Drop all that was heard, so that only what arrives from now on counts; a clock that jumped is a new one."""
        self._latest = [None] * len(self._channels)
        self._stamps_ns = [0] * len(self._channels)
        self._travel = [Travel() for _ in self._channels]

    def outdate(self) -> None:
        """Count all that was heard as too old, before the clock jumps back; what arrives from then on counts."""
        self._latest = [None if each is None else (-np.inf, each[1]) for each in self._latest]
        self._arrived_s = [np.nan] * len(self._channels)
        self._stamps_ns = [0] * len(self._channels)
        self._travel = [Travel() for _ in self._channels]

    def measured(self) -> dict[str, Array] | None:
        """Give the newest measurements {name: (1, *shape)} float64, or None while a topic has sent nothing yet."""
        latest = [each for each in self._latest if each is not None]
        if len(latest) < len(self._channels):
            return None
        return {name: value for _, values in latest for name, value in values.items()}

    def age_s(self, now_s: float) -> float:
        """Give the age of the oldest of the newest samples; infinite while a topic has sent nothing yet."""
        return max((now_s - each[0] if each is not None else np.inf for each in self._latest), default=np.inf)

    def first_age_s(self, now_s: float) -> float | None:
        """Give the age of the first topic's newest sample, which loops lock to; None without a fresh one."""
        first = self._latest[0]
        return None if first is None or first[0] == -np.inf else now_s - first[0]
