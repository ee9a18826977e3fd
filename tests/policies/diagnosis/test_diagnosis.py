"""Runs with planted faults, looked at from all sides: each fault is found, and the advice fits its figure."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from point_cases import CONTRACT, PointSimulation

from ashore.policies.diagnosis.diagnosis import Diagnosis, DiagnosisConfig, diagnose
from ashore.policies.diagnosis.findings import Finding, find
from ashore.policies.diagnosis.summary import TOPICS, summarise
from ashore.policies.errors import InvalidConfig, NotARun

HZ = CONTRACT.control_hz
CONFIG = DiagnosisConfig(episodes=20, latency_s=0.0)


class NoisyPoints(PointSimulation):
    """Points seen as they were recorded."""

    def reset(self, draws: list[Mapping[str, np.ndarray]], seeds: list[int]) -> None:
        self._rng = np.random.default_rng(int(seeds[0]))
        super().reset(draws, seeds)

    def observe(self) -> dict[str, np.ndarray]:
        return {name: v + 0.003 * self._rng.normal(size=v.shape) for name, v in super().observe().items()}


class StuckGoals(PointSimulation):
    """The goal's sensor has died."""

    def observe(self) -> dict[str, np.ndarray]:
        return {**super().observe(), "goal_world_m": np.full((self.n, 2), 0.5)}


def looked_at(run: Path, simulation: PointSimulation | None = None) -> Diagnosis:
    return diagnose(run, CONFIG, simulation=simulation or NoisyPoints(10, HZ))[0]


def by_topic(findings: tuple[Finding, ...]) -> dict[str, Finding]:
    return {finding.topic: finding for finding in findings}


def test_a_policy_with_data_of_every_goal_stays_in_it(runs: dict[str, Path]) -> None:
    found = looked_at(runs["everywhere"])
    assert not found.missing and not found.data_changed
    assert found.n_episodes == 60 and found.noise_share == 0.0
    assert found.evaluation is not None and found.evaluation.success.mean() > 0.8
    assert not {"coverage", "range", "frozen", "guard"} & set(by_topic(find(found)))


def test_one_with_too_little_data_leaves_it_and_what_leaves_is_named(runs: dict[str, Path]) -> None:
    findings = by_topic(find(looked_at(runs["nearby"])))
    assert "goal_world_m" in findings["coverage"].figure
    assert "start outside the data" in findings["coverage"].figure
    assert "goal_world_m" in findings["range"].figure


def test_a_dead_sensor_is_told_from_one_that_never_mattered(runs: dict[str, Path]) -> None:
    found = looked_at(runs["everywhere"], StuckGoals(10, HZ))
    assert found.frozen is not None and found.frozen.only_in_rollouts == (2, 3)
    assert "goal_world_m[0], goal_world_m[1]" in by_topic(find(found))["frozen"].figure


def test_slow_planning_is_found_with_its_figures(runs: dict[str, Path]) -> None:
    found = looked_at(runs["everywhere"])
    slow = replace(found, latency=replace(found.latency, seconds=np.full(50, 0.45)))
    finding = by_topic(find(slow))["latency"]
    assert "450.0 ms" in finding.figure and "100.0 ms" in finding.figure
    assert "ashore distill" in finding.advice
    late = replace(found, latency=replace(found.latency, seconds=np.full(50, 0.35)))
    assert "--prediction-horizon" in by_topic(find(late))["latency"].advice


def test_failures_that_no_figure_explains_are_told_as_such(runs: dict[str, Path]) -> None:
    found = looked_at(runs["everywhere"])
    assert found.evaluation is not None
    bare = replace(found, curves=None, levels=None, chunks=None, coverage=None, ranges=None, frozen=None, seams=None)
    success = np.arange(20) > 1
    failing = replace(bare, evaluation=replace(found.evaluation, success=success))
    (finding,) = find(failing)
    assert finding.topic == "success" and "2 of 20" in finding.figure


def test_there_is_one_line_a_topic_and_every_finding_belongs_to_one(runs: dict[str, Path]) -> None:
    found = looked_at(runs["nearby"])
    findings = find(found)
    lines = summarise(found, findings)
    assert [line.topic for line in lines] == [topic for topic, _, _ in TOPICS]
    marked = {line.topic for line in lines if line.state == "found"}
    assert {finding.topic for finding in findings} <= marked


def test_the_same_seed_gives_the_same_episodes(runs: dict[str, Path]) -> None:
    first, second = (looked_at(runs["nearby"]) for _ in range(2))
    for one, other in zip(first.rollouts, second.rollouts, strict=True):
        assert np.array_equal(one.observations, other.observations)


def test_without_its_task_and_its_store_what_is_left_is_looked_at(runs: dict[str, Path], tmp_path: Path) -> None:
    run = shutil.copytree(runs["everywhere"], tmp_path / "run")
    config = json.loads((run / "config.json").read_text())
    config["stores"] = [str(tmp_path / "gone")]
    (run / "config.json").write_text(json.dumps(config))
    found, simulation = diagnose(run, CONFIG)
    assert simulation is None
    assert [missing.part for missing in found.missing] == ["episodes of its own", "the data"]
    assert "gone" in found.missing[1].why and "test/reach" in found.missing[0].why
    assert found.curves is not None and len(found.latency.seconds)
    states = {line.topic: line.state for line in summarise(found, find(found))}
    assert states["coverage"] == states["actions"] == states["success"] == "missing"


def test_data_that_grew_since_is_told(runs: dict[str, Path], tmp_path: Path) -> None:
    run = shutil.copytree(runs["everywhere"], tmp_path / "run")
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps({**config, "episodes_sha256": "0" * 64}))
    assert looked_at(run).data_changed


def test_no_episodes_are_no_diagnosis() -> None:
    with pytest.raises(InvalidConfig, match="episodes: 0"):
        DiagnosisConfig(episodes=0)


@pytest.mark.parametrize("missing", ["config.json", "checkpoint"])
def test_what_is_no_run_or_has_no_checkpoint_is_refused(missing: str, runs: dict[str, Path], tmp_path: Path) -> None:
    run = shutil.copytree(runs["everywhere"], tmp_path / "run")
    shutil.rmtree(run / missing) if (run / missing).is_dir() else (run / missing).unlink()
    with pytest.raises(NotARun, match=missing):
        diagnose(run, CONFIG)
