"""The process plan as data: a golden JSON, clear refusals, and launch files that only ask for it."""

import ast
import dataclasses
import hashlib
import json
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from ashore.cli.main import main
from ashore.cli.plan import Plan
from ashore.datasets.errors import UnknownName, UnreadableFile
from ashore.policies.bundle import Bundle, read_bundle
from ashore.real.cameras import CameraSpec
from ashore.real.errors import InvalidNamespace, InvalidRemapping, NothingToRun
from ashore.real.plan import Bridge, Deployment, parts_of, plan_json, process_plan, robot_names

ROOT = Path(__file__).resolve().parents[2]
LAUNCH_FILES = sorted((ROOT / "launch").glob("*.launch.py"))


@pytest.fixture(scope="module")
def bundle(hover_bundle: Path) -> Bundle:
    return read_bundle(hover_bundle)


def test_the_plan_is_the_golden_one(bundle: Bundle) -> None:
    golden = json.loads((Path(__file__).parent / "plan.json").read_text())
    text = plan_json(process_plan(Deployment(bundle, "twin/panda", "arm_mild", 3, "loopback", 7)))
    given = json.loads(text.replace(str(bundle.path), "policy.ashore").replace(bundle.sha256, "its SHA-256"))
    assert given.pop("python") == sys.executable
    assert given == golden


def test_every_robot_has_a_plan_whose_modules_exist(bundle: Bundle) -> None:
    for robot in robot_names():
        for process in process_plan(Deployment(bundle, robot, "any.yaml")):
            path = ROOT.joinpath(*process.module.split(".")[1:]).with_suffix(".py")
            assert path.is_file()
            assert process.command()[1:3] == ["-m", process.module]


def test_at_another_speed_the_twin_makes_the_time_that_all_others_keep(bundle: Bundle) -> None:
    asked = Deployment(bundle, "twin/panda", record="out/seen", real_time_factor=2)
    given = {process.name: process.ros_args for process in process_plan(asked)}
    assert given.pop("twin") == ("-p", "real_time_factor:=2.0")
    assert set(given) == {"policy", "guard", "recorder"}
    assert set(given.values()) == {("-p", "use_sim_time:=true")}


def test_an_unknown_robot_is_refused_with_the_valid_ones(bundle: Bundle) -> None:
    text = "no robot 'twin/pandas'. Valid: 'twin/crazyflie', 'twin/panda', .*'fr3'.* Did you mean 'twin/panda'?"
    with pytest.raises(UnknownName, match=text):
        process_plan(Deployment(bundle, "twin/pandas"))


def test_a_twin_stands_behind_the_topics_of_ones_own_mapping(bundle: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "cell.yaml"
    path.write_text((ROOT / "real/robots/ur5e_driver.yaml").read_text())
    plan = process_plan(Deployment(bundle, f"twin/{path}", "arm_mild"))
    assert {process.namespace for process in plan} == {"ur5e"}
    assert all(process.args[4:8] == ("--mapping", str(path), "--namespace", "ur5e") for process in plan)
    with pytest.raises(UnreadableFile, match=r"none\.yaml"):
        process_plan(Deployment(bundle, "twin/none.yaml"))


def test_on_a_robot_nothing_is_activated_without_a_person_and_a_bridge_speaks_to_vehicles(bundle: Bundle) -> None:
    plan = process_plan(Deployment(bundle, "mavlink", bridge=Bridge("udpin:127.0.0.1:14540", 0.4), deadman_s=1.0))
    assert [process.name for process in plan] == ["bridge", "policy", "guard"]
    assert not any(process.activates for process in plan)
    assert plan[0].args[-4:] == ("--address", "udpin:127.0.0.1:14540", "--hover-thrust", "0.4")
    assert plan[-1].ros_args == ("-p", "deadman_s:=1.0")


def test_without_a_domain_the_callers_environment_decides(bundle: Bundle) -> None:
    env = process_plan(Deployment(bundle, "twin/panda", "arm_mild", network="ambient"))[0].env
    assert "ROS_DOMAIN_ID" not in env and "FASTDDS_BUILTIN_TRANSPORTS" not in env


@pytest.mark.parametrize("path", LAUNCH_FILES, ids=lambda path: path.name)
def test_a_launch_file_imports_launch_inside_functions_only(path: Path) -> None:
    top = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = [alias.name for node in top if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in top if isinstance(node, ast.ImportFrom)]
    assert names and all(name.split(".")[0] in sys.stdlib_module_names for name in names)


def test_the_launch_files_offer_what_the_plan_takes() -> None:
    base = ast.parse((ROOT / "launch/plan.launch.py").read_text())
    tables = [node for node in base.body if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)]
    options = next(ast.literal_eval(table.value) for table in tables if table.targets[0].id == "OPTIONS")
    taken = {"cameras": "camera"}
    asked = {taken.get(field.name, field.name) for field in dataclasses.fields(Deployment)}
    assert set(options) == {*(asked - {"domain_id"}), "hover_thrust", "only"} and all(options.values())
    assert {field.name for field in dataclasses.fields(Plan)} == {*options, "json"}


