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
    ],
)
def test_a_class_that_is_not_there_is_told(name: str, words: str) -> None:
    with pytest.raises(UnknownTaskClass, match=words):
        make_task(name)
