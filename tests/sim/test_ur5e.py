"""The UR5e-class arm: its chain is the published one, it rests at home touching nothing, and the twin follows it."""

from pathlib import Path

import mujoco
import numpy as np
import pytest
from tests.playing import play

from ashore.datasets.rotations import matrix_from_quat
from ashore.sim.kinematics import chain_from_model
from ashore.sim.robots import make_arm
from ashore.sim.simulation import make_simulation
from ashore.sim.twin.engine import TwinEngine

MJCF_PATH = Path(__file__).parents[2] / "sim" / "robots" / "ur5e" / "ur5e.xml"
JOINTS = tuple(f"joint{number}" for number in range(1, 7))
FINGERS = ("finger_joint1", "finger_joint2")
HOME_RAD = np.array([-0.3007, -1.6927, 1.9236, -1.8017, -1.5708, -1.8715])
TOOL_M = 0.145
# Universal Robots, "DH Parameters for calculations of kinematics and dynamics", UR5e: a, d in m, alpha in rad.
A_M = (0.0, -0.425, -0.3922, 0.0, 0.0, 0.0)
D_M = (0.1625, 0.0, 0.0, 0.1333, 0.0997, 0.0996)
ALPHA_RAD = (np.pi / 2, 0.0, 0.0, np.pi / 2, -np.pi / 2, 0.0)


def published_pose(q: np.ndarray) -> np.ndarray:
    """The tool's pose (4, 4) by standard Denavit-Hartenberg matrices; the maker's base is half a turn away."""
    pose = np.diag([-1.0, -1.0, 1.0, 1.0])
    for angle, a, d, alpha in zip(q, A_M, D_M, ALPHA_RAD, strict=True):
        c, s, ca, sa = np.cos(angle), np.sin(angle), np.cos(alpha), np.sin(alpha)
        row = [[c, -s * ca, s * sa, a * c], [s, c * ca, -c * sa, a * s], [0.0, sa, ca, d], [0.0, 0.0, 0.0, 1.0]]
        pose = pose @ np.array(row)
    pose[:3, 3] += TOOL_M * pose[:3, 2]
    return pose


def test_the_tool_is_where_the_published_parameters_put_it() -> None:
    q = np.random.default_rng(0).uniform(-6.0, 6.0, (100, 6))
    pos, quat = chain_from_model(mujoco.MjModel.from_xml_path(str(MJCF_PATH)), "base", "tcp").forward(q)
    expected = np.array([published_pose(row) for row in q])
    np.testing.assert_allclose(pos, expected[:, :3, 3], atol=1e-9)
    np.testing.assert_allclose(matrix_from_quat(quat), expected[:, :3, :3], atol=1e-9)


def test_masses_and_torques_are_the_published_ones() -> None:
    model = mujoco.MjModel.from_xml_path(str(MJCF_PATH))
    masses = [float(model.body(f"link{number}").mass[0]) for number in range(1, 7)]
    assert masses == pytest.approx([3.761, 8.058, 2.846, 1.37, 1.3, 0.365])
    torques = [float(model.actuator(f"servo{number}").forcerange[1]) for number in range(1, 7)]
    assert torques == [150.0, 150.0, 150.0, 28.0, 28.0, 28.0]


def test_home_is_a_pose_of_rest_above_the_table_without_a_contact() -> None:
    model = mujoco.MjModel.from_xml_path(str(MJCF_PATH))
    data = mujoco.MjData(model)
    data.qpos[:6], data.qpos[6:], data.ctrl[:] = HOME_RAD, 0.0425, [*HOME_RAD, 0.085]
    mujoco.mj_forward(model, data)
    assert data.ncon == 0
    np.testing.assert_allclose(data.site("tcp").xpos, [0.45, 0.0, 0.25], atol=1e-4)
    np.testing.assert_allclose(data.site("tcp").xmat, [1, 0, 0, 0, -1, 0, 0, 0, -1], atol=1e-4)
    mujoco.mj_step(model, data, 500)
    np.testing.assert_allclose(data.qpos[:6], HOME_RAD, atol=1e-6)


def test_no_singularity_is_near_in_the_workspace() -> None:
    chain = chain_from_model(mujoco.MjModel.from_xml_path(str(MJCF_PATH)), "base", "tcp")
    axes = np.linspace(0.3, 0.65, 6), np.linspace(-0.3, 0.3, 5), np.linspace(0.0, 0.4, 4)
    goals = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    q = np.repeat(HOME_RAD[None], len(goals), axis=0)
    for _ in range(200):
        pos, quat, jacobian = chain.jacobian(q)
        matrix = matrix_from_quat(quat)
        turn = np.sum(np.cross(matrix, np.diag([1.0, -1.0, -1.0])[None], axis=1), axis=2) / 2
        wanted = np.concatenate([goals - pos, turn], axis=1)
        transpose = jacobian.transpose(0, 2, 1)
        gram = jacobian @ transpose + 1e-4 * np.eye(6)
        q = q + np.clip((transpose @ np.linalg.solve(gram, wanted[..., None]))[..., 0], -0.2, 0.2)
    pos, quat, jacobian = chain.jacobian(q)
    np.testing.assert_allclose(pos, goals, atol=1e-4)
    np.testing.assert_allclose(matrix_from_quat(quat)[:, 2, 2], -1.0, atol=1e-4)
    assert np.linalg.svd(jacobian)[1].min() > 0.1
    assert np.all(np.abs(q - HOME_RAD) < 1.6)


def test_the_gripper_opens_to_its_width_and_closes_evenly() -> None:
    model = mujoco.MjModel.from_xml_path(str(MJCF_PATH))
    data = mujoco.MjData(model)
    data.qpos[:6], data.ctrl[:] = HOME_RAD, [*HOME_RAD, 0.085]
    for width in (0.085, 0.03):
        data.ctrl[6] = width
        mujoco.mj_step(model, data, 750)
        left, right = data.qpos[6:]
        assert left + right == pytest.approx(width, abs=5e-4)
        assert left == pytest.approx(right, abs=2e-4)


def test_its_expert_places_cubes_in_wide_draws_within_its_speeds() -> None:
    played = play(make_simulation("arm/pick-place@ur5e", 40, "wide"), seed=3)
    assert played.success.mean() >= 0.95
    assert np.all(played.fastest_rad_s < make_arm("ur5e").spec.velocity_rad_s)


def test_the_twin_follows_the_same_targets() -> None:
    model = mujoco.MjModel.from_xml_path(str(MJCF_PATH))
    model.opt.integrator = int(mujoco.mjtIntegrator.mjINT_IMPLICITFAST)
    data, rng = mujoco.MjData(model), np.random.default_rng(0)
    data.qpos[:6], data.qpos[6:] = HOME_RAD, 0.0425
    everything, one, errors = (*JOINTS, *FINGERS), np.array([0]), []
    with TwinEngine(MJCF_PATH, 1) as twin:
        twin.place_joints(one, everything, data.qpos[None])
        for _ in range(4):
            data.ctrl[:] = [*(HOME_RAD + rng.uniform(-0.3, 0.3, 6)), rng.uniform(0.0, 0.085)]
            twin.actuate(data.ctrl[None])
            for _ in range(15):
                twin.advance(10)
                mujoco.mj_step(model, data, 10)
                errors.append(twin.joint_pos(everything)[0] - data.qpos)
    assert np.sqrt(np.mean(np.square(errors))) < 2e-3
