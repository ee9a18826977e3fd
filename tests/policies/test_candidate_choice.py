"""Candidates are chosen by success on the same episodes, told on fresh ones, and training may stop early."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ashore.datasets.store import EpisodeStore
from ashore.policies.checkpoint import candidates, load_checkpoint, load_run, selected_weights
from ashore.policies.errors import InvalidConfig, NothingToSelect
from ashore.policies.networks.mlp import MLPConfig
from ashore.policies.policy import PolicyConfig
from ashore.policies.selection import Screen
from ashore.policies.training import train
from ashore.policies.training_loop import TrainingConfig
from ashore.sim.collection import collect
from ashore.sim.simulation import make_simulation
from ashore.sim.tasks import make_task

TASK = "quadrotor/hover"
SHAPE = PolicyConfig(prediction_horizon=8, network=MLPConfig(width=48, blocks=1))
TRAINING = TrainingConfig(updates=240, batch_size=64, learning_rate=3e-3, average_decay=0.98, candidates=4)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("stores") / "hover"
    with EpisodeStore.create(path, make_task(TASK).contract) as opened:
        collect(TASK, 8, opened)
    return path


def screen(run: Path, **options) -> Screen:
    return Screen(run, make_simulation(TASK, 4, "narrow", n_threads=1), "narrow", episodes=4, **options)


def test_the_best_is_chosen_and_told_from_fresh_episodes(store: Path, tmp_path: Path) -> None:
    run = train([store], tmp_path / "run", TRAINING, SHAPE)
    assert [int(path.stem) for path in candidates(run)] == [150, 180, 210, 240]
    selection = screen(run).select(confirmations=6)
    best = max(selection.screened, key=lambda s: (s.success_rate, s.score, s.update))
    assert selection.chosen == best.update == selection.screened[0].update
    assert len(selection.screened) == 4 and selection.confirmed_episodes == 6
    assert 0 <= selection.low <= selection.success_rate <= selection.high <= 1
    assert selection.optimism == pytest.approx(best.success_rate - selection.success_rate)
    assert selected_weights(run).stem == f"{selection.chosen:08d}"
    assert json.loads((run / "selection.json").read_text())["chosen"] == selection.chosen
    noted = {path: path.stat().st_mtime_ns for path in (run / "candidates").glob("*.json")}
    assert screen(run).select(confirmations=6) == selection  # Nothing is run twice but the confirmation.
    assert {path: path.stat().st_mtime_ns for path in noted} == noted
    load_run(run)
    (run / "candidates" / "mine.safetensors").write_bytes(b"of someone else")
    candidates(run)[1].with_suffix(".json").write_text("{half")
    assert screen(run).select(confirmations=6) == selection
    noted = {path: path.stat().st_mtime_ns for path in noted}
    Screen(run, make_simulation(TASK, 4, "wide", n_threads=1), "wide", episodes=4).screen(candidates(run)[0])
    again = {path for path in noted if path.stat().st_mtime_ns != noted[path]}
    assert again == {candidates(run)[0].with_suffix(".json")}  # Another level is another question.


def test_training_stops_when_nothing_better_comes(store: Path, tmp_path: Path) -> None:
    judged = []

    class Impatient(Screen):
        def __call__(self, candidate: Path) -> bool:
            judged.append(int(candidate.stem))
            return super().__call__(candidate)

    judge = Impatient(tmp_path / "run", make_simulation(TASK, 4, "narrow", n_threads=1), "narrow", 4, patience=1)
    training = replace(TRAINING, learning_rate=1e-9)  # Nothing is learnt, so the first candidate stays the best.
    train([store], tmp_path / "run", training, SHAPE, judge=judge)
    assert judged[:2] == [150, 180] and judged[-1] < 240
    stopped = load_checkpoint(tmp_path / "run")
    assert stopped.has_stopped and stopped.update == judged[-1]
    train([store], tmp_path / "run", training, SHAPE, judge=judge)
    assert load_checkpoint(tmp_path / "run").update == stopped.update


def test_a_run_without_candidates_has_nothing_to_select(store: Path, tmp_path: Path) -> None:
    run = train([store], tmp_path / "run", replace(TRAINING, updates=5, candidates=0), SHAPE)
    with pytest.raises(NothingToSelect, match="--candidates 10"):
        screen(run).select()


@pytest.mark.parametrize("options", [{"episodes": 0}, {"patience": -1}])
def test_a_screening_that_cannot_be_is_refused_before_training(tmp_path: Path, options: dict[str, int]) -> None:
    with pytest.raises(InvalidConfig, match=r"(?s)episodes: .*patience: "):
        Screen(tmp_path, make_simulation(TASK, 1, "narrow", n_threads=1), "narrow", **options)
