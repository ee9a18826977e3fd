"""Several tasks of one robot learnt by one policy: observations are joined, and a task's number is part of the goal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.contract import Contract
from ashore.datasets.errors import UnknownName
from ashore.policies.errors import CannotMix

if TYPE_CHECKING:
    from ashore.datasets.windows import WindowSampler

Array = NDArray[Any]


@dataclass(frozen=True)
class TaskMix:
    """The contracts of some tasks, and the one that joins them: every observation of any task, once."""

    contracts: tuple[Contract, ...]

    def __post_init__(self) -> None:
        """Check that one policy can have them all.

        Raises:
            CannotMix: lists every disagreement.
        """
        first, faults = self.contracts[0], []
        for other in self.contracts[1:]:
            pair = f"{first.task!r} and {other.task!r}"
            differing = [n for n in ("robot", "actions", "control_hz") if getattr(first, n) != getattr(other, n)]
            faults += [f"{pair}: {name} differ" for name in differing]
        seen: dict[str, tuple[str, Any]] = {}
        for contract in self.contracts:
            for feature in contract.observations:
                task, known = seen.setdefault(feature.name, (contract.task, feature))
                if known != feature:
                    faults.append(f"{task!r} and {contract.task!r}: observation {feature.name} differs")
        if faults:
            raise CannotMix(faults)

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks, in the order of their numbers."""
        return tuple(contract.task for contract in self.contracts)

    @cached_property
    def union(self) -> Contract:
        """The contract that joins them."""
        features = {f.name: f for contract in self.contracts for f in contract.observations}
        return replace(self.contracts[0], task=" + ".join(self.tasks), observations=tuple(features.values()))

    def contract(self, task: str) -> Contract:
        """Give one task's contract.

        Raises:
            UnknownName: the mix has no such task.
        """
        if task not in self.tasks:
            raise UnknownName("task of this policy", task, self.tasks)
        return self.contracts[self.tasks.index(task)]

    def sources(self, task: str) -> Array:
        """Tell for every element of the union (U,) which element of the task's own observation it is; -1 for none."""
        own, joined = self.contract(task), self.union
        sources = np.full(joined.observation_width, -1, np.int64)
        for name, place in own.observation_slices.items():
            sources[joined.observation_slices[name]] = np.arange(place.start, place.stop)
        return sources

    def columns(self, task: str) -> Array:
        """Tell for every element of the task's own observation (Do,) where the union has it."""
        slices = self.union.observation_slices
        places = [slices[feature.name] for feature in self.contract(task).observations]
        return np.concatenate([np.arange(place.start, place.stop) for place in places])


class MixedWindows:
    """Windows of several tasks, one after the other, in the observations of their union; absent ones are zero."""

    def __init__(self, mix: TaskMix, samplers: Sequence["WindowSampler"]) -> None:
        """Join samplers, one a task in the order of the mix."""
        self.samplers = samplers
        self._columns = [mix.columns(task) for task in mix.tasks]
        self._width = mix.union.observation_width
        self._starts = np.cumsum([0, *(len(sampler) for sampler in samplers)])
        n_before = np.cumsum([0, *(len(sampler.episode_ends) for sampler in samplers)])
        self.episode_of = np.concatenate([s.episode_of + n for s, n in zip(samplers, n_before, strict=False)])
        self.task_of = np.repeat(np.arange(len(samplers)), np.diff(n_before))
        """(E,) number of each episode's task."""

    def __len__(self) -> int:
        return int(self._starts[-1])

    def batch(self, indices: Array) -> tuple[Array, Array]:
        """Gather windows (B,) as obs (B, To, U) and actions (B, Tp, Da)."""
        task = np.searchsorted(self._starts, indices, side="right") - 1
        parts = [s.batch(indices[task == i] - self._starts[i]) for i, s in enumerate(self.samplers)]
        shape, chunk = parts[0].obs.shape[1:2], parts[0].actions.shape[1:]
        obs = np.zeros((len(indices), *shape, self._width), np.float32)
        actions = np.zeros((len(indices), *chunk), np.float32)
        for i, part in enumerate(parts):
            rows = np.flatnonzero(task == i)
            obs[rows[:, None, None], np.arange(shape[0])[:, None], self._columns[i]] = part.obs
            actions[rows] = part.actions
        return obs, actions

    @property
    def ends(self) -> Array:
        """(E, U) what was observed at the end of each episode."""
        ends = np.zeros((len(self.task_of), self._width), np.float32)
        for i, sampler in enumerate(self.samplers):
            ends[np.flatnonzero(self.task_of == i)[:, None], self._columns[i]] = sampler.obs[sampler.episode_ends - 1]
        return ends


def joined_encoding(specs: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Join the encodings that tasks suggest: every part of any of them, once; what all snap is snapped."""
    joined: dict[str, Any] = {}
    for key in ("observations", "rot6d", "relative", "yaw"):
        parts = [tuple(part) if isinstance(part, list) else part for spec in specs for part in spec.get(key, ())]
        joined[key] = tuple(dict.fromkeys(parts))
    joined["snap"] = tuple(n for n in specs[0].get("snap", ()) if all(n in spec.get("snap", ()) for spec in specs))
    scales = [spec["fine_scale"] for spec in specs if spec.get("fine_scale")]
    return {**joined, "fine_scale": min(scales) if scales else None}
