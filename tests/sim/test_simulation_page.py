"""The code in docs/simulation.md runs as it stands there."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "simulation.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_a_block_runs(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(BLOCKS[number], f"{PAGE.name}, block {number}", "exec"), {})
    if "check_replay" in BLOCKS[number]:
        assert capsys.readouterr().out.strip() == "None"


def test_there_are_blocks() -> None:
    assert len(BLOCKS) == 3
