"""A policy of the second arm: its run carries that arm's card, and it drives that arm's simulation."""

import json
from pathlib import Path

import pytest

from ashore.cli.main import main
from ashore.sim.robots import make_arm
from ashore.sim.tasks import is_task


def test_a_policy_of_another_arm_is_trained_and_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, run = tmp_path / "data", tmp_path / "run"
    assert main(["collect", "--task", "arm/reach@ur5e", "--episodes", "6", "--out", str(data)]) == 0
    train = ["train", str(data), "--policy", "diffusion", "--updates", "20", "--batch-size", "32", "--out", str(run)]
    assert main(train) == 0
    card = json.loads((run / "robot.json").read_text(encoding="utf-8"))
    assert card == json.loads(make_arm("ur5e").card.to_json())
    assert card["interface"]["kind"] == "tool_space"
    assert main(["evaluate", str(run), "--episodes", "2"]) == 0
    assert "arm/reach@ur5e" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("arm/reach", True),
        ("arm/reach@ur5e", True),
        ("arm/reach@my/robot.yaml", True),
        ("my_tasks:Lift", True),
        ("my.tasks:Lift@ur5e", True),
        ("gym/gym_pusht/PushT-v0", False),
        ("Pick: the cube", False),
        ("pusht", False),
    ],
)
def test_tasks_of_ours_are_told_from_data_of_others(name: str, ours: bool) -> None:
    assert is_task(name) is ours
