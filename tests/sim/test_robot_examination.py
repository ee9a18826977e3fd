"""The doctor finds what was made wrong on purpose, says what to do, and finds nothing in the arms that ship."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from tests.own_robot_page import write_files

from ashore.cli.main import main
from ashore.sim.arms.arm import load_arm
from ashore.sim.arms.examination import RobotExamination, RobotFinding, examine_robot
from ashore.sim.robots import ARMS, make_arm


def ignore(done: int, total: int, what: str) -> None:
    """Progress that nobody watches."""


@pytest.fixture
def examined(tmp_path: Path) -> Callable[..., RobotExamination]:
    """Examine the page's URDF arm with keys of its file set and texts of its model replaced."""
    write_files(tmp_path)
    path = tmp_path / "my_arm" / "robot.yaml"

    def examine(*replaced: tuple[str, str], **changes: object) -> RobotExamination:
        path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **changes}))
        model = path.with_name("arm.urdf")
        text = model.read_text()
        for old, new in replaced:
            assert old in text, old
            text = text.replace(old, new)
        model.write_text(text)
        return examine_robot(load_arm(path), ignore)

    return examine


def amiss(examination: RobotExamination) -> list[RobotFinding]:
    return [finding for finding in examination.findings if finding.state != "good"]


@pytest.mark.parametrize("name", ARMS)
def test_the_arms_that_ship_are_sound(name: str) -> None:
    examination = examine_robot(make_arm(name), ignore)
    assert not amiss(examination)
    assert len(examination.responses) == len(make_arm(name).spec.joints)


def test_every_topic_is_looked_at(examined: Callable[..., RobotExamination]) -> None:
    examination = examined()
    topics = {finding.topic for finding in examination.findings}
    assert topics == {
        "limits",
        "masses",
        "joints",
        "kinematics",
        "tool",
        "contacts",
        "gravity",
        "servos",
        "reach",
        "tasks",
        "twin",
    }
    assert not amiss(examination)


def test_an_arm_whose_weight_nobody_carries_sags(examined: Callable[..., RobotExamination]) -> None:
    found = {finding.topic: finding for finding in amiss(examined(gravity_compensation=False))}
    assert found["gravity"].state in ("odd", "broken")
    assert "gravity_compensation: true" in found["gravity"].advice


def test_a_tilted_tool_is_told_by_how_much(examined: Callable[..., RobotExamination]) -> None:
    (finding,) = (f for f in amiss(examined(home_rad=[0.0, 0.2896, 1.5482, 0.0, 1.1293, 0.0])) if f.topic == "tool")
    assert finding.state == "odd"
    assert "10 degrees off straight down" in finding.advice


def test_fingers_that_close_across_the_tools_axis_are_broken(examined: Callable[..., RobotExamination]) -> None:
    examination = examined(tool_offset={"pos_m": [0, 0, 0.12], "quat_wxyz": [0.7071068, 0, 0, 0.7071068]})
    (finding,) = (f for f in amiss(examination) if f.subject == "pads")
    assert examination.broken
    assert "close along the tool's y axis" in finding.advice


def test_links_that_touch_at_home_are_named(examined: Callable[..., RobotExamination]) -> None:
    fat = ('<cylinder radius="0.04" length="0.12"/>', '<cylinder radius="0.09" length="0.60"/>')
    found = [finding for finding in amiss(examined(fat)) if finding.topic == "contacts"]
    assert found and all(f.state == "broken" for f in found)
    assert any("bench_forearm" in f.subject and "bench_hand" in f.subject for f in found)


def test_a_weak_joint_does_not_follow(examined: Callable[..., RobotExamination]) -> None:
    weak = (
        'effort="60" velocity="2.5"/><dynamics damping="0.5"',
        'effort="0.05" velocity="2.5"/><dynamics damping="0.5"',
    )
    examination = examined(weak)
    broken = [finding.subject for finding in amiss(examination) if finding.topic == "servos"]
    assert broken == ["turn", "lean"]
    assert examination.responses[0].saturated > 0.5


