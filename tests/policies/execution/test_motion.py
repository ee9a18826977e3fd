"""What the motion of set-points promises, apart from any robot."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ashore.policies.execution.motion import Bounds

exponent = st.floats(-3.0, 0.0)
share = st.floats(-1.0, 1.0)


@given(acceleration=exponent, jerk=exponent, rate=share, pull=share)
def test_no_braking_path_leads_farther_than_what_is_told_without_following_it(
    acceleration: float, jerk: float, rate: float, pull: float
) -> None:
    most = np.array([2.0 * 10.0**acceleration])
    bounds = Bounds(np.array([-np.inf]), np.array([np.inf]), np.ones(1), most, 2 * most * 10.0**jerk)
    v = np.array([rate])
    a = pull * np.minimum(bounds.acceleration, bounds.brakeable(1 - np.abs(v)))
    path = [abs(float(place[0])) for place in bounds.braked(np.zeros(1), v, a)]
    assert max(path, default=0.0) <= bounds.farthest(v, a)[0]
