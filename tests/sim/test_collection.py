"""Collected episodes are demonstrations that replay, resume where they stopped, and say where they came from."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ashore.datasets.errors import ContractMismatch, UnknownName
from ashore.datasets.store import EpisodeStore
from ashore.sim.collection import collect, demonstrate
from ashore.sim.control_steps import ControlSteps
from ashore.sim.errors import ExpertFails
from ashore.sim.injection import Injection, inject
from ashore.sim.randomization import draw_from_json
from ashore.sim.robots import make_arm
from ashore.sim.simulation import Simulation
from ashore.sim.tasks import make_task
from ashore.sim.tasks.pick_place import PickPlace
from ashore.sim.world import World

TASK = make_task("arm/pick-place")


def _store(path: Path) -> EpisodeStore:
    return EpisodeStore.create(path, TASK.contract)


def test_a_collection_that_was_cut_off_goes_on_to_the_same_episodes(tmp_path: Path) -> None:
    whole, parts = _store(tmp_path / "whole"), _store(tmp_path / "parts")
    told: list[tuple[int, int]] = []
    result = collect(
        "arm/pick-place", 6, whole, "wide", 3, progress=lambda done, total, note: told.append((done, total))
    )
    assert len(whole) == 6 and result.n_kept == 6 and told[-1] == (6, 6)
    collect("arm/pick-place", 2, parts, "wide", 3)
    collect("arm/pick-place", 6, parts, "wide", 3)
    assert collect("arm/pick-place", 6, parts, "wide", 3).n_tried == 0
    for one, other in zip(whole, parts, strict=True):
        assert one.meta.seed == other.meta.seed and one.meta.draw == other.meta.draw
        np.testing.assert_array_equal(one.commands, other.commands)
        for name, values in one.observations.items():
            np.testing.assert_array_equal(values, other.observations[name])


def test_an_episode_tells_what_was_seen_told_and_sent(tmp_path: Path) -> None:
    store = _store(tmp_path / "store")
    collect("arm/pick-place", 2, store, "wide", 0)
    episode = store.read(0)
    assert episode.meta.source == "simulation" and episode.meta.success and not episode.meta.truncated
    assert episode.meta.metrics["placing_error_m"] < 0.03
    assert set(episode.meta.draw) == set(TASK.randomization("wide").nominal())
    goal = draw_from_json(episode.meta.draw)["places_base_m"][1]
    np.testing.assert_allclose(
        episode.observations["goal_pos_base_m"][:, :2], np.tile(goal, (len(episode), 1)), atol=1e-6
    )
    np.testing.assert_allclose(np.diff(episode.time_s), 0.04, atol=1e-9)
    assert episode.commands is not None and episode.commands.shape == (len(episode), TASK.robot.card.command_width)
    # The label leads the tool by at most the expert's speed times the servo's time, and noise is on the command alone.
    lead = np.linalg.norm(episode.actions["tool_pos_base_m"] - episode.observations["tcp_pos_base_m"], axis=1)
    assert lead.max() < 0.05


def test_noise_can_be_left_out(tmp_path: Path) -> None:
    clean, noisy = _store(tmp_path / "clean"), _store(tmp_path / "noisy")
    collect("arm/pick-place", 2, clean, "none", 0, noise=False)
    collect("arm/pick-place", 2, noisy, "none", 0)
    rough = [np.abs(np.diff(store.read(0).commands[:, :7], n=2, axis=0)).mean() for store in (clean, noisy)]
    assert rough[1] > 2 * rough[0]
    assert clean.read(0).meta.metrics["injected_noise"] == 0.0


def test_a_store_of_another_task_and_an_unknown_level_are_refused(tmp_path: Path) -> None:
    store = _store(tmp_path / "store")
    with pytest.raises(ContractMismatch, match="the task quadrotor/hover"):
        collect("quadrotor/hover", 1, store)
    with pytest.raises(UnknownName, match="level 'wilde'"):
        collect("arm/pick-place", 1, store, "wilde")
    assert len(store) == 0


class Idle:
    """An expert that waits above the table."""

    def __init__(self, n: int) -> None:
        self._n = n

    def act(self, truth: Mapping[str, NDArray[Any]], time_s: float) -> NDArray[Any]:
        return np.tile([0.5, 0.0, 0.3, 0.0, 0.0, 0.0, 0.08], (self._n, 1))


def test_an_expert_that_hardly_succeeds_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PickPlace, "expert", lambda self, n, rng: Idle(n))
    with pytest.raises(ExpertFails, match="succeeded in 0 of 40 attempts"):
        collect("arm/pick-place", 20, _store(tmp_path / "store"))


def test_injected_noise_is_each_episodes_own_and_comes_in_bursts() -> None:
    injection = Injection(burst_std=(1.0, 0.0), white_std=(0.0, 0.0))
    offsets = inject(injection, [4, 5, 6], 5000, 0.02)
    np.testing.assert_array_equal(offsets[2], inject(injection, [6], 5000, 0.02)[0])
    assert not offsets[..., 1].any() and not np.array_equal(offsets[0], offsets[1])
    share = np.mean(offsets[..., 0] != 0)
    # A burst of 0.225 s on average, begun 0.6 times a second while none runs.
    assert share == pytest.approx(0.225 / (0.225 + 1 / 0.6), rel=0.15)


def test_what_an_expert_asks_for_beyond_the_contract_is_held_within_it(tmp_path: Path) -> None:
    """A workspace that ends above the cube: what is executed and stored stays inside, and so nothing is grasped."""
    folder = tmp_path / "arm"
    shutil.copytree(make_arm("panda").mjcf_path.parent, folder)
    path = folder / "robot.yaml"
    path.write_text(path.read_text().replace("low: [0.25, -0.45, 0.0]", "low: [0.25, -0.45, 0.1]"))
    task = make_task(f"arm/pick-place@{path}")
    simulation = Simulation(task, World(task.scene(), 2, 1), task.randomization("none"))
    low = task.contract.actions[0].low
    assert low is not None and low[2] == 0.1
    steps = ControlSteps(simulation)
    asked = np.tile([0.5, 0.0, 0.0, 9.0, 0.0, 0.0, 0.5], (2, 1))
    np.testing.assert_allclose(steps.bounded(asked)[0], [0.5, 0.0, 0.1, 2.5, 0.0, 0.0, 0.08], rtol=1e-6)
    assert demonstrate(simulation, 0, [0, 1], noise=False) == []
