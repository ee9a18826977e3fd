"""The chain agrees with MuJoCo, and with its own finite differences; bad descriptions are refused in words."""

import mujoco
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ashore.datasets.errors import UnreadableFile
from ashore.datasets.rotations import matrix_from_quat, quat_from_matrix
from ashore.sim.errors import UnknownModelName
from ashore.sim.kinematics import Chain, chain_from_model
from ashore.sim.robots import make_arm

ARM = make_arm("panda")
MODEL = ARM.alone()
BASE_BODY, TOOL_SITE, HOME_RAD = ARM.spec.base, ARM.spec.tool, ARM.spec.home_rad
POSITION_LOW_RAD, POSITION_HIGH_RAD = (ARM.card.commands[0].low or (), ARM.card.commands[0].high or ())
CHAIN = chain_from_model(MODEL, BASE_BODY, TOOL_SITE)
joints = st.tuples(*(st.floats(low, high) for low, high in zip(POSITION_LOW_RAD, POSITION_HIGH_RAD, strict=True)))


def test_pose_and_jacobian_are_those_of_mujoco() -> None:
    model = MODEL
    data, site = mujoco.MjData(model), model.site(TOOL_SITE).id
    q = np.random.default_rng(0).uniform(POSITION_LOW_RAD, POSITION_HIGH_RAD, (40, 7))
    pos, quat, jacobian = CHAIN.jacobian(q)
    linear, angular = np.zeros((3, model.nv)), np.zeros((3, model.nv))
    for i in range(len(q)):
        data.qpos[:7] = q[i]
        mujoco.mj_forward(model, data)
        mujoco.mj_jacSite(model, data, linear, angular, site)
        np.testing.assert_allclose(pos[i], data.site_xpos[site], atol=1e-12)
        np.testing.assert_allclose(matrix_from_quat(quat[i]), data.site_xmat[site].reshape(3, 3), atol=1e-12)
        np.testing.assert_allclose(jacobian[i], np.vstack([linear, angular])[:, :7], atol=1e-12)


def test_the_published_flange_height_stands_when_the_arm_is_stretched() -> None:
    # All joints at zero: a1 to a7 cancel but for the last 0.088 m, and the tool hangs d1 + d3 + d5 - flange - hand up.
    pos, _ = CHAIN.forward(np.zeros((1, 7)))
    np.testing.assert_allclose(pos[0], [0.088, 0.0, 0.333 + 0.316 + 0.384 - 0.107 - 0.1034], atol=1e-9)


@settings(max_examples=30, deadline=None)
@given(joints, st.integers(0, 6))
def test_jacobian_is_the_derivative_of_the_pose(q: tuple[float, ...], joint: int) -> None:
    here = np.array([q])
    step = 1e-6 * np.eye(7)[joint]
    before, after = CHAIN.forward(here - step), CHAIN.forward(here + step)
    jacobian = CHAIN.jacobian(here)[2][0, :, joint]
    np.testing.assert_allclose((after[0] - before[0])[0] / 2e-6, jacobian[:3], atol=1e-8)
    turned = matrix_from_quat(after[1][0]) @ matrix_from_quat(before[1][0]).T
    spin = np.array([turned[2, 1] - turned[1, 2], turned[0, 2] - turned[2, 0], turned[1, 0] - turned[0, 1]]) / 2
    np.testing.assert_allclose(spin / 2e-6, jacobian[3:], atol=1e-8)


def test_a_row_does_not_depend_on_the_batch() -> None:
    q = np.random.default_rng(1).uniform(POSITION_LOW_RAD, POSITION_HIGH_RAD, (5, 7))
    for whole, alone in zip(CHAIN.jacobian(q), CHAIN.jacobian(q[3:4]), strict=True):
        np.testing.assert_array_equal(whole[3:4], alone)


def test_a_chain_survives_json() -> None:
    assert Chain.from_mapping(CHAIN.to_mapping()) == CHAIN
    assert CHAIN.n_joints == len(HOME_RAD)


@pytest.mark.parametrize("broken", [{}, {"links": [{"pos_m": [0, 0], "quat_wxyz": [1, 0, 0, 0], "axis": None}]}])
def test_a_broken_chain_is_refused(broken: dict[str, object]) -> None:
    with pytest.raises(UnreadableFile, match="kinematic chain"):
        Chain.from_mapping(broken)


def test_unknown_names_are_told_with_the_closest() -> None:
    with pytest.raises(UnknownModelName, match="Did you mean 'panda_tcp'"):
        chain_from_model(MODEL, BASE_BODY, "panda_tpc")
    with pytest.raises(UnknownModelName, match="Did you mean 'panda_base'"):
        chain_from_model(MODEL, "panda_bse", TOOL_SITE)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=4, max_size=4).filter(lambda q: np.linalg.norm(q) > 0.1))
def test_quaternions_survive_the_matrix_but_for_their_sign(raw: list[float]) -> None:
    quat = np.array(raw) / np.linalg.norm(raw)
    assert abs(float(quat @ quat_from_matrix(matrix_from_quat(quat)))) == pytest.approx(1.0, abs=1e-12)
