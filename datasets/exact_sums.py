"""Sums without rounding: numbers taken apart into integers, so that neither order nor grouping changes a bit.

A number is m * 2^e with an integer m. m is cut into limbs of 18 bits; sums of limbs and of their products are small
enough to be exact in float64, are kept by exponent, and become one long integer in the end.
"""

from fractions import Fraction
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
LIMB_BITS = 18
N_ROWS = 2**16
"""Rows summed at a time: 2^16 products of 2^36 stay below 2^53."""
N_SPILL = 2**26
"""Rows after which the int64 sums are emptied into long integers: 2^26 products of 2^36 stay below 2^63."""


class ExactSums:
    """The exact sum and sum of squares of each of E elements."""

    def __init__(self, n_elements: int, dtype: str) -> None:
        """Begin at 0.

        Args:
            n_elements: E.
            dtype: bool, an integer type of up to 64 bits, float32 or float64.
        """
        kind = np.dtype(dtype)
        self._info = np.finfo(kind) if kind.kind == "f" else None
        bits = self._info.nmant + 1 if self._info else 8 * kind.itemsize
        self._n_limbs = -(-bits // LIMB_BITS)
        self._pairs = [(i, j) for i in range(self._n_limbs) for j in range(i, self._n_limbs)]
        self._n_exponents = 2**self._info.nexp if self._info else 1
        self._shape = (n_elements, self._n_exponents)
        self._n_pending = 0
        self._pending = np.zeros((self._n_limbs + len(self._pairs), *self._shape), np.int64)
        self._sums, self._squares = [0] * n_elements, [0] * n_elements

    def add(self, values: Array) -> None:
        """Add values (T, E), finite."""
        for start in range(0, len(values), N_ROWS):
            self._add(values[start : start + N_ROWS])

    def merge(self, other: Self) -> None:
        """Add what another one has summed up; the same as if this one had."""
        self._spill()
        other._spill()
        self._sums = [a + b for a, b in zip(self._sums, other._sums, strict=True)]
        self._squares = [a + b for a, b in zip(self._squares, other._squares, strict=True)]

    def totals(self) -> list[tuple[Fraction, Fraction]]:
        """Give each element's exact (sum, sum of squares)."""
        self._spill()
        unit = Fraction(1) if self._info is None else Fraction(2) ** (int(self._info.minexp) - int(self._info.nmant))
        return [(total * unit, square * unit * unit) for total, square in zip(self._sums, self._squares, strict=True)]

    def _add(self, values: Array) -> None:
        if self._n_pending + len(values) > N_SPILL:
            self._spill()
        self._n_pending += len(values)
        mantissa, exponent, sign = self._parts(values)
        cell = (np.arange(values.shape[1]) * self._n_exponents + exponent).ravel()
        limbs = [((mantissa >> np.uint64(LIMB_BITS * i)) & np.uint64(2**LIMB_BITS - 1)) for i in range(self._n_limbs)]
        limbs = [limb.astype(np.float64) for limb in limbs]
        terms = [limb * sign for limb in limbs] + [limbs[i] * limbs[j] for i, j in self._pairs]
        used, where = np.unique(cell, return_inverse=True)
        for pending, term in zip(self._pending.reshape(len(terms), -1), terms, strict=True):
            pending[used] += np.bincount(where, term.ravel(), len(used)).astype(np.int64)

    def _parts(self, values: Array) -> tuple[Array, Array, Array]:
        """Take values (T, E) apart into mantissa, exponent counted from the smallest one, and sign."""
        sign = np.where(values < 0, -1.0, 1.0)
        if self._info is None:
            wide = values.astype(np.int64)
            # The lowest int64 has no positive counterpart; as uint64, its negation is right nevertheless.
            mantissa = np.where(wide < 0, np.uint64(0) - wide.astype(np.uint64), wide.astype(np.uint64))
            return mantissa, np.zeros(values.shape, np.int64), sign
        n_bits = self._info.nmant
        raw = np.ascontiguousarray(values).view(f"u{values.itemsize}").astype(np.uint64)
        exponent = (raw >> np.uint64(n_bits)).astype(np.int64) & (self._n_exponents - 1)
        mantissa = raw & np.uint64(2**n_bits - 1)
        mantissa += np.where(exponent > 0, np.uint64(2**n_bits), np.uint64(0))
        return mantissa, np.maximum(exponent - 1, 0), sign

    def _spill(self) -> None:
        """Empty the int64 sums into the long integers."""
        for element, exponent in np.argwhere(self._pending.any(axis=0)).tolist():
            cell = self._pending[:, element, exponent].tolist()
            total = sum(cell[i] << (LIMB_BITS * i) for i in range(self._n_limbs))
            square = sum(
                (term if i == j else 2 * term) << (LIMB_BITS * (i + j))
                for (i, j), term in zip(self._pairs, cell[self._n_limbs :], strict=True)
            )
            self._sums[element] += total << exponent
            self._squares[element] += square << (2 * exponent)
        self._pending[:] = 0
        self._n_pending = 0
