"""An episode leaves the data where it was made to, by the element that was changed, and demonstrations do not."""

import numpy as np
import pytest

from ashore.policies.diagnosis.coverage import STAY, measure_coverage, sustained


def walks(n: int, seed: int, length: int = 60) -> list[np.ndarray]:
    """Episodes (T, 3): from a start of their own towards zero, in units of very different size, measured noisily."""
    rng = np.random.default_rng(seed)
    starts = rng.uniform(-1, 1, (n, 1, 3)) * np.array([1.0, 100.0, 0.01])
    fade = np.linspace(1, 0, length)[None, :, None]
    noise = 0.01 * rng.normal(size=(n, length, 3)) * np.array([1.0, 100.0, 0.01])
    return list((starts * fade + noise).astype(np.float32))


DATA = walks(60, 0)
STEPS, EPISODE_OF = np.concatenate(DATA), np.repeat(np.arange(60), 60)


def test_episodes_like_the_data_stay_in_it() -> None:
    cover = measure_coverage(STEPS, EPISODE_OF, walks(100, 1))
    assert cover.n_left <= 15  # 5 are expected; 15 or more come by chance in one case of 10,000.
    assert cover.n_calibration == 40


@pytest.mark.parametrize(("element", "size"), [(0, 4.0), (1, 400.0), (2, 0.04)])
def test_the_first_step_outside_and_the_element_that_leaves_are_named(element: int, size: float) -> None:
    episode = walks(1, 2)[0]
    episode[25:, element] += size
    (left,) = measure_coverage(STEPS, EPISODE_OF, [episode]).departures
    assert left is not None
    assert (left.step, left.element) == (25, element)
    assert left.share > 0.9


def test_a_single_wild_measurement_is_no_departure() -> None:
    episode = walks(1, 3)[0]
    episode[25 : 25 + STAY - 1, 0] += 10.0
    assert measure_coverage(STEPS, EPISODE_OF, [episode]).n_left == 0


def test_starts_outside_are_told_from_those_who_leave_later() -> None:
    start, later = walks(2, 4)
    start[:10, 0] += 5.0
    later[30:, 0] += 5.0
    cover = measure_coverage(STEPS, EPISODE_OF, [start, later])
    assert (cover.starts_outside, cover.leaves_later) == ([0], [1])
    assert cover.first_step(1) == 30
    assert cover.first_elements == [(0, 2)]


def test_an_element_that_never_varies_does_not_make_everything_strange() -> None:
    frozen = np.concatenate([STEPS, np.full((len(STEPS), 1), 7.0)], axis=1)
    episodes = [np.concatenate([each, np.full((len(each), 1), 7.0, np.float32)], axis=1) for each in walks(20, 5)]
    assert measure_coverage(frozen, EPISODE_OF, episodes).n_left <= 5


def test_what_is_sustained_is_kept_for_some_steps() -> None:
    assert sustained(np.array([1.0, 9.0, 1.0, 4.0, 5.0, 6.0, 1.0])) == 4.0
    assert sustained(np.array([3.0, 2.0])) == 2.0
