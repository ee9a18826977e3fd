"""NED and FRD against ENU and FLU: there and back is the same, known cases, and one law that ties all three."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ashore.datasets.rotations import matrix_from_quat
from ashore.real.drivers.frames import swap_attitude, swap_frd_flu, swap_ned_enu

HALF = math.sqrt(0.5)
VECTOR = st.tuples(*[st.floats(-1e4, 1e4)] * 3)


@st.composite
def quaternions(draw: st.DrawFn) -> tuple[float, ...]:
    values = np.array(draw(st.tuples(*[st.floats(-1, 1)] * 4)))
    norm = float(np.linalg.norm(values))
    return tuple(values / norm) if norm > 0.1 else (1.0, 0.0, 0.0, 0.0)


@given(vector=VECTOR, quat=quaternions())
def test_each_conversion_is_its_own_inverse(vector, quat) -> None:
    assert swap_ned_enu(swap_ned_enu(vector)) == vector
    assert swap_frd_flu(swap_frd_flu(vector)) == vector
    np.testing.assert_allclose(swap_attitude(swap_attitude(quat)), quat, atol=1e-12)


@given(vector=VECTOR, quat=quaternions())
def test_a_body_vector_turned_into_the_world_is_the_same_vector_on_both_sides(vector, quat) -> None:
    ned = matrix_from_quat(np.array(quat)) @ np.array(vector)
    enu = matrix_from_quat(np.array(swap_attitude(quat))) @ np.array(swap_frd_flu(vector))
    np.testing.assert_allclose(swap_ned_enu(ned), enu, rtol=1e-9, atol=1e-7)


@pytest.mark.parametrize(
    ("nose", "ned", "enu"),
    [
        ("north", (1.0, 0.0, 0.0, 0.0), (HALF, 0.0, 0.0, HALF)),
        ("east", (HALF, 0.0, 0.0, HALF), (1.0, 0.0, 0.0, 0.0)),
        ("south", (0.0, 0.0, 0.0, 1.0), (HALF, 0.0, 0.0, -HALF)),
        ("west", (HALF, 0.0, 0.0, -HALF), (0.0, 0.0, 0.0, 1.0)),
    ],
)
def test_a_level_vehicle_by_where_its_nose_points(nose, ned, enu) -> None:
    np.testing.assert_allclose(swap_attitude(ned), enu, atol=1e-12)


def test_east_is_x_north_is_y_up_is_z_and_left_is_y_of_the_body() -> None:
    assert swap_ned_enu((1.0, 2.0, -3.0)) == (2.0, 1.0, 3.0)
    assert swap_frd_flu((1.0, 2.0, 3.0)) == (1.0, -2.0, -3.0)


def test_nose_up_is_pitch_up_in_frd_and_down_in_flu() -> None:
    # 30 degrees nose up, nose to the east: FRD pitches by +30 about right, FLU by -30 about left.
    half = math.radians(15)
    east = np.array([HALF, 0, 0, HALF])
    pitch = np.array([math.cos(half), 0, math.sin(half), 0])
    w0, x0, y0, z0 = east
    w1, x1, y1, z1 = pitch
    ned = (
        w0 * w1 - x0 * x1 - y0 * y1 - z0 * z1,
        w0 * x1 + x0 * w1 + y0 * z1 - z0 * y1,
        w0 * y1 - x0 * z1 + y0 * w1 + z0 * x1,
        w0 * z1 + x0 * y1 - y0 * x1 + z0 * w1,
    )
    np.testing.assert_allclose(swap_attitude(ned), [math.cos(half), 0, -math.sin(half), 0], atol=1e-12)
