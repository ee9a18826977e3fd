"""Bad input at the command line: one clear message, exit code 2, and nothing half-written."""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ashore.cli.main import main
from ashore.datasets.contract import Feature
from ashore.datasets.episode import Episode
from ashore.datasets.errors import AshoreError
from ashore.datasets.store import EpisodeStore


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight short demonstrations of the quadrotor."""
    store = tmp_path_factory.mktemp("bad") / "store"
    assert main(["collect", "--task", "quadrotor/hover", "--episodes", "8", "--out", str(store)]) == 0
    return store


@pytest.fixture(scope="module")
def bundle(recorded: Path) -> Path:
    """A bundle of a policy that hardly learnt anything."""
    run, path = recorded.parent / "run", recorded.parent / "policy.ashore"
    assert main(["train", str(recorded), "--updates", "20", "--batch-size", "64", "--out", str(run)]) == 0
    assert main(["export", str(run), "--out", str(path)]) == 0
    return path


def refused(arguments: list[object], capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command that must end in one message and code 2."""
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == 2
    text = capsys.readouterr().err
    assert "Traceback" not in text
    return text


def test_a_bundle_with_one_byte_changed_is_refused(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "policy.ashore"
    data = bytearray(bundle.read_bytes())
    data[len(data) // 2] ^= 1
    broken.write_bytes(data)
    assert "policy.ashore" in refused(["evaluate", broken, "--episodes", "1"], capsys)
    deployed = refused(["deploy", broken, "--robot", "twin/crazyflie", "--record", tmp_path / "seen"], capsys)
    assert "policy.ashore" in deployed
    assert not (tmp_path / "seen").exists()


def test_a_robot_of_another_kind_is_refused_with_the_fields(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = refused(["deploy", bundle, "--robot", "twin/panda", "--record", tmp_path / "seen"], capsys)
    assert "crazyflie" in text
    assert "panda" in text
    assert not (tmp_path / "seen").exists()


def test_a_robot_name_that_does_not_exist_is_answered_with_those_that_do(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = refused(["deploy", bundle, "--robot", "twin/pandda"], capsys)
    assert "twin/panda" in text
    assert "Did you mean" in text


def test_a_profile_with_an_unknown_key_is_refused(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profile = tmp_path / "mine.yaml"
    profile.write_text("robot: crazyflie\nthrust_scal: 0.9\n")
    text = refused(["evaluate", bundle, "--twin", profile, "--episodes", "1"], capsys)
    assert "thrust_scal" in text
    assert "Did you mean 'thrust_scale'?" in text


def test_a_policy_of_another_contract_is_refused(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = refused(["evaluate", bundle, "--task", "arm/pick-place", "--episodes", "1"], capsys)
    assert "control_hz" in text
    assert "joint_pos_rad" in text


@pytest.mark.parametrize("where", [[], ["--twin", "quadrotor_mild"]])
def test_no_episodes_are_refused(bundle: Path, where: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert "at least 1" in refused(["evaluate", bundle, "--episodes", "0", *where], capsys)


def test_a_half_written_episode_is_refused_and_named(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = shutil.copytree(recorded, tmp_path / "store")
    victim = sorted((store / "episodes").iterdir())[3]
    victim.write_bytes(victim.read_bytes()[:-100])
    text = refused(["train", store, "--updates", "5", "--out", tmp_path / "run"], capsys)
    assert victim.name in text
    assert not (tmp_path / "run").exists()


def test_nan_in_an_observation_is_refused_before_it_reaches_the_store(recorded: Path, tmp_path: Path) -> None:
    store = EpisodeStore.open(shutil.copytree(recorded, tmp_path / "store"))
    episode = store.read(0)
    observations = {name: np.array(values) for name, values in episode.observations.items()}
    observations["pos_world_m"][5, 1] = np.nan
    with pytest.raises(AshoreError, match="pos_world_m"):
        store.append(replace(episode, observations=observations))
    assert len(EpisodeStore.open(tmp_path / "store")) == 8


def test_a_missing_feature_is_named(recorded: Path) -> None:
    episode = EpisodeStore.open(recorded).read(0)
    observations = {name: values for name, values in episode.observations.items() if name != "goal_pos_world_m"}
    with pytest.raises(AshoreError, match=r"goal_pos_world_m: missing"):
        Episode(episode.contract, observations, episode.actions, episode.time_s, episode.meta)


def test_stores_whose_contracts_differ_are_not_mixed(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    contract = EpisodeStore.open(recorded).contract
    goal = next(feature for feature in contract.observations if feature.name == "goal_pos_world_m")
    changed = tuple(f if f is not goal else changed_frame(goal) for f in contract.observations)
    EpisodeStore.create(tmp_path / "other", replace(contract, observations=changed))
    text = refused(["train", recorded, tmp_path / "other", "--updates", "5", "--out", tmp_path / "run"], capsys)
    assert "goal_pos_world_m.frame" in text
    assert not (tmp_path / "run").exists()


def changed_frame(feature: Feature) -> Feature:
    return replace(feature, frame="body")


def test_without_ros_the_deployer_names_the_extra(bundle: Path, tmp_path: Path) -> None:
    code = f"""
import sys
sys.modules["rclpy"] = None
from ashore.cli.main import main
sys.exit(main(["deploy", {str(bundle)!r}, "--robot", "twin/crazyflie", "--record", {str(tmp_path / "seen")!r}]))
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert "ashore[ros]" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "seen").exists()


def test_a_run_does_not_go_on_with_a_store_that_grew(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = shutil.copytree(recorded, tmp_path / "store")
    train = ["train", store, "--updates", "5", "--batch-size", "64", "--out", tmp_path / "run"]
    assert main([str(argument) for argument in train]) == 0
    assert main(["collect", "--task", "quadrotor/hover", "--episodes", "9", "--out", str(store)]) == 0
    assert "episodes_sha256" in refused(train, capsys)
