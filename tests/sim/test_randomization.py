"""Draws repeat, spread as declared, start from nominal values, and survive JSON."""

import json

import numpy as np
import pytest

from ashore.datasets.errors import UnknownName
from ashore.sim.randomization import (
    Parameter,
    Randomization,
    draw_episodes,
    draw_from_json,
    draw_to_json,
    drawn,
    episode_seed,
)
from ashore.sim.randomization.distributions import Scattered, Uniform
from ashore.sim.tasks import TASKS, make_task


def test_an_index_gives_one_draw_and_another_index_another() -> None:
    randomization = make_task("arm/pick-place").randomization("wide")
    once, again = draw_episodes(randomization, 3, [5, 6]), draw_episodes(randomization, 3, [6])
    assert draw_to_json(once[1]) == draw_to_json(again[0])
    assert draw_to_json(once[0]) != draw_to_json(once[1])
    assert episode_seed(3, 5) != episode_seed(3, 6) != episode_seed(4, 6)


@pytest.mark.parametrize("name", sorted(TASKS))
def test_every_level_starts_an_episode_alike_and_nominal_is_within(name: str) -> None:
    task = make_task(name)
    levels = [task.randomization(level) for level in ("none", "narrow", "wide")]
    draws = [draw_episodes(level, 1, [0])[0] for level in levels]
    for parameter in levels[0].parameters:
        for other in draws[1:]:
            np.testing.assert_array_equal(draws[0][parameter.name], other[parameter.name])
    wide = levels[2]
    assert set(wide.nominal()) == set(draws[2])
    for parameter in wide.parameters:
        assert parameter.distribution.nominal().shape == draws[2][parameter.name].shape


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(UnknownName, match=r"Valid: 'none', 'narrow', 'wide'. Did you mean 'wide'"):
        make_task("arm/pick-place").randomization("wid")


def test_an_unknown_task_is_refused() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'arm/pick-place'"):
        make_task("arm/pick_place")


def test_a_draw_survives_json() -> None:
    draw = draw_episodes(make_task("arm/pick-place").randomization("wide"), 0, [0])[0]
    back = draw_from_json(json.loads(json.dumps(draw_to_json(draw))))
    for name, value in draw.items():
        np.testing.assert_array_equal(value, back[name])


def test_scattered_points_keep_their_distance_and_fill_their_box() -> None:
    scattered = Scattered((0.0, 0.0), (1.0, 2.0), 2, 0.4, ((0.2, 0.2), (0.8, 0.8)))
    rng = np.random.default_rng(0)
    points = np.stack([scattered.sample(rng) for _ in range(500)])
    assert np.all(np.linalg.norm(points[:, 0] - points[:, 1], axis=1) >= 0.4)
    assert np.all(points.min(axis=(0, 1)) < 0.05) and np.all(points.max(axis=(0, 1)) > [0.95, 1.95])


def test_a_draw_that_lacks_a_parameter_has_its_nominal_value() -> None:
    parameter = Parameter("mass", Uniform(0.5, 2.5, middle=1.0), "dynamics")
    assert Randomization((parameter,)).nominal()["mass"] == 1.0
    np.testing.assert_array_equal(drawn([{"mass": np.array(2.0)}, {}], parameter), [2.0, 1.0])
