"""URDF made from MJCF: what it carries, and what it refuses."""

from pathlib import Path
from xml.etree import ElementTree

import mujoco
import numpy as np
import pytest

from ashore.sim.errors import UnsupportedModel
from ashore.sim.twin.model import colliding_pairs, friction_factors, read_servos
from ashore.sim.twin.urdf import body_name, make_urdf_trees


@pytest.fixture(scope="module")
def model(arm_path: Path) -> mujoco.MjModel:
    """The small arm, compiled."""
    return mujoco.MjModel.from_xml_path(str(arm_path))


def test_each_kinematic_tree_is_a_file_of_its_own(model: mujoco.MjModel) -> None:
    trees = {tree.name: tree for tree in make_urdf_trees(model)}
    assert list(trees) == ["world", "column", "cube"]
    assert [tree.fixed for tree in trees.values()] == [True, True, False]
    links = [link.get("name") for link in ElementTree.fromstring(trees["column"].text).iter("link")]
    assert links == ["anchor", "column", "boom", "hand", "left_finger", "right_finger"]


def test_masses_and_limits_are_the_models(model: mujoco.MjModel) -> None:
    arm = ElementTree.fromstring(make_urdf_trees(model, {"boom": 2.0})[1].text)
    for link in arm.iter("link"):
        name = link.get("name")
        if name != "anchor":
            mass = link.find("inertial/mass")
            assert mass is not None
            factor = 2.0 if name == "boom" else 1.0
            assert float(mass.get("value", "nan")) == pytest.approx(factor * model.body(name).mass[0], rel=1e-6)
    limits = {joint.get("name"): joint.find("limit") for joint in arm.iter("joint")}
    assert limits["left"] is not None
    assert float(limits["left"].get("upper", "nan")) == pytest.approx(0.04)


def test_geoms_without_contact_are_only_seen(model: mujoco.MjModel) -> None:
    arm = ElementTree.fromstring(make_urdf_trees(model)[1].text)
    counts = {
        link.get("name"): (len(link.findall("visual")), len(link.findall("collision"))) for link in arm.iter("link")
    }
    assert counts["hand"] == (1, 0)
    assert counts["left_finger"] == (1, 1)


def test_products_of_friction_are_the_larger_of_two(model: mujoco.MjModel) -> None:
    factors = dict(zip([body_name(model, b) for b in range(model.nbody)], friction_factors(model), strict=True))
    assert factors["world"] * factors["cube"] == pytest.approx(1.0, rel=1e-3)
    assert factors["left_finger"] * factors["cube"] == pytest.approx(1.2, rel=1e-3)


def test_a_gripper_servo_is_shared_by_both_fingers(model: mujoco.MjModel) -> None:
    servos = {servo.joint: servo for servo in read_servos(model)}
    assert set(servos) == {"turn", "raise", "bend", "left", "right"}
    assert servos["left"].kp == servos["right"].kp == pytest.approx(200.0)
    assert servos["right"].force_high == pytest.approx(10.0)


def test_neighbours_and_static_bodies_do_not_touch(model: mujoco.MjModel) -> None:
    pairs = {frozenset((body_name(model, a), body_name(model, b))) for a, b in colliding_pairs(model)}
    assert frozenset(("world", "cube")) in pairs
    assert frozenset(("left_finger", "right_finger")) in pairs
    assert not any("boom" in pair for pair in pairs)


BAD_XML = """
<mujoco>
  <asset><mesh name="shell" vertex="0 0 0 1 0 0 0 1 0 0 0 1"/></asset>
  <worldbody>
    <body name="ball"><joint name="ball_joint" type="ball"/><geom size="0.1"/></body>
    <body name="table"><joint type="slide"/><joint type="slide" axis="0 1 0"/>
      <geom name="hull" type="mesh" mesh="shell"/></body>
  </worldbody>
</mujoco>
"""


def test_what_cannot_be_expressed_is_listed_in_full() -> None:
    with pytest.raises(UnsupportedModel) as caught:
        make_urdf_trees(mujoco.MjModel.from_xml_string(BAD_XML))
    for part in (
        "'ball_joint': type ball; use three hinges",
        "'table': 2 joints",
        "'hull': shape mjGEOM_MESH; use box",
    ):
        assert part in str(caught.value)


def test_a_torque_motor_is_refused_with_the_way_out() -> None:
    xml = """<mujoco><worldbody><body><joint name="j"/><geom size="0.1"/></body></worldbody>
    <actuator><motor name="m" joint="j"/></actuator></mujoco>"""
    with pytest.raises(UnsupportedModel, match="actuator 'm': use a position servo"):
        read_servos(mujoco.MjModel.from_xml_string(xml))


def test_rotated_links_keep_their_pose_at_right_angles() -> None:
    xml = """<mujoco><worldbody><body name="a" quat="0.7071068 0 0.7071068 0"><joint name="j" axis="0 0 1"/>
    <geom type="box" size="0.1 0.2 0.3" quat="0.5 0.5 0.5 0.5"/></body></worldbody></mujoco>"""
    tree = make_urdf_trees(mujoco.MjModel.from_xml_string(xml))[1]
    assert np.allclose(tree.base_quat_world_wxyz, (np.sqrt(0.5), 0, np.sqrt(0.5), 0), atol=1e-6)
