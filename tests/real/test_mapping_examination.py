"""`ashore doctor robot-mapping` against drivers in processes of their own, over real DDS: sound, broken, absent."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="the ROS 2 packages are not installed")

from ashore.cli.main import main
from ashore.real.examination.examine import ExaminationConfig, examine_mapping
from ashore.real.examination.findings import Finding
from ashore.real.examination.listening import clash
from ashore.real.network import applied, environment, own_domain

DRIVER = Path(__file__).with_name("robot_process.py")
GOOD = """
robot: toy
observations:
  joint_states:
    type: sensor_msgs/JointState
    features: {joint_pos_rad: {field: position, names: [a, b]}}
  goal:
    type: geometry_msgs/PoseStamped
    frame_id: base
    features: {goal_pos_base_m: {field: position}, goal_quat_base_wxyz: {field: orientation}}
commands:
  targets:
    type: std_msgs/Float64MultiArray
    features: {joint_target_rad: {field: data, names: [a, b]}}
"""
JOINTS = ("degrees", "missing", "nan", "twice", "typed", "absent")
POSES = ("frame", "norm", "millimetres", "future", "backwards", "unstamped")


def broken_mapping() -> str:
    lines = ["robot: toy", "observations:"]
    for name in JOINTS:
        field = f"{name}_rad: {{field: position, names: [a, b]}}"
        lines += [f"  {name}: {{type: sensor_msgs/JointState, features: {{{field}}}}}"]
    lines += ["  slow:", "    type: sensor_msgs/JointState", "    rate_hz: 200"]
    lines += ["    features: {slow_rad: {field: position, names: [a, b]}}"]
    for name in POSES:
        fields = f"{name}_pos_m: {{field: position}}, {name}_wxyz: {{field: orientation}}"
        lines += [f"  {name}: {{type: geometry_msgs/PoseStamped, frame_id: base, features: {{{fields}}}}}"]
    lines += ["commands:"]
    for name in ("contested", "latched", "unheard"):
        field = f"{name}_rad: {{field: data, names: [a, b]}}"
        lines += [f"  {name}: {{type: std_msgs/Float64MultiArray, features: {{{field}}}}}"]
    return "\n".join(lines)


@pytest.fixture(autouse=True)
def on_this_host() -> Iterator[None]:
    with own_domain() as domain_id, applied(environment("loopback", domain_id)):
        yield


@contextmanager
def driver(kind: str, namespace: str = "toy") -> Iterator[None]:
    with subprocess.Popen([sys.executable, str(DRIVER), kind, namespace], stdout=subprocess.PIPE) as running:
        assert running.stdout is not None and running.stdout.readline() == b"ready\n"
        try:
            yield
        finally:
            running.kill()


def written(folder: Path, text: str) -> str:
    path = folder / "toy.yaml"
    path.write_text(text)
    return str(path)


def wrong(findings: list[Finding]) -> dict[str, dict[str, Finding]]:
    """What was found, by topic and by what it is about."""
    found: dict[str, dict[str, Finding]] = {}
    for each in findings:
        if each.state != "good":
            found.setdefault(each.where.rpartition("/")[2], {})[each.what] = each
    return found


def test_a_sound_robot_has_no_finding_but_perhaps_a_busy_machines_gaps(tmp_path: Path) -> None:
    with driver("good"):
        findings = examine_mapping(ExaminationConfig(written(tmp_path, GOOD), seconds=2.0))
    assert {finding.what for finding in findings if finding.state != "good"} <= {"rate"}, findings
    told = {(each.where, each.what): each.detail for each in findings}
    assert told["/toy/joint_states", "joints"] == "all there; in another order, matched by name; beside them 'gripper'"
    assert "Hz, jitter p99" in told["/toy/joint_states", "rate"]
    assert "behind this host's clock" in told["/toy/goal", "clock"]
    assert told["/toy/targets", "topic"] == "taken by /toy/driver"


def test_each_fault_of_a_broken_robot_is_found_on_its_topic_with_a_way_out(tmp_path: Path) -> None:
    with driver("broken"):
        findings = examine_mapping(ExaminationConfig(written(tmp_path, broken_mapping()), seconds=2.5))
    found = wrong(findings)
    assert "0.01745" in found["degrees"]["degrees_rad"].advice
    assert found["missing"]["joints"].detail == "missing: 'b'"
    assert "NaN or infinite in element 1" in found["nan"]["nan_rad"].detail
    assert "a name twice" in found["twice"]["joints"].detail
    assert found["frame"]["frame"].detail == "'camera'; the mapping says 'base'"
    assert "its quaternion has norm 2" in found["norm"]["messages"].detail
    assert "scale: 0.001" in found["millimetres"]["millimetres_pos_m"].advice
    assert "ahead of this host's clock" in found["future"]["clock"].detail
    assert "older than the one before" in found["backwards"]["stamps"].detail
    assert found["unstamped"]["stamps"].detail == "all are zero"
    assert found["typed"]["type"].detail == "/toy/driver has std_msgs/String; the mapping says sensor_msgs/JointState"
    assert "raise it to 200 Hz" in found["slow"]["rate"].advice
    assert found["absent"]["topic"].detail == "nobody sends it" and "/toy/degrees" in found["absent"]["topic"].advice
    assert found["contested"]["senders"].detail == "2: /toy/driver, /toy/driver"
    quality = found["latched"]["quality"].detail
    assert quality == "/toy/driver: durability TRANSIENT_LOCAL is asked for, VOLATILE offered"
    assert found["unheard"]["topic"].detail == "nobody takes it"
    assert set(found) == {*JOINTS, *POSES, "slow", "contested", "latched", "unheard"}
    assert all(finding.advice for topic in found.values() for finding in topic.values())


def test_another_namespace_is_seen_and_the_exit_code_tells(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(tmp_path, GOOD)
    with driver("good", "elsewhere"):
        assert main(["doctor", "robot-mapping", file, "--seconds", "1.5", "--json"]) == 1
    rows = json.loads(capsys.readouterr().out)
    absent = next(row for row in rows if row["where"] == "/toy/joint_states")
    assert absent["state"] == "broken" and "Did you mean '/elsewhere/joint_states'?" in absent["advice"]


def test_a_file_alone_needs_no_robot_and_a_wrong_one_ends_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", "robot-mapping", written(tmp_path, GOOD), "--seconds", "0"]) == 0
    assert main(["doctor", "robot-mapping", "fr3_forward", "--seconds", "0"]) == 0
    assert main(["doctor", "robot-mapping", written(tmp_path, GOOD + "extra: 1"), "--seconds", "0"]) == 2
    assert "unknown key 'extra'" in capsys.readouterr().err
    assert main(["doctor", "robot-mapping", str(tmp_path / "none.yaml"), "--seconds", "0"]) == 2
    assert main(["doctor", "robot-mapping", "fr3", "--namespace", "my robot"]) == 2
    assert "'my robot' is no ROS namespace" in capsys.readouterr().err
    (tmp_path / "mine.yml.txt").write_text(GOOD)
    assert main(["doctor", "robot-mapping", str(tmp_path / "mine.yml.txt"), "--seconds", "0"]) == 2
    assert "does not end in .yaml" in capsys.readouterr().err


def test_topics_without_a_namespace_are_looked_at_by_a_slash(tmp_path: Path) -> None:
    with driver("good", "/"):
        findings = examine_mapping(ExaminationConfig(written(tmp_path, GOOD), namespace="/", seconds=1.5))
    assert {finding.what for finding in findings if finding.state != "good"} <= {"rate"}, findings
    assert {finding.where for finding in findings} == {"file", "/joint_states", "/goal", "/targets"}


def test_qualities_are_compared_as_the_middleware_does() -> None:
    from rclpy.qos import DurabilityPolicy, QoSCompatibility, QoSProfile, ReliabilityPolicy, qos_check_compatible

    profiles = [
        QoSProfile(depth=1, reliability=reliability, durability=durability)
        for reliability in (ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT)
        for durability in (DurabilityPolicy.VOLATILE, DurabilityPolicy.TRANSIENT_LOCAL)
    ]
    for offered in profiles:
        for requested in profiles:
            is_wrong = qos_check_compatible(offered, requested)[0] == QoSCompatibility.ERROR
            assert bool(clash(offered, requested)) is is_wrong


def test_a_bundle_is_compared_before_any_topic(hover_bundle: Path, tmp_path: Path) -> None:
    config = ExaminationConfig("crazyflie", hover_bundle, seconds=0.0)
    assert [finding.state for finding in examine_mapping(config)] == ["good", "good"]
    slow = GOOD.replace("  goal:\n", "  goal:\n    rate_hz: 5\n")
    everything = wrong(examine_mapping(ExaminationConfig(written(tmp_path, slow), hover_bundle, seconds=0.0)))
    assert everything["goal"]["rate"].detail == "5 Hz, while the card's timeout is 100 ms"
    found = everything["bundle"]
    assert found["robot"].detail == "made for 'crazyflie'; the mapping is of 'toy'"
    assert found["observations.pos_world_m"].detail == "present against no topic"
    assert found["commands.rate_body_rad_s"].advice == "add it to the mapping"
