"""Detectors find what is shifted or noisier than the training data, whatever its units."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ashore.datasets.errors import UnknownName
from ashore.policies.ranking.detectors import DETECTORS, make_detector, strangeness

KINDS = sorted(DETECTORS)


def windows(n: int, seed: int, shift: float = 0.0, spread: float = 1.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    base = rng.normal(size=(n, 1, 4)) * spread + 0.05 * rng.normal(size=(n, 2, 4)) + shift
    return base * np.array([1.0, 0.01, 100.0, 1.0]) + np.array([0.0, 5.0, 0.0, 0.0])


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_is_as_usual_and_more_shift_is_stranger(kind: str) -> None:
    detector, held_out = make_detector(kind, windows(1500, 0)), windows(400, 1)
    found = [strangeness(detector, held_out, windows(400, 2, shift)) for shift in (0.0, 1.0, 2.0, 4.0)]
    assert found[0] == pytest.approx(1.0, abs=0.15)
    assert found == sorted(found) and found[-1] > 2.0


@pytest.mark.parametrize("kind", KINDS)
def test_units_do_not_matter(kind: str) -> None:
    units = np.array([10.0, 7.0, 3.0, 2.0])
    parts = windows(600, 0), windows(200, 1), windows(200, 2, 1.0)
    plain = strangeness(make_detector(kind, parts[0]), *parts[1:])
    scaled = strangeness(make_detector(kind, parts[0] * units), *(part * units for part in parts[1:]))
    assert scaled == pytest.approx(plain, rel=1e-6)


def test_what_never_varied_gives_no_infinite_surprise() -> None:
    learnt, real = windows(500, 0), windows(100, 1)
    learnt[..., 3], real[..., 3] = 0.2, 0.201
    assert strangeness(make_detector("nearest", learnt), learnt[:100], real) < 10


@given(st.integers(1, 1500), st.sampled_from(KINDS))
def test_scoring_in_blocks_scores_each_window_alone(n: int, kind: str) -> None:
    detector, real = make_detector(kind, windows(50, 0)), windows(n, 3)
    scores = detector.score(real)
    assert scores.shape == (n,) and np.all(scores >= 0)
    assert scores[-1] == pytest.approx(detector.score(real[-1:])[0], rel=1e-6, abs=1e-6)


def test_nearest_neighbours_agrees_with_the_plain_formula() -> None:
    learnt, real = windows(80, 0), windows(20, 1)
    flat = learnt.reshape(80, -1)
    scaled = (flat - flat.mean(0)) / flat.std(0)
    asked = (real.reshape(20, -1) - flat.mean(0)) / flat.std(0)
    plain = np.sort(np.linalg.norm(asked[:, None] - scaled, axis=-1), axis=1)[:, 4]
    assert make_detector("nearest", learnt).score(real) == pytest.approx(plain)


def test_an_unknown_detector_is_refused() -> None:
    with pytest.raises(UnknownName, match="there is no detector 'neares'"):
        make_detector("neares", windows(10, 0))
