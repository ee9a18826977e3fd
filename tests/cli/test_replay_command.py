"""`ashore collect` and `ashore replay` end to end: what is stored comes out again to the bit, or where not."""

import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from ashore.cli.main import main
from ashore.datasets.store import EpisodeStore


def said(capsys: pytest.CaptureFixture[str], code: int, *arguments: str | Path) -> str:
    """What a command prints that must end with this code."""
    assert main([str(argument) for argument in arguments]) == code
    heard = capsys.readouterr()
    return heard.out if code < 2 else heard.err


def tampered(store: Path, **changes: object) -> Path:
    """A store beside this one, whose one episode is its first with some fields changed."""
    source = EpisodeStore.open(store, readonly=True)
    target = EpisodeStore.create(store.with_name("tampered"), source.contract)
    with target:
        target.append(replace(source.read(0), **changes))  # type: ignore[arg-type]
    return target.path


def test_a_collected_episode_is_bit_identical(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for index in ("0", "1", "-1"):
        assert "300 steps, bit-identical." in said(capsys, 0, "replay", store, "--episode", index, "--check")
    assert not list(store.parent.glob("*.gif"))


def test_a_tampered_episode_names_step_feature_and_both_values(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    actions = dict(EpisodeStore.open(store, readonly=True).read(0).actions)
    name = min(actions)
    actions[name] = np.array(actions[name])
    actions[name][42, 0] += np.float32(0.01)
    words = said(capsys, 1, "replay", tampered(store, actions=actions), "--check")
    assert "step 42, commands[" in words and "stored" in words and "replayed" in words
    assert "Likely cause: The episode was changed" in words


def test_versions_are_told_first_and_named_as_the_cause(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    episode = EpisodeStore.open(store, readonly=True).read(0)
    assert episode.commands is not None
    meta = replace(episode.meta, versions={**episode.meta.versions, "mujoco": "3.9.0"})
    changed = tampered(store, meta=meta, commands=episode.commands + 1e-9)
    lines = said(capsys, 1, "replay", changed, "--check").splitlines()
    assert lines[0].startswith("mujoco: recorded with 3.9.0, replayed with ")
    assert "step 0, commands[0]" in lines[1]
    assert lines[2] == "Likely cause: the versions above."


def test_what_a_person_recorded_cannot_be_checked(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    meta = replace(EpisodeStore.open(store, readonly=True).read(0).meta, source="human")
    assert "source 'human'" in said(capsys, 2, "replay", tampered(store, meta=meta), "--check")


def test_a_film_may_be_an_mp4(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "films" / "flight.mp4"
    options = ["--engine", "twin", "--width-px", "64", "--height-px", "48"]
    assert "75 pictures" in said(capsys, 0, "replay", store, "--out", out, *options)
    film = cv2.VideoCapture(str(out))
    assert int(film.get(cv2.CAP_PROP_FRAME_COUNT)) == 75
    assert film.get(cv2.CAP_PROP_FPS) == pytest.approx(12.5)
    assert film.read()[1].shape == (48, 64, 3)
    assert [path.name for path in out.parent.iterdir()] == ["flight.mp4"]
    assert "Valid: '.gif', '.mp4'" in said(capsys, 2, "replay", store, "--out", tmp_path / "flight.avi")


def test_a_viewer_without_a_screen_is_refused(
    store: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert "there is no display" in said(capsys, 2, "replay", store, "--viewer")


WEIGHTLESS = """
base: none
parameters:
  weight:
    group: dynamics
    distribution: {kind: categorical, values: [1.0, 0.000000001]}
    how: scale
    targets: [{field: body_mass, names: [crazyflie]}, {field: body_inertia, names: [crazyflie]}]
"""
"""Hardly any mass in every second draw."""


def test_diverged_attempts_are_told_and_can_be_seen_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # MuJoCo writes its warnings into the working folder.
    (tmp_path / "weightless.yaml").write_text(WEIGHTLESS)
    command = (
        "collect",
        "--task",
        "quadrotor/hover",
        "--level",
        "weightless.yaml",
        "--episodes",
        "4",
        "--out",
        tmp_path / "store",
    )
    words = said(capsys, 0, *command)
    assert "attempt(s) diverged and are not stored" in words
    numbers = words.split("--attempts ")[1].splitlines()[0].split()
    kept = {int(episode.meta.metrics["attempt"]) for episode in EpisodeStore.open(tmp_path / "store", readonly=True)}
    assert len(kept) == 4 and not kept & {int(number) for number in numbers}
    again = said(capsys, 0, *command, "--attempts", *numbers)
    assert again.count("diverged") == len(numbers) and again.count('"weight": 1e-09') == len(numbers)
    assert len(EpisodeStore.open(tmp_path / "store", readonly=True)) == 4
    assert "there is no attempt '-3'" in said(capsys, 2, *command, "--attempts", "2", "-3")
