"""What a policy has seen: ranges are named where they are left, and another kind of observation is told."""

import numpy as np

from ashore.datasets.contract import Contract, Feature
from ashore.policies.familiarity import Familiarity

CONTRACT = Contract(
    "test",
    "test",
    (Feature("pos_world_m", (2,), "m", "world"), Feature("goal_world_m", (1,), "m", "world")),
    (Feature("u", (1,), "m", "none"),),
    10.0,
)


def windows(n: int, seed: int) -> np.ndarray:
    """Positions on a circle that always moves, goals that never do within a window."""
    rng = np.random.default_rng(seed)
    angle = rng.uniform(0, 2 * np.pi, n)[:, None] + np.array([0.0, 0.1])
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=-1) + 0.01 * rng.normal(size=(n, 2, 2))
    goals = rng.uniform(-1, 1, (n, 1, 1)).repeat(2, axis=1)
    return np.concatenate([circle, goals], axis=-1).astype(np.float32)


FAMILIAR = Familiarity.of(CONTRACT, windows(200, 1), windows(1000, 0))


def observed(pos: list[float], goal: list[float]) -> dict[str, np.ndarray]:
    return {"pos_world_m": np.array([pos]), "goal_world_m": np.array([goal])}


def test_what_was_learnt_is_familiar_and_new_windows_of_its_kind_too() -> None:
    for window in windows(300, 2):
        assert FAMILIAR.distance(window[-1]) < 1.0
        assert not FAMILIAR.strange(CONTRACT.split_observation(window[-1]))


def test_a_feature_outside_its_range_is_named_with_its_value_and_range() -> None:
    (told,) = FAMILIAR.strange(observed([1.0, 1000.0], [0.0]))
    assert told.startswith("pos_world_m[1]: 1000, learnt -1.2")
    assert FAMILIAR.strange(observed([1.0, np.nan], [0.0]))[0].startswith("pos_world_m[1]: nan")


def test_what_lies_within_every_range_may_still_be_of_another_kind() -> None:
    middle = observed([0.0, 0.0], [0.0])
    assert not FAMILIAR.strange(middle)
    assert FAMILIAR.distance(CONTRACT.flatten_observation(middle)[0]) > 1.0


def test_what_always_moved_is_known() -> None:
    assert FAMILIAR.restless == ("pos_world_m",)
