"""Scaling by range and by deviation: round trips, blocks and narrow elements."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from ashore.policies.normalizer import Normalizer


@given(st.integers(0, 10_000), st.integers(1, 6), st.floats(1e-3, 1e3))
def test_round_trip_and_range(seed: int, width: int, scale: float) -> None:
    values = torch.from_numpy(np.random.default_rng(seed).normal(size=(40, 3, width)) * scale).float()
    normalizer = Normalizer((width,), "minmax")
    normalizer.include(values.flatten(0, 1))
    scaled = normalizer.normalize(values)
    assert scaled.abs().max() <= 1 + 1e-4
    assert torch.allclose(normalizer.denormalize(scaled), values, atol=2e-6 * scale, rtol=1e-5)


def test_blocks_equal_one_fit() -> None:
    values = torch.randn(100, 4, generator=torch.Generator().manual_seed(0))
    whole, blocks = Normalizer((4,), "minmax"), Normalizer((4,), "minmax")
    whole.include(values)
    for block in values.split(7):
        blocks.include(block)
    assert torch.equal(whole.normalize(values), blocks.normalize(values))


def test_narrow_elements_are_centred_not_blown_up() -> None:
    values = torch.tensor([[3.0, 0.0], [3.00001, 1.0]])
    normalizer = Normalizer((2,), "minmax")
    normalizer.include(values)
    assert normalizer.normalize(values)[:, 0].abs().max() < 1e-4
    assert torch.equal(normalizer.normalize(values)[:, 1], torch.tensor([-1.0, 1.0]))


def test_bounds_are_what_the_range_is_scaled_to() -> None:
    values = torch.randn(100, 4, generator=torch.Generator().manual_seed(0))
    for kind in ("minmax", "gaussian"):
        normalizer = Normalizer((4,), kind)
        normalizer.include(values)
        least, greatest = normalizer.bounds()
        assert torch.equal(least, normalizer.normalize(values).amin(0))
        assert torch.equal(greatest, normalizer.normalize(values).amax(0))
        assert kind == "gaussian" or torch.allclose(greatest, torch.ones(4))


def chunks(seed: int = 0) -> torch.Tensor:
    """Chunks (500, 6, 3) whose rows spread ever wider, with one element that never changes."""
    values = torch.randn(500, 6, 3, generator=torch.Generator().manual_seed(seed))
    values = values * torch.arange(1.0, 7.0)[:, None] * torch.tensor([1.0, 0.01, 0.0]) + torch.tensor([0.3, -2.0, 0.08])
    return values.float()


def test_every_row_of_a_chunk_gets_one_deviation_and_comes_back() -> None:
    normalizer, values = Normalizer((6, 3), "gaussian", 0.5), chunks()
    normalizer.include(values)
    scaled = normalizer.normalize(values)
    assert torch.allclose(scaled.std(0, correction=0)[:, :2], torch.full((6, 2), 0.5), atol=1e-4)
    assert scaled.mean(0).abs().max() < 1e-4 and scaled[..., 2].abs().max() < 1e-6
    assert torch.allclose(normalizer.denormalize(scaled), values, atol=1e-5)
    assert torch.equal(normalizer.limit(values), values)
    far = normalizer.limit(values * 100)
    assert (far <= values.amax(0)).all() and (far >= values.amin(0)).all()


def test_chunks_in_blocks_equal_one_fit() -> None:
    values = chunks(1)
    whole, blocks = Normalizer((6, 3), "gaussian", 0.5), Normalizer((6, 3), "gaussian", 0.5)
    whole.include(values)
    for block in values.split(37):
        blocks.include(block)
    for name, tensor in whole.state_dict().items():
        assert torch.allclose(blocks.state_dict()[name], tensor, atol=1e-5), name
