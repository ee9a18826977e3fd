"""Codecs of the standard messages: what is written is read back, quaternions change order once, joints go by name."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("rclpy", reason="the ROS 2 packages are not installed")

from ashore.real.errors import InvalidMessage, MissingRos
from ashore.real.mapping import Binding, Channel, RobotMapping
from ashore.real.messages import MESSAGES, message_class

NUMBER = st.floats(-1e6, 1e6, allow_nan=False)
JOINTS = tuple(f"panda_joint{i}" for i in range(1, 8))
ROUND_TRIP = [(kind, field) for kind, fields in MESSAGES.items() for field in fields]


def vectors(size: int) -> st.SearchStrategy[list[float]]:
    return st.lists(NUMBER, min_size=size, max_size=size)


@st.composite
def quaternions(draw: st.DrawFn) -> np.ndarray:
    values = np.array(draw(st.lists(st.floats(-1, 1), min_size=4, max_size=4)))
    norm = float(np.linalg.norm(values))
    return values / norm if norm > 0.1 else np.array([1.0, 0.0, 0.0, 0.0])


@pytest.mark.parametrize(("kind", "field"), ROUND_TRIP)
@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_every_field_of_every_type_is_read_back(kind: str, field: str, data: st.DataObject) -> None:
    width = MESSAGES[kind][field].width
    names = JOINTS if width is None else ()
    scale = data.draw(st.sampled_from([1.0, 2.0, -0.5, 1e-3]))
    values = np.array(data.draw(quaternions() if field == "orientation" else vectors(width or len(names))))
    channel = Channel("topic", kind, (Binding("feature", field, names, 1.0 if field == "orientation" else scale),))
    back = channel.read(channel.write({"feature": values}))["feature"]
    np.testing.assert_allclose(back, values, rtol=1e-12, atol=1e-9)


@given(quat=quaternions(), linear=vectors(3), angular=vectors(3), position=vectors(3))
@settings(max_examples=50, deadline=None)
def test_odometry_keeps_its_twist_in_the_child_frame(quat, linear, angular, position) -> None:
    channel = RobotMapping.named("crazyflie").observations[0]
    values = {
        "pos_world_m": np.array(position),
        "quat_world_wxyz": quat,
        "linvel_world_m_s": np.array(linear),
        "angvel_body_rad_s": np.array(angular),
    }
    message = channel.write(values)
    w, x, y, z = quat
    rotation = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
    twist = message.twist.twist.linear
    np.testing.assert_allclose([twist.x, twist.y, twist.z], rotation.T @ np.array(linear), rtol=1e-9, atol=1e-6)
    back = channel.read(message)
    for name, value in values.items():
        np.testing.assert_allclose(back[name], value, rtol=1e-9, atol=1e-6)


def test_a_pose_is_xyzw_in_the_message_and_wxyz_in_the_feature() -> None:
    channel = Channel("pose", "geometry_msgs/PoseStamped", (Binding("quat_wxyz", "orientation"),))
    message = channel.write({"quat_wxyz": np.array([0.1, 0.3, 0.5, math.sqrt(1 - 0.35)])})
    assert (message.pose.orientation.w, message.pose.orientation.x) == (0.1, 0.3)


def test_joints_are_found_by_name_in_every_order() -> None:
    channel = RobotMapping.named("panda").observations[0]
    positions, velocities = np.arange(7.0), -np.arange(7.0)
    orders = list(itertools.permutations(range(7)))
    for order in orders[:: len(orders) // 500]:
        message = message_class("sensor_msgs/JointState")()
        message.name = [JOINTS[i] for i in order] + ["panda_finger_joint1"]
        message.position = [*positions[list(order)], 0.02]
        message.velocity = [*velocities[list(order)], 0.0]
        read = channel.read(message)
        np.testing.assert_array_equal(read["joint_pos_rad"], positions)
        np.testing.assert_array_equal(read["joint_vel_rad_s"], velocities)


def test_the_gripper_in_the_middle_does_not_shift_the_joints() -> None:
    message = message_class("sensor_msgs/JointState")()
    message.name = [*JOINTS[:3], "panda_finger_joint1", *JOINTS[3:]]
    message.position = [0.0, 1.0, 2.0, 99.0, 3.0, 4.0, 5.0, 6.0]
    message.velocity = [0.0] * 8
    read = RobotMapping.named("panda").observations[0].read(message)
    np.testing.assert_array_equal(read["joint_pos_rad"], np.arange(7.0))


@pytest.mark.parametrize(
    ("names", "positions", "text"),
    [
        (JOINTS[:6], [0.0] * 6, "joints ['panda_joint7'] are missing"),
        ((*JOINTS[:6], JOINTS[0]), [0.0] * 7, "a joint is named twice"),
        (JOINTS, [0.0] * 5, "5 numbers in 'position' for 7 names"),
        (tuple(f"fr3_joint{i}" for i in range(1, 8)), [0.0] * 7, "are missing"),
    ],
)
def test_joint_states_that_do_not_fit_are_refused(names, positions, text) -> None:
    message = message_class("sensor_msgs/JointState")()
    message.name, message.position, message.velocity = list(names), positions, [0.0] * len(names)
    with pytest.raises(InvalidMessage, match=text.replace("[", r"\[").replace("]", r"\]")):
        RobotMapping.named("panda").observations[0].read(message)


def test_a_pose_in_another_frame_is_refused() -> None:
    channel = RobotMapping.named("panda").observations[2]
    message = message_class("geometry_msgs/PoseStamped")()
    message.header.frame_id = "camera"
    with pytest.raises(InvalidMessage, match=r"its frame is 'camera'\. Expected frame 'base'"):
        channel.read(message)


@pytest.mark.parametrize("norm", [0.0, 2.0, math.nan, math.inf])
def test_a_quaternion_that_is_no_rotation_is_refused(norm: float) -> None:
    channel = Channel("pose", "geometry_msgs/PoseStamped", (Binding("quat_wxyz", "orientation"),))
    message = message_class("geometry_msgs/PoseStamped")()
    message.pose.orientation.w = norm
    with pytest.raises(InvalidMessage, match="quaternion has norm"):
        channel.read(message)


def test_a_trajectory_holds_one_point_to_be_reached_at_once_and_no_stamp() -> None:
    channel = RobotMapping.named("panda").commands[0]
    message = channel.write({"joint_target_rad": np.arange(7.0)}, message_class("builtin_interfaces/Time")(sec=5))
    assert (message.header.stamp.sec, message.points[0].time_from_start.nanosec) == (0, 20_000_000)
    message.points = []
    with pytest.raises(InvalidMessage, match="it holds no point"):
        channel.read(message)


def test_a_message_package_that_is_not_installed_is_named_with_the_way_out() -> None:
    with pytest.raises(MissingRos, match=r"cannot load 'control_msgs'.*ashore\[ros\]"):
        message_class("control_msgs/GripperCommand")
