"""A stored episode comes out of the simulation again to the bit, and what was changed is named."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from absurd import absurd

from ashore.datasets.episode import Episode
from ashore.datasets.store import EpisodeStore
from ashore.sim.collection import collect, try_attempts
from ashore.sim.errors import CannotReplay, MixedMemory
from ashore.sim.randomization import draw_to_json
from ashore.sim.replaying import Difference, check_replay
from ashore.sim.restarting import restart_rows
from ashore.sim.tasks import TASKS, make_task
from ashore.sim.tasks.pick_place import PickPlace


def collected(folder: Path, task: str = "arm/pick-place", n: int = 3, **options: Any) -> list[Episode]:
    store = EpisodeStore.create(folder / "store", make_task(task).contract)
    collect(task, n, store, seed=4, **options)
    return list(EpisodeStore.open(folder / "store", readonly=True))


@pytest.fixture(scope="module")
def episode(tmp_path_factory: pytest.TempPathFactory) -> Episode:
    return collected(tmp_path_factory.mktemp("replay"))[1]


def changed(episode: Episode, **meta: Any) -> Episode:
    return replace(episode, meta=replace(episode.meta, **meta))


@pytest.mark.parametrize(("level", "noise"), [("wide", True), ("none", False)])
@pytest.mark.parametrize("task", sorted(TASKS))
def test_every_stored_number_comes_out_again(task: str, level: str, noise: bool, tmp_path: Path) -> None:
    for episode in collected(tmp_path, task, 2, level=level, noise=noise):
        found = check_replay(episode, "it")
        assert found.difference is None and found.n_steps == len(episode)
        assert not found.versions and not found.is_start_new
        assert episode.meta.level == level


def test_a_changed_command_is_named_with_its_step(episode: Episode) -> None:
    commands = np.array(episode.commands)
    commands[7, 2] = np.nextafter(commands[7, 2], np.inf)
    found = check_replay(replace(episode, commands=commands), "it")
    assert found.difference == Difference(7, "commands[2]", commands[7, 2], episode.commands[7, 2])
    assert found.n_steps == 8


def test_a_changed_action_shows_in_the_command_that_it_makes_and_a_changed_observation_where_it_is(
    episode: Episode,
) -> None:
    actions = {name: values.copy() for name, values in episode.actions.items()}
    actions["tool_pos_base_m"][9, 0] += 1e-4
    first = check_replay(replace(episode, actions=actions), "it").difference
    assert first is not None and (first.step, first.feature.split("[")[0]) == (9, "commands")
    observations = {name: values.copy() for name, values in episode.observations.items()}
    observations["object_pos_base_m"][3, 1] = -0.0
    first = check_replay(replace(episode, observations=observations), "it").difference
    assert first is not None and (first.step, first.feature) == (3, "object_pos_base_m[1]")


def test_the_initial_state_is_taken_as_it_is_stored(episode: Episode) -> None:
    state = list(episode.meta.initial_state)
    state[1] += 1e-6
    found = check_replay(changed(episode, initial_state=tuple(state)), "it")
    assert found.is_start_new and found.difference is not None


def test_versions_that_differ_are_told(episode: Episode) -> None:
    versions = {**episode.meta.versions, "mujoco": "3.9.0"}
    (found,) = check_replay(changed(episode, versions=versions), "it").versions
    assert found[:2] == ("mujoco", "3.9.0")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"source": "human"}, "does not come from Ashore's simulation: source 'human'"),
        ({"source": "twin"}, "does not come from Ashore's simulation: source 'twin'"),
        ({"origin": "lerobot of a, episode 1"}, "simulation: lerobot of a, episode 1"),
        ({"seed": None, "initial_state": ()}, "2 reason.*\n  seed: it was.*\n  initial state: it was recorded without"),
        ({"metrics": {}}, "whether noise was injected: it was recorded without"),
        ({"seed": -1}, "seed: -1; none is below 0"),
        ({"initial_state": (float("nan"),) * 3}, "it holds NaN or infinity"),
        ({"draw": {"object_yaw_rad": 1.0}}, "draw: 'places_base_m' is missing"),
        ({"initial_state": (0.0, 1.0)}, "initial state: 2 numbers, but the scene of today has"),
    ],
)
def test_an_episode_that_lacks_what_is_needed_is_refused(episode: Episode, change: dict[str, Any], reason: str) -> None:
    with pytest.raises(CannotReplay, match=reason):
        check_replay(changed(episode, **change), "it")


def test_an_episode_that_was_cut_is_refused(episode: Episode) -> None:
    with pytest.raises(CannotReplay, match=r"begins at 0.20 s or has gaps"):
        check_replay(episode.part(slice(5, None)), "it")
    assert check_replay(episode.part(slice(0, 20)), "it").n_steps == 20


def test_diverged_attempts_are_reported_never_stored_and_disturb_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = {int(each.meta.metrics["attempt"]): each for each in collected(tmp_path, n=12, level="none")}
    monkeypatch.chdir(tmp_path)  # MuJoCo writes its warnings into the working folder.
    monkeypatch.setattr(PickPlace, "randomization", absurd)
    store = EpisodeStore.create(tmp_path / "absurd", make_task("arm/pick-place").contract)
    result = collect("arm/pick-place", 8, store, "none", 4)
    assert result.diverged and result.n_kept == 8
    lost = {attempt.number for attempt in result.diverged}
    kept = {int(episode.meta.metrics["attempt"]): episode for episode in store}
    assert not lost & set(kept)
    for attempt in result.diverged:
        assert attempt.draw["stiffness"] == 1e9 and attempt.outcome == "diverged" and attempt.time_s < 1.0
    for number in set(sound) & set(kept):
        # The same start; the servos of those that stayed sound are the nominal ones.
        np.testing.assert_array_equal(kept[number].commands, sound[number].commands)
    again = try_attempts("arm/pick-place", [attempt.number for attempt in result.diverged], "none", 4, True)
    for one, other in zip(again, result.diverged, strict=True):
        assert (one.number, one.seed, one.outcome, one.time_s) == (other.number, other.seed, "diverged", other.time_s)
        assert draw_to_json(one.draw) == draw_to_json(other.draw)


class Listing:
    """A judge that remembers in a list."""

    def __init__(self) -> None:
        self.heights = [0.0]


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("start_joint_offset_rad", [1.0, 2.0], r"'start_joint_offset_rad' has the shape \(2,\); expected \(7,\)"),
        ("joint_damping", [1.0, 2.0, 3.0], "'joint_damping' has the shape"),
        ("joint_damping", float("inf"), "it holds NaN or infinity"),
        ("nothing_like_it", 1.0, "'nothing_like_it' is no parameter of this level"),
    ],
)
def test_a_draw_that_is_not_of_its_level_is_refused(episode: Episode, name: str, value: Any, reason: str) -> None:
    with pytest.raises(CannotReplay, match=reason):
        check_replay(changed(episode, draw={**episode.meta.draw, name: value}), "it")


def test_a_memory_whose_rows_cannot_be_told_apart_is_refused() -> None:
    with pytest.raises(MixedMemory, match="keeps 'heights' in a list"):
        restart_rows(Listing(), Listing(), np.array([0]), 3)
