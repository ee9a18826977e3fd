"""Distributions keep to their support, repeat by seed, rise with their quantile, and correlate as told."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest, spearmanr

from ashore.sim.errors import InvalidRandomization
from ashore.sim.randomization import Correlated, Parameter, Randomization
from ashore.sim.randomization.distributions import (
    Beta,
    Categorical,
    Distribution,
    Fixed,
    LogUniform,
    TruncatedNormal,
    Uniform,
)

SEVERAL: list[Distribution] = [
    Fixed(2.0),
    Uniform((0.0, 1.0), (1.0, 3.0)),
    LogUniform(0.1, 10.0),
    TruncatedNormal((0.0, 1.0), (1.0, 0.1), (-1.0, 0.9), (2.0, 1.2)),
    Beta(2.0, 5.0, -1.0, 1.0),
    Categorical((1.0, 5.0, 3.0), (1.0, 1.0, 2.0)),
    Categorical(("wood", "steel")),
]


@pytest.mark.parametrize("distribution", SEVERAL, ids=lambda d: d.kind)
def test_samples_keep_to_the_support_repeat_and_have_the_nominal_shape(distribution: Distribution) -> None:
    rng, again = np.random.default_rng(1), np.random.default_rng(1)
    drawn = np.array([distribution.sample(rng) for _ in range(300)])
    np.testing.assert_array_equal(drawn, [distribution.sample(again) for _ in range(300)])
    low, high = distribution.support()
    assert drawn.shape[1:] == np.shape(distribution.nominal())
    assert np.all(drawn >= low) and np.all(drawn <= high) and not list(distribution.faults())


@settings(max_examples=60, deadline=None)
@given(st.floats(0, 1), st.floats(0, 1), st.sampled_from([d for d in SEVERAL if d.kind != "categorical"]))
def test_quantiles_rise_and_keep_to_the_support(one: float, other: float, distribution: Distribution) -> None:
    shape = np.shape(distribution.nominal())
    below, above = (distribution.quantile(np.full(shape, u)) for u in sorted((one, other)))  # type: ignore[attr-defined]
    low, high = distribution.support()
    assert np.all(below <= above + 1e-12) and np.all(below >= low - 1e-12) and np.all(above <= high + 1e-12)


def test_samples_are_distributed_as_their_names_say() -> None:
    rng = np.random.default_rng(0)
    logs = np.log10([LogUniform(0.01, 100.0).sample(rng) for _ in range(2000)])
    assert kstest(logs, "uniform", args=(-2, 4)).pvalue > 0.01
    cut = np.array([TruncatedNormal(0.0, 1.0, -10.0, 10.0).sample(rng) for _ in range(2000)])
    assert kstest(cut, "norm").pvalue > 0.01
    assert kstest([Beta(2.0, 5.0).sample(rng) for _ in range(2000)], "beta", args=(2, 5)).pvalue > 0.01
    kinds = np.array([Categorical((1.0, 2.0), (3.0, 1.0)).sample(rng) for _ in range(2000)])
    assert 0.7 < np.mean(kinds == 1.0) < 0.8


def _pair(rho: float) -> Randomization:
    one = Parameter("one", LogUniform(0.1, 10.0), "dynamics")
    two = Parameter("two", Beta(2.0, 5.0), "dynamics")
    three = Parameter("three", Uniform(0.0, 1.0), "dynamics")
    return Randomization((one, two, three), (Correlated(("one", "two"), rho),))


@pytest.mark.parametrize("rho", [0.8, -0.5])
def test_a_correlated_group_has_its_rank_correlation_and_its_own_distributions(rho: float) -> None:
    randomization = _pair(rho)
    draws = [randomization.draw(np.random.default_rng(seed)) for seed in range(2000)]
    one, two, three = (np.array([draw[name] for draw in draws]) for name in ("one", "two", "three"))
    assert spearmanr(one, two).statistic == pytest.approx(6 / np.pi * np.arcsin(rho / 2), abs=0.05)
    assert abs(spearmanr(one, three).statistic) < 0.07
    assert kstest(np.log10(one), "uniform", args=(-1, 2)).pvalue > 0.001
    assert kstest(two, "beta", args=(2, 5)).pvalue > 0.001


def test_a_correlation_changes_no_other_value() -> None:
    plain = Randomization(_pair(0.5).parameters).draw(np.random.default_rng(3))
    together = _pair(0.5).draw(np.random.default_rng(3))
    assert plain["three"] == together["three"] and plain["one"] != together["one"]


@pytest.mark.parametrize(
    ("parameters", "correlated", "words"),
    [
        ([Uniform(2.0, 1.0)], [], "p0: low, high: low 2.0 is above high 1.0"),
        ([Uniform((0.0, 1.0), (1.0,))], [], "2 and 1 numbers"),
        ([Uniform(0.0, float("inf"))], [], "high: inf is not finite"),
        ([LogUniform(0.0, 1.0)], [], "has no logarithm"),
        ([TruncatedNormal(0.0, 0.0, -1.0, 1.0)], [], "std: 0.0 is no deviation"),
        ([TruncatedNormal(2.0, 1.0, -1.0, 1.0)], [], "mean: 2.0 lies outside"),
        ([Beta(0.0, 1.0)], [], "both must be above 0"),
        ([Categorical(())], [], "give a list of at least one number or name"),
        ([Categorical((1.0, 2.0), (1.0,))], [], "weights"),
        ([Uniform(0.0, 1.0)], [("p0", "p9")], "no parameter 'p9'; valid: 'p0'"),
        ([Uniform(0.0, 1.0), Uniform((0.0,), (1.0,))], [("p0", "p1")], "differ in how many numbers"),
    ],
)
def test_bad_numbers_are_told_with_the_parameters_name(
    parameters: list[Distribution], correlated: list[tuple[str, ...]], words: str
) -> None:
    named = tuple(Parameter(f"p{i}", distribution, "dynamics") for i, distribution in enumerate(parameters))
    with pytest.raises(InvalidRandomization, match=words):
        Randomization(named, tuple(Correlated(names, 0.5) for names in correlated))


def test_a_correlation_that_cannot_be_is_refused() -> None:
    named = tuple(Parameter(name, Uniform(0.0, 1.0), "dynamics") for name in "abc")
    with pytest.raises(InvalidRandomization, match="no such correlation is possible"):
        Randomization(named, (Correlated(("a", "b", "c"), -0.9),))
