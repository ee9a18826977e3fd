"""What the two transformers share: attention with many heads, and the layer after it."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


class Attention(nn.Module):
    """Scaled dot-product attention with several heads, without mask or position."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.exit = nn.Linear(width, width)

    def forward(self, tokens: Tensor, memory: Tensor) -> Tensor:
        """Read from memory (B, M, C) what tokens (B, N, C) ask for; gives (B, N, C)."""
        query = self._split(self.query(tokens))
        key, value = (self._split(part) for part in self.key_value(memory).chunk(2, dim=-1))
        read = functional.scaled_dot_product_attention(query, key, value)
        joined: Tensor = self.exit(read.transpose(1, 2).flatten(2))
        return joined

    def _split(self, tokens: Tensor) -> Tensor:
        batch, n_tokens, width = tokens.shape
        heads = tokens.reshape(batch, n_tokens, self.heads, width // self.heads)
        return heads.transpose(1, 2)  # (B, heads, N, C / heads)


def feedforward(width: int, inner: int) -> nn.Sequential:
    """Make the two layers that follow attention, with GELU between; its tanh form takes twice the time on CPUs."""
    return nn.Sequential(nn.Linear(width, inner), nn.GELU(), nn.Linear(inner, width))


def learned(n_tokens: int, width: int) -> nn.Parameter:
    """Make positions or queries (n_tokens, width) that are learned; small, so that contents count at first."""
    return nn.Parameter(0.02 * torch.randn(n_tokens, width))


def faults_of(width: int, heads: int, counts: Sequence[tuple[str, int]], dropout: float) -> list[str]:
    """List what is wrong with the size of a transformer.

    Args:
        width: of a token.
        heads: among which the width is shared out.
        counts: fields, by name, that must be at least 1.
        dropout: share of a branch's outputs that training sets to zero.
    """
    faults = [f"{name}: {count}; expected at least 1" for name, count in counts if count < 1]
    if width < 1 or heads < 1 or width % heads:
        faults.append(f"heads: {heads}; expected a divisor of width ({width}), such as width / 32")
    if not 0 <= dropout < 1:
        faults.append(f"dropout: {dropout}; expected a share from 0 to below 1")
    return faults
