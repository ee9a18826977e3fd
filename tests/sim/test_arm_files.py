"""Files of arms that are wrong are told so in words, all faults at once; models that say less are completed."""

import warnings
from collections.abc import Mapping
from pathlib import Path

import mujoco
import numpy as np
import pytest
import yaml
from tests.own_robot_page import write_files

from ashore.datasets.errors import UnknownName, UnreadableFile
from ashore.sim.arms.arm import load_arm
from ashore.sim.arms.examination import examine_robot
from ashore.sim.errors import InvalidRobotFile
from ashore.sim.robots import make_arm
from ashore.sim.tasks import make_task

TETRAHEDRON = "v 0 0 0\nv .1 0 0\nv 0 .1 0\nv 0 0 .1\nf 1 3 2\nf 1 2 4\nf 2 3 4\nf 1 4 3\n"
HAND = '<geometry><box size="0.05 0.14 0.05"/></geometry>'


@pytest.fixture
def urdf(tmp_path: Path) -> Path:
    """The page's URDF arm."""
    write_files(tmp_path)
    return tmp_path / "my_arm" / "robot.yaml"


@pytest.fixture
def mjcf(tmp_path: Path) -> Path:
    """The page's MJCF arm."""
    write_files(tmp_path)
    return tmp_path / "my_mjcf_arm" / "robot.yaml"


def change(path: Path, **changes: object) -> Path:
    """Set keys of an arm's file; None takes a key away."""
    raw = {**yaml.safe_load(path.read_text()), **changes}
    path.write_text(yaml.safe_dump({key: value for key, value in raw.items() if value is not None}))
    return path


def change_model(path: Path, *pairs: tuple[str, str]) -> Path:
    """Replace texts of the model beside an arm's file."""
    model = next(path.parent.glob("arm.*"))
    text = model.read_text()
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    model.write_text(text)
    return path


def faults(path: Path) -> str:
    with pytest.raises(InvalidRobotFile) as caught:
        load_arm(path)
    return str(caught.value)


def test_all_faults_are_told_at_once_with_the_closest_names(urdf: Path) -> None:
    said = faults(change(urdf, home_rad=[0.0, 0.3], base="foott", joints=["turn", "leen"]))
    assert "3 fault(s)" in said
    assert "base: the model has no 'foott'" in said and "Did you mean 'foot'?" in said
    assert "joints: the model has no 'leen'" in said and "Did you mean 'lean'?" in said
    assert "velocity_rad_s: 6 numbers for 2 joints" in said


def test_keys_and_types_are_checked(urdf: Path) -> None:
    said = faults(change(urdf, home=[0.0], servo_time_s="fast", gravity_compensation=1, tool=None))
    assert "home: no such key" in said and "Did you mean 'home_rad'?" in said
    assert "servo_time_s: expected a finite number, given 'fast'" in said
    assert "gravity_compensation: expected true or false, given 1" in said
    assert "tool: missing" in said


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"servo_time_s": 0.0}, "servo_time_s: must be above 0"),
        ({"velocity_rad_s": [2.5, 2.5, 2.5, 3.5, -1.0, 3.5]}, "velocity_rad_s: every number must be above 0, given -1"),
        ({"name": "my arm"}, "name: expected letters, digits and _"),
        ({"workspace_m": {"low": [0.3, 0.0], "high": [0.6, 0.3, 0.3]}}, "workspace_m: expected three numbers each"),
        ({"home_rad": [0.0, 0.3, 2.69, 0.0, 1.3, 0.0]}, "home_rad: 'bend' at 2.69 is not 0.05 inside its range"),
        (
            {"joints": ["lean", "turn", "bend", "roll", "nod", "spin"]},
            "joints: from base to tool there are 'turn', 'lean'",
        ),
        ({"base": "shoulder"}, "base: 'shoulder' does not stand at the model's origin"),
        ({"tool": "foot"}, "joints: from base to tool there are none"),
        ({"tool_offset": {"pos_m": [0.0, 0.1]}}, "tool_offset: expected pos_m of three"),
    ],
)
def test_what_cannot_be_is_refused(urdf: Path, changes: Mapping[str, object], expected: str) -> None:
    assert expected in faults(change(urdf, **changes))


