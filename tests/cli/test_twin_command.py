"""`ashore twin`: the expert in other realities beside the simulation, told as the twin and never as the robot."""

from pathlib import Path

import pytest
from PIL import Image

from ashore.cli.main import main


def _run(*arguments: object) -> int:
    return main(["twin", *map(str, arguments)])


def test_the_expert_is_tried_in_each_reality_and_filmed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    film = tmp_path / "twin.gif"
    asked = ("quadrotor/hover", "--profile", "quadrotor_mild", "quadrotor_stuttering", "--episodes", 2, "--out", film)
    assert _run(*asked) == 0
    told = capsys.readouterr().out
    for reality in ("MuJoCo, nominal", "quadrotor_mild", "quadrotor_stuttering"):
        assert f"{reality}" in told
    assert told.count("2 of 2") == 3 and "never to be taken for the robot" in told
    picture = Image.open(film)
    assert picture.size == (320, 240) and getattr(picture, "n_frames", 1) > 20


def test_the_profiles_that_ship_are_listed_with_their_robots(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("--list") == 0
    told = capsys.readouterr().out
    assert "arm_worn" in told and "panda, ur5e" in told and "crazyflie" in told


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (("quadrotor/hover", "--profile", "arm_mild"), "of those that ship 'quadrotor_mild'"),
        (("quadrotor/hover", "--profile", "quadrotor_wild"), "Did you mean 'quadrotor_mild'"),
        (("quadrotor/hoover",), "Did you mean 'quadrotor/hover'"),
        (("arm/pick-place", "--episodes", "0"), "Ask for one episode or more"),
    ],
)
def test_what_cannot_be_tried_is_told_in_words(
    asked: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(*asked) == 2
    assert words in capsys.readouterr().err
