"""Exact quantiles by radix counting: a few passes over the data, and memory that does not grow with its length.

Each number becomes an unsigned key of the same order, and each pass counts one digit of 16 bits, after the first one
only of the keys that begin as the wanted ones do. float32 and int32 take two passes, 16 bits one, 64 bits four. One
pass cannot be exact in bounded memory: Munro and Paterson, Selection and Sorting with Limited Storage, 1980.
"""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
DIGIT_BITS = 16
N_BUFFER = 2**20


class Counts:
    """How often each of some whole numbers was seen."""

    def __init__(self) -> None:
        self.keys = np.zeros(0, np.int64)
        """Those seen, rising, once `settle` was called."""
        self.counts = np.zeros(0, np.int64)
        self._buffer: list[tuple[Array, Array]] = []
        self._n_buffered = 0

    def add(self, keys: Array, counts: Array | None = None) -> None:
        """See keys (M,), each once or as often as counts says."""
        if counts is None:
            keys, counts = np.unique(keys, return_counts=True)
        self._buffer.append((keys, counts))
        self._n_buffered += len(keys)
        if self._n_buffered > max(N_BUFFER, len(self.keys)):
            self.settle()

    def settle(self) -> None:
        """Count what was set aside."""
        if self._buffer:
            keys = np.concatenate([self.keys, *(keys for keys, _ in self._buffer)])
            counts = np.concatenate([self.counts, *(counts for _, counts in self._buffer)])
            self.keys, where = np.unique(keys, return_inverse=True)
            # Counts are exact in float64 up to 2^53.
            self.counts = np.bincount(where, counts, len(self.keys)).astype(np.int64)
            self._buffer, self._n_buffered = [], 0


