"""Mapping files: the shipped ones fit, faulty ones are refused with every fault at once."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from ashore.datasets.contract import Contract, Feature
from ashore.datasets.errors import ContractMismatch, UnknownName, UnreadableFile
from ashore.real.errors import InvalidMapping, RobotMismatch
from ashore.real.mapping import RobotMapping, mapping_names
from ashore.sim.interfaces import make_interface
from ashore.sim.robot import CommandLimits, RobotCard
from ashore.sim.robots import ARMS
from ashore.sim.tasks import make_task

GOOD = """
robot: toy
observations:
  joint_states:
    type: sensor_msgs/JointState
    features:
      joint_pos_rad: {field: position, names: [a, b]}
commands:
  targets:
    type: std_msgs/Float64MultiArray
    features:
      joint_target_rad: {field: data, names: [a, b]}
"""


def contract(*observations: Feature) -> Contract:
    return Contract("toy", "toy/task", observations, (Feature("action", (2,), "rad", "joint"),), 25.0)


def card(name: str = "toy", size: int = 2) -> RobotCard:
    limits = CommandLimits((-1.0,) * size, (1.0,) * size, (1.0,) * size, (None,) * size, (None,) * size)
    command = Feature("joint_target_rad", (size,), "rad", "joint")
    return RobotCard(name, 50.0, (command,), limits, {"kind": "direct", "actions": ["action"]})


def load(folder: Path, text: str) -> RobotMapping:
    path = folder / "toy.yaml"
    path.write_text(text)
    return RobotMapping.load(path)


def test_the_shipped_mappings_load() -> None:
    assert mapping_names() == ["crazyflie", "panda", "ur5e"]
    for name in mapping_names():
        assert RobotMapping.named(name).robot == name


@pytest.mark.parametrize("arm", ARMS)
def test_each_arm_that_ships_can_do_its_task_over_its_topics(arm: str) -> None:
    task = make_task(f"arm/pick-place@{arm}")
    interface = make_interface(task.robot.card.interface)
    mapping = RobotMapping.named(arm)
    mapping.check(task.contract, task.robot.card, derived=interface.derived)
    with pytest.raises(RobotMismatch):
        mapping.check(task.contract, replace(task.robot.card, name="another"), derived=interface.derived)


def test_an_unknown_mapping_is_refused_with_the_closest() -> None:
    text = re.escape("no robot mapping 'pandas'. Valid: 'crazyflie', 'panda', 'ur5e'. Did you mean 'panda'?")
    with pytest.raises(UnknownName, match=text):
        RobotMapping.named("pandas")


def test_features_that_fit_pass_and_derived_ones_need_no_topic(tmp_path: Path) -> None:
    mapping = load(tmp_path, GOOD)
    given = contract(Feature("joint_pos_rad", (2,), "rad", "joint"), Feature("tcp_pos_m", (3,), "m", "base"))
    mapping.check(given, card(), derived=("tcp_pos_m",))
    assert [channel.topic for channel in mapping.observing(["joint_pos_rad"])] == ["joint_states"]


def test_every_feature_without_its_place_is_listed_at_once(tmp_path: Path) -> None:
    mapping = load(tmp_path, GOOD)
    given = contract(Feature("joint_pos_rad", (3,), "rad", "joint"), Feature("force_n", (3,), "N", "tcp"))
    with pytest.raises(ContractMismatch) as caught:
        mapping.check(given, card(size=4), derived=())
    text = str(caught.value)
    assert "disagree on 3 field(s)" in text
    assert "observations.joint_pos_rad: 3 elements against 2" in text
    assert "observations.force_n: present against no topic -> add it to the mapping" in text
    assert "commands.joint_target_rad: 4 elements against 2" in text


def test_a_bundle_of_another_robot_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RobotMismatch, match="made for robot 'fr3' and meets robot 'toy'"):
        load(tmp_path, GOOD).check(contract(Feature("joint_pos_rad", (2,), "rad", "joint")), card("fr3"), ())


def test_all_faults_of_a_file_are_listed_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("type: sensor_msgs/JointState", "type: sensor_msgs/JointStates\n    speed: 3")
    text = text.replace("field: data, names: [a, b]", "field: dat, scales: 2") + "extra: 1\n"
    with pytest.raises(InvalidMapping) as caught:
        load(tmp_path, text)
    message = str(caught.value)
    for part in (
        "unknown key 'extra'",
        "unknown key 'speed'",
        "Did you mean 'sensor_msgs/JointState'?",
        "unknown key 'scales'",
    ):
        assert part in message
    assert "joint_target_rad.field: 'dat'; valid: 'data'" in message


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("names: [a, b]}\ncommands", "names: [a, a]}\ncommands", "a name stands there twice"),
        ("position, names: [a, b]", "position", "missing; one name an element"),
        ("position, names: [a, b]", "position, names: [a, b], scale: 0", "expected a number other than 0"),
        ("    type: sensor_msgs", "    rate_hz: -5\n    type: sensor_msgs", "expected a positive number"),
        ("    type: std_msgs", "    frame_id: base\n    type: std_msgs", "carries no frame"),
        ("robot: toy\n", "", "key 'robot' is missing"),
        ("      joint_target_rad: {field: data, names: [a, b]}\n", "      {}\n", "expected at least one feature"),
    ],
)
def test_each_fault_is_named(tmp_path: Path, old: str, new: str, fault: str) -> None:
    assert old in GOOD
    with pytest.raises(InvalidMapping, match=fault):
        load(tmp_path, GOOD.replace(old, new))


@pytest.mark.parametrize("text", ["{unclosed", "!!python/object/apply:os.getcwd []"])
def test_what_is_no_plain_yaml_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(UnreadableFile, match="a robot's mapping in YAML"):
        load(tmp_path, text)


def test_a_list_instead_of_a_mapping_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidMapping, match="holds list; expected the keys 'robot', 'observations', 'commands'"):
        load(tmp_path, "[1, 2]")
