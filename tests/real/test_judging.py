"""Whatever comes on a topic is judged without a fault of our own, and what must not pass never does."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("rclpy", reason="the ROS 2 packages are not installed")

from ashore.real.examination.findings import Finding
from ashore.real.examination.judging import Expected, judge
from ashore.real.examination.listening import Endpoint, Heard, Sample
from ashore.real.mapping import Binding, Channel
from ashore.real.messages import message_class

WIDE = st.floats(width=64)
STAMP = st.integers(0, 2**31 - 1)
DRIVER = Endpoint("/driver", "sensor_msgs/JointState", "")


def heard(channel: Channel, messages: list, period_s: float = 0.02, wall_ns: int = 10**18) -> Heard:
    samples = [Sample(i * period_s, wall_ns + int(1e9 * i * period_s), message) for i, message in enumerate(messages)]
    return Heard(channel, f"/{channel.topic}", False, (Endpoint("/driver", channel.type, ""),), (), samples)


def joints(*names: str, unit: str = "joint_pos_rad") -> Channel:
    return Channel("joint_states", "sensor_msgs/JointState", (Binding(unit, "position", names),))


def state(names, positions, stamp_s: float = 1e9):
    message = message_class("sensor_msgs/JointState")()
    message.name, message.position = list(names), [float(position) for position in positions]
    message.header.stamp.sec = int(stamp_s)
    message.header.stamp.nanosec = int(1e9 * (stamp_s % 1.0))
    return message


def stamped(positions, period_s: float = 0.02, offset_s: float = 0.0):
    return [state("ab", position, 1e9 + i * period_s + offset_s) for i, position in enumerate(positions)]


def wrong(findings) -> dict[str, Finding]:
    return {finding.what: finding for finding in findings if finding.state != "good"}


@given(
    messages=st.lists(
        st.tuples(st.lists(st.sampled_from("abcd"), max_size=5), st.lists(WIDE, max_size=5), STAMP),
        min_size=1,
        max_size=8,
    )
)
@settings(max_examples=150, deadline=None)
def test_no_joint_state_whatsoever_ends_the_judging_and_nan_is_never_good(messages) -> None:
    made = [state(*message) for message in messages]
    findings = list(judge(heard(joints("a", "b"), made), Expected(50.0, 0.1)))
    values = [finding for finding in findings if finding.what == "joint_pos_rad"]
    if any(finding.state == "good" for finding in values):
        read = [position for names, position, _ in messages if len(names) == len(set(names)) == len(position)]
        assert read and all("inf" not in finding.detail and "nan" not in finding.detail for finding in values)


@given(quat=st.tuples(WIDE, WIDE, WIDE, WIDE))
@settings(max_examples=100, deadline=None)
def test_only_rotations_pass_as_orientations(quat) -> None:
    message = message_class("geometry_msgs/PoseStamped")()
    turn = message.pose.orientation
    turn.w, turn.x, turn.y, turn.z = quat
    channel = Channel("pose", "geometry_msgs/PoseStamped", (Binding("quat_wxyz", "orientation"),))
    is_rotation = (
        abs(math.sqrt(sum(value * value for value in quat)) - 1.0) <= 0.02 if max(map(abs, quat)) < 2 else False
    )
    assert ("messages" not in wrong(judge(heard(channel, [message] * 3), Expected()))) is is_rotation


def test_a_steady_topic_of_this_hosts_clock_is_good_in_every_respect() -> None:
    findings = list(judge(heard(joints("a", "b"), stamped([(0.1, 0.2)] * 20)), Expected(50.0, 0.1)))
    assert wrong(findings) == {} and {f.what for f in findings} == {
        "topic", "rate", "clock", "frame", "joints", "joint_pos_rad"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("period_s", "expected", "state"),
    [
        (0.02, Expected(50.0, 0.1), None),
        (0.02, Expected(100.0, 0.1), "broken"),
        (0.2, Expected(None, 0.1), "broken"),
        (0.2, Expected(), None),
    ],
)
def test_a_rate_is_judged_against_what_the_bundle_expects(
    period_s: float, expected: Expected, state: str | None
) -> None:
    found = wrong(judge(heard(joints("a", "b"), stamped([(0, 0)] * 20, period_s), period_s), expected))
    assert (found["rate"].state if "rate" in found else None) == state


@pytest.mark.parametrize(
    ("offset_s", "state"), [(0.0, None), (0.04, None), (0.06, "broken"), (-0.15, None), (-0.3, "odd"), (-9e8, "odd")]
)
def test_a_clock_ahead_is_a_fault_and_one_behind_is_told(offset_s: float, state: str | None) -> None:
    found = wrong(judge(heard(joints("a", "b"), stamped([(0, 0)] * 5, offset_s=offset_s)), Expected()))
    assert (found["clock"].state if "clock" in found else None) == state


def test_what_the_card_would_stop_on_is_told_before() -> None:
    expected = Expected(low={"joint_pos_rad": (-1.0, -1.0)}, high={"joint_pos_rad": (1.0, 1.0)})
    inside = wrong(judge(heard(joints("a", "b"), stamped([(1.0, -1.0)] * 3)), expected))
    outside = wrong(judge(heard(joints("a", "b"), stamped([(0.0, -1.1)] * 3)), expected))
    assert inside == {} and "outside of the card's bounds" in outside["joint_pos_rad"].detail


def test_a_finger_in_millimetres_and_a_frame_in_ned_are_told() -> None:
    found = wrong(judge(heard(joints("a", unit="gripper_width_m"), [state("a", [40.0]) for _ in range(3)]), Expected()))
    assert "scale: 0.001" in found["gripper_width_m"].advice
    message = state("a", [0.0])
    message.header.frame_id = "odom_ned"
    assert "NED or FRD" in wrong(judge(heard(joints("a"), [message] * 2), Expected()))["frame"].detail
