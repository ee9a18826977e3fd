"""The gap between the engines is as small as the servo's match makes it, and as large as contacts make it."""

import numpy as np
import pytest

from ashore.sim.robots import make_arm
from ashore.sim.tasks.pick_place import PickPlace
from ashore.sim.twin import gap


@pytest.mark.parametrize("arm", ["panda", "ur5e"])
def test_joints_step_alike(arm: str) -> None:
    trace = gap.joint_steps(PickPlace(make_arm(arm)))
    for values in trace.values.values():
        assert np.all(np.abs(values[:, -1] - gap.STEP_RAD) < 0.01)
    assert np.sqrt(np.mean(np.square(trace.difference()), axis=1)).max() < 0.005
    assert np.abs(trace.difference()).max() > 0


def test_a_sliding_cube_stops_where_coulomb_says_in_both() -> None:
    trace = gap.slide(PickPlace())
    for values in trace.values.values():
        np.testing.assert_allclose(values[:, -1], gap.stop_distances_m(), rtol=0.05)


def test_contacts_are_softer_in_mujoco_and_rest_alike() -> None:
    trace = gap.drop(PickPlace())
    dips = {name: float(-values.min()) for name, values in trace.values.items()}
    assert 0.0005 < dips["MuJoCo"] < 0.008 and dips["twin"] < dips["MuJoCo"]
    assert abs(float(trace.difference()[0, -1])) < 0.001


def test_a_push_brings_the_cube_along_and_apart() -> None:
    trace = gap.push(PickPlace())
    for values in trace.values.values():
        assert np.all(np.abs(values[:, -1, 0] - 0.1) < 0.01)
    assert 0.0005 < np.abs(trace.difference()[:, -1]).max() < 0.3
