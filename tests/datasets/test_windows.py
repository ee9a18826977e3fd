from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ashore.datasets.contract import Contract
from ashore.datasets.errors import ContractMismatch, InvalidHorizons, InvalidWeights, NoWindows
from ashore.datasets.store import EpisodeStore
from ashore.datasets.weights import Shares, draw_windows, episode_chances
from ashore.datasets.windows import WindowSampler


def reference(contract, episodes, obs_horizon: int, prediction_horizon: int, action_horizon: int):
    """Build every window step by step, as the definition says."""
    windows = []
    for number, episode in enumerate(episodes):
        obs, actions = contract.flatten_observation(episode.observations), contract.flatten_action(episode.actions)
        last = len(episode) - 1
        for start in range(-(obs_horizon - 1), len(episode) - prediction_horizon + action_horizon):
            steps = [min(max(start + i, 0), last) for i in range(prediction_horizon)]
            windows.append((obs[steps[:obs_horizon]], actions[steps], number))
    return windows


@settings(max_examples=40)
@given(
    lengths=st.lists(st.integers(1, 25), min_size=1, max_size=4),
    obs_horizon=st.integers(1, 4),
    action_horizon=st.integers(1, 8),
    spare=st.integers(0, 6),
)
def test_windows_are_those_of_the_definition(
    contract, make_episode, lengths, obs_horizon, action_horizon, spare
) -> None:
    horizons = (obs_horizon, obs_horizon - 1 + action_horizon + spare, action_horizon)
    episodes = [make_episode(seed, n_steps) for seed, n_steps in enumerate(lengths)]
    expected = reference(contract, episodes, *horizons)
    with TemporaryDirectory() as folder:
        with EpisodeStore.create(Path(folder) / "store", contract) as store:
            for episode in episodes:
                store.append(episode)
        if not expected:
            with pytest.raises(NoWindows):
                WindowSampler([store], *horizons)
            return
        sampler = WindowSampler([store], *horizons)
    assert len(sampler) == len(expected)
    obs, actions, images = sampler.batch(np.arange(len(sampler)))
    assert not images
    assert obs.dtype == actions.dtype == np.float32
    np.testing.assert_array_equal(obs, [window[0] for window in expected])
    np.testing.assert_array_equal(actions, [window[1] for window in expected])
    np.testing.assert_array_equal(sampler.episode_of, [window[2] for window in expected])


@pytest.fixture
def store(contract, make_episode, store_path) -> EpisodeStore:
    store = EpisodeStore.create(store_path, contract)
    for seed, success in enumerate([True, False, None]):
        store.append(make_episode(seed, 20, success=success))
    return store


def test_episodes_judged_failed_are_left_out_unless_asked_for(store) -> None:
    sampler = WindowSampler([store], 2, 8, 4)
    assert (len(sampler.episode_ends), sampler.n_skipped, len(sampler.obs)) == (2, 1, 40)
    assert len(WindowSampler([store], 2, 8, 4, successful_only=False).episode_ends) == 3


def test_an_epoch_is_an_order_of_all_windows_by_seed_and_number(store) -> None:
    sampler = WindowSampler([store], 2, 8, 4)
    orders = [sampler.epoch(seed, number) for seed, number in ((0, 0), (0, 1), (1, 0))]
    assert all(sorted(order.tolist()) == list(range(len(sampler))) for order in orders)
    assert len({order.tobytes() for order in orders}) == 3
    np.testing.assert_array_equal(orders[1], sampler.epoch(0, 1))


def test_several_stores_follow_each_other(store, contract, make_episode, tmp_path) -> None:
    other = EpisodeStore.create(tmp_path / "other", contract)
    other.append(make_episode(9, 30))
    sampler = WindowSampler([store, other], 2, 8, 4)
    np.testing.assert_array_equal(sampler.episode_ends, [20, 40, 70])
    expected = contract.flatten_observation(make_episode(9, 30).observations)
    np.testing.assert_array_equal(sampler.obs[40:], expected)


def test_stores_of_two_contracts_are_refused_by_name(store, contract, tmp_path) -> None:
    other = EpisodeStore.create(tmp_path / "other", Contract.from_json(contract.to_json().replace("20.0", "50.0")))
    with pytest.raises(ContractMismatch, match="other disagree") as caught:
        WindowSampler([store, other], 2, 8, 4)
    assert "control_hz" in str(caught.value)


@pytest.mark.parametrize("horizons", [(0, 8, 4), (2, 4, 4), (1, 0, 0)])
def test_horizons_that_do_not_fit_are_refused(store, horizons) -> None:
    with pytest.raises(InvalidHorizons, match=r"To - 1 \+ Ta <= Tp"):
        WindowSampler([store], *horizons)


