"""`ashore doctor run` on runs trained for seconds: the page, its exit codes, and what happens where things are gone."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from ashore.cli.doctor_run.clips import choose
from ashore.cli.main import main
from ashore.datasets.episode import Episode, EpisodeMeta
from ashore.datasets.store import EpisodeStore
from ashore.policies.diagnosis.diagnosis import DiagnosisConfig, diagnose
from ashore.sim.gym_task import make_gym_simulation

HEADINGS = (
    "What to try",
    "At a glance",
    "Clips",
    "Learnt and held out",
    "Planned and demonstrated actions",
    "Coverage: where it leaves the data",
    "Ranges of the normaliser",
    "Latency",
    "Seams between chunks",
    "Frozen observations",
    "Weakest slices",
)


@pytest.fixture(scope="module")
def trained(recorded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that learnt from two flights, and hardly."""
    run = tmp_path_factory.mktemp("doctor") / "teacher"
    shape = ["--updates", "30", "--batch-size", "32"]
    assert main(["train", str(recorded), *shape, "--out", str(run)]) == 0
    return run


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """The same, a copy that a test may change."""
    return shutil.copytree(trained, tmp_path / "run")


def change(path: Path, **fields: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def looked_at(run: Path, out: Path, *options: str) -> str:
    assert main(["doctor", "run", str(run), "--episodes", "4", "--out", str(out), *options]) == 1
    return out.read_text()


def test_the_page_shows_every_part_and_needs_no_other_file(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = looked_at(trained, tmp_path / "new" / "page.html", "--level", "narrow")
    assert [heading for heading in HEADINGS if f"<h2>{heading}</h2>" not in text] == []
    assert not re.search(r'(?:src|href)="(?!data:|#)', text.replace("xlink:href", ""))
    assert "data:image/gif;base64," in text or "There are none: " in text
    assert "level narrow, seed 1000" in text
    said = capsys.readouterr()
    assert "0 of 4, 0.0%" in said.out
    assert "coverage" in said.out and "finding(s)" in said.out
    assert "doctor run: 4/4" in said.err
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["page.html"]


def test_a_student_is_looked_at_too(trained: Path, tmp_path: Path) -> None:
    student = tmp_path / "student"
    assert main(["distill", str(trained), "--updates", "2", "--out", str(student)]) == 0
    text = looked_at(student, tmp_path / "page.html")
    assert "A consistency policy for quadrotor/hover" in text
    assert "Error of the cleaned chunk by noise level" in text
    assert "times its teacher&#x27;s error" in text


def test_clips_show_failures_around_the_moment_when_they_leave_the_data(trained: Path) -> None:
    diagnosis, _ = diagnose(trained, DiagnosisConfig(episodes=4))
    chosen = choose(diagnosis)
    assert len(chosen) == 2 and not any(choice.success for choice in chosen)
    for choice in chosen:
        n_steps = len(diagnosis.rollouts[choice.episode].plans)
        assert 0 <= choice.steps[0] <= choice.steps[-1] < n_steps
        if choice.left is not None:
            assert choice.steps.start <= choice.left < choice.steps.stop


def test_a_run_of_any_gymnasium_environment_is_looked_at_and_filmed(tmp_path: Path) -> None:
    simulation, rng = make_gym_simulation("gym/Pendulum-v1", 1), np.random.default_rng(0)
    contract = simulation.task.contract
    with EpisodeStore.create(tmp_path / "store", contract) as store:
        for seed in range(3):
            simulation.reset([{}], [seed])
            steps = []
            for _ in range(60):
                action = rng.uniform(-2, 2, (1, 1)).astype(np.float32)
                steps.append((simulation.observe()["observation"][0], action[0]))
                simulation.step(action)
            observations, actions = (np.stack(column) for column in zip(*steps, strict=True))
            named = ({"observation": observations}, {"action": actions}, np.arange(60) * contract.period_s)
            store.append(Episode(contract, *named, EpisodeMeta("simulation")))
    run = tmp_path / "run"
    options = ("--updates", "10", "--batch-size", "32", "--out", str(run))
    assert main(["train", str(tmp_path / "store"), *options]) == 0
    text = looked_at(run, tmp_path / "page.html")
    assert text.count("data:image/gif;base64,") == 2
    assert "Run in 4 episodes, seed 1000" in text


def test_without_its_store_the_page_says_which_and_shows_the_rest(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(run / "config.json", stores=[str(tmp_path / "moved")])
    text = looked_at(run, tmp_path / "page.html")
    assert "What could not be looked at" in text and str(tmp_path / "moved") in text
    assert "<h2>Seams between chunks</h2>" in text
    assert "<h2>Planned and demonstrated actions</h2>" not in text
    assert "Not looked at: the data." in capsys.readouterr().out


def test_without_its_task_the_page_has_no_episodes_and_says_so(run: Path, tmp_path: Path) -> None:
    change(run / "contract.json", task="arm/of-somebody-else")
    text = looked_at(run, tmp_path / "page.html")
    assert "It could not be run here." in text
    assert "There are none: it could not be run here." in text
    assert "arm/of-somebody-else" in text and "arm/pick-place" in text  # What was asked for, and what there is.
    assert "<h2>Latency</h2>" in text and "<h2>Seams between chunks</h2>" not in text


@pytest.mark.parametrize("gone", ["config.json", "checkpoint"])
def test_what_is_no_run_is_refused_in_one_sentence(
    gone: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(run / gone) if (run / gone).is_dir() else (run / gone).unlink()
    assert main(["doctor", "run", str(run), "--out", str(tmp_path / "page.html")]) == 2
    said = capsys.readouterr().err
    assert said.startswith("NotARun: ") and gone in said
    assert not (tmp_path / "page.html").exists()


@pytest.mark.parametrize(("option", "value"), [("--level", "widest"), ("--episodes", "0")])
def test_episodes_that_cannot_be_are_refused_before_the_work(
    option: str, value: str, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", "run", str(trained), option, value, "--out", str(tmp_path / "page.html")]) == 2
    assert value in capsys.readouterr().err
    assert not (tmp_path / "page.html").exists()
