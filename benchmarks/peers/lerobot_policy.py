"""LeRobot's diffusion policy of state alone, as its own parts make it; shared by the scripts beside this one."""

from pathlib import Path
from typing import Any

import torch

REPO_ID = "ashore/peer"
HORIZONS = (2, 16, 8)
"""Observed, predicted and executed steps."""
WIDTHS = {"observation.state": 2, "observation.environment_state": 18, "action": 2}
"""Push-T: the agent's position, the block's nine keypoints, the agent's target."""
SAMPLERS = {"ddpm": "DDPM", "ddim": "DDIM"}


def declare_torchvision() -> None:
    """Declare the two operators whose absence stops the import of a torchvision that was built for another torch."""
    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        for name in ("nms", "qnms"):
            torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


def make_config(down_dims: tuple[int, ...], sampler: str = "ddpm", n_levels: int | None = None) -> Any:
    """Configure the policy; all but the widths, the sampler and its levels is as LeRobot has it.

    Args:
        down_dims: channels of the U-Net at each of its resolutions.
        sampler: a key of SAMPLERS.
        n_levels: network evaluations of a chunk; None for all that the training has, 100.
    """
    from lerobot.configs.types import FeatureType, PolicyFeature
    from lerobot.policies.diffusion.configuration_diffusion import DiffusionConfig

    kinds = dict(zip(WIDTHS, (FeatureType.STATE, FeatureType.ENV, FeatureType.ACTION), strict=True))
    features = {name: PolicyFeature(type=kinds[name], shape=(width,)) for name, width in WIDTHS.items()}
    observed, predicted, executed = HORIZONS
    return DiffusionConfig(
        n_obs_steps=observed,
        horizon=predicted,
        n_action_steps=executed,
        input_features={name: feature for name, feature in features.items() if name != "action"},
        output_features={"action": features["action"]},
        down_dims=down_dims,
        noise_scheduler_type=SAMPLERS[sampler],
        num_inference_steps=n_levels,
        device="cpu",
        push_to_hub=False,
    )


def make_policy(config: Any) -> Any:
    """Make the policy with fresh weights."""
    from lerobot.policies.diffusion.modeling_diffusion import DiffusionPolicy

    return DiffusionPolicy(config)


def random_batch(n_rows: int) -> dict[str, torch.Tensor]:
    """Draw normalised windows: observations (n_rows, To, width), actions (n_rows, Tp, Da)."""
    observed, predicted, _ = HORIZONS
    steps = {name: predicted if name == "action" else observed for name in WIDTHS}
    batch = {name: torch.rand(n_rows, steps[name], width) * 2 - 1 for name, width in WIDTHS.items()}
    return batch | {"action_is_pad": torch.zeros(n_rows, predicted, dtype=torch.bool)}


def add_down_dims(parser: Any, default: str) -> None:
    """Add the argument --down-dims."""
    parser.add_argument("--down-dims", type=widths, default=widths(default), help="such as 128,256,512")


def widths(text: str) -> tuple[int, ...]:
    """Read widths that commas part."""
    return tuple(int(part) for part in text.split(","))


def folder_of(data: Path) -> Path:
    """Give the data set's folder.

    Raises:
        SystemExit: it holds no data set.
    """
    if not (data / "meta" / "info.json").is_file():
        raise SystemExit(f"{data} holds no LeRobot data set: expected what lerobot_write.py makes with --kind state.")
    return data
