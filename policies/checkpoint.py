"""A training run on disk: what it was told, its last checkpoint, and the planner that it gives.

    RUN/config.json contract.json robot.json calibration.npz metrics.csv tb/
    RUN/lock                               held while it is trained
    RUN/tasks/NN.json                      contracts of the tasks, where it learns several; contract.json joins them
    RUN/checkpoint/{model,average,optimizer}.safetensors state.json
    RUN/candidates/UPDATE.safetensors      averaged weights of other moments, to choose from
    RUN/selection.json                     which of them was chosen by simulated success

A checkpoint is written aside, synced, and takes the old one's place by renaming: a process that is killed at any moment
leaves one that is whole.
"""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
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
from ashore.policies.errors import CheckpointNotSaved, InvalidGoal, NotARun
from ashore.policies.generation.samplers import SamplerConfig
from ashore.policies.goals import raw_goal
from ashore.policies.multitask import TaskMix
from ashore.policies.policy import Policy, PolicyConfig
from ashore.sim.robot import RobotCard

Array = NDArray[Any]
SCHEMA_VERSION = 2
PARTS = ("model", "average", "optimizer")


@dataclass(frozen=True)
class RunSettings:
    """What a run was told; the content of config.json."""

    kind: str
    """diffusion, consistency, bc or act."""
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
    has_stopped: bool
    """Whether a judge ended the training before its time."""
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


def save_tasks(path: Path, contracts: Sequence[Contract]) -> None:
    """Write the contracts of the tasks that a run mixes, if it does."""
    for number, contract in enumerate(contracts):
        (path / "tasks").mkdir(parents=True, exist_ok=True)
        write_text(path / "tasks" / f"{number:02d}.json", contract.to_json())


def load_tasks(path: Path) -> tuple[Contract, ...]:
    """Read the contracts of the tasks that a run mixes.

    Raises:
        NotARun: there are none.
        UnreadableFile: a file is not what its name says.
    """
    files = sorted((path / "tasks").glob("*.json"))
    if not files:
        raise NotARun(path, "tasks/00.json")
    return tuple(Contract.from_json(file.read_text(), file) for file in files)


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
    """Replace RUN/checkpoint by a newer one; the run is never without a whole one.

    Raises:
        CheckpointNotSaved: the disk refused, for example because it is full; the checkpoint before is whole.
    """
    settle(path)
    aside, current, old = path / "checkpoint.next", path / "checkpoint", path / "checkpoint.old"
    try:
        _write_checkpoint(aside, checkpoint)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(aside, ignore_errors=True)
        raise CheckpointNotSaved(path, str(error)) from error
    if current.exists():
        os.rename(current, old)
    os.rename(aside, current)
    _sync(path)
    shutil.rmtree(old, ignore_errors=True)


def _write_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    folder.mkdir()
    for part in PARTS:
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in getattr(checkpoint, part).items()}
        save_file(tensors, folder / f"{part}.safetensors")
    state = {name: getattr(checkpoint, name) for name in ("update", "elapsed_s", "has_stopped")}
    state["schema_version"] = SCHEMA_VERSION
    (folder / "state.json").write_text(json.dumps(state))
    for file in (*folder.iterdir(), folder):
        _sync(file)


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
        return Checkpoint(state["update"], state["elapsed_s"], state["has_stopped"], **tensors)
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        raise UnreadableFile(folder, "a checkpoint", str(error), "Restore a copy, or train again.") from error


class TorchPlanner:
    """A trained policy in torch, with the face of every planner."""

    def __init__(self, policy: Policy, contract: Contract, card: RobotCard, columns: Array | None = None) -> None:
        """Make a planner; `columns` (Do,) are the contract's elements in the run's windows, where these hold more."""
        self.policy = policy.eval().requires_grad_(False)
        self.columns = np.arange(contract.observation_width) if columns is None else columns
        self.contract = contract
        self.card = card
        self.obs_horizon = policy.config.obs_horizon
        self.prediction_horizon = policy.config.prediction_horizon
        self.action_horizon = policy.config.action_horizon
        self.noise_shape = policy.noise_shape

    def plan(self, obs: Array, noise: Array) -> Array:
        """Plan absolute chunks (B, Tp, Da) from windows (B, To, Do) and noise (B, *noise_shape), all float32."""
        device = self.policy.action_scale.mean.device
        with torch.inference_mode():
            windows = torch.from_numpy(np.ascontiguousarray(obs, np.float32)).to(device)
            start = torch.from_numpy(np.ascontiguousarray(noise, np.float32)).to(device)
            chunk: Array = self.policy(windows, start).cpu().numpy()
        return chunk


