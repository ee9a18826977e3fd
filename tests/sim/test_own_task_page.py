"""What docs/own_task.md says can be done: its class is written down and its commands are run, as they stand there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ashore.sim.errors import UnknownTaskClass
from ashore.sim.tasks import make_task

PAGE = Path(__file__).parents[2] / "docs" / "own_task.md"


def test_the_pages_task_is_collected_replayed_and_put_on_the_twin(tmp_path: Path) -> None:
    text = PAGE.read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (commands,) = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    (tmp_path / "my_tasks.py").write_text(code, encoding="utf-8")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    script = f"set -eu\n{commands}"
    done = subprocess.run(
        ["sh", "-c", script], cwd=tmp_path, env=os.environ | {"PATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "holds 20 episodes" in done.stdout and "holds 5 episodes" in done.stdout
    assert "bit-identical" in done.stdout
    assert done.stdout.count("2 of 2") == 2


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no_such_module:Lift", "no module 'no_such_module' can be imported"),
        ("ashore.sim.tasks.stack:Stak", "has no task 'Stak'(.|\\n)*Did you mean 'Stack'"),
        ("ashore.sim.tasks.stack:ArmTask", "has no task 'ArmTask'"),
        ("ashore.sim.tasks.hover:Hover@ur5e", "has no task of an arm 'Hover'"),
        ("this:Zen", "ASHORE_TASKS does not list the module 'this'"),
    ],
)
def test_a_class_that_is_not_there_is_told(name: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASHORE_TASKS", "no_such_module, ashore.sim.tasks.stack,ashore.sim.tasks.hover")
    with pytest.raises(UnknownTaskClass, match=words):
        make_task(name)


def test_data_that_names_a_module_has_it_not_imported(tmp_path: Path) -> None:
    """A store from elsewhere whose task names a module that is there: nobody imports it."""
    (tmp_path / "bait.py").write_text("open('taken', 'w').close()", encoding="utf-8")
    script = """
import json, numpy as np
from dataclasses import replace
from ashore.cli.main import main
from ashore.datasets.episode import Episode, EpisodeMeta
from ashore.datasets.store import EpisodeStore
from ashore.sim.tasks import make_task
task = make_task("arm/reach")
contract = replace(task.contract, task="bait:Task")
with EpisodeStore.create("store", contract) as store:
    for _ in range(4):
        store.append(Episode(
            contract, {f.name: np.zeros((60, *f.shape), np.float32) for f in contract.observations},
            {f.name: np.zeros((60, *f.shape), np.float32) for f in contract.actions}, 0.04 * np.arange(60),
            EpisodeMeta(source="simulation", seed=1)))
def code(*asked):
    try:
        return main(list(asked))
    except SystemExit as stop:
        return stop.code
print([code("replay", "store", "--check"), code("replay", "store"),
       code("train", "store", "--policy", "diffusion", "--updates", "2", "--out", "run"),
       code("datasets", "info", "store")])
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines()[-1] == "[2, 2, 2, 0]", done.stderr
    assert not (tmp_path / "taken").exists()
