"""A policy as one torch module: raw observation windows and noise in, absolute actions in contract units out.

Encoding, normalisation, sampling and their inverses are all inside, so that training, evaluation and export share them.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ashore.datasets.contract import Contract
from ashore.policies.actions import RelativeActions
from ashore.policies.encoding import Encoder, EncodingSpec
from ashore.policies.errors import InvalidConfig
from ashore.policies.generation.edm import EDMConfig
from ashore.policies.generation.samplers import Process, SamplerConfig, make_table
from ashore.policies.generation.scaling import Given, guided
from ashore.policies.generation.table import follow
from ashore.policies.goals import GoalConfig, GoalEncoder
from ashore.policies.networks.denoiser import Shape
from ashore.policies.networks.mlp import MLPConfig
from ashore.policies.networks.presets import NetworkConfig, make_network
from ashore.policies.normalizer import Normalizer, ScaleKind

Array = NDArray[Any]


@dataclass(frozen=True)
class PolicyConfig:
    """Everything that shapes a policy, apart from its weights and its contract."""

    obs_horizon: int = 2
    prediction_horizon: int = 16
    action_horizon: int = 4
    encoding: EncodingSpec = field(default_factory=EncodingSpec)
    goal: GoalConfig = field(default_factory=GoalConfig)
    observation_scale: ScaleKind = "minmax"
    action_scale: ScaleKind = "gaussian"
    network: NetworkConfig = field(default_factory=MLPConfig)
    process: Process = field(default_factory=EDMConfig)
    """What the network learns."""
    sampler: SamplerConfig = field(default_factory=SamplerConfig)
    """How it is asked."""

    def __post_init__(self) -> None:
        faults = [
            f"{name}: {getattr(self, name)}; must be at least 1"
            for name in ("obs_horizon", "prediction_horizon", "action_horizon")
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
    sources: Tensor | None
    """(U,) see see_as; None for a policy of one task."""
    wanted: Tensor
    """(Dg,) the encoded goal that is planned for; all zeros without one."""

    def __init__(self, config: PolicyConfig, contract: Contract) -> None:
        super().__init__()
        self.config = config
        self.table = make_table(config.process, config.sampler)
        self.encoder = Encoder(config.encoding, contract)
        self.goal_encoder = GoalEncoder(config.goal, contract)
        self.frame = RelativeActions(contract)
        chunk = (config.prediction_horizon, contract.action_width)
        self.obs_scale = Normalizer((self.encoder.width,), config.observation_scale)
        self.action_scale = Normalizer(chunk, config.action_scale, config.process.sigma_data)
        is_snapped = torch.zeros(contract.action_width, dtype=torch.bool)
        for name in config.encoding.snap:
            is_snapped[contract.action_slices[name]] = True
        self.register_buffer("is_snapped", is_snapped)
        self.register_buffer("sources", None, persistent=False)
        self.register_buffer("wanted", torch.zeros(self.goal_encoder.width), persistent=False)
        shape = Shape(chunk, (config.obs_horizon, self.encoder.width), self.goal_encoder.width, self.n_levels)
        self.network = make_network(config.network, shape)

    @property
    def n_levels(self) -> int:
        """Noise levels that the network is told at once, L."""
        return len(self.table.rows[0].level)

    @property
    def noise_shape(self) -> tuple[int, int]:
        """Shape of the noise of one chunk, (n * Tp, Da): one to start from, and one for each row that adds noise."""
        rows, width = self.action_scale.shape
        return self.table.n_draws * rows, width

    def fit(self, obs: Tensor, actions: Tensor, goals: Tensor) -> None:
        """Widen the normalisers' ranges to these windows: obs (B, To, Do), actions (B, Tp, Da), goals (B, size)."""
        self.obs_scale.include(self.encoder(obs).flatten(0, 1))
        self.action_scale.include(self.frame.to_relative(actions, obs))
        self.goal_encoder.fit(goals)

    def aim(self, goal: Tensor) -> None:
        """Plan for a raw goal (size,) from now on."""
        self.wanted.copy_(self.goal_encoder(goal[None])[0])

    def see_as(self, sources: Array) -> None:
        """Be given one task's own windows from now on, for a policy that learnt several.

        Args:
            sources: (U,) which element of the task's observation each element of their union is; -1 for none.
        """
        self.sources = torch.from_numpy(np.asarray(sources, np.int64))

    def joined(self, obs: Tensor) -> Tensor:
        """Turn the seen task's windows (B, To, Do) into those of the union (B, To, U); absent parts are 0."""
        if self.sources is None:
            return obs
        padded = torch.cat((obs, torch.zeros_like(obs[..., :1])), dim=-1)
        return torch.index_select(padded, -1, self.sources % padded.shape[-1])

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
        """Plan absolute chunks (B, Tp, Da) from raw windows (B, To, Do) and standard normal noise (B, *noise_shape)."""
        return self.plan_for(self.joined(obs), noise, self.goal(obs))

    def plan_for(self, obs: Tensor, noise: Tensor, goal: Tensor) -> Tensor:
        """Plan as forward does, from windows of all that was learnt (B, To, U), each for an encoded goal (B, Dg)."""
        return self.conclude(self.sample(self.observe(obs), noise, goal), obs)

    def conclude(self, chunks: Tensor, obs: Tensor) -> Tensor:
        """Turn sampled normalised chunks (B, Tp, Da) into absolute ones within what was demonstrated."""
        scale = self.action_scale
        relative = scale.limit(scale.denormalize(chunks))
        snapped = torch.where(relative > self.middle(), scale.high, scale.low)
        return self.frame.to_absolute(torch.where(self.is_snapped, snapped, relative), obs)

    def middle(self) -> Tensor:
        """Give the threshold of actions with two settings (Tp, Da), relative as they are learnt."""
        return (self.action_scale.high + self.action_scale.low) / 2

    def clearance(self, obs: Tensor, noise: Tensor) -> Tensor:
        """Tell how far planned two-setting actions are from their threshold, in half ranges; inf for all others.

        Shapes as in forward.
        """
        chunks = self.sample(self.observe(self.joined(obs)), noise, self.goal(obs))
        relative = self.action_scale.denormalize(chunks)
        distance = (relative - self.middle()).abs() / self.action_scale.half_range()
        return torch.where(self.is_snapped, distance, torch.full_like(distance, torch.inf))

    def goal(self, like: Tensor) -> Tensor:
        """Repeat the goal that is planned for as often as `like` (B, ...) has rows: (B, Dg)."""
        if not self.goal_encoder.width:
            return like.new_zeros(like.shape[0], 0)  # Expanding an empty tensor fixes the batch of an exported graph.
        return self.wanted.expand(like.shape[0], -1)

    def sample(self, observation: Tensor, noise: Tensor, goal: Tensor) -> Tensor:
        """Sample normalised chunks (B, Tp, Da).

        Args:
            observation: (B, To, De) encoded and normalised.
            noise: (B, *noise_shape) standard normal.
            goal: (B, Dg) encoded.
        """
        network = guided(self.network, self.config.goal.guidance)
        return follow(network, self.table, noise, Given(observation, goal), self.action_scale.bounds())