@dataclass(frozen=True)
class Asked:
    """How a run's policy is asked; what is None is as the run was trained."""

    sampler: SamplerConfig | None = None
    guidance: float | None = None
    goal: Mapping[str, Any] | None = None
    """{feature: values} in contract units; an empty one plans without a goal."""
    task: str | None = None
    """Of a policy that learnt several."""
    weights: Path | None = None
    """File of averaged weights; None for the selected candidate, or else the last checkpoint."""


AS_TRAINED = Asked()


def load_run(path: Path | str, asked: Asked = AS_TRAINED) -> TorchPlanner:
    """Open a run as a planner with its averaged weights.

    Raises:
        NotARun: the folder is no run, or has no checkpoint yet.
        UnreadableFile: a file in it is damaged.
        InvalidConfig: the policy has no such sampler.
        InvalidGoal: it needs a goal, or has no such one.
    """
    folder = Path(path)
    settings, contract, card = load_settings(folder)
    shape = settings.policy
    shape = replace(shape, sampler=asked.sampler or shape.sampler)
    if asked.guidance is not None:
        shape = replace(shape, goal=replace(shape.goal, guidance=asked.guidance))
    policy = Policy(shape, contract)
    weights = load_weights(folder, asked.weights)
    try:
        policy.load_state_dict(dict(weights))
    except RuntimeError as error:
        way_out = "Train again, or restore config.json and checkpoint/ from one run."
        raise UnreadableFile(folder / "checkpoint", "weights of the configured policy", str(error), way_out) from error
    _aim(policy, contract, asked)
    if asked.task is not None:
        mix = TaskMix(load_tasks(folder))
        policy.see_as(mix.sources(asked.task))
        return TorchPlanner(policy, mix.contract(asked.task), card, mix.columns(asked.task))
    return TorchPlanner(policy, contract, card)


def load_weights(path: Path, weights: Path | None = None) -> Mapping[str, Tensor]:
    """Read averaged weights: of a file, of the candidate that was selected, or else of the last checkpoint.

    Raises:
        NotARun: there is no checkpoint yet.
        UnreadableFile: the file is damaged.
    """
    file = weights or selected_weights(path)
    if file is None:
        return load_checkpoint(path, ("average",)).average
    try:
        return dict(load_file(file))
    except (OSError, SafetensorError) as error:
        raise UnreadableFile(file, "weights of a candidate", str(error), "Select again, or train again.") from error


def selected_weights(path: Path) -> Path | None:
    """Give the file of the candidate that was selected, if one was.

    Raises:
        UnreadableFile: selection.json is not what its name says.
    """
    selection = path / "selection.json"
    if not selection.is_file():
        return None
    try:
        return candidate_path(path, int(json.loads(selection.read_text())["chosen"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UnreadableFile(selection, "a selection", str(error), "Delete it, or select again.") from error


def candidate_path(path: Path, update: int) -> Path:
    """Give the file of the candidate of an update."""
    return path / "candidates" / f"{update:08d}.safetensors"


def candidates(path: Path) -> list[Path]:
    """List the weights files of a run's candidates, oldest first."""
    return sorted((path / "candidates").glob("[0-9]" * 8 + ".safetensors"))


def save_candidate(file: Path, weights: Mapping[str, Tensor]) -> None:
    """Write a candidate's weights aside, and rename them into place.

    Raises:
        CheckpointNotSaved: the disk refused.
    """
    aside = file.with_suffix(".part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}, aside)
        _sync(aside)
        os.replace(aside, file)
    except (OSError, SafetensorError) as error:
        aside.unlink(missing_ok=True)
        raise CheckpointNotSaved(file.parents[1], str(error)) from error


def drop_candidates(path: Path, after: int) -> list[Path]:
    """Delete the candidates that are newer than an update, from which the run goes on; list the others."""
    kept = []
    for file in candidates(path):
        if int(file.stem) > after:
            file.unlink()
            file.with_suffix(".json").unlink(missing_ok=True)  # What it was found to be worth.
        else:
            kept.append(file)
    return kept


def _aim(policy: Policy, contract: Contract, asked: Asked) -> None:
    config = policy.config.goal
    if not policy.goal_encoder.width:
        if asked.goal or asked.task:
            raise InvalidGoal(["the policy was trained without goals; give none"])
        return
    needed = [*(config.features if asked.goal is None else ()), *(["task"] if config.tasks and not asked.task else [])]
    if needed:
        raise InvalidGoal([f"{name}: not given" for name in needed])
    if asked.goal is None or asked.goal:  # An empty goal is one that shall be absent.
        policy.aim(torch.from_numpy(raw_goal(config, contract, asked.goal or {}, asked.task)))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
