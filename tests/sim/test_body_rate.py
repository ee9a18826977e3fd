"""The vehicles' interface: derived features, commands, and the stop."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ashore.datasets.rotations import matrix_from_quat, quat_from_vector, quat_multiply, upper_half
from ashore.sim.interfaces.body_rate import BodyRate, level_rates
from ashore.sim.robots.crazyflie.robot import make

CARD = make().card
BODY_RATE = BodyRate.from_spec(CARD.interface)
vectors = arrays(np.float64, (4, 3), elements=st.floats(-1.5, 1.5))


def measured(rotation_rad: np.ndarray, velocity: np.ndarray) -> dict[str, np.ndarray]:
    return {
        "pos_world_m": np.zeros((len(velocity), 3)),
        "linvel_world_m_s": velocity,
        "quat_world_wxyz": quat_from_vector(rotation_rad),
        "angvel_body_rad_s": np.zeros((len(velocity), 3)),
        "goal_pos_world_m": np.ones((len(velocity), 3)),
    }


@settings(max_examples=50, deadline=None)
@given(vectors, vectors)
def test_quaternions_multiply_as_their_matrices_do(left: np.ndarray, right: np.ndarray) -> None:
    a, b = quat_from_vector(left), quat_from_vector(right)
    product = matrix_from_quat(quat_multiply(a, b))
    np.testing.assert_allclose(product, matrix_from_quat(a) @ matrix_from_quat(b), atol=1e-12)
    np.testing.assert_allclose(matrix_from_quat(upper_half(-a)), matrix_from_quat(a), atol=1e-12)


@settings(max_examples=50, deadline=None)
@given(vectors, vectors)
def test_derived_features_describe_the_same_attitude(rotation_rad: np.ndarray, velocity: np.ndarray) -> None:
    observed = BODY_RATE.derive(measured(rotation_rad, velocity))
    rotation = matrix_from_quat(observed["quat_world_wxyz"])
    np.testing.assert_allclose(observed["rot6d_world"][:, :3], rotation[:, :, 0], atol=1e-12)
    np.testing.assert_allclose(observed["rot6d_world"][:, 3:], rotation[:, :, 1], atol=1e-12)
    np.testing.assert_allclose(np.einsum("nij,nj->ni", rotation, observed["up_body"]), [[0, 0, 1]] * 4, atol=1e-9)
    back = np.einsum("nij,nj->ni", rotation, observed["linvel_body_m_s"])
    np.testing.assert_allclose(back, velocity, atol=1e-9)
    assert set(BODY_RATE.derived) == set(observed) - set(measured(rotation_rad, velocity))


def test_measurements_without_a_goal_get_no_goal_error() -> None:
    given_ = measured(np.zeros((2, 3)), np.zeros((2, 3)))
    del given_["goal_pos_world_m"]
    assert "goal_error_body_m" not in BODY_RATE.derive(given_)


def test_a_command_is_thrust_then_rates() -> None:
    action = {"thrust_body_m_s2": np.full((2, 1), 9.0), "rate_body_rad_s": np.array([[1.0, 2.0, 3.0]] * 2)}
    np.testing.assert_array_equal(BODY_RATE.decode(action, {}), [[9.0, 1.0, 2.0, 3.0]] * 2)


@settings(max_examples=50, deadline=None)
@given(vectors, vectors)
def test_the_stop_stays_within_the_cards_limits(rotation_rad: np.ndarray, velocity: np.ndarray) -> None:
    command = BODY_RATE.stop(BODY_RATE.derive(measured(rotation_rad, 3 * velocity)), np.zeros((4, 4)))
    assert np.all(command >= CARD.limits.low)
    assert np.all(command <= CARD.limits.high)


def test_the_stop_without_a_finite_attitude_lets_the_vehicle_sink_without_turning() -> None:
    given_ = measured(np.zeros((2, 3)), np.zeros((2, 3)))
    given_["quat_world_wxyz"][1] = np.nan
    command = BODY_RATE.stop(given_, np.zeros((2, 4)))
    assert np.all(np.isfinite(command))
    np.testing.assert_allclose(command[1, 1:], 0.0)
    assert 0.9 * 9.81 < command[1, 0] < 9.81


@settings(max_examples=50, deadline=None)
@given(vectors)
def test_level_rates_point_along_the_shortest_turn(rotation_rad: np.ndarray) -> None:
    wanted = np.array([[0.0, 0.0, 2.0]] * 4)
    rotation = matrix_from_quat(quat_from_vector(rotation_rad))
    rates = level_rates(rotation, wanted, 1.0)
    tilt = np.arccos(np.clip(rotation[:, 2, 2], -1.0, 1.0))
    np.testing.assert_allclose(np.linalg.norm(rates, axis=1), tilt, atol=1e-6)
    turned = rotation @ matrix_from_quat(quat_from_vector(rates))
    np.testing.assert_allclose(turned[:, 2, 2], 1.0, atol=1e-9)