class OrderStatistics:
    """Quantiles of each of E elements, as numpy's linear method defines them, found digit by digit."""

    def __init__(self, n_elements: int, dtype: str, quantiles: Sequence[float]) -> None:
        """Begin the first pass.

        Args:
            n_elements: E.
            dtype: bool, an integer type of up to 64 bits, float32 or float64.
            quantiles: shares in [0, 1].
        """
        self._dtype = np.dtype(dtype)
        self.quantiles = tuple(quantiles)
        self.n_passes = max(1, self._dtype.itemsize * 8 // DIGIT_BITS)
        """Passes over the data until the quantiles are known."""
        self._n_elements = n_elements
        self._n_values = 0
        self._pass = 0
        self._counts = Counts()
        self._prefixes: list[Array] = [np.zeros(1, np.uint64) for _ in range(n_elements)]
        """Of each element, the first digits of the wanted keys, rising."""
        self._before: list[Array] = [np.zeros(1, np.int64) for _ in range(n_elements)]
        """How many of the element's keys lie below each prefix."""

    @property
    def is_done(self) -> bool:
        """Whether every quantile is known."""
        return self._pass == self.n_passes or not self._n_elements

    def add(self, values: Array) -> None:
        """Count values (T, E); every pass must see the same ones, in any order and grouping."""
        if self._pass == 0:
            self._n_values += len(values)
        bits = 8 * self._dtype.itemsize
        for element, keys in enumerate(ordered_keys(values, self._dtype).T):
            left = max(bits - DIGIT_BITS * (self._pass + 1), 0)
            slot = np.zeros(len(keys), np.int64)
            if self._pass:
                begins = keys >> np.uint64(left + DIGIT_BITS)
                slot = np.searchsorted(self._prefixes[element], begins)
                is_wanted = self._prefixes[element][np.minimum(slot, len(self._prefixes[element]) - 1)] == begins
                keys, slot = keys[is_wanted], slot[is_wanted]
            digit = (keys >> np.uint64(left)) & np.uint64(2**DIGIT_BITS - 1)
            # At most 2 * len(quantiles) prefixes are wanted, so 16 bits hold the slot.
            self._counts.add((((element << 16) | slot) << DIGIT_BITS) | digit.astype(np.int64))

    def merge(self, other: Self) -> None:
        """Add what another one has counted in the first pass, of other data.

        Raises:
            ValueError: either is past its first pass, from which on the wanted keys are their own.
        """
        if self._pass or other._pass:
            raise ValueError("only first passes can be merged: later ones look at other keys")
        other._counts.settle()
        self._counts.add(other._counts.keys, other._counts.counts)
        self._n_values += other._n_values

    def end_pass(self) -> None:
        """Note which digit each wanted key has, and begin the next pass."""
        self._counts.settle()
        ranks = self._ranks()
        keys, counts = self._counts.keys, self._counts.counts
        for element in range(self._n_elements if self._n_values else 0):
            prefixes, before = [], []
            for slot, prefix in enumerate(self._prefixes[element]):
                low, high = np.searchsorted(
                    keys, np.array([0, 1 << DIGIT_BITS]) + (((element << 16) | slot) << DIGIT_BITS)
                )
                digits, ends = (
                    keys[low:high] & (2**DIGIT_BITS - 1),
                    np.cumsum(counts[low:high]) + self._before[element][slot],
                )
                start = self._before[element][slot]
                wanted = np.unique(np.searchsorted(ends, ranks[(ranks >= start) & (ranks < ends[-1])], side="right"))
                prefixes.append((prefix << np.uint64(DIGIT_BITS)) | digits[wanted].astype(np.uint64))
                before.append(ends[wanted] - counts[low:high][wanted])
            self._prefixes[element], self._before[element] = np.concatenate(prefixes), np.concatenate(before)
        self._counts = Counts()
        self._pass += 1

    def values(self) -> NDArray[np.float64]:
        """Give the quantiles (Q, E) once all passes are done; NaN where there was no value."""
        out = np.full((len(self.quantiles), self._n_elements), np.nan)
        for element in range(self._n_elements if self._n_values else 0):
            found = self._before[element]
            known = values_of(self._prefixes[element], self._dtype).astype(np.float64)
            for row, quantile in enumerate(self.quantiles):
                place = quantile * (self._n_values - 1)
                low, high = (
                    np.searchsorted(found, [int(place), min(int(place) + 1, self._n_values - 1)], side="right") - 1
                )
                out[row, element] = _between(float(known[low]), float(known[high]), place - int(place))
        return out

    def _ranks(self) -> NDArray[np.int64]:
        places = {int(quantile * (self._n_values - 1)) for quantile in self.quantiles}
        return np.array(
            sorted({min(place + step, self._n_values - 1) for place in places for step in (0, 1)}), np.int64
        )


def ordered_keys(values: Array, dtype: np.dtype[Any]) -> NDArray[np.uint64]:
    """Turn finite values into unsigned keys of the same order, in the low bits; -0.0 comes before 0.0."""
    kind, bits = dtype.kind, 8 * dtype.itemsize
    values = np.ascontiguousarray(values, dtype)
    raw = values.view(f"u{dtype.itemsize}").astype(np.uint64)
    top = np.uint64(1 << (bits - 1))
    if kind == "f":
        return np.where(raw & top, np.uint64(2**bits - 1) - raw, raw | top)
    return raw ^ top if kind == "i" else raw


def values_of(keys: NDArray[np.uint64], dtype: np.dtype[Any]) -> Array:
    """Turn keys back into values."""
    bits, top = 8 * dtype.itemsize, np.uint64(1 << (8 * dtype.itemsize - 1))
    if dtype.kind == "f":
        keys = np.where(keys & top, keys ^ top, np.uint64(2**bits - 1) - keys)
    elif dtype.kind == "i":
        keys = keys ^ top
    return keys.astype(f"u{dtype.itemsize}").view(dtype)


def _between(low: float, high: float, share: float) -> float:
    """Interpolate as numpy does, but without overflow between huge numbers of two signs."""
    gap = high - low
    if not np.isfinite(gap):
        return low * (1.0 - share) + high * share
    return low + gap * share if share < 0.5 else high - gap * (1.0 - share)
