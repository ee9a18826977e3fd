"""The network of ACT: a transformer that predicts a whole chunk in one pass, with a latent style while it learns."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from ashore.policies.errors import InvalidConfig
from ashore.policies.networks.attention import Attention, faults_of, feedforward, learned
from ashore.policies.networks.denoiser import Shape


@dataclass(frozen=True)
class ACTConfig:
    """Size of the network; the published one is 512 wide with a feed-forward of 3200, for images."""

    kind: Literal["act"] = "act"
    width: int = 256
    """Width of a token."""
    blocks: int = 4
    """Blocks of the encoder, and of the style encoder."""
    decoder_blocks: int = 1
    """The paper says 7, its released code uses the first one's output alone."""
    heads: int = 8
    feedforward: int = 1024
    """Width of a block's inner layer."""
    latent: int = 32
    """Width of the latent style."""
    dropout: float = 0.1
    """Share of each branch's outputs that training sets to zero."""

    def __post_init__(self) -> None:
        """Check the fields.

        Raises:
            InvalidConfig: the heads do not divide the width, a count is below 1, or dropout is no share.
        """
        names = ("blocks", "decoder_blocks", "feedforward", "latent")
        counts = [(name, getattr(self, name)) for name in names]
        faults = faults_of(self.width, self.heads, counts, self.dropout)
        if faults:
            raise InvalidConfig("the ACT network's config", faults)


