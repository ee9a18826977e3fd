"""`ashore train`: its options as a file, its candidates, its kinds of policy; and what of it cannot be."""

from pathlib import Path

import pytest
import yaml
from test_commands import complaint

from ashore.cli.main import main, parse
from ashore.cli.train import Train
from ashore.policies.checkpoint import load_settings

QUICK = ("--updates", "20", "--batch-size", "16", "--prediction-horizon", "8")


def train(*arguments: str | Path) -> int:
    return main(["train", *map(str, arguments)])


def test_options_are_shown_stored_and_read_again(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert train(store, *QUICK, "--learning-rate", "2e-3", "--out", first) == 0
    said = capsys.readouterr().out
    assert "learning_rate" in said and "0.002" in said and "parameters" in said and "Memory" in said
    options = yaml.safe_load((first / "options.yaml").read_text())
    assert options["updates"] == 20 and options["learning_rate"] == 0.002 and options["stores"] == [str(store)]
    assert train("--config", first / "options.yaml", "--seed", "7", "--out", second) == 0
    one, other = (load_settings(run)[0] for run in (first, second))
    assert other.policy == one.policy and other.stores == one.stores
    assert dict(other.training) == {**one.training, "seed": 7}


def test_a_file_of_options_goes_after_the_command_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("stores: [out/arm]\nnetwork: unet\nminutes: 2\ngoal: [tcp_pos_base_m]\n")
    command = parse("train", ["--config", str(path), "--network", "transformer"])
    assert isinstance(command, Train)
    assert (command.network, command.minutes, command.goal) == ("transformer", 2.0, ("tcp_pos_base_m",))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("batchsize: 3", "batchsize: unknown. Did you mean 'batch_size'?"),
        ("batch_size: many\nseed: 1.5", r"batch_size: 'many'; expected a whole number"),
        ("network: cnn", "network: 'cnn'; expected mlp or unet or transformer"),
        ("[1, 2", "options of `ashore train`"),
        ("- 1", "expected `option: value` lines"),
    ],
)
def test_options_that_cannot_be_are_one_error(tmp_path: Path, capsys, text: str, said: str) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    assert said in complaint(capsys, "train", "--config", tmp_path / "mine.yaml")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.yaml"]


def test_no_store_and_too_little_data_are_told(store: Path, tmp_path: Path, capsys) -> None:
    assert "out/arm" in complaint(capsys, "train", "--out", tmp_path / "run")
    said = complaint(
        capsys, "train", store, "--prediction-horizon", "4000", "--action-horizon", "1", "--out", tmp_path / "r"
    )
    assert "window" in said
    said = complaint(capsys, "train", store, "--goal", "colour", *QUICK, "--out", tmp_path / "goal")
    assert "colour: no such observation" in said
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


@pytest.mark.parametrize("policy", ["bc", "act", "consistency"])
def test_baselines_train_and_fly(store: Path, tmp_path: Path, capsys, policy: str) -> None:
    run = tmp_path / policy
    assert train(store, "--policy", policy, *QUICK, "--out", run) == 0
    assert load_settings(run)[0].kind == policy
    assert main(["evaluate", str(run), "--episodes", "2", "--level", "none"]) == 0


def test_candidates_are_screened_and_the_choice_is_told(store: Path, tmp_path: Path, capsys) -> None:
    run = tmp_path / "run"
    few = ("--candidates", "2", "--screen-episodes", "2", "--confirm-episodes", "3", "--level", "none")
    assert train(store, *QUICK, *few, "--out", run) == 0
    said = capsys.readouterr().out
    assert "candidates on 2 episodes" in said and "On 3 fresh episodes" in said
    assert (run / "selection.json").exists()


def test_a_run_is_asked_with_other_samplers_and_goals(store: Path, tmp_path: Path, capsys) -> None:
    run, bundle = tmp_path / "run", tmp_path / "policy.ashore"
    assert train(store, *QUICK, "--goal", "pos_world_m", "--out", run) == 0
    said = complaint(capsys, "evaluate", run, "--episodes", "1")
    assert "pos_world_m: not given" in said and "--goal NAME=NUMBERS" in said
    assert "is no goal" in complaint(capsys, "evaluate", run, "--goal", "pos_world_m=here")
    said = complaint(capsys, "evaluate", run, "--goal", "pos_world_m=0,0,1", "--sampler", "ddim")
    assert "valid: euler, heun, dpm" in said
    goal = ("--goal", "pos_world_m=0,0,1", "--sampler", "dpm", "--steps", "3")
    assert main(["evaluate", str(run), *goal, "--guidance", "1.5", "--episodes", "1", "--level", "none"]) == 0
    page = ["--episodes", "1", "--level", "none", "--out", str(tmp_path / "page.html")]
    assert main(["doctor", "run", str(run), *goal, *page]) == 1
    assert "not given" not in (tmp_path / "page.html").read_text()
    assert main(["doctor", "run", str(run), *page]) == 2
    assert main(["export", str(run), *goal, "--precision", "int8", "--out", str(bundle)]) == 0
    assert "built in" in complaint(capsys, "evaluate", bundle, "--steps", "2")
    assert main(["evaluate", str(bundle), "--episodes", "1", "--level", "none"]) == 0
