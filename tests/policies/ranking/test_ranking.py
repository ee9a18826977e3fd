"""Ranking of policies that were trained: order, evidence, gate and picture."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import bundle_cases
import numpy as np
import pytest
from point_cases import CONTRACT, PointSimulation

from ashore.datasets.contract import Contract
from ashore.datasets.errors import UnknownName, UnreadableFile
from ashore.datasets.store import EpisodeStore
from ashore.policies.bundle import Bundle, read_bundle, write_bundle
from ashore.policies.checkpoint import Asked, candidate_path, load_checkpoint, save_candidate
from ashore.policies.errors import CannotRank, EvidenceMissing, EvidenceRejected, NotARun
from ashore.policies.export import export
from ashore.policies.generation.samplers import SamplerConfig
from ashore.policies.ranking.evidence import matching_evidence, save_evidence
from ashore.policies.ranking.gate import check_evidence
from ashore.policies.ranking.plot import plot_ranking
from ashore.policies.ranking.ranking import Ranking, rank
from ashore.policies.ranking.scores import RankingConfig, order, standardised
from ashore.policies.ranking.windows import load_real

HZ = CONTRACT.control_hz
CONFIG = RankingConfig(episodes=60, latency_s=0.0)


@pytest.fixture(scope="module")
def ranking(runs: dict[str, Path], reality: Path) -> Ranking:
    return rank([runs["nearby"], runs["everywhere"]], reality, CONFIG, simulation=PointSimulation(30, HZ))


def test_the_policy_that_learnt_from_everywhere_comes_first(ranking: Ranking) -> None:
    first, last = ranking.policies
    assert (first.name, first.place, last.name, last.place) == ("everywhere", 1, "nearby", 2)
    assert first.findings.evaluation.interval.rate > last.findings.evaluation.interval.rate
    assert first.findings.strangeness < last.findings.strangeness
    assert not first.vetoes and last.vetoes
    assert first.score == pytest.approx(0.5 * first.score_simulation + 0.5 * first.score_real)


def test_all_policies_meet_the_same_episodes(ranking: Ranking) -> None:
    first, last = (policy.findings.evaluation for policy in ranking.policies)
    assert first.seeds == last.seeds
    assert all(np.array_equal(a["goal_m"], b["goal_m"]) for a, b in zip(first.draws, last.draws, strict=True))


def test_without_real_episodes_the_simulation_decides(runs: dict[str, Path]) -> None:
    heard: list[tuple[int, int]] = []
    found = rank(
        list(runs.values()),
        config=replace(CONFIG, episodes=10),
        progress=lambda done, total, note: heard.append((done, total)),
        simulation=PointSimulation(10, HZ),
    )
    assert [policy.score_real for policy in found.policies] == [None, None]
    assert all(policy.score == policy.score_simulation for policy in found.policies)
    assert heard[-1] == (20, 20) and heard == sorted(heard)


def test_rows_and_picture(ranking: Ranking, tmp_path: Path) -> None:
    rows = json.loads(json.dumps(ranking.rows(), allow_nan=False))
    assert [row["place"] for row in rows] == [1, 2] and rows[1]["vetoes"]
    assert plot_ranking(ranking, tmp_path / "r.svg").read_text().startswith("<?xml")
    assert plot_ranking(ranking, tmp_path / "r.png").read_bytes()[:4] == b"\x89PNG"


def copied(ranking: Ranking, folder: Path) -> tuple[Ranking, dict[str, Path]]:
    """Copy the ranked runs, so that a test may write into them."""
    runs = {p.name: Path(shutil.copytree(p.findings.run, folder / p.name)) for p in ranking.policies}
    policies = [replace(p, findings=replace(p.findings, run=runs[p.name])) for p in ranking.policies]
    return replace(ranking, policies=tuple(policies)), runs


def shipped(path: Path, contract: Contract, evidence: Mapping[str, object]) -> Bundle:
    """Write a bundle of some other policy with this evidence."""
    robot = replace(bundle_cases.CARD, name=contract.robot).to_json().encode()
    files = bundle_cases.contents(contract_json=contract.to_json().encode(), robot_json=robot)
    return read_bundle(write_bundle(path, {**files, "evidence.json": json.dumps(evidence).encode()}))


def test_a_ranked_run_ships_with_its_evidence(ranking: Ranking, tmp_path: Path) -> None:
    own, runs = copied(ranking, tmp_path)
    saved = save_evidence(own)
    bundle = read_bundle(export(runs["everywhere"], tmp_path / "p.ashore"))
    check_evidence(bundle)
    assert bundle.evidence == json.loads(json.dumps(saved["everywhere"]))


def test_the_gate_lets_only_a_policy_without_vetoes_pass(ranking: Ranking, tmp_path: Path) -> None:
    saved = save_evidence(copied(ranking, tmp_path)[0])
    digest = bundle_cases.CONTRACT.digest
    good = {**saved["everywhere"], "contract_sha256": digest}
    check_evidence(shipped(tmp_path / "a.ashore", bundle_cases.CONTRACT, good))
    bad = shipped(tmp_path / "b.ashore", bundle_cases.CONTRACT, {**saved["nearby"], "contract_sha256": digest})
    with pytest.raises(EvidenceRejected, match=r"b\.ashore may not be deployed: the ranking holds"):
        check_evidence(bad)
    check_evidence(bad, is_overridden=True)
    cases = {
        "never ranked": {},
        "lacks weights_sha256": {key: value for key, value in good.items() if key != "weights_sha256"},
        "lacks a list of vetoes": {**good, "vetoes": None},
        "schema version 9": {**good, "schema_version": 9},
        "another contract": saved["everywhere"],
    }
    for expected, evidence in cases.items():
        with pytest.raises(EvidenceMissing, match=expected):
            check_evidence(shipped(tmp_path / "c.ashore", bundle_cases.CONTRACT, evidence))


def test_evidence_of_other_weights_is_not_shipped(ranking: Ranking, tmp_path: Path) -> None:
    own, runs = copied(ranking, tmp_path)
    first, last = runs["everywhere"], runs["nearby"]
    saved = save_evidence(own)
    assert matching_evidence(first)["place"] == 1
    with pytest.raises(EvidenceMissing, match="belongs to other weights"):
        matching_evidence(last, saved["everywhere"])
    weights = "checkpoint/average.safetensors"
    shutil.copy(last / weights, first / weights)
    assert matching_evidence(first) == {}
    (last / "evidence.json").write_text("{")
    with pytest.raises(UnreadableFile, match="Rank the run again"):
        matching_evidence(last)


def test_a_candidate_chosen_after_the_ranking_has_no_evidence(ranking: Ranking, tmp_path: Path) -> None:
    own, runs = copied(ranking, tmp_path)
    run = runs["everywhere"]
    save_evidence(own)
    other = load_checkpoint(runs["nearby"]).average
    save_candidate(candidate_path(run, 7), other)
    (run / "selection.json").write_text('{"chosen": 7}')
    assert matching_evidence(run) == {}
    with pytest.raises(EvidenceMissing, match="never ranked"):
        check_evidence(read_bundle(export(run, tmp_path / "p.ashore")))
    candidate_path(run, 7).unlink()
    with pytest.raises(NotARun, match=r"candidates/00000007\.safetensors is missing"):
        matching_evidence(run)


@pytest.mark.parametrize(
    ("asked", "precision"), [(Asked(SamplerConfig("dpm", 3)), "fp32"), (Asked(), "int8")], ids=["sampler", "int8"]
)
def test_what_was_not_ranked_ships_without_evidence(ranking: Ranking, tmp_path: Path, asked, precision) -> None:
    own, runs = copied(ranking, tmp_path)
    saved = save_evidence(own)
    bundle = export(runs["everywhere"], tmp_path / "p.ashore", asked=asked, precision=precision)
    with pytest.raises(EvidenceMissing, match="never ranked"):
        check_evidence(read_bundle(bundle))
    with pytest.raises(EvidenceMissing, match="not of these options"):
        export(runs["everywhere"], tmp_path / "p.ashore", saved["everywhere"], asked, precision)


def test_what_cannot_be_ranked_is_refused(runs: dict[str, Path], tmp_path: Path, reality: Path) -> None:
    run, ground = runs["everywhere"], PointSimulation(1, HZ)
    with pytest.raises(CannotRank, match="no runs were given"):
        rank([], simulation=ground)
    with pytest.raises(CannotRank, match="is given twice"):
        rank([run, run], simulation=ground)
    with pytest.raises(NotARun):
        rank([tmp_path], simulation=ground)
    with pytest.raises(UnknownName, match="'nearest'"):
        rank([run], config=replace(CONFIG, detector="near"), simulation=ground)
    with pytest.raises(CannotRank, match="at least 1"):
        rank([run], config=replace(CONFIG, episodes=0), simulation=ground)
    contract = replace(load_real(reality).contract, control_hz=20.0)
    EpisodeStore.create(tmp_path / "empty", contract)
    with pytest.raises(UnreadableFile, match="at least one real episode"):
        rank([run], tmp_path / "empty", CONFIG, simulation=ground)


def test_a_reference_set_without_actions_shows_what_reality_looks_like(
    runs: dict[str, Path], reality: Path, ranking: Ranking, tmp_path: Path
) -> None:
    seen = EpisodeStore.open(reality)
    contract = replace(seen.contract, actions=())
    with EpisodeStore.create(tmp_path / "flights", contract) as store:
        for episode in seen:
            store.append(replace(episode, contract=contract, actions={}))
    alone = rank([runs["nearby"], runs["everywhere"]], store.path, CONFIG, simulation=PointSimulation(30, HZ))
    assert [policy.score_real for policy in alone.policies] == [policy.score_real for policy in ranking.policies]


def test_real_windows_are_cut_at_planning_times(reality: Path) -> None:
    episodes = load_real(reality)
    windows = episodes.windows(2, 4)
    assert windows.shape == (12 * 10, 2, 4) and episodes.sources == ("twin",)
    assert np.array_equal(windows[0, 0], windows[0, 1])
    assert np.array_equal(windows[1], episodes.observations[0][3:5])
    assert len(episodes.windows(2, 1, most=50)) == 50


def test_scores_of_alike_policies_are_zero(ranking: Ranking) -> None:
    assert standardised([0.5, 0.5]).tolist() == [0.0, 0.0]
    findings = ranking.policies[0].findings
    assert [policy.score for policy in order([findings, findings], ["a", "b"], CONFIG)] == [0.0, 0.0]