def test_an_empty_or_too_short_data_set_is_told(store, contract, tmp_path) -> None:
    with pytest.raises(NoWindows, match="0 episode"):
        WindowSampler([EpisodeStore.create(tmp_path / "empty", contract)], 2, 8, 4)
    with pytest.raises(NoWindows, match="at least 45 step"):
        WindowSampler([store], 2, 50, 5)


@settings(max_examples=25)
@given(
    lengths=st.lists(st.lists(st.integers(1, 30), min_size=1, max_size=3), min_size=1, max_size=3),
    shares=st.lists(st.integers(0, 9), min_size=3, max_size=3),
    seed=st.integers(0, 100),
)
def test_stores_get_the_shares_asked_for(lengths, shares, seed) -> None:
    counts = np.array([count for store in lengths for count in store])
    store_of = np.repeat(np.arange(len(lengths)), [len(store) for store in lengths])
    asked = np.array(shares[: len(lengths)], np.float64)
    if not asked.any():
        with pytest.raises(InvalidWeights, match="at least one above zero"):
            episode_chances(Shares(tuple(asked)), counts, store_of, len(lengths))
        return
    chances = episode_chances(Shares(tuple(asked)), counts, store_of, len(lengths))
    np.testing.assert_allclose(np.bincount(store_of, chances, len(lengths)), asked / asked.sum())
    n_drawn = 4000
    drawn = draw_windows(np.random.default_rng(seed), n_drawn, chances, counts)
    episodes = np.searchsorted(np.cumsum(counts), drawn, side="right")
    expected, found = chances * n_drawn, np.bincount(episodes, minlength=len(counts))
    assert np.all(np.abs(found - expected) <= 6 * np.sqrt(expected) + 6)
    assert not found[chances == 0].any()


def test_windows_are_drawn_by_the_shares_of_their_stores(store, contract, make_episode, tmp_path) -> None:
    other = EpisodeStore.create(tmp_path / "other", contract)
    other.append(make_episode(9, 200))
    sampler = WindowSampler([store, other], 2, 8, 4, weights=Shares((3, 1)))
    drawn = np.concatenate([sampler.epoch(5, number) for number in range(40)])
    assert len(sampler.epoch(5)) == len(sampler)
    assert np.mean(sampler.store_of[sampler.episode_of[drawn]] == 0) == pytest.approx(0.75, abs=0.02)
    np.testing.assert_array_equal(sampler.epoch(5, 3), sampler.epoch(5, 3))
    assert sampler.epoch(5, 3).tobytes() != sampler.epoch(5, 4).tobytes()


def test_episodes_are_weighed_by_number_or_by_their_description(store) -> None:
    """Episode 1 was judged failed: its weight is given, and not used."""
    by_number = WindowSampler([store], 2, 8, 4, weights=[1, 100, 3])
    by_meta = WindowSampler([store], 2, 8, 4, weights=lambda meta: 1.0 if meta.seed == 0 else 3.0)
    drawn = by_number.epoch(0)
    np.testing.assert_array_equal(drawn, by_meta.epoch(0))
    many = np.concatenate([by_number.epoch(0, number) for number in range(100)])
    assert np.mean(by_number.episode_of[many] == 1) == pytest.approx(0.75, abs=0.03)
    only = WindowSampler([store], 2, 8, 4, weights=[0, 0, 1])
    assert set(only.episode_of[only.epoch(0)]) == {1}


@pytest.mark.parametrize(
    ("weights", "told"),
    [
        ([1, 1], "one weight for each of 3 episodes"),
        ([1, 1, -1], "by -1"),
        ([1, float("nan"), 1], None),
        ([float("inf"), 1, 1], "by inf"),
        ([0, 1, 0], "at least one above zero"),
        (Shares((1, 1)), "one share for each of 1 stores"),
        (lambda meta: -2.0, "by -2"),
    ],
)
def test_weights_that_draw_nothing_are_refused(store, weights, told) -> None:
    if told is None:  # The weight of a skipped episode does not matter.
        WindowSampler([store], 2, 8, 4, weights=weights)
        return
    with pytest.raises(InvalidWeights, match=told):
        WindowSampler([store], 2, 8, 4, weights=weights)


def test_a_store_without_windows_cannot_have_a_share(store, contract, tmp_path) -> None:
    empty = EpisodeStore.create(tmp_path / "empty", contract)
    with pytest.raises(InvalidWeights, match="windows in every store with a share"):
        WindowSampler([store, empty], 2, 8, 4, weights=Shares((1, 1)))
    assert len(WindowSampler([store, empty], 2, 8, 4, weights=Shares((1, 0))).epoch(0))
