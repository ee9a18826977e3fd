"""Min-max scaling: round trips, blocks and narrow elements."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from ashore.policies.normalizer import MinMaxNormalizer


@given(st.integers(0, 10_000), st.integers(1, 6), st.floats(1e-3, 1e3))
def test_round_trip_and_range(seed: int, width: int, scale: float) -> None:
    values = torch.from_numpy(np.random.default_rng(seed).normal(size=(40, 3, width)) * scale).float()
    normalizer = MinMaxNormalizer(width)
    normalizer.include(values)
    scaled = normalizer.normalize(values)
    assert scaled.abs().max() <= 1 + 1e-4
    assert torch.allclose(normalizer.denormalize(scaled), values, atol=2e-6 * scale, rtol=1e-5)


def test_blocks_equal_one_fit() -> None:
    values = torch.randn(100, 4, generator=torch.Generator().manual_seed(0))
    whole, blocks = MinMaxNormalizer(4), MinMaxNormalizer(4)
    whole.include(values)
    for block in values.split(7):
        blocks.include(block)
    for one, other in zip(whole.state_dict().values(), blocks.state_dict().values(), strict=True):
        assert torch.equal(one, other)


def test_narrow_elements_are_centred_not_blown_up() -> None:
    values = torch.tensor([[3.0, 0.0], [3.00001, 1.0]])
    normalizer = MinMaxNormalizer(2)
    normalizer.include(values)
    assert normalizer.normalize(values)[:, 0].abs().max() < 1e-4
    assert torch.equal(normalizer.normalize(values)[:, 1], torch.tensor([-1.0, 1.0]))
