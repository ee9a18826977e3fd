"""Networks by name and size, and what makes one: a new kind is a file beside this one and a line in each table."""

from collections.abc import Mapping
from typing import Any, Literal

from torch import nn

from ashore.datasets.errors import UnknownName
from ashore.policies.networks.act import ACTConfig, ACTNetwork
from ashore.policies.networks.denoiser import Shape
from ashore.policies.networks.mlp import MLPConfig, MLPDenoiser
from ashore.policies.networks.transformer import TransformerConfig, TransformerDenoiser
from ashore.policies.networks.unet import UNetConfig, UNetDenoiser

NetworkConfig = MLPConfig | UNetConfig | TransformerConfig | ACTConfig
Kind = Literal["mlp", "unet", "transformer", "act"]
Size = Literal["small", "medium", "large"]

PRESETS: Mapping[tuple[str, str], NetworkConfig] = {
    ("mlp", "small"): MLPConfig(width=256, blocks=4),
    ("mlp", "medium"): MLPConfig(width=512, blocks=4),
    ("mlp", "large"): MLPConfig(width=1024, blocks=6),
    ("unet", "small"): UNetConfig(widths=(64, 128, 256)),
    ("unet", "medium"): UNetConfig(widths=(128, 256, 512)),
    ("unet", "large"): UNetConfig(widths=(256, 512, 1024), level_width=256),  # Diffusion Policy's on Push-T.
    ("transformer", "small"): TransformerConfig(width=128, blocks=4, heads=4),
    ("transformer", "medium"): TransformerConfig(width=256, blocks=8, heads=4),  # Diffusion Policy's size.
    ("transformer", "large"): TransformerConfig(width=512, blocks=8, heads=8),
    ("act", "small"): ACTConfig(width=128, heads=4, feedforward=512),
    ("act", "medium"): ACTConfig(width=256, heads=8, feedforward=1024),
    ("act", "large"): ACTConfig(width=512, heads=8, feedforward=3200),  # ACT's own size.
}
KINDS: Mapping[type[Any], type[nn.Module]] = {
    MLPConfig: MLPDenoiser,
    UNetConfig: UNetDenoiser,
    TransformerConfig: TransformerDenoiser,
    ACTConfig: ACTNetwork,
}


def preset(kind: str, size: str) -> NetworkConfig:
    """Look a network's config up by kind and size.

    Raises:
        UnknownName: there is no such kind, or no such size.
    """
    kinds, sizes = (sorted({names[i] for names in PRESETS}) for i in (0, 1))
    if kind not in kinds:
        raise UnknownName("network", kind, kinds)
    if size not in sizes:
        raise UnknownName("size of network", size, sizes)
    return PRESETS[kind, size]


def make_network(config: NetworkConfig, shape: Shape) -> nn.Module:
    """Make the network of a config; its face is Denoiser.

    Raises:
        InvalidConfig: the network cannot make chunks of that shape.
    """
    return KINDS[type(config)](config, shape)


def n_parameters(network: nn.Module) -> int:
    """Count a network's parameters."""
    return sum(parameter.numel() for parameter in network.parameters())