def test_a_servo_that_swings_is_seen(examined: Callable[..., RobotExamination]) -> None:
    examination = examined(servo_kp_n_m_rad=[20.0, 600.0, 200.0, 20.0, 20.0, 20.0], servo_time_s=0.03)
    advice = [
        finding.advice for finding in amiss(examination) if finding.subject == "turn" and finding.topic == "servos"
    ]
    assert advice == ["it swings: raise kv (servo_time_s 0.03 is kv / kp)"]


def test_masses_in_grams_and_ranges_in_degrees_are_odd(examined: Callable[..., RobotExamination]) -> None:
    heavy = ('<mass value="1.2"/>', '<mass value="1200"/>')
    wide = ('<limit lower="-2.9" upper="2.9" effort="10"', '<limit lower="-166" upper="166" effort="10"')
    found = {finding.subject: finding for finding in amiss(examined(heavy, wide))}
    assert "kg/m3: is its mass in kg" in found["forearm"].advice
    assert "is the range in degrees?" in found["spin"].advice


def test_what_the_tool_cannot_reach_is_told(examined: Callable[..., RobotExamination]) -> None:
    examination = examined(workspace_m={"low": [0.5, -0.6, 0.0], "high": [1.5, 0.6, 0.6]})
    (finding,) = (f for f in amiss(examination) if f.topic == "reach")
    assert finding.state == "broken"
    assert "shrink workspace_m; out of reach lie" in finding.advice


def test_home_outside_of_the_guards_box_is_broken(examined: Callable[..., RobotExamination]) -> None:
    examination = examined(stop_outside_m={"low": [0.5, -0.6, -0.02], "high": [0.85, 0.6, 0.9]})
    assert any("the guard stops at once" in finding.advice for finding in amiss(examination))


def test_a_step_response_is_that_of_its_servo(examined: Callable[..., RobotExamination]) -> None:
    response = examined().responses[0]
    lag = 1.0 - np.exp(-response.time_s / 0.1)
    assert np.abs(response.moved - lag).max() < 0.1
    assert response.overshoot < 1e-3 and response.error < 1e-3 and response.saturated == 0.0


def test_broken_is_exit_code_1_and_json_is_json(
    examined: Callable[..., RobotExamination], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(tmp_path / "my_arm" / "robot.yaml")
    assert main(["doctor", "robot", file, "--json"]) == 0
    assert {row["state"] for row in json.loads(capsys.readouterr().out)} == {"good"}
    examined(stop_outside_m={"low": [0.5, -0.6, -0.02], "high": [0.85, 0.6, 0.9]})
    assert main(["doctor", "robot", file]) == 1
    assert "broken" in capsys.readouterr().out
    assert main(["doctor", "robot", str(tmp_path / "none.yaml")]) == 2


def test_without_opengl_it_says_so_and_goes_on(tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if key not in ("DISPLAY", "WAYLAND_DISPLAY")}
    command = [sys.executable, "-m", "ashore.cli.main", "doctor", "robot", "ur5e", "--out", str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, env={**environment, "MUJOCO_GL": "glfw"})
    assert ran.returncode == 0, ran.stderr
    assert "no pictures of the arm at home: cannot render" in ran.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["steps.png"]


def test_a_workspace_that_leaves_out_what_the_tasks_put_down_is_told(examined: Callable[..., RobotExamination]) -> None:
    examination = examined(workspace_m={"low": [0.3, -0.3, 0.1], "high": [0.65, 0.3, 0.4]})
    (finding,) = (f for f in amiss(examination) if f.topic == "tasks")
    assert (finding.subject, finding.state) == ("workspace_m", "odd") and not examination.broken
    assert "tasks put things at (0.4, -0.2, 0.02)" in finding.advice
