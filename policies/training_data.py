"""The windows that a run learns from, those it holds back, and the order in which they are seen."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ashore.datasets.contract import Contract
from ashore.policies.errors import InvalidGoal, TooFewWindows, UnusableData
from ashore.policies.goals import GoalConfig
from ashore.policies.multitask import MixedWindows, TaskMix
from ashore.policies.policy import Policy, PolicyConfig

Array = NDArray[Any]
N_HELD_OUT = 512
N_FITTED = 2048


class Windows(Protocol):
    """What training asks of a window sampler."""

    def __len__(self) -> int:
        """Number of windows."""

    def batch(self, indices: Array) -> tuple[Any, ...]:
        """Gather windows (B,) as obs (B, To, Do), actions (B, Tp, Da), float32, contract units, and anything more."""


@dataclass
class TrainingData:
    """Windows with their contract, split by episode into those that are learnt and those that are held back."""

    contract: Contract
    windows: Windows
    episode_of: Array
    """(len(windows),) the episode of each window."""
    goals: Array = field(default_factory=lambda: np.zeros((1, 0), np.float32))
    """(E, Dg) what each episode was after, raw; Dg is 0, and one row stands for all, without goals."""
    tasks: tuple[Contract, ...] = ()
    """Contracts of the tasks that the data mixes, where it does; `contract` is their union."""
    held_out: float = 0.03
    """Share of the episodes that is held back, at least one."""
    seed: int = 0
    _order: tuple[int, Array] = field(init=False, repr=False, default=(-1, np.zeros(0, np.int64)))

    def __post_init__(self) -> None:
        episodes = np.unique(self.episode_of)
        if len(episodes) < 2:
            raise TooFewWindows(len(self.windows), len(episodes), "at least two episodes")
        count = max(1, round(self.held_out * len(episodes)))
        kept_back = np.random.default_rng([self.seed, 1]).permutation(episodes)[:count]
        is_held = np.isin(self.episode_of, kept_back)
        self.learnt_indices = np.flatnonzero(~is_held)
        self.held_indices = np.flatnonzero(is_held)

    def require(self, batch_size: int) -> None:
        """Raise TooFewWindows unless one batch can be made."""
        if len(self.learnt_indices) < batch_size:
            episodes = len(np.unique(self.episode_of))
            raise TooFewWindows(len(self.learnt_indices), episodes, f"one batch of {batch_size} windows")

    def batch(self, update: int, batch_size: int) -> tuple[Tensor, Tensor, Tensor]:
        """Gather the batch of an update, a function of seed and update alone; shapes as in gather."""
        per_epoch = len(self.learnt_indices) // batch_size
        epoch, place = divmod(update, per_epoch)
        if self._order[0] != epoch:
            order = np.random.default_rng([self.seed, 2, epoch]).permutation(self.learnt_indices)
            self._order = (epoch, order)
        return self.gather(self._order[1][place * batch_size : (place + 1) * batch_size])

    def gather(self, indices: Array) -> tuple[Tensor, Tensor, Tensor]:
        """Gather any windows as tensors: obs (B, To, Do), actions (B, Tp, Da), raw goals (B, Dg)."""
        obs, actions = self.windows.batch(indices)[:2]
        wanted = self.goals[self.episode_of[indices]] if self.goals.shape[1] else np.zeros((len(indices), 0))
        parts = [torch.from_numpy(np.asarray(part, np.float32)) for part in (obs, actions, wanted)]
        return parts[0], parts[1], parts[2]

    def fit(self, policy: Policy, block: int = 4096) -> None:
        """Fit a policy's normalisers to all windows, block by block.

        Raises:
            UnusableData: a number is not finite, or no action ever changes; names the features.
        """
        broken: dict[str, int] = {}
        for start in range(0, len(self.windows), block):
            obs, actions, goals = self.gather(np.arange(start, min(start + block, len(self.windows))))
            for name, part in self._features(obs, actions):
                broken[name] = broken.get(name, 0) + int((~torch.isfinite(part)).flatten(1).any(1).sum())
            policy.fit(obs, actions, goals)
        n = len(self.windows)
        faults = [f"{name}: NaN or infinity in {count} of {n} windows" for name, count in broken.items() if count]
        if not faults and not policy.action_scale.varies().any():
            faults = ["actions: the same in every step"]
        if faults:
            raise UnusableData(faults)

    def of_task(self, task: str) -> Array:
        """List the windows of one of the tasks that the data mixes."""
        number = [contract.task for contract in self.tasks].index(task) - len(self.tasks)
        return np.flatnonzero(self.goals[self.episode_of, number] > 0)

    def constants(self) -> list[str]:
        """Name the features that are the same in all held windows' steps, of which a policy learns nothing."""
        obs, actions, _ = self.gather(self.sample_held(N_FITTED))
        return [name for name, part in self._features(obs, actions) if bool((part == part[:1, :1]).all())]

    def _features(self, obs: Tensor, actions: Tensor) -> Iterator[tuple[str, Tensor]]:
        yield from ((name, obs[..., place]) for name, place in self.contract.observation_slices.items())
        yield from ((name, actions[..., place]) for name, place in self.contract.action_slices.items())

    def sample_held(self, count: int) -> Array:
        """List up to `count` held-out windows, spread evenly."""
        return _evenly(self.held_indices, count)

    def save_calibration(self, run: Path) -> None:
        """Write RUN/calibration.npz, what a ranker calibrates itself with.

        Arrays `obs` (<= 512, To, Do) of episodes held back and `fitted` (<= 2048, To, Do) of those learnt from,
        spread evenly, raw contract values.
        """
        held, learnt = _evenly(self.held_indices, N_HELD_OUT), _evenly(self.learnt_indices, N_FITTED)
        run.mkdir(parents=True, exist_ok=True)
        aside = run / "calibration.part.npz"
        np.savez_compressed(aside, obs=self.gather(held)[0].numpy(), fitted=self.gather(learnt)[0].numpy())
        aside.replace(run / "calibration.npz")


