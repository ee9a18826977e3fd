"""Wilson's bounds against published values, and their laws."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ashore.policies.errors import InvalidCount
from ashore.policies.intervals import wilson


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [
        (0, 20, 0, 0.1611),
        (18, 20, 0.6990, 0.9721),
        (20, 20, 0.8389, 1),
        (45, 50, 0.7864, 0.9565),
        (48, 50, 0.8654, 0.9890),
        (142, 150, 0.8983, 0.9727),
    ],
)
def test_bounds_are_the_published_ones(k: int, n: int, low: float, high: float) -> None:
    interval = wilson(k, n)
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=5e-5)
    assert interval.rate == k / n


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_rate_lies_between_its_bounds_and_failures_mirror_successes(case: tuple[int, int]) -> None:
    k, n = case
    interval, mirrored = wilson(k, n), wilson(n - k, n)
    assert 0 <= interval.low <= interval.rate <= interval.high <= 1
    assert (1 - mirrored.high, 1 - mirrored.low) == pytest.approx((interval.low, interval.high))


@pytest.mark.parametrize(("k", "n"), [(-1, 5), (6, 5), (0, 0)])
def test_impossible_counts_are_refused(k: int, n: int) -> None:
    with pytest.raises(InvalidCount, match="is impossible"):
        wilson(k, n)