@pytest.mark.parametrize(
    ("gripper", "expected"),
    [
        ({"width_m": 0.2}, "gripper.width_m: 0.2, but the fingers' ranges add up to 0.08"),
        ({"fingers": ["left", "turn"]}, "gripper.fingers: 'turn' is no slide joint with limits"),
        ({"pads": ["shoulder"]}, "gripper.pads: 'shoulder' touches nothing"),
        ({"pads": []}, "gripper.pads: names none"),
        ({"actuator": "grip"}, "gripper.actuator: the model has no 'grip'"),
    ],
)
def test_grippers_that_cannot_be_are_refused(urdf: Path, gripper: Mapping[str, object], expected: str) -> None:
    whole = {"fingers": ["left", "right"], "pads": ["left_finger"], "width_m": 0.08, **gripper}
    assert expected in faults(change(urdf, gripper=whole))


def test_a_model_without_limits_is_refused(urdf: Path) -> None:
    turns = '<joint name="turn" type="revolute">'
    said = faults(change_model(urdf, (turns, turns.replace("revolute", "continuous"))))
    assert "joints: 'turn' has no limits; give it a range in the model" in said


def test_a_model_without_torques_must_be_given_some(mjcf: Path) -> None:
    said = faults(change(mjcf, torque_n_m=None))
    assert "joints: 'waist' has neither a position servo nor a torque limit; say torque_n_m" in said


def test_models_that_cannot_be_read_are_named(urdf: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match=r"a path that ends in \.yaml"):
        make_arm("my_arm")
    with pytest.raises(UnreadableFile, match=r"elsewhere\.yaml"):
        make_task(f"arm/pick-place@{tmp_path / 'elsewhere.yaml'}")
    with pytest.raises(UnreadableFile, match=r"arm\.xml"):
        load_arm(change(urdf, model="arm.xml"))
    change(urdf, model="arm.urdf")
    change_model(urdf, ('<mass value="2.0"/>', '<mass value="0"/>'))
    with pytest.raises(UnreadableFile, match="mass and inertia"):
        load_arm(urdf)
    (urdf.parent / "arm.urdf").write_text("<robot")
    with pytest.raises(UnreadableFile, match=r"arm\.urdf"):
        load_arm(urdf)


def test_made_servos_have_the_files_numbers(urdf: Path) -> None:
    change(urdf, servo_kp_n_m_rad=[400.0, 500.0, 300.0, 60.0, 60.0, 40.0], torque_n_m=[50.0] * 6)
    arm = load_arm(urdf)
    model = arm.alone()
    rows = [model.actuator(name).id for name in arm.servos]
    np.testing.assert_allclose(model.actuator_gainprm[rows, 0], [400.0, 500.0, 300.0, 60.0, 60.0, 40.0])
    np.testing.assert_allclose(model.actuator_forcerange[rows, 1], 50.0)
    damping = model.dof_damping[: len(rows)]
    np.testing.assert_allclose(0.1 * model.actuator_gainprm[rows, 0], damping - model.actuator_biasprm[rows, 2])


def test_an_efforts_limit_becomes_the_servos(urdf: Path) -> None:
    arm = load_arm(urdf)
    model = arm.alone()
    rows = [model.actuator(name).id for name in arm.servos]
    np.testing.assert_allclose(model.actuator_forcerange[rows, 1], [60.0, 60.0, 40.0, 15.0, 15.0, 10.0])


def test_motors_make_way_and_other_actuators_stay_still(mjcf: Path) -> None:
    other = '<position name="lamp" joint="left" kp="1"/>'
    arm = load_arm(change_model(mjcf, ('<motor joint="waist"', f'{other}<motor joint="waist"')))
    model = arm.alone()
    names = [model.actuator(number).name for number in range(model.nu)]
    assert sorted(names) == sorted([*arm.servos, "desk_grip", "desk_lamp"])
    controls = arm.drive.control(np.arange(1.0, 8.0)[None], None)[0]  # type: ignore[arg-type]
    assert dict(zip(names, controls, strict=True)) == {
        **{name: number + 1.0 for number, name in enumerate(arm.servos)},
        "desk_grip": 7.0,
        "desk_lamp": 0.0,
    }


def test_a_gripper_told_in_other_units_is_driven_anew(mjcf: Path) -> None:
    grip = '<position name="grip" tendon="width" kp="1000" kv="12" ctrlrange="0 0.08" forcerange="-40 40"/>'
    bytes_ = (
        '<general name="grip" tendon="width" ctrlrange="0 255" forcerange="-100 100" biastype="affine"'
        ' gainprm="0.0313725 0 0" biasprm="0 -100 -10"/>'
    )
    change_model(mjcf, (grip, bytes_))
    findings = examine_robot(load_arm(mjcf), lambda *_: None).findings
    (finding,) = (f for f in findings if (f.topic, f.subject) == ("servos", "gripper"))
    assert finding.state == "broken"
    assert "leave gripper.actuator out" in finding.advice
    gripper = yaml.safe_load(mjcf.read_text())["gripper"]
    del gripper["actuator"]
    arm = load_arm(change(mjcf, gripper=gripper))
    model = arm.alone()
    assert [model.actuator(number).name for number in range(model.nu)] == [*arm.servos, "desk_ashore_gripper"]
    assert not any(f.state == "broken" for f in examine_robot(arm, lambda *_: None).findings)


