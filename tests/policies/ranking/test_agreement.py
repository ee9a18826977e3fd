"""Agreement between scores and reality, against the published figures of SIMPLER's tables."""

import numpy as np
import pytest

from ashore.policies.errors import CannotRank
from ashore.policies.ranking.agreement import agreement, mmrv

COKE = ([0.787, 0.857, 0.710, 0.567, 0.027, 0.170], [0.907, 0.853, 0.920, 0.760, 0.133, 0.293])
DRAWER = ([0.157, 0.601, 0.463, 0.296, 0.0, 0.009], [0.333, 0.815, 0.704, 0.519, 0.0, 0.148])
APPLE = ([0.037, 0.065, 0.130, 0.213, 0.0, 0.0], [0.074, 0.185, 0.185, 0.407, 0.0, 0.0])
CARROT = ([0.042, 0.083, 0.097], [0.0, 0.250, 0.083])


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (COKE, (0.0313, 0.9754, 0.6, 0.7714)),
        (DRAWER, (0, 0.9832, 1, 1)),
        (APPLE, (0, 0.9692, 0.9636, 0.9852)),
        (CARROT, (0.1113, 0.5714, 0.3333, 0.5)),
    ],
)
def test_published_tables_are_reproduced(rows: tuple[list[float], list[float]], expected: tuple[float, ...]) -> None:
    found = agreement(*rows)
    assert (found.mmrv, found.pearson, found.kendall, found.spearman) == pytest.approx(expected, abs=1.5e-4)


def test_the_order_of_the_arguments_matters() -> None:
    scores, real = map(np.array, COKE)
    assert mmrv(real, scores) == pytest.approx(0.0618, abs=1e-4)


def test_regret_is_what_the_pick_costs() -> None:
    assert agreement(*COKE).regret == pytest.approx(0.920 - 0.853)


def test_a_constant_row_has_no_correlation() -> None:
    found = agreement([1.0, 1.0, 1.0], [0.1, 0.2, 0.3])
    assert np.isnan(found.pearson) and np.isnan(found.kendall) and found.to_json()["spearman"] is None


@pytest.mark.parametrize("rows", [([1.0], [1.0]), ([1.0, 2.0], [1.0]), ([1.0, np.nan], [1.0, 2.0])])
def test_what_cannot_be_compared_is_refused(rows: tuple[list[float], list[float]]) -> None:
    with pytest.raises(CannotRank, match="not two finite rows"):
        agreement(*rows)
