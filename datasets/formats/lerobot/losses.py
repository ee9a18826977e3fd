"""What a LeRobot data set cannot hold of Ashore's episodes, said before anyone misses it."""

from collections.abc import Iterator

import numpy as np

from ashore.datasets.contract import Contract
from ashore.datasets.episode import Episode
from ashore.datasets.formats.lerobot.layout import CONTRACT_FILE, EPISODES_FILE
from ashore.datasets.store import EpisodeStore


def absent_features(store: EpisodeStore) -> set[str]:
    """Name the features that are left out: optional ones that an episode lacks, and depth in float32."""
    contract = store.contract
    found = {feature.name for feature in contract.images if feature.dtype == "float32"}
    optional = {feature.name for feature in contract.features if feature.optional}
    if optional:
        for episode in store:
            found |= optional - {*episode.observations, *episode.actions, *episode.images}
    return found


def losses(episode: Episode, absent: set[str]) -> set[str]:
    """List what is lost of an episode, one line a kind."""
    meta, found = episode.meta, set(_contract_losses(episode.contract, absent))
    if episode.commands is not None:
        found.add("commands: what was sent to the robot is left out; what was told is in action")
    if episode.streams:
        names = ", ".join(sorted(episode.streams))
        found.add(f"{names}: samples at their native rates are left out; what the steps show is written")
    if not np.array_equal(episode.time_s, np.arange(len(episode)) / episode.contract.control_hz):
        found.add(f"time_s: timestamp holds it in float32, from 0 on; exact in {EPISODES_FILE} alone")
    known = {"seed": meta.seed, "draw": meta.draw or None, "metrics": meta.metrics or None}
    told = ", ".join(
        ["source, operator, date, versions", *(name for name, value in known.items() if value is not None)]
    )
    found.add(f"{told}: LeRobot does not describe episodes; in {EPISODES_FILE} alone")
    return found


def _contract_losses(contract: Contract, absent: set[str]) -> Iterator[str]:
    yield f"units, frames, limits, rates, kinds of actions: LeRobot does not tell them; in {CONTRACT_FILE} alone"
    for feature in contract.features:
        if feature.name in absent:
            is_depth = feature in contract.images and feature.dtype == "float32"
            reason = "float32 pixels have no place" if is_depth else "some episodes lack it"
            yield f"{feature.name}: left out, as {reason}"
    for action in (*contract.observations, *contract.actions):
        if len(action.shape) > 1 and action.name not in absent:
            yield f"{action.name}: shape {action.shape} became ({action.size},); it is in {CONTRACT_FILE} alone"
    wide = [
        f.name for f in (*contract.observations, *contract.actions) if f.dtype == "float64" and f.name not in absent
    ]
    if wide:
        yield f"{', '.join(wide)}: written in float64, which LeRobot hands out as float32"
    for camera in contract.images:
        if camera.name in absent:
            continue
        if camera.codec == "raw":
            yield f"{camera.name}: raw frames became PNG, with the same pixels"
        if camera.colour == "bgr":
            yield f"{camera.name}: LeRobot shows its frames in rgb; the order is in {CONTRACT_FILE} alone"
        if camera.colour == "depth" or camera.dtype == "uint16":
            yield f"{camera.name}: LeRobot takes it for brightness; its meaning is in {CONTRACT_FILE} alone"
