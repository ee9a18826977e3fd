"""Mapping files: the shipped ones fit, faulty ones are refused with every fault at once."""

import math
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ashore.datasets.contract import Contract, Feature
from ashore.datasets.errors import ContractMismatch, UnknownName, UnreadableFile
from ashore.real.errors import InvalidMapping, RobotMismatch
from ashore.real.mapping import ROBOTS_DIR, RobotMapping, mapping_names
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

ROBOTS = {
    **{
        name: name
        for name in ("crazyflie", "crazyswarm2", "fr3", "mavlink", "mavros", "panda", "so101", "ur5e", "xarm7")
    },
    "fr3_forward": "fr3",
    "ur5e_driver": "ur5e",
}
"""Mappings that ship, with the robots that they are of."""


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


def test_the_shipped_mappings_load_and_are_named_for_their_robots() -> None:
    assert set(ROBOTS) == set(mapping_names())
    assert {name: RobotMapping.named(name).robot for name in mapping_names()} == ROBOTS


@pytest.mark.parametrize("name", sorted(set(ROBOTS) - {"panda", "ur5e", "crazyflie"}))
def test_a_mapping_of_a_real_driver_says_where_its_names_come_from_and_what_is_not_confirmed(name: str) -> None:
    comments = "\n".join(
        line for line in (ROBOTS_DIR / f"{name}.yaml").read_text().splitlines() if line.startswith("#")
    )
    assert re.search(r"Not (tried on hardware|flown)", comments)
    assert re.search(r"\(?[\w-]+/[\w-]+, |fr3\.yaml|real/nodes/bridge\.py", comments)


@pytest.mark.parametrize("name", ["fr3", "fr3_forward"])
def test_an_fr3_is_told_the_same_joints_either_way(name: str) -> None:
    commands = RobotMapping.named(name).commands
    joints = {binding.feature: binding.names for channel in commands for binding in channel.bindings}
    assert joints["joint_target_rad"] == tuple(f"fr3_joint{i}" for i in range(1, 8))


def test_the_file_on_the_page_about_it_is_a_good_one(tmp_path: Path) -> None:
    page = (ROBOTS_DIR.parents[1] / "docs/robot_mapping.md").read_text()
    mapping = load(tmp_path, page.partition("```yaml\n")[2].partition("```")[0])
    assert mapping.robot == "my_arm" and len(mapping.observations) == 2


def test_a_file_of_ones_own_is_loaded_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "my_robot.yaml"
    path.write_text(GOOD)
    assert RobotMapping.named(str(path)) == RobotMapping.load(path)
    with pytest.raises(UnreadableFile, match="a robot's mapping in YAML"):
        RobotMapping.named(str(tmp_path / "none.yaml"))


@pytest.mark.parametrize("arm", ARMS)
def test_each_arm_that_ships_can_do_its_task_over_its_topics(arm: str) -> None:
    task = make_task(f"arm/pick-place@{arm}")
    interface = make_interface(task.robot.card.interface)
    mapping = RobotMapping.named(arm)
    mapping.check(task.contract, task.robot.card, derived=interface.derived)
    with pytest.raises(RobotMismatch):
        mapping.check(task.contract, replace(task.robot.card, name="another"), derived=interface.derived)


def test_an_unknown_mapping_is_refused_with_the_closest() -> None:
    text = r"no robot mapping \(or a path that ends in .yaml\) 'pandas'\. Valid: 'crazyflie', .* Did you mean 'panda'\?"
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
        ("position, names: [a, b]", "position, names: [a, b], scale: .nan", "nan; expected a number other than 0"),
        ("position, names: [a, b]", "position, names: [a, b], scale: -.inf", "-inf; expected a number other than 0"),
        ("position, names: [a, b]", "position, names: [a, 2]", "expected a list of names"),
        ("position, names: [a, b]", "position, names: a", "expected a list of names"),
        ("position, names: [a, b]", "position, name: [a, b]", "Did you mean 'names'"),
        ("position, names: [a, b]", "positions, names: [a, b]", "Did you mean 'position'"),
        ("    type: sensor_msgs", "    rate_hz: .nan\n    type: sensor_msgs", "expected a positive number"),
        ("    type: sensor_msgs", f"    rate_hz: {10**400}\n    type: sensor_msgs", "expected a positive number"),
        ("    type: sensor_msgs", "    rate_hz: fast\n    type: sensor_msgs", "expected a positive number"),
        ("    type: sensor_msgs", "    rate_hz:\n    type: sensor_msgs", "None; expected a positive number"),
        ("    type: sensor_msgs", "    frame_id: 3\n    type: sensor_msgs", "3; expected a frame's name"),
        ("    type: sensor_msgs", "    reach_s: -1\n    type: sensor_msgs", "expected seconds"),
        ("sensor_msgs/JointState", "sensor_msgs/msg/JointState", "Did you mean 'sensor_msgs/JointState'"),
        ("  joint_states:", "  joint states:", "no topic's name"),
        ("robot: toy", "robot: a toy", "expected a name of letters"),
        ("robot: toy", "robot: 3", "expected a name of letters"),
        (
            "      joint_target_rad: {field: data, names: [a, b]}\n",
            "      joint_target_rad: {field: data, names: [a]}\n      more_rad: {field: data, names: [b]}\n",
            "features 'joint_target_rad' and 'more_rad' share 'data'",
        ),
        (
            "std_msgs/Float64MultiArray\n    features:\n      joint_target_rad: {field: data, names: [a, b]}\n",
            "geometry_msgs/Twist\n    features: {v_m_s: {field: linear}, climb_m_s: {field: linear.z}}\n",
            "features 'v_m_s' and 'climb_m_s' share 'linear.z'",
        ),
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


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6) | st.integers(), inner, max_size=3),
    max_leaves=6,
)


def places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value below a node."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from places(value, (*path, key))


@given(data=st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_stands_in_a_file_it_is_loaded_whole_or_its_faults_are_told(
    tmp_path: Path, data: st.DataObject
) -> None:
    raw = yaml.safe_load(GOOD)
    *way, last = data.draw(st.sampled_from(list(places(raw))))
    node = raw
    for key in way:
        node = node[key]
    node[last] = data.draw(PLAIN)
    try:
        mapping = load(tmp_path, yaml.safe_dump(raw))
    except (InvalidMapping, UnreadableFile) as fault:
        assert "fault(s)" in str(fault) or "YAML" in str(fault)
        return
    for channel in (*mapping.observations, *mapping.commands):
        for binding in channel.bindings:
            assert math.isfinite(binding.scale) and binding.scale != 0
            assert binding.width(channel.fields[binding.field]) > 0