@pytest.mark.parametrize("path", LAUNCH_FILES, ids=lambda path: path.name)
def test_every_argument_of_a_launch_file_is_one_of_the_plan(path: Path) -> None:
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    declared = {
        call.args[0].value
        for call in calls
        if getattr(call.func, "id", "") == "DeclareLaunchArgument" and isinstance(call.args[0], ast.Constant)
    }
    assert declared <= {field.name for field in dataclasses.fields(Plan)}
    assert declared or path.name == "plan.launch.py"


def test_the_launch_files_are_there_and_travel_with_the_package() -> None:
    names = [path.name.removesuffix(".launch.py") for path in LAUNCH_FILES]
    assert names == ["arm", "plan", "quadrotor", "record", "twin"]
    table = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["data-files"]
    assert "launch/*.launch.py" in table["share/ashore/launch"]


def test_cameras_and_a_recorder_stop_nobody_by_their_end(bundle: Bundle) -> None:
    wrist = CameraSpec("wrist", "/dev/video0")
    plan = process_plan(Deployment(bundle, "fr3", cameras=[wrist], record="out/seen"))
    assert [process.name for process in plan] == ["camera_wrist", "policy", "guard", "recorder"]
    looking_on = [plan[0], plan[3]]
    assert all(process.on_exit == "ignore" and process.activates for process in looking_on)
    assert "__node:=camera_wrist" in plan[0].command()
    assert plan[3].args[-6:] == ("--store", "out/seen", "--source", "real", "--camera", wrist.text)


def test_parts_a_namespace_parameters_and_remappings_are_the_callers(bundle: Bundle, tmp_path: Path) -> None:
    params = tmp_path / "cell.yaml"
    params.write_text("/**: {ros__parameters: {}}")
    plan = process_plan(
        Deployment(
            bundle,
            "twin/panda",
            namespace="lab/arm",
            params=params,
            remap=("joint_states:=/arm/joint_states",),
        )
    )
    plan = parts_of(plan, ("twin", "guard"))
    assert [(process.name, process.namespace) for process in plan] == [("twin", "lab/arm"), ("guard", "lab/arm")]
    for process in plan:
        tail = ["--ros-args", "-r", "joint_states:=/arm/joint_states", "--params-file", str(params)]
        assert process.command()[-5:] == tail
    with pytest.raises(UnknownName, match=r"no part of a deployment 'guards'.*Did you mean 'guard'"):
        parts_of(plan, ("guards",))
    for parts, robot in ((("recorder",), "twin/panda"), (("twin",), "panda"), (("camera",), "panda")):
        with pytest.raises(NothingToRun, match=f"nothing to run for '{parts[0]}'"):
            parts_of(process_plan(Deployment(bundle, robot)), parts)


@pytest.mark.parametrize(
    ("asked", "fault", "told"),
    [
        ({"namespace": "my cell"}, InvalidNamespace, "'my cell' is no ROS namespace"),
        ({"remap": ("joint_states",)}, InvalidRemapping, "'joint_states' is no remapping"),
        ({"remap": ("joint states:=q",)}, InvalidRemapping, "is no remapping"),
        ({"params": "none.yaml"}, UnreadableFile, r"none\.yaml"),
    ],
)
def test_what_ros_would_not_take_is_refused_before_a_process_starts(
    bundle: Bundle, asked: dict[str, Any], fault: type[Exception], told: str
) -> None:
    with pytest.raises(fault, match=told):
        process_plan(Deployment(bundle, **asked))


def test_every_process_that_reads_the_bundle_is_told_its_hash(
    hover_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--bundle", str(hover_bundle), "--robot", "twin/crazyflie", "--camera", "wrist=0", "--record", "out/seen"]
    assert main(["plan", "--json", *words, "--bridge", "udpin:127.0.0.1:14540"]) == 0
    told = {process["name"]: process["args"] for process in json.loads(capsys.readouterr().out)["processes"]}
    sha256 = hashlib.sha256(hover_bundle.read_bytes()).hexdigest()
    assert set(told) == {"twin", "bridge", "camera_wrist", "policy", "guard", "recorder"}
    for name, args in told.items():
        assert "--bundle" not in args if name == "camera_wrist" else args[args.index("--bundle-sha256") + 1] == sha256


@pytest.mark.parametrize("command", [["plan", "--json", "--bundle"], ["deploy"]])
@pytest.mark.parametrize(
    ("content", "told"), [(None, "UnreadableFile.*No such file"), (b"hello", "UnreadableFile.*not a zip file")]
)
def test_a_bundle_that_cannot_be_read_is_one_clear_error_and_no_plan(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str], content: bytes | None, told: str
) -> None:
    if content is not None:
        (tmp_path / "mine.ashore").write_bytes(content)
    assert main([*command, str(tmp_path / "mine.ashore"), "--robot", "twin/crazyflie"]) == 2
    said = capsys.readouterr()
    assert said.out == "" and re.search(told, " ".join(said.err.split())) and "mine.ashore" in said.err