class ACTNetwork(nn.Module):
    """A conditional variational autoencoder of chunks; used, it decodes the mean style, zero, in one evaluation.

    In training a style encoder reads [cls, observed steps, actions] and gives mean and log-variance of a latent. The
    encoder reads [latent, observed steps, goal]; the decoder turns Tp learned queries into the chunk.

    Source: Zhao, Kumar, Levine, Finn, Learning Fine-Grained Bimanual Manipulation with Low-Cost Hardware, RSS 2023,
    section IV and algorithms 1 and 2. Departures: state and goal tokens in place of images; normalisation before
    each branch in place of after it, so that it learns at ordinary learning rates; GELU for ReLU; all positions
    learned.
    """

    def __init__(self, config: ACTConfig, shape: Shape) -> None:
        super().__init__()
        self.config = config
        width, (n_steps, n_actions), (n_observed, n_features) = config.width, shape.chunk, shape.observation
        self.style = StyleEncoder(config, shape)
        self.latent_token = nn.Linear(config.latent, width)
        self.observation_tokens = nn.Linear(n_features, width)
        self.goal_token = nn.Linear(shape.goal, width) if shape.goal else None
        self.positions = learned(1 + n_observed + bool(shape.goal), width)
        self.encoder = Encoder(config)
        self.queries = learned(n_steps, width)
        self.decoder = nn.ModuleList(DecoderBlock(config) for _ in range(config.decoder_blocks))
        self.norm = nn.LayerNorm(width)
        self.exit = nn.Linear(width, n_actions)

    def forward(self, noisy_actions: Tensor, noise_level: Tensor, observation: Tensor, goal: Tensor) -> Tensor:
        """Predict the chunk of the mean style; see Denoiser. Noisy actions and noise level are not read."""
        return self.decode(observation.new_zeros(observation.shape[0], self.config.latent), observation, goal)

    def reconstruct(
        self, actions: Tensor, observation: Tensor, goal: Tensor, noise: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Encode chunks as styles, draw from these, and decode: what the training loss compares.

        The paper's loss is the mean absolute error of the chunk plus 10 times the divergence of the style from a
        standard normal, -(1 + log_variance - mean^2 - e^log_variance) / 2 summed over the latent.

        Args:
            actions: (B, Tp, Da) demonstrated.
            observation: (B, To, De).
            goal: (B, Dg).
            noise: (B, latent) standard normal; zeros decode the mean.

        Returns:
            The chunk (B, Tp, Da), and mean and log-variance of the style, each (B, latent).
        """
        mean, log_variance = self.style(actions, observation)
        latent = mean + torch.exp(log_variance / 2) * noise
        return self.decode(latent, observation, goal), mean, log_variance

    def decode(self, latent: Tensor, observation: Tensor, goal: Tensor) -> Tensor:
        """Predict the chunk (B, Tp, Da) of a style (B, latent), given observation (B, To, De) and goal (B, Dg)."""
        tokens = [self.latent_token(latent)[:, None], self.observation_tokens(observation)]
        if self.goal_token is not None:
            tokens.append(self.goal_token(goal)[:, None])
        memory = self.encoder(torch.cat(tokens, dim=1) + self.positions)
        hidden = self.queries.expand(observation.shape[0], -1, -1)
        for block in self.decoder:
            hidden = block(hidden, memory)
        predicted: Tensor = self.exit(self.norm(hidden))
        return predicted


class StyleEncoder(nn.Module):
    """Reads [cls, observed steps, actions]; the first token becomes mean and log-variance of the latent."""

    def __init__(self, config: ACTConfig, shape: Shape) -> None:
        super().__init__()
        width, (n_steps, n_actions), (n_observed, n_features) = config.width, shape.chunk, shape.observation
        self.observation_tokens = nn.Linear(n_features, width)
        self.action_tokens = nn.Linear(n_actions, width)
        # The first position is the cls token: it has no other content.
        self.positions = learned(1 + n_observed + n_steps, width)
        self.encoder = Encoder(config)
        self.exit = nn.Linear(width, 2 * config.latent)

    def forward(self, actions: Tensor, observation: Tensor) -> tuple[Tensor, Tensor]:
        """Encode actions (B, Tp, Da) and observation (B, To, De) as mean and log-variance, each (B, latent)."""
        cls = self.positions[:1].expand(actions.shape[0], -1, -1)
        rest = torch.cat((self.observation_tokens(observation), self.action_tokens(actions)), dim=1)
        read = self.encoder(torch.cat((cls, rest + self.positions[1:]), dim=1))
        mean, log_variance = self.exit(read[:, 0]).chunk(2, dim=-1)
        return mean, log_variance


class Encoder(nn.Module):
    """Blocks of attention among all tokens, and a last normalisation."""

    def __init__(self, config: ACTConfig) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(EncoderBlock(config) for _ in range(config.blocks))
        self.norm = nn.LayerNorm(config.width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Refine (B, N, C)."""
        for block in self.blocks:
            tokens = block(tokens)
        refined: Tensor = self.norm(tokens)
        return refined


class EncoderBlock(nn.Module):
    """Attention among the tokens, then two layers for each."""

    def __init__(self, config: ACTConfig) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.width)
        self.attention = Attention(config.width, config.heads)
        self.inner_norm = nn.LayerNorm(config.width)
        self.feedforward = feedforward(config.width, config.feedforward)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        """Refine (B, N, C)."""
        inside = self.norm(tokens)
        tokens = tokens + self.dropout(self.attention(inside, inside))
        refined: Tensor = tokens + self.dropout(self.feedforward(self.inner_norm(tokens)))
        return refined


class DecoderBlock(nn.Module):
    """An encoder block among the steps of the chunk, with attention to the encoder's tokens before its two layers."""

    def __init__(self, config: ACTConfig) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.width)
        self.attention = Attention(config.width, config.heads)
        self.reading_norm = nn.LayerNorm(config.width)
        self.reading = Attention(config.width, config.heads)
        self.inner_norm = nn.LayerNorm(config.width)
        self.feedforward = feedforward(config.width, config.feedforward)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, steps: Tensor, memory: Tensor) -> Tensor:
        """Refine (B, Tp, C) by what memory (B, N, C) holds."""
        inside = self.norm(steps)
        steps = steps + self.dropout(self.attention(inside, inside))
        steps = steps + self.dropout(self.reading(self.reading_norm(steps), memory))
        refined: Tensor = steps + self.dropout(self.feedforward(self.inner_norm(steps)))
        return refined
