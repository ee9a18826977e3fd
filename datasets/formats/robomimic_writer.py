"""Episodes written as a robomimic file, see datasets/formats/robomimic.py for the format."""

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ashore.datasets.contract import Contract
from ashore.datasets.episode import Episode
from ashore.datasets.errors import CannotExport
from ashore.datasets.formats import WRITABLE
from ashore.datasets.formats.side_by_side import (
    contract_losses,
    join_actions,
    plain_contract,
    plain_pixels,
    required_contract,
)
from ashore.datasets.progress import Progress
from ashore.datasets.store import EpisodeStore

CONTRACT, DESCRIPTION = "ashore_contract", "ashore_meta"
"""Attributes with the contract, on data, and with an episode's description, on a demonstration."""
_ATTRIBUTE_LIMIT = 60_000
"""Bytes of an attribute; HDF5 takes 64 KiB."""
_GYM = 2
"""robomimic's number for a Gym environment, as which it could be made again."""
_ALWAYS = (
    "env_args: robomimic cannot make the environment again; switch rollouts off in its config",
    "next_obs: not written; set train.hdf5_load_next_obs to false in robomimic's config",
    "rewards: only the verdict is known; the last step's reward is 1 where it succeeded, all others are 0",
    "units, frames, components, limits, descriptions, time_s, commands: only Ashore reads them again",
)


def write(store: EpisodeStore, out: Path, progress: Progress) -> tuple[str, ...]:
    """Write one HDF5 file that robomimic's SequenceDataset reads.

    Raises:
        CannotExport: there is no episode, no action or no observation.
    """
    if not len(store):
        raise CannotExport("robomimic", "there is no episode", WRITABLE)
    if not store.contract.actions:
        raise CannotExport("robomimic", "a reference set has no actions", WRITABLE)
    told = {feature.name for feature in store.contract.actions}
    names = {feature.name for feature in store.contract.features} - told
    lost, present, n_rows = set(_ALWAYS) | contract_losses(store.contract, "actions"), set(names), 0
    with h5py.File(out, "x") as file:
        data = file.create_group("data")
        for index, episode in enumerate(store):
            demo = data.create_group(f"demo_{index}")
            _write_episode(demo, episode, store.contract)
            lost |= _losses(demo, episode)
            present &= {*episode.observations, *episode.images}
            n_rows += len(episode)
            progress(index + 1, len(store), f"{len(episode)} steps")
        absent = names - present
        _leave_out(data, absent)
        contract = required_contract(plain_contract(store.contract), absent)
        data.attrs["total"] = n_rows
        data.attrs["env_args"] = json.dumps(_environment(contract))
        if not _set_text(data, CONTRACT, contract.to_json()):
            lost.add("the contract: longer than an attribute may be; give --mapping when it is imported again")
    return tuple(sorted(lost)) + tuple(
        f"{name}: an optional feature that some episodes lack; left out" for name in sorted(absent)
    )


def _write_episode(demo: h5py.Group, episode: Episode, contract: Contract) -> None:
    n_steps = len(episode)
    demo.attrs["num_samples"] = n_steps
    observations = demo.create_group("obs")
    for feature in contract.observations:
        if feature.name in episode.observations:
            value = np.asarray(episode.observations[feature.name]).astype(feature.dtype, copy=False)
            # robomimic wants one axis beside time at least.
            observations[feature.name] = value.reshape(n_steps, *(feature.shape or (1,)))
    for image in contract.images:
        if image.name in episode.images:
            _write_pixels(observations, image, episode)
    demo["actions"] = join_actions(contract.actions, episode.actions).reshape(n_steps, -1)
    verdict, dones = np.zeros(n_steps), np.zeros(n_steps, np.int64)
    verdict[-1], dones[-1] = float(bool(episode.meta.success)), 1
    demo["rewards"], demo["dones"] = verdict, dones
    demo["time_s"] = np.asarray(episode.time_s, np.float64)
    if episode.commands is not None:
        demo["commands"] = episode.commands


def _write_pixels(observations: h5py.Group, image: Any, episode: Episode) -> None:
    """Write frames, one a chunk, as they are read at random."""
    shape, row = (len(episode), *image.shape), 0
    form = {"chunks": (1, *image.shape), "compression": "gzip", "compression_opts": 1}
    array = observations.create_dataset(image.name, shape, image.dtype, **form)
    for pixels in plain_pixels(image, episode.images[image.name]):
        array[row : row + len(pixels)] = pixels
        row += len(pixels)


def _leave_out(data: h5py.Group, absent: set[str]) -> None:
    for demo in data.values():
        for name in absent & set(demo["obs"]):
            del demo["obs"][name]


def _environment(contract: Contract) -> dict[str, Any]:
    settings = {"control_freq": contract.control_hz, "robots": contract.robot, "reward_shaping": False}
    return {"env_name": contract.task, "type": _GYM, "env_kwargs": settings}


def _losses(demo: h5py.Group, episode: Episode) -> set[str]:
    found = set[str]()
    if not _set_text(demo, DESCRIPTION, json.dumps(episode.meta.to_plain())):
        found.add("descriptions: some are longer than an attribute may be and left out, verdict aside")
    if episode.meta.success is None:
        found.add("success: unknown for some episodes, where robomimic sees rewards of 0")
    if episode.streams:
        found.add("streams: samples at their native rates are left out; what the steps show is there")
    return found


def _set_text(group: h5py.Group, name: str, text: str) -> bool:
    """Set an attribute, unless it is too long."""
    fits = len(text.encode()) <= _ATTRIBUTE_LIMIT
    if fits:
        group.attrs[name] = text
    return fits
