"""Commands at work on a real store, and where something is wrong: one message, code 2, nothing half done."""

import json
import re
from pathlib import Path

import pytest
from PIL import Image

from ashore.cli.main import COMMANDS, main
from ashore.datasets.contract import Contract
from ashore.datasets.store import EpisodeStore
from benchmarks.linear_bundles import circling_arm


def complaint(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """The one message of a command that must fail with code 2."""
    assert main([str(argument) for argument in arguments]) == 2
    said = capsys.readouterr().err.strip()
    assert re.match(r"[A-Z]\w+: ", said.splitlines()[-1]) or "\n" in said
    assert "Traceback" not in said
    return said


def test_collect_fills_a_store_up_and_counts_what_it_holds(store: Path) -> None:
    assert main(["collect", "--task", "quadrotor/hover", "--episodes", "3", "--out", str(store)]) == 0
    assert len(EpisodeStore.open(store, readonly=True)) == 3


def test_collect_refuses_a_store_of_another_task(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = complaint(capsys, "collect", "--task", "arm/pick-place", "--episodes", "3", "--out", store)
    assert "'arm/pick-place' against 'quadrotor/hover'" in said
    assert len(EpisodeStore.open(store, readonly=True)) == 2


def test_collect_offers_the_closest_task_and_makes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = complaint(capsys, "collect", "--task", "arm/pick-plase", "--out", tmp_path / "new")
    assert "Did you mean 'arm/pick-place'?" in said
    assert not list(tmp_path.iterdir())


def test_info_tells_contract_and_origin(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["datasets", "info", str(store)]) == 0
    said = capsys.readouterr().out
    contract = Contract.from_json((store / "contract.json").read_text())
    assert contract.digest in said
    assert "2 episodes" in said
    assert all(feature.name in said for feature in (*contract.observations, *contract.actions))


def test_verify_passes_a_sound_store_and_finds_one_flipped_bit(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["datasets", "verify", str(store)]) == 0
    file = min((store / "episodes").iterdir())
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    assert main(["datasets", "verify", str(store)]) == 1
    assert file.name in capsys.readouterr().out


def test_recover_has_nothing_to_do_in_a_sound_store(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["datasets", "recover", str(store)]) == 0
    assert "0 journal(s) recovered" in capsys.readouterr().out


def test_replay_draws_every_second_step_of_an_episode(store: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "flight.gif"
    options = ["--engine", "twin", "--width-px", "64", "--height-px", "48", "--pictures-hz", "10"]
    assert main(["replay", str(store), "--episode", "1", "--out", str(out), *options]) == 0
    opened = EpisodeStore.open(store, readonly=True)
    stride = round(opened.contract.control_hz / 10)
    with Image.open(out) as picture:
        assert picture.size == (64, 48)
        assert getattr(picture, "n_frames", 1) == pytest.approx(len(opened.read(1)) / stride, abs=1)
    assert [path.name for path in out.parent.iterdir()] == ["flight.gif"]


def test_replay_refuses_an_episode_that_is_not_there(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "Valid: 0 to 1" in complaint(capsys, "replay", store, "--episode", "7")


@pytest.mark.parametrize("command", ["train", "replay"])
def test_a_folder_that_is_no_store_is_refused(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "store.json" in complaint(capsys, command, tmp_path, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", ["distill", "export"])
def test_a_folder_that_is_no_run_is_refused(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "config.json" in complaint(capsys, command, tmp_path, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_evaluate_refuses_what_does_not_exist(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "does not exist" in complaint(capsys, "evaluate", tmp_path / "policy.ashore")


def test_evaluate_refuses_a_file_that_is_no_bundle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "policy.ashore").write_text("nothing")
    assert "policy.ashore" in complaint(capsys, "evaluate", tmp_path / "policy.ashore")


def test_deploy_refuses_a_robot_that_does_not_exist(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = circling_arm(tmp_path / "policy.ashore")
    said = complaint(capsys, "deploy", bundle, "--robot", "twin/pander")
    assert "Did you mean 'twin/panda'?" in said


def test_evidence_that_is_no_json_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "evidence.json").write_text("{")
    said = complaint(capsys, "export", tmp_path, "--out", tmp_path / "out", "--evidence", tmp_path / "evidence.json")
    assert "evidence.json" in said


def test_import_offers_the_formats_that_exist(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = complaint(capsys, "datasets", "import", tmp_path, "--from", "diffusion_policy", "--out", tmp_path / "out")
    assert "diffusion-policy" in said


def test_plan_is_json_that_names_its_interpreter(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--json", "--bundle", str(circling_arm(tmp_path / "policy.ashore"))]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert Path(plan["python"]).is_file()
    assert [process["name"] for process in plan["processes"]] == ["twin", "policy", "guard"]


def test_plan_for_people_is_a_command_line_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--bundle", str(circling_arm(tmp_path / "policy.ashore")), "--robot", "twin/crazyflie"]) == 0
    said = capsys.readouterr().out
    assert said.count(" -m ashore.real.nodes.") == 3
    assert "crazyflie/guard" in said


def test_doctor_finds_every_package_of_this_environment(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) in (0, 1)  # 1 where this machine cannot draw.
    said = capsys.readouterr().out
    assert all(name in said for name in ("onnxruntime", "torch", "mujoco", "rclpy"))


def test_an_unknown_command_is_answered_with_the_closest(capsys: pytest.CaptureFixture[str]) -> None:
    assert "Did you mean 'collect'?" in complaint(capsys, "colect")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code in (0, None)
    assert f"usage: ashore {command}" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["collect"], ["collect", "--out", "x", "--episodes", "many"], ["rank"]])
def test_a_wrong_argument_ends_with_code_2(arguments: list[str], tmp_path: Path) -> None:
    if arguments == ["rank"]:
        arguments = ["rank", "--episodes", "none"]
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
