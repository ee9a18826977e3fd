"""Each network fits any shape, reads all that it is given, learns two modes, exports, and has the size it says."""

import logging
import warnings
from dataclasses import replace
from itertools import pairwise

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from ashore.datasets.errors import UnknownName
from ashore.policies.errors import InvalidConfig
from ashore.policies.graph_scan import graph_faults
from ashore.policies.networks.act import ACTConfig, ACTNetwork
from ashore.policies.networks.activation import mish
from ashore.policies.networks.convolution import Convolution, Upsampling
from ashore.policies.networks.denoiser import Shape
from ashore.policies.networks.mlp import MLPConfig
from ashore.policies.networks.presets import KINDS, PRESETS, NetworkConfig, make_network, n_parameters, preset
from ashore.policies.networks.transformer import TransformerConfig
from ashore.policies.networks.unet import UNetConfig

MLP = MLPConfig(width=32, blocks=1, level_width=16)
UNET = UNetConfig(widths=(8, 16), kernel=3, groups=4, level_width=16)
TRANSFORMER = TransformerConfig(width=16, blocks=2, heads=2, level_width=16)
ACT = ACTConfig(width=16, blocks=1, heads=2, feedforward=32, latent=4)
SMALL: tuple[NetworkConfig, ...] = (MLP, UNET, TRANSFORMER, ACT)
PUSHT = Shape((16, 2), (2, 20))
each_network = pytest.mark.parametrize("config", SMALL, ids=lambda config: config.kind)


def trained_looking(config: NetworkConfig, shape: Shape) -> nn.Module:
    """Make a network none of whose parameters is still the zero it starts from."""
    torch.manual_seed(0)
    network = make_network(config, shape).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network


def inputs(shape: Shape, batch: int) -> dict[str, Tensor]:
    return {
        "noisy_actions": torch.randn(batch, *shape.chunk),
        "noise_level": torch.randn(batch, shape.levels),
        "observation": torch.randn(batch, *shape.observation),
        "goal": torch.randn(batch, shape.goal),
    }


shapes = st.builds(
    Shape,
    st.tuples(st.integers(1, 6).map(lambda n: 2 * n), st.integers(1, 5)),
    st.tuples(st.integers(1, 3), st.integers(1, 6)),
    st.integers(0, 4),
    st.integers(1, 2),
)


@each_network
@settings(max_examples=10, deadline=None)
@given(shape=shapes, batch=st.integers(1, 4))
def test_any_shape_comes_out_as_chunks_and_rows_do_not_meet(config: NetworkConfig, shape: Shape, batch: int) -> None:
    network, given_inputs = trained_looking(config, shape), inputs(shape, batch)
    with torch.no_grad():
        chunks = network(**given_inputs)
        alone = network(**{name: value[-1:] for name, value in given_inputs.items()})
    assert chunks.shape == (batch, *shape.chunk)
    torch.testing.assert_close(chunks[-1:], alone, atol=1e-5, rtol=1e-4)


@each_network
def test_the_output_depends_on_everything_that_is_read(config: NetworkConfig) -> None:
    shape = Shape((4, 2), (3, 5), goal=2, levels=2)
    network, base = trained_looking(config, shape), inputs(shape, 1)
    reads_noise = config.kind != "act"
    with torch.no_grad():
        before = network(**base)
        for name, value in base.items():
            for i in range(value.shape[1]):
                changed = value.clone()
                changed[:, i] += 1
                moved = (network(**{**base, name: changed}) - before).abs().max().item()
                expected = reads_noise or name in ("observation", "goal")
                assert (moved > 1e-5) == expected, f"{name} {i} moved the output by {moved}"


@each_network
def test_gradients_reach_every_parameter(config: NetworkConfig) -> None:
    shape = Shape((4, 2), (2, 5), goal=3)
    network, batch = trained_looking(config, shape).train(), inputs(shape, 8)
    if isinstance(network, ACTNetwork):
        noise = torch.randn(8, network.config.latent)
        chunk, mean, log_variance = network.reconstruct(
            batch["noisy_actions"], batch["observation"], batch["goal"], noise
        )
        loss = chunk.abs().mean() + (mean**2 + log_variance.exp() - log_variance).mean()
    else:
        loss = (network(**batch) ** 2).mean()
    loss.backward()
    missed = [name for name, value in network.named_parameters() if value.grad is None or not value.grad.any()]
    assert not missed


