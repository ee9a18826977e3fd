"""A training run on disk: what it was told, its last checkpoint, and the planner that it gives.

    RUN/config.json contract.json robot.json calibration.npz metrics.csv tb/
    RUN/checkpoint/{model,average,optimizer}.safetensors state.json

A checkpoint is written aside, synced, and takes the old one's place by renaming: a process that is killed at any moment
leaves one that is whole.
"""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ashore.datasets.contract import Contract
from ashore.datasets.errors import UnreadableFile
from ashore.policies.configuration import read_config
from ashore.policies.errors import NotARun
from ashore.policies.policy import Policy, PolicyConfig
from ashore.sim.robot import RobotCard

Array = NDArray[Any]
SCHEMA_VERSION = 1
PARTS = ("model", "average", "optimizer")


@dataclass(frozen=True)
class RunSettings:
    """What a run was told; the content of config.json."""

    kind: str
    """diffusion or consistency."""
    policy: PolicyConfig
    training: Mapping[str, Any]
    stores: tuple[str, ...]
    """The episode stores that it learnt from."""
    episodes_sha256: str = ""
    """Of the names of those stores' episodes, which hold their contents' hashes: a store that grew is other data."""
    teacher: str | None = None
    """The run that a student was distilled from."""
    schema_version: int = SCHEMA_VERSION

    def to_mapping(self) -> dict[str, Any]:
        """Give the settings as they look after a round trip through JSON."""
        mapping: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return mapping


@dataclass(frozen=True)
class Checkpoint:
    """All that changes while a run is trained."""

    update: int
    """Updates made so far."""
    elapsed_s: float
    model: Mapping[str, Tensor]
    average: Mapping[str, Tensor]
    optimizer: Mapping[str, Tensor]


def write_text(path: Path, text: str) -> None:
    """Write a small file aside and rename it into place."""
    aside = path.with_name(path.name + ".part")
    aside.write_text(text)
    os.replace(aside, path)


def save_run(path: Path, settings: RunSettings, contract: Contract, card: RobotCard) -> None:
    """Make the run folder and write what stays the same while it is trained."""
    path.mkdir(parents=True, exist_ok=True)
    write_text(path / "contract.json", contract.to_json())
    write_text(path / "robot.json", card.to_json())
    write_text(path / "config.json", json.dumps(settings.to_mapping(), indent=2))


def load_settings(path: Path) -> tuple[RunSettings, Contract, RobotCard]:
    """Read what a run was told.

    Raises:
        NotARun: a file is missing.
        UnreadableFile: a file is not what its name says.
    """
    texts = {}
    for name in ("config.json", "contract.json", "robot.json"):
        if not (path / name).is_file():
            raise NotARun(path, name)
        texts[name] = (path / name).read_text()
    config_path = path / "config.json"
    try:
        raw = json.loads(texts["config.json"])
    except ValueError as error:
        raise UnreadableFile(config_path, "a run's settings", str(error), "Train again.") from error
    if not isinstance(raw, dict) or raw.get("schema_version") != SCHEMA_VERSION:
        found = f"schema version {raw.get('schema_version') if isinstance(raw, dict) else None}"
        raise UnreadableFile(config_path, f"schema version {SCHEMA_VERSION}", found, "Update ashore or train again.")
    contract = Contract.from_json(texts["contract.json"], path / "contract.json")
    return read_config(RunSettings, raw), contract, RobotCard.from_json(texts["robot.json"], path / "robot.json")


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Replace RUN/checkpoint by a newer one; the run is never without a whole one."""
    settle(path)
    aside, current, old = path / "checkpoint.next", path / "checkpoint", path / "checkpoint.old"
    aside.mkdir()
    for part in PARTS:
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in getattr(checkpoint, part).items()}
        save_file(tensors, aside / f"{part}.safetensors")
    state = {"update": checkpoint.update, "elapsed_s": checkpoint.elapsed_s, "schema_version": SCHEMA_VERSION}
    (aside / "state.json").write_text(json.dumps(state))
    for file in (*aside.iterdir(), aside):
        _sync(file)
    if current.exists():
        os.rename(current, old)
    os.rename(aside, current)
    _sync(path)
    shutil.rmtree(old, ignore_errors=True)


def settle(path: Path) -> None:
    """Finish or undo a replacement that a killed process left half done; only the run's writer calls this.

    The old checkpoint is moved away only when the next one is whole and synced.
    """
    aside, current, old = path / "checkpoint.next", path / "checkpoint", path / "checkpoint.old"
    if not current.exists() and old.exists():
        os.rename(aside if aside.exists() else old, current)
    for leftover in (aside, old):
        if leftover.exists():
            shutil.rmtree(leftover)


def has_checkpoint(path: Path) -> bool:
    """Tell whether a run has a checkpoint to resume from or to plan with."""
    return (path / "checkpoint" / "state.json").is_file() or (path / "checkpoint.old" / "state.json").is_file()


def load_checkpoint(path: Path, parts: tuple[str, ...] = PARTS) -> Checkpoint:
    """Read the last whole checkpoint, or only some of its parts.

    Raises:
        NotARun: there is none yet.
        UnreadableFile: a file of it is damaged.
    """
    folder = path / "checkpoint"
    if not folder.exists():  # Killed between two renames: the old one is still whole.
        folder = path / "checkpoint.old"
    if not (folder / "state.json").is_file():
        raise NotARun(path, "checkpoint/state.json")
    tensors: dict[str, dict[str, Tensor]] = {part: {} for part in PARTS}
    try:
        state = json.loads((folder / "state.json").read_text())
        for part in parts:
            tensors[part] = load_file(folder / f"{part}.safetensors")
        return Checkpoint(state["update"], state["elapsed_s"], **tensors)
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        raise UnreadableFile(folder, "a checkpoint", str(error), "Restore a copy, or train again.") from error


class TorchPlanner:
    """A trained policy in torch, with the face of every planner."""

    def __init__(self, policy: Policy, contract: Contract, card: RobotCard) -> None:
        self.policy = policy.eval().requires_grad_(False)
        self.contract = contract
        self.card = card
        self.obs_horizon = policy.config.obs_horizon
        self.prediction_horizon = policy.config.prediction_horizon
        self.action_horizon = policy.config.action_horizon

    def plan(self, obs: Array, noise: Array) -> Array:
        """Plan absolute chunks (B, Tp, Da) from windows (B, To, Do) and noise (B, Tp, Da), all float32."""
        device = self.policy.action_scale.mean.device
        with torch.inference_mode():
            windows = torch.from_numpy(np.ascontiguousarray(obs, np.float32)).to(device)
            start = torch.from_numpy(np.ascontiguousarray(noise, np.float32)).to(device)
            chunk: Array = self.policy(windows, start).cpu().numpy()
        return chunk


def load_run(path: Path | str) -> TorchPlanner:
    """Open a run as a planner with its averaged weights.

    Raises:
        NotARun: the folder is no run, or has no checkpoint yet.
        UnreadableFile: a file in it is damaged.
    """
    folder = Path(path)
    settings, contract, card = load_settings(folder)
    policy = Policy(settings.policy, contract)
    weights = load_checkpoint(folder, ("average",)).average
    try:
        policy.load_state_dict(dict(weights))
    except RuntimeError as error:
        way_out = "Train again, or restore config.json and checkpoint/ from one run."
        raise UnreadableFile(folder / "checkpoint", "weights of the configured policy", str(error), way_out) from error
    return TorchPlanner(policy, contract, card)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
