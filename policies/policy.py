"""A policy as one torch module: raw observation windows and noise in, absolute actions in contract units out.

Encoding, normalisation, sampling and their inverses are all inside, so that training, evaluation and export share them.
"""

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from ashore.datasets.contract import Contract
from ashore.policies.actions import RelativeActions
from ashore.policies.consistency import ConsistencyConfig, consistent
from ashore.policies.diffusion import EDMConfig, noise_levels, preconditioned, sample_euler, sample_heun
from ashore.policies.encoding import Encoder, EncodingSpec
from ashore.policies.errors import InvalidConfig
from ashore.policies.networks.mlp import MLPConfig, MLPDenoiser
from ashore.policies.normalizer import ChunkNormalizer, MinMaxNormalizer


@dataclass(frozen=True)
class PolicyConfig:
    """Everything that shapes a policy, apart from its weights and its contract."""

    obs_horizon: int = 2
    prediction_horizon: int = 16
    action_horizon: int = 4
    encoding: EncodingSpec = field(default_factory=EncodingSpec)
    network: MLPConfig = field(default_factory=MLPConfig)
    edm: EDMConfig = field(default_factory=EDMConfig)
    consistency: ConsistencyConfig = field(default_factory=ConsistencyConfig)
    sampler: Literal["heun", "euler", "consistency"] = "euler"
    levels: int = 5
    """Noise levels of the sampler; Heun needs 2 * levels - 1 evaluations, Euler as many, consistency always one."""

    def __post_init__(self) -> None:
        faults = [
            f"{name}: {getattr(self, name)}; must be at least 1"
            for name in ("obs_horizon", "prediction_horizon", "action_horizon", "levels")
            if getattr(self, name) < 1
        ]
        if self.obs_horizon - 1 + self.action_horizon > self.prediction_horizon:
            faults.append(
                "obs_horizon - 1 + action_horizon exceeds prediction_horizon: predict more or execute fewer steps"
            )
        if faults:
            raise InvalidConfig("the policy's config", faults)


class Policy(nn.Module):
    """Encode, normalise, sample and denormalise around one denoiser network."""

    is_snapped: Tensor
    """(Da,) whether an action element has only two settings."""

    def __init__(self, config: PolicyConfig, contract: Contract) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config.encoding, contract)
        self.frame = RelativeActions(contract)
        self.obs_scale = MinMaxNormalizer(self.encoder.width)
        chunk = (config.prediction_horizon, contract.action_width)
        self.action_scale = ChunkNormalizer(chunk, config.edm.sigma_data)
        is_snapped = torch.zeros(contract.action_width, dtype=torch.bool)
        for name in config.encoding.snap:
            is_snapped[contract.action_slices[name]] = True
        self.register_buffer("is_snapped", is_snapped)
        self.network = MLPDenoiser(config.network, chunk, (config.obs_horizon, self.encoder.width))

    def fit(self, obs: Tensor, actions: Tensor) -> None:
        """Widen both normalisers' ranges to these windows: obs (B, To, Do), actions (B, Tp, Da), contract units."""
        self.obs_scale.include(self.encoder(obs))
        self.action_scale.include(self.frame.to_relative(actions, obs))

    def observe(self, obs: Tensor) -> Tensor:
        """Encode and normalise raw windows (B, To, Do) to (B, To, De)."""
        return self.obs_scale.normalize(self.encoder(obs))

    def normalize(self, actions: Tensor, obs: Tensor) -> Tensor:
        """Turn contract actions (B, Tp, Da) into what the network learns, for raw windows (B, To, Do)."""
        return self.action_scale.normalize(self.frame.to_relative(actions, obs))

    def denormalize(self, actions: Tensor, obs: Tensor) -> Tensor:
        """Undo normalize."""
        return self.frame.to_absolute(self.action_scale.denormalize(actions), obs)

    def forward(self, obs: Tensor, noise: Tensor) -> Tensor:
        """Plan absolute chunks (B, Tp, Da) from raw windows (B, To, Do) and standard normal noise (B, Tp, Da)."""
        scale = self.action_scale
        relative = scale.limit(scale.denormalize(self.sample(self.observe(obs), noise)))
        snapped = torch.where(relative > self.middle(), scale.high, scale.low)
        return self.frame.to_absolute(torch.where(self.is_snapped, snapped, relative), obs)

    def middle(self) -> Tensor:
        """Give the threshold of actions with two settings (Tp, Da), relative as they are learnt."""
        return (self.action_scale.high + self.action_scale.low) / 2

    def clearance(self, obs: Tensor, noise: Tensor) -> Tensor:
        """Tell how far planned two-setting actions are from their threshold, in half ranges; inf for all others.

        Shapes as in forward.
        """
        relative = self.action_scale.denormalize(self.sample(self.observe(obs), noise))
        distance = (relative - self.middle()).abs() / self.action_scale.half_range()
        return torch.where(self.is_snapped, distance, torch.full_like(distance, torch.inf))

    def sample(self, observation: Tensor, noise: Tensor) -> Tensor:
        """Sample normalised chunks (B, Tp, Da) from normalised observations (B, To, De)."""
        config, edm = self.config, self.config.edm
        if config.sampler == "consistency":
            sigma = noise[:, 0, 0] * 0 + edm.sigma_max
            scales = (edm.sigma_data, config.consistency.sigma_min)
            # A unit start took the arm's success from 94.5 to 98 % of 200 draws.
            return consistent(self.network, noise * config.consistency.start_std, sigma, observation, scales)

        def denoise(noisy: Tensor, sigma: Tensor) -> Tensor:
            return preconditioned(self.network, noisy, sigma, observation, edm.sigma_data)

        sampler = sample_heun if config.sampler == "heun" else sample_euler
        return sampler(denoise, noise, noise_levels(config.levels, edm))
