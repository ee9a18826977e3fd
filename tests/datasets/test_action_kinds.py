import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ashore.datasets.action_kinds import convert_actions, converted_feature
from ashore.datasets.errors import InvalidSample, UnknownName
from ashore.datasets.features import KINDS, Feature
from ashore.datasets.rotations import matrix_from_quat, quat_from_vector

JOINTS = Feature("joint_target_rad", (2,), "rad", "joint", ("j1", "j2"), low=(-1.0, -1.0), high=(1.0, 1.0))
PLACE = Feature("tcp_target_base_m", (3,), "m", "base", ("x", "y", "z"))
TURN = Feature("tcp_target_base_wxyz", (4,), "1", "base", ("w", "x", "y", "z"))
PERIOD_S = 0.05


def values(feature: Feature, seed: int, n_steps: int):
    rng = np.random.default_rng(seed)
    if feature is TURN:
        return quat_from_vector(np.cumsum(rng.normal(scale=0.3, size=(n_steps, 3)), axis=0).clip(-1.5, 1.5))
    return rng.normal(size=(n_steps, *feature.shape))


def require_same(feature: Feature, left, right) -> None:
    if feature is TURN:
        left, right = matrix_from_quat(left), matrix_from_quat(right)
    assert np.allclose(left, right, atol=1e-9)


@pytest.mark.parametrize("feature", [JOINTS, PLACE, TURN], ids=lambda f: f.name)
@pytest.mark.parametrize(("first", "second"), list(itertools.product(KINDS, KINDS)))
@given(seed=st.integers(0, 2**32 - 1), n_steps=st.integers(1, 20))
def test_any_kind_becomes_any_other_and_comes_back(feature, first, second, seed, n_steps) -> None:
    targets, measured = values(feature, seed, n_steps), values(feature, seed + 1, n_steps)
    as_first = convert_actions(feature, targets, measured, first, PERIOD_S)
    as_second = convert_actions(converted_feature(feature, first), as_first, measured, second, PERIOD_S)
    described = converted_feature(converted_feature(feature, first), second)
    assert as_second.shape == (n_steps, *described.shape)
    require_same(feature, convert_actions(described, as_second, measured, "absolute", PERIOD_S), targets)


def test_what_the_kinds_mean() -> None:
    targets, measured = np.array([[1.0, 0.0], [1.5, 0.0]]), np.array([[0.5, 0.0], [1.2, 0.1]])
    expected = {
        "absolute": targets,
        "relative": [[0.5, 0.0], [0.3, -0.1]],
        "delta": [[0.5, 0.0], [0.5, 0.0]],
        "velocity": [[10.0, 0.0], [10.0, 0.0]],
    }
    for kind, numbers in expected.items():
        assert np.allclose(convert_actions(JOINTS, targets, measured, kind, PERIOD_S), numbers)


def test_a_turn_about_z_is_a_vector_along_z_in_the_features_frame() -> None:
    measured = quat_from_vector(np.array([[0.0, 0.4, 0.0]] * 2))
    targets = np.stack([quat_from_vector(np.array([0.0, 0.4, 0.0]))] * 2)
    turned = quat_from_vector(np.array([[0.0, 0.0, 0.2]] * 2))
    from ashore.datasets.rotations import quat_multiply

    vector = convert_actions(TURN, quat_multiply(turned, targets), measured, "relative", PERIOD_S)
    assert np.allclose(vector, [[0.0, 0.0, 0.2]] * 2)


def test_names_units_and_shapes_follow_the_kind() -> None:
    velocity = converted_feature(JOINTS, "velocity")
    assert (velocity.name, velocity.unit, velocity.space, velocity.low) == (
        "joint_target_rad_s",
        "rad/s",
        "joint",
        None,
    )
    assert converted_feature(velocity, "absolute").name == JOINTS.name
    turn = converted_feature(TURN, "velocity")
    assert (turn.name, turn.unit, turn.shape) == ("tcp_target_base_rotvec_rad_s", "rad/s", (3,))
    assert converted_feature(turn, "absolute") == TURN
    assert converted_feature(PLACE, "delta").unit == "m"
    assert PLACE.space == "cartesian"


def test_faults_are_named() -> None:
    with pytest.raises(UnknownName, match="absolute"):
        convert_actions(JOINTS, np.zeros((2, 2)), np.zeros((2, 2)), "sideways", PERIOD_S)  # type: ignore[arg-type]
    with pytest.raises(InvalidSample, match="2 actions and 3 measured"):
        convert_actions(JOINTS, np.zeros((2, 2)), np.zeros((3, 2)), "delta", PERIOD_S)