def open_stores(paths: Sequence[Path | str], shape: PolicyConfig, seed: int) -> TrainingData:
    """Open episode stores for training: of one contract, or of the several tasks that a policy is told apart.

    Args:
        paths: the stores' folders.
        shape: of the policy: horizons, and the goals and tasks that it is told.
        seed: decides which episodes are held back, and the order of the others.

    Raises:
        ContractMismatch: stores of one task differ.
        CannotMix: the tasks do not fit each other.
        InvalidGoal: no store has a task, or a goal is no observation.
    """
    from ashore.datasets.store import EpisodeStore
    from ashore.datasets.windows import WindowSampler

    stores = [EpisodeStore.open(Path(path), readonly=True) for path in paths]
    horizons = (shape.obs_horizon, shape.prediction_horizon, shape.action_horizon)
    if not shape.goal.tasks:
        sampler = WindowSampler(stores, *horizons)
        shape.goal.check(sampler.contract)
        goals = _goals(sampler.contract, sampler.obs[sampler.episode_ends - 1], shape.goal)
        return TrainingData(sampler.contract, sampler, sampler.episode_of, goals, seed=seed)
    of_task = {task: [s for s in stores if s.contract.task == task] for task in shape.goal.tasks}
    absent = [f"task {task!r}: none of the stores is of it" for task, found in of_task.items() if not found]
    if absent:
        raise InvalidGoal(absent)
    samplers = [WindowSampler(found, *horizons) for found in of_task.values()]
    mix = TaskMix(tuple(sampler.contract for sampler in samplers))
    shape.goal.check(mix.union)
    windows = MixedWindows(mix, samplers)
    goals = np.concatenate(
        (_goals(mix.union, windows.ends, shape.goal), np.eye(len(samplers))[windows.task_of]), axis=1
    )
    return TrainingData(mix.union, windows, windows.episode_of, goals.astype(np.float32), mix.contracts, seed=seed)


def _goals(contract: Contract, ends: Array, goal: GoalConfig) -> Array:
    """List what each episode (E, size) was after: its features at the end, from the observations (E, Do) there."""
    parts = [ends[:, contract.observation_slices[name]] for name in goal.features]
    return np.concatenate([np.zeros((len(ends), 0), np.float32), *parts], axis=1)


def _evenly(indices: Array, count: int) -> Array:
    if len(indices) <= count:
        return indices
    return indices[np.linspace(0, len(indices) - 1, count).round().astype(np.int64)]


def episodes_digest(stores: Sequence[str]) -> str:
    """Give the SHA-256 of what these stores show; each episode's name holds its content's hash."""
    from ashore.datasets.store import EpisodeStore

    names = [name for store in stores for name in EpisodeStore.open(Path(store), readonly=True).fingerprint()]
    return hashlib.sha256("\n".join(names).encode()).hexdigest()
