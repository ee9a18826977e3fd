"""What a run learnt from, and how far its policy is from that; of several tasks, the one that is looked at."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from ashore.datasets.contract import Contract
from ashore.datasets.store import EpisodeStore
from ashore.policies.checkpoint import RunSettings, TorchPlanner
from ashore.policies.diagnosis.fit import LevelErrors, Windows, level_errors
from ashore.policies.diagnosis.planning import ChunkErrors, chunk_errors, draw_noise
from ashore.policies.errors import TooFewWindows
from ashore.policies.policy import Policy
from ashore.policies.training_data import TrainingData, open_stores

Array = NDArray[Any]
N_WINDOWS = 512
"""Windows that errors are measured on, of each side."""
BLOCK = 4096
"""Windows that are gathered at a time."""


@dataclass(frozen=True)
class Demonstrations:
    """The windows of a run's stores, held back and learnt."""

    data: TrainingData
    contract: Contract
    """Of the task that is looked at."""
    columns: Array
    """(Do,) its elements in the windows."""
    held_out: Array
    """Indices of windows of episodes that were held back."""
    learnt: Array

    @classmethod
    def open(cls, settings: RunSettings, learnt: Contract, planner: TorchPlanner) -> Self:
        """Open what a run learnt from, as a planner of it sees it.

        Raises:
            NotAStore: a store is gone.
            ContractMismatch: the stores have another contract than the run learnt.
        """
        data = open_stores(settings.stores, settings.policy, int(settings.training["seed"]))
        learnt.require_same(data.contract, "the run", "its data")
        held_out, rest = data.held_indices, data.learnt_indices
        if data.tasks:
            of_task = data.of_task(planner.contract.task)
            held_out, rest = np.intersect1d(held_out, of_task), np.intersect1d(rest, of_task)
        return cls(data, planner.contract, planner.columns, held_out, rest)

    @property
    def indices(self) -> Array:
        """Windows (W,) of all episodes, in order."""
        return np.union1d(self.held_out, self.learnt)

    @property
    def episode_of(self) -> Array:
        """(W,) the episode of each."""
        return self.data.episode_of[self.indices]

    def steps(self) -> Array:
        """Give each window's last observation (W, Do)."""
        blocks = np.array_split(self.indices, len(self.indices) // BLOCK + 1)
        return np.concatenate([self.data.gather(block)[0][:, -1].numpy() for block in blocks])[:, self.columns]

    def level_errors(self, policy: Policy) -> LevelErrors:
        """Ask a policy's network to clean chunks at each noise level.

        Raises:
            TooFewWindows: no episode of the task was held back.
        """
        return level_errors(policy, self._some(self.learnt), self._some(self.held_out))

    def chunk_errors(self, policy: Policy) -> ChunkErrors:
        """Plan from windows, each for the goal that it was demonstrated for, and compare.

        Raises:
            TooFewWindows: no episode of the task was held back.
        """
        first = policy.config.obs_horizon - 1
        executed = slice(first, first + policy.config.action_horizon)
        held_out, learnt = (_planned(policy, self._some(side)) for side in (self.held_out, self.learnt))
        return chunk_errors(self.contract, executed, held_out, learnt)

    def _some(self, side: Array) -> Windows:
        """Gather at most N_WINDOWS windows, evenly."""
        if not len(side):
            raise TooFewWindows(len(self.indices), len(np.unique(self.episode_of)), "an episode that is held back")
        return self.data.gather(side[np.unique(np.linspace(0, len(side) - 1, N_WINDOWS).round().astype(int))])


def noise_share(stores: Sequence[str]) -> float | None:
    """Give the share of the demonstrations that noise was injected into; None where no episode tells."""
    opened = [EpisodeStore.open(store, readonly=True) for store in stores]
    metrics = [store.read_meta(index).metrics for store in opened for index in store.indices]
    told = [bool(each["injected_noise"]) for each in metrics if "injected_noise" in each]
    return float(np.mean(told)) if told else None


@torch.inference_mode()
def _planned(policy: Policy, windows: Windows) -> tuple[Array, Array]:
    """Give planned and demonstrated chunks (B, Tp, Da)."""
    device = policy.action_scale.mean.device
    obs, goals = windows[0].to(device), policy.goal_encoder(windows[2].to(device))
    noise = torch.from_numpy(draw_noise(policy.noise_shape, len(obs), 0)).to(device)
    return policy.plan_for(obs, noise, goals).cpu().numpy(), windows[1].numpy()
