"""The worst slice is where the failures are, and is not claimed where episodes are few."""

import numpy as np

from ashore.policies.ranking.slices import slices, worst_slice


def draws(n: int, seed: int = 0) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    return [
        {"mass_kg": np.asarray(rng.uniform(0.1, 1.0)), "start_m": rng.uniform(-1, 1, 2), "g": np.asarray(9.81)}
        for _ in range(n)
    ]


def test_the_slice_with_the_failures_is_found_and_named() -> None:
    given = draws(150)
    success = np.array([draw["start_m"][1] < 0.4 for draw in given])
    worst = worst_slice(given, success)
    assert worst is not None and worst.parameter == "start_m[1]" and worst.high > 0.9 and worst.n_episodes == 50
    assert worst.interval.rate < 0.2 and worst.to_json()["success_rate"] == worst.interval.rate


def test_thirds_of_every_varying_number_share_the_episodes() -> None:
    parts = slices(draws(100), np.ones(100, bool))
    assert sorted({part.parameter for part in parts}) == ["mass_kg", "start_m[0]", "start_m[1]"]
    assert all(sum(p.n_episodes for p in parts if p.parameter == q.parameter) == 100 for q in parts)


def test_few_episodes_or_no_variation_give_no_slice() -> None:
    assert worst_slice(draws(20), np.ones(20, bool)) is None
    assert worst_slice([{"g": np.asarray(9.81)}] * 100, np.ones(100, bool)) is None