def test_a_tool_may_be_a_site_a_body_or_off_either(mjcf: Path) -> None:
    def tool(**changes: object) -> np.ndarray:
        arm = load_arm(change(mjcf, **changes))
        site = arm.alone().site(arm.spec.tool)
        return np.concatenate([site.pos, site.quat])

    np.testing.assert_allclose(tool(tool="tool"), [0, 0, 0.12, 0, 0, 0, 1], atol=1e-12)
    np.testing.assert_allclose(tool(tool="hand"), [0, 0, 0, 1, 0, 0, 0], atol=1e-12)
    offset = {"pos_m": [0.01, 0.0, 0.02], "quat_wxyz": [0.0, 0.0, 0.0, 1.0]}
    np.testing.assert_allclose(tool(tool="hand", tool_offset=offset), [0.01, 0, 0.02, 0, 0, 0, 1], atol=1e-12)
    # Half a turn about z, and then the offset in that frame.
    np.testing.assert_allclose(tool(tool="tool", tool_offset=offset), [-0.01, 0, 0.14, -1, 0, 0, 0], atol=1e-12)


def test_meshes_of_a_package_are_found_and_unknown_formats_left_out(urdf: Path) -> None:
    package = urdf.parent.parent
    for folder in ("visual", "collision"):
        (package / "meshes" / folder).mkdir(parents=True)
        (package / "meshes" / folder / "hand.obj").write_text(TETRAHEDRON)
    text = (urdf.parent / "arm.urdf").read_text()
    assert text.count(HAND) == 2
    for folder in ("visual", "collision"):
        mesh = f'<geometry><mesh filename="package://some_arm/meshes/{folder}/hand.obj"/></geometry>'
        text = text.replace(HAND, mesh, 1)
    foot = '<geometry><cylinder radius="0.08" length="0.10"/></geometry>'
    text = text.replace(foot, '<geometry><mesh filename="package://some_arm/foot.dae"/></geometry>')
    (urdf.parent / "arm.urdf").write_text(text)
    arm = load_arm(urdf)
    assert int(np.sum(arm.alone().geom_type == int(mujoco.mjtGeom.mjGEOM_MESH))) == 2
    (finding,) = (finding for finding in examine_robot(arm, lambda *_: None).findings if finding.topic == "twin")
    assert finding.state == "odd"
    assert "mjGEOM_MESH; use box, sphere, cylinder, capsule or plane; and 1 more" in finding.detail
    (package / "meshes" / "visual" / "hand.obj").unlink()
    with pytest.raises(UnreadableFile, match=r"mesh 'package://some_arm/meshes/visual/hand\.obj' is not there"):
        load_arm(urdf)


def test_contact_shapes_are_hidden_where_a_link_has_others(urdf: Path) -> None:
    model = load_arm(urdf).alone()
    touching = model.geom_contype > 0
    assert np.all(model.geom_group[touching] == 3)
    assert np.all(model.geom_group[~touching] < 3)


def test_meshes_keyframes_and_options_of_an_mjcf_come_along_or_stay_behind(mjcf: Path) -> None:
    (mjcf.parent / "assets").mkdir()
    (mjcf.parent / "assets" / "cover.obj").write_text(TETRAHEDRON)
    change_model(
        mjcf,
        ('<compiler angle="degree"/>', '<compiler angle="degree" meshdir="assets"/><size memory="2M"/>'),
        ("<worldbody>", '<option timestep="0.01"/><worldbody>'),
        ("<tendon>", '<asset><mesh name="cover" file="cover.obj"/></asset><tendon>'),
        ('<body name="stand">', '<body name="stand"><geom type="mesh" mesh="cover"/>'),
        ("<actuator>", '<keyframe><key name="home" qpos="0 0.3 1.5 0 1.2 0 0 0"/></keyframe><actuator>'),
    )
    with warnings.catch_warnings(action="error"):
        model = make_task(f"arm/pick-place@{mjcf}").scene().compile()
    assert int(np.sum(model.geom_type == int(mujoco.mjtGeom.mjGEOM_MESH))) == 1
    assert model.nkey == 0
    assert model.opt.timestep == make_task("arm/pick-place").scene().compile().opt.timestep
