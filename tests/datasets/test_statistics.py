"""Statistics against numpy, on ordinary numbers and on the worst; one by one, in any order, the same bits."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ashore.datasets.contract import Contract, Feature, ImageFeature
from ashore.datasets.episode import Episode, EpisodeMeta
from ashore.datasets.images import Frames
from ashore.datasets.statistics import QUANTILES, Tally, summarize
from ashore.datasets.store import EpisodeStore

DTYPES = ("bool", "uint8", "uint16", "int16", "int32", "int64", "float32", "float64")


@st.composite
def arrays(draw: st.DrawFn) -> np.ndarray:
    """Values (T, 2) of any dtype: -0.0, denormals and huge ones among them."""
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    if dtype.kind == "f":
        worst = np.finfo(dtype)
        special = [
            0.0,
            -0.0,
            float(worst.smallest_subnormal),
            -float(worst.tiny),
            float(worst.max),
            -float(worst.max),
            1.0,
        ]
        elements = st.sampled_from(special) | hnp.from_dtype(dtype, allow_nan=False, allow_infinity=False)
    else:
        elements = hnp.from_dtype(dtype)
    return draw(hnp.arrays(dtype, (draw(st.integers(1, 40)), 2), elements=elements))


def tally_of(values: np.ndarray, cuts: list[int] | None = None) -> Tally:
    """Tally values in the parts that cuts makes."""
    tally = Tally(Feature("x", (2,), "1", "none", dtype=values.dtype.name))
    parts = [part for part in np.split(values, cuts or []) if len(part)]
    for part in parts:
        tally.add(part)
    finish(tally, parts)
    return tally


def finish(tally: Tally, parts: list[np.ndarray]) -> None:
    tally.order.end_pass()
    while not tally.order.is_done:
        for part in parts:
            tally.look_again(part)
        tally.order.end_pass()


def require_same(a, b) -> None:
    assert a.count == b.count
    for name in ("mean", "std", "low", "high"):
        assert getattr(a, name).tobytes() == getattr(b, name).tobytes()
    assert all(a.quantiles[share].tobytes() == b.quantiles[share].tobytes() for share in QUANTILES)


@settings(max_examples=200)
@given(arrays())
def test_every_figure_is_the_exact_one(values: np.ndarray) -> None:
    found = tally_of(values).summary()
    assert found.count == len(values)
    for element in range(2):
        exact = [Fraction(value.item()) for value in values[:, element]]
        mean = sum(exact) / len(exact)
        assert found.mean[element] == float(mean)
        variance = sum((value - mean) ** 2 for value in exact) / len(exact)
        std = float(found.std[element])
        assert Fraction(math.nextafter(std, 0)) ** 2 <= variance
        assert std == np.finfo(np.float64).max or variance <= Fraction(math.nextafter(std, math.inf)) ** 2
        ordered = sorted(exact)
        assert (found.low[element], found.high[element]) == (float(ordered[0]), float(ordered[-1]))
        for share in QUANTILES:
            place = share * (len(ordered) - 1)
            low = float(ordered[math.floor(place)])
            high = float(ordered[min(math.floor(place) + 1, len(ordered) - 1)])
            assert low <= found.quantiles[share][element] <= high


@settings(max_examples=100)
@given(arrays())
def test_quantiles_are_those_of_numpy(values: np.ndarray) -> None:
    if values.dtype.kind == "f" and float(np.abs(values).max()) > 1e300:
        return  # numpy overflows between huge numbers of two signs.
    expected = np.quantile(values.astype(np.float64), QUANTILES, axis=0)
    found = tally_of(values).summary()
    np.testing.assert_array_almost_equal_nulp(np.array([found.quantiles[share] for share in QUANTILES]), expected, 1)


@settings(max_examples=100)
@given(arrays(), st.lists(st.integers(0, 40), max_size=6), st.integers(0, 2**32 - 1))
def test_one_by_one_in_any_order_and_merged_give_the_same_bits(values, cuts, seed) -> None:
    whole = tally_of(values).summary()
    shuffled = np.random.default_rng(seed).permutation(values)
    require_same(tally_of(shuffled, sorted(cuts)).summary(), whole)
    parts = [part for part in np.split(values, sorted(cuts)) if len(part)]
    tallies = []
    for part in parts:
        tallies.append(Tally(Feature("x", (2,), "1", "none", dtype=values.dtype.name)))
        tallies[-1].add(part)
    for other in tallies[1:]:
        tallies[0].merge(other)
    finish(tallies[0], parts)
    require_same(tallies[0].summary(), whole)


def test_many_rows_stay_exact_where_numpy_in_float32_does_not() -> None:
    rng = np.random.default_rng(0)
    values = (1e4 + rng.normal(size=(300_000, 2))).astype(np.float32)
    found = tally_of(values, [100_000]).summary()
    wide = values.astype(np.float64)
    np.testing.assert_allclose(found.std, wide.std(axis=0), rtol=1e-9)
    assert found.mean.tolist() == [math.fsum(column) / len(column) for column in wide.T.tolist()]
    np.testing.assert_array_equal([found.quantiles[share] for share in QUANTILES], np.quantile(wide, QUANTILES, axis=0))


def test_a_store_is_summed_up_in_its_shapes_with_pictures_and_without_what_is_deleted(tmp_path) -> None:
    contract = Contract(
        "test/cam",
        "test/look",
        (Feature("pose", (2, 2), "m", "world", dtype="float64"), Feature("grip", (), "1", "none", optional=True)),
        (Feature("go", (3,), "m/s", "base"),),
        10.0,
        images=(
            ImageFeature("cam", (4, 5, 3), "cam"),
            ImageFeature("depth", (4, 5), "cam", "depth", dtype="uint16", unit="mm", invalid=0),
        ),
    )
    rng = np.random.default_rng(3)
    store = EpisodeStore.create(tmp_path / "store", contract)
    episodes = []
    for number in range(3):
        pictures = rng.integers(0, 255, (6, 4, 5, 3), np.uint8)
        depths = rng.integers(0, 2, (6, 4, 5)).astype(np.uint16) * 1000
        episodes.append(
            Episode(
                contract,
                {"pose": rng.normal(size=(6, 2, 2))} | ({"grip": rng.random(6).astype(np.float32)} if number else {}),
                {"go": rng.normal(size=(6, 3)).astype(np.float32)},
                np.arange(6) / 10,
                EpisodeMeta("simulation"),
                images={"cam": Frames.of(contract.images[0], pictures), "depth": Frames.of(contract.images[1], depths)},
            )
        )
        store.append(episodes[-1])
    from ashore.datasets.curating import delete

    delete(store, [2], "ann", "x")
    found = summarize(store)
    assert (found.n_episodes, found.n_steps) == (2, 12)
    poses = np.concatenate([episode.observations["pose"] for episode in episodes[:2]])
    np.testing.assert_allclose(found.features["pose"].mean, poses.mean(axis=0))
    np.testing.assert_array_equal(found.features["pose"].quantiles[0.5], np.quantile(poses, 0.5, axis=0))
    assert found.features["grip"].count == 6
    assert found.features["grip"].mean.shape == ()
    pixels = np.concatenate([episode.images["cam"].stack().reshape(-1, 3) for episode in episodes[:2]])
    np.testing.assert_allclose(found.images["cam"].mean, pixels.mean(axis=0))
    np.testing.assert_allclose(found.images["cam"].std, pixels.std(axis=0))
    assert (found.images["cam"].n_frames, found.images["cam"].n_sampled) == (12, 12)
    assert found.images["depth"].mean.tolist() == [1000.0]


def test_an_empty_store_has_no_figures(store_path, contract) -> None:
    found = summarize(EpisodeStore.create(store_path, contract))
    assert found.n_steps == 0
    assert np.isnan(found.features["joint_pos_rad"].mean).all()
    assert np.isnan(found.features["joint_pos_rad"].quantiles[0.5]).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_keys_keep_the_order_and_go_back(dtype) -> None:
    from ashore.datasets.order_statistics import ordered_keys, values_of

    kind = np.dtype(dtype)
    raw = np.random.default_rng(0).integers(0, 256, 8 * 4000, np.uint8).view(kind if kind.kind != "b" else np.uint8)
    values = np.sort((raw % 2).astype(bool) if kind.kind == "b" else raw[np.isfinite(raw)])
    keys = ordered_keys(values, kind)
    assert (np.diff(keys.astype(object)) >= 0).all()
    assert values_of(keys, kind).tobytes() == values.tobytes()