@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (3, 1), (3, 2), (5, 1), (5, 2)])
@pytest.mark.parametrize("length", [1, 2, 3, 4, 7, 16])
def test_convolutions_are_those_of_torch_with_and_without_gradients(kernel: int, stride: int, length: int) -> None:
    torch.manual_seed(0)
    ours = Convolution(6, 8, kernel, stride)
    theirs = nn.Conv1d(6, 8, kernel, stride, padding=kernel // 2)
    theirs.load_state_dict(ours.state_dict())
    assert_same(ours, theirs, torch.randn(3, length, 6))


@pytest.mark.parametrize("length", [1, 2, 5])
def test_transposed_convolutions_are_those_of_torch(length: int) -> None:
    torch.manual_seed(0)
    ours, theirs = Upsampling(6), nn.ConvTranspose1d(6, 6, 4, 2, padding=1)
    theirs.load_state_dict(ours.state_dict())
    assert_same(ours, theirs, torch.randn(3, length, 6))


def assert_same(ours: nn.Module, theirs: nn.Module, steps: Tensor) -> None:
    """Compare values without gradients, and values and gradients with them."""
    mine, other = steps.clone().requires_grad_(), steps.clone().requires_grad_()
    result, expected = ours(mine), theirs(other.transpose(1, 2)).transpose(1, 2)
    with torch.no_grad():
        torch.testing.assert_close(ours(steps), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(result, expected, atol=1e-5, rtol=1e-5)
    weight = torch.randn_like(expected)
    (result * weight).sum().backward()
    (expected * weight).sum().backward()
    pairs = [(mine, other), *zip(ours.parameters(), theirs.parameters(), strict=True)]
    for left, right in pairs:
        torch.testing.assert_close(left.grad, right.grad, atol=2e-5, rtol=1e-5)


def test_mish_is_that_of_torch_from_end_to_end() -> None:
    ours, theirs = (torch.linspace(-100, 100, 4001).requires_grad_() for _ in range(2))
    mish(ours).sum().backward()
    nn.functional.mish(theirs).sum().backward()
    torch.testing.assert_close(mish(ours), nn.functional.mish(theirs), atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-6, rtol=1e-5)


class WithoutGoal(nn.Module):
    """A network as a policy without goals exports it: no input of width zero."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, noisy_actions: Tensor, noise_level: Tensor, observation: Tensor) -> Tensor:
        goal = observation.new_zeros(observation.shape[0], 0)
        return self.network(noisy_actions, noise_level, observation, goal)


@pytest.mark.parametrize(
    ("config", "goal", "levels"),
    [(MLP, 0, 1), (UNET, 0, 2), (TRANSFORMER, 0, 1), (TRANSFORMER, 3, 2), (ACT, 0, 1), (ACT, 3, 2)],
    ids=lambda value: getattr(value, "kind", str(value)),
)
def test_the_exported_graph_computes_the_same_at_any_batch(config: NetworkConfig, goal: int, levels: int) -> None:
    shape = Shape((4, 2), (2, 5), goal, levels)
    network = trained_looking(config, shape)
    exported = network if goal else WithoutGoal(network)
    session = export(exported, without_empty(inputs(shape, 2)))
    for batch in (1, 5):
        values = inputs(shape, batch)
        with torch.no_grad():
            expected = network(**values)
        (result,) = session.run(None, {name: value.numpy() for name, value in without_empty(values).items()})
        np.testing.assert_allclose(result, expected.numpy(), atol=1e-5, rtol=1e-4)


def without_empty(values: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in values.items() if value.numel()}


def export(network: nn.Module, example: dict[str, Tensor]) -> onnxruntime.InferenceSession:
    batch = torch.export.Dim("batch", min=1, max=4096)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            network,
            tuple(example.values()),
            dynamo=True,
            input_names=list(example),
            dynamic_shapes=[{0: batch}] * len(example),
            external_data=False,
            verbose=False,
        )
    assert program is not None and program.model_proto.opset_import[0].version == 20
    graph = program.model_proto.SerializeToString()
    assert graph_faults(graph) == []
    return onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize(
    "config",
    [
        UNetConfig(widths=(16, 32), kernel=3, groups=4, level_width=32),
        TransformerConfig(width=32, blocks=2, heads=2, level_width=32),
    ],
    ids=lambda config: config.kind,
)
def test_two_modes_are_learnt_and_not_their_mean(config: NetworkConfig) -> None:
    """Chunks that are all 1 or all -1: sampled by Euler steps of the EDM, both come out and hardly anything between."""
    torch.manual_seed(0)
    shape, batch, sigma_data = Shape((4, 1), (1, 1)), 128, 1.0
    network = make_network(config, shape)
    optimizer = torch.optim.AdamW(network.parameters(), 3e-3)
    nothing, goal = torch.zeros(batch, 1, 1), torch.zeros(batch, 0)

    def clean(noisy: Tensor, sigma: Tensor) -> Tensor:
        s, total = sigma[:, None, None], (sigma**2 + sigma_data**2)[:, None, None]
        predicted = network(noisy / total.sqrt(), sigma.log()[:, None] / 4, nothing, goal)
        return noisy * sigma_data**2 / total + predicted * s * sigma_data / total.sqrt()

    for _ in range(200):
        actions = (torch.randint(2, (batch, 1, 1)) * 2.0 - 1).expand(-1, 4, 1)
        sigma = torch.exp(torch.randn(batch) * 1.2 - 0.5)
        error = clean(actions + sigma[:, None, None] * torch.randn(batch, 4, 1), sigma) - actions
        weight = (sigma**2 + sigma_data**2) / (sigma * sigma_data) ** 2
        (weight[:, None, None] * error**2).mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    levels = torch.cat((torch.logspace(1, -2, 20), torch.zeros(1)))
    with torch.no_grad():
        chunks = levels[0] * torch.randn(batch, 4, 1)
        for now, then in pairwise(levels):
            chunks = chunks + (then - now) * (chunks - clean(chunks, now.expand(batch))) / now
    means = chunks.mean(dim=(1, 2))
    assert 0.3 < (means > 0).float().mean() < 0.7
    assert ((chunks - means.sign()[:, None, None]).abs() < 0.3).float().mean() > 0.9


def test_act_follows_its_style_in_training_and_zero_in_use() -> None:
    shape = Shape((4, 2), (2, 5), goal=3)
    network, batch = trained_looking(ACT, shape), inputs(shape, 3)
    observation, goal = batch["observation"], batch["goal"]
    assert isinstance(network, ACTNetwork)
    with torch.no_grad():
        chunk, mean, log_variance = network.reconstruct(batch["noisy_actions"], observation, goal, torch.zeros(3, 4))
        other, _, _ = network.reconstruct(batch["noisy_actions"], observation, goal, torch.ones(3, 4))
        assert mean.shape == log_variance.shape == (3, 4)
        torch.testing.assert_close(chunk, network.decode(mean, observation, goal))
        torch.testing.assert_close(other, network.decode(mean + torch.exp(log_variance / 2), observation, goal))
        torch.testing.assert_close(network(**batch), network.decode(torch.zeros(3, 4), observation, goal))
    assert not torch.equal(chunk, other)


@pytest.mark.parametrize(
    ("kind", "size", "count"),
    [
        ("mlp", "small", 2_674_720),
        ("unet", "small", 4_559_554),
        ("unet", "medium", 16_605_954),
        ("unet", "large", 65_783_298),
        ("transformer", "small", 1_277_826),
        ("transformer", "medium", 9_779_970),
        ("act", "small", 1_874_882),
        ("act", "medium", 7_419_714),
    ],
)
def test_presets_have_the_size_that_is_written_about_them(kind: str, size: str, count: int) -> None:
    with torch.device("meta"):
        assert n_parameters(make_network(preset(kind, size), PUSHT)) == count


def test_every_kind_has_every_size_and_a_network() -> None:
    assert {kind for kind, _ in PRESETS} == {config.kind for config in SMALL}
    for kind in {kind for kind, _ in PRESETS}:
        with torch.device("meta"):
            counts = [n_parameters(make_network(preset(kind, size), PUSHT)) for size in ("small", "medium", "large")]
        assert counts == sorted(set(counts))
    assert {type(config) for config in PRESETS.values()} == set(KINDS)


def test_unknown_presets_are_refused_by_name() -> None:
    with pytest.raises(UnknownName, match=r"no network 'unit'.*Did you mean 'unet'"):
        preset("unit", "small")
    with pytest.raises(UnknownName, match=r"no size of network 'smal'.*'large', 'medium', 'small'"):
        preset("unet", "smal")


def test_the_unet_names_the_chunk_lengths_that_fit() -> None:
    with pytest.raises(InvalidConfig, match="length: 10; 3 widths need a multiple of 4: take 8 or 12"):
        make_network(UNetConfig(), Shape((10, 2), (2, 5)))
    with pytest.raises(InvalidConfig, match="take 4, or another network"):
        make_network(UNetConfig(), Shape((3, 2), (2, 5)))


@pytest.mark.parametrize(
    ("config", "changes", "faults"),
    [
        (UNET, {"widths": (8, 10)}, ["widths"]),
        (UNET, {"widths": ()}, ["widths"]),
        (UNET, {"kernel": 4, "level_width": 7}, ["kernel", "level_width"]),
        (TRANSFORMER, {"heads": 3}, ["heads"]),
        (TRANSFORMER, {"blocks": 0, "dropout": 1.0, "level_width": 2}, ["blocks", "dropout", "level_width"]),
        (ACT, {"heads": 5, "latent": 0}, ["heads", "latent"]),
    ],
)
def test_bad_configs_list_every_fault(config: NetworkConfig, changes: dict[str, object], faults: list[str]) -> None:
    with pytest.raises(InvalidConfig) as raised:
        replace(config, **changes)  # type: ignore[arg-type]
    text = str(raised.value)
    assert f"{len(faults)} fault(s)" in text and all(f"\n  {name}:" in text for name in faults)
