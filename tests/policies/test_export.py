"""The exported graph computes what torch computes, is one file, and no file appears when it does not."""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from learning_cases import CONTRACT, ENCODING, reach_data

from ashore.policies.bundle import open_bundle
from ashore.policies.checkpoint import RunSettings, load_run
from ashore.policies.encoding import EncodingSpec
from ashore.policies.errors import ParityFailed
from ashore.policies.export import bundle_files, export
from ashore.policies.generation.consistency import ConsistencyConfig
from ashore.policies.generation.ddpm import DDPMConfig
from ashore.policies.generation.edm import EDMConfig
from ashore.policies.generation.regression import RegressionConfig
from ashore.policies.generation.samplers import Process, SamplerConfig
from ashore.policies.graph import export_graph
from ashore.policies.graph_scan import graph_faults
from ashore.policies.losses import FromData
from ashore.policies.networks.mlp import MLPConfig
from ashore.policies.parity import TOLERANCE, Vectors, make_vectors, require_parity
from ashore.policies.policy import Policy, PolicyConfig
from ashore.policies.training import run_training
from ashore.policies.training_loop import TrainingConfig

SHAPE = PolicyConfig(
    prediction_horizon=8,
    encoding=EncodingSpec.from_mapping(ENCODING),
    network=MLPConfig(width=32, blocks=1),
    sampler=SamplerConfig("euler", 3),
)
STUDENT = replace(SHAPE, process=ConsistencyConfig(start_std=1.0), sampler=SamplerConfig())


def random_policy(process: Process, sampler: SamplerConfig) -> tuple[Policy, np.ndarray]:
    torch.manual_seed(0)
    policy = Policy(replace(SHAPE, process=process, sampler=sampler), CONTRACT).eval()
    data = reach_data(400)
    data.fit(policy)
    return policy, data.gather(np.arange(400))[0].numpy()


@pytest.mark.parametrize(
    ("process", "sampler", "evaluations", "draws"),
    [
        (EDMConfig(), SamplerConfig("heun", 3), 5, 1),
        (EDMConfig(), SamplerConfig("dpm", 4), 4, 1),
        (DDPMConfig(), SamplerConfig("ddpm", 100), 100, 100),
        (DDPMConfig(), SamplerConfig("ddim", 10), 10, 1),
        (ConsistencyConfig(form="trajectory"), SamplerConfig("consistency", 3), 3, 3),
        (RegressionConfig(), SamplerConfig(), 1, 1),
    ],
    ids=lambda part: getattr(part, "kind", getattr(part, "name", str(part))),
)
def test_graph_and_policy_agree(process: Process, sampler: SamplerConfig, evaluations: int, draws: int) -> None:
    policy, obs = random_policy(process, sampler)
    assert policy.noise_shape == (8 * draws, 4)
    graph = export_graph(policy, CONTRACT.observation_width)
    vectors = make_vectors(policy, obs, count=8)
    assert len(vectors.obs) == 8
    assert require_parity(graph, vectors) <= TOLERANCE
    model = onnx.load_from_string(graph)
    assert [i.name for i in model.graph.input] == ["obs", "noise"] and [o.name for o in model.graph.output] == [
        "actions"
    ]
    assert all(tensor.data_location == onnx.TensorProto.DEFAULT for tensor in model.graph.initializer)
    assert {item.domain for item in model.opset_import} == {""}
    facts = {item.key: item.value for item in model.metadata_props}
    assert facts["sampler"] == sampler.name and facts["action_horizon"] == "4"
    assert int(facts["evaluations"]) == evaluations and graph_faults(graph) == []
    assert b"site-packages" not in graph and b"ashore/policies" not in graph
    with pytest.raises(ParityFailed, match="No bundle was written"):
        require_parity(graph, replace(vectors, actions=vectors.actions + 1e-3))
    with pytest.raises(ParityFailed):
        require_parity(graph, replace(vectors, obs=vectors.obs * np.nan))


def test_zero_quaternions_give_numbers_in_torch_and_in_the_graph() -> None:
    policy, obs = random_policy(EDMConfig(), SamplerConfig("euler", 2))
    blank = np.zeros_like(obs[:4])
    graph = export_graph(policy, CONTRACT.observation_width)
    vectors = make_vectors(policy, blank, count=4)
    assert np.isfinite(vectors.actions).all() and require_parity(graph, vectors) <= TOLERANCE


def test_vectors_keep_clear_of_thresholds() -> None:
    policy, obs = random_policy(STUDENT.process, STUDENT.sampler)
    vectors: Vectors = make_vectors(policy, obs, count=16)
    clear = policy.clearance(torch.from_numpy(vectors.obs), torch.from_numpy(vectors.noise)).detach()
    assert float(clear.min()) > 0.02 and torch.isinf(clear[..., :3]).all()
    assert vectors.tolerance == pytest.approx(TOLERANCE * policy.action_scale.half_range().numpy())


def test_a_run_ships_as_a_bundle_that_plans_the_same(tmp_path: Path) -> None:
    shape = STUDENT
    training = TrainingConfig(updates=5, batch_size=32)
    settings = RunSettings("diffusion", shape, asdict(training), ("memory",))
    run_training(tmp_path / "run", settings, reach_data(400), FromData())
    files = bundle_files(tmp_path / "run", {"rank": 1})
    assert b"1 network evaluation(s)" in files["card.md"] and b'"rank": 1' in files["evidence.json"]
    bundle = export(tmp_path / "run", tmp_path / "policy.ashore")
    planner, shipped = load_run(tmp_path / "run"), open_bundle(bundle).planner()
    assert shipped.contract == CONTRACT and shipped.card == planner.card and shipped.action_horizon == 4
    obs = reach_data(50, seed=3).gather(np.arange(50))[0].numpy()
    noise = np.random.default_rng(0).normal(size=(50, 8, 4)).astype(np.float32)
    difference = np.abs(planner.plan(obs, noise) - shipped.plan(obs, noise))
    assert difference[..., :3].max() < 1e-5 and (difference[..., 3] > 1e-6).mean() < 0.01


def test_no_file_appears_when_parity_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shape = STUDENT
    settings = RunSettings("diffusion", shape, asdict(TrainingConfig(updates=5, batch_size=32)), ("memory",))
    run_training(tmp_path / "run", settings, reach_data(400), FromData())
    monkeypatch.setattr("ashore.policies.parity.TOLERANCE", 1e-12)
    with pytest.raises(ParityFailed):
        export(tmp_path / "run", tmp_path / "policy.ashore")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
