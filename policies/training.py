"""The one training loop, for teachers and students alike: resumable to the same bits, at any moment killed."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ashore.datasets.lock import WriterLock
from ashore.datasets.progress import Progress, silent
from ashore.policies.cards import robot_card, task_encoding
from ashore.policies.checkpoint import RunSettings, has_checkpoint, load_settings, save_run, save_tasks
from ashore.policies.devices import is_first_process
from ashore.policies.encoding import EncodingSpec
from ashore.policies.errors import RunExists
from ashore.policies.losses import FromData, Loss
from ashore.policies.memory import Estimate, require_memory
from ashore.policies.multitask import joined_encoding
from ashore.policies.networks.presets import n_parameters
from ashore.policies.policy import Policy, PolicyConfig
from ashore.policies.training_data import TrainingData, episodes_digest, open_stores
from ashore.policies.training_loop import Judge, TrainingConfig, TrainingLoop, never


@dataclass(frozen=True)
class Prospect:
    """What is going to be trained, and on what."""

    n_parameters: int
    memory: Estimate
    n_episodes: int
    n_windows: int
    constants: tuple[str, ...]
    """Features that are the same in every step, of which nothing is learnt."""


Announce = Callable[[Prospect], None]


def unannounced(prospect: Prospect) -> None:
    """Say nothing."""


def train(
    stores: Sequence[Path | str],
    out: Path | str,
    training: TrainingConfig,
    policy: PolicyConfig | None = None,
    progress: Progress = silent,
    judge: Judge = never,
    announce: Announce = unannounced,
) -> Path:
    """Train a policy on episode stores, or resume the run that is already there.

    Args:
        stores: folders of episode stores with one contract.
        out: the run's folder.
        training: duration and optimizer.
        policy: shape of the policy; where its encoding is the generic one, the task's own suggestion is taken.
        progress: told in updates, or in seconds where the duration is given in minutes.
        judge: asked at every candidate whether training may stop.
        announce: told what is going to be trained, before it starts.

    Returns:
        The run's folder.

    Raises:
        RunExists: the folder holds a run with other settings.
        TooFewWindows: the data does not fill a batch.
        TrainingDiverged: the loss is no longer a number.
        NotEnoughMemory: the machine has less than the run will need.
    """
    shape = policy or PolicyConfig()
    data = open_stores(stores, shape, training.seed)
    if shape.encoding == EncodingSpec():
        suggested = [task_encoding(contract.task) for contract in data.tasks or (data.contract,)]
        encoding = joined_encoding(suggested) if data.tasks else suggested[0]
        shape = replace(shape, encoding=EncodingSpec.from_mapping(encoding))
    paths = tuple(str(Path(store).resolve()) for store in stores)
    settings = RunSettings(kind_of(shape), shape, asdict(training), paths, episodes_digest(paths))
    return run_training(Path(out), settings, data, FromData(), None, progress, judge, announce)


def kind_of(shape: PolicyConfig) -> str:
    """Name the kind of policy that a shape makes: diffusion, consistency, bc or act."""
    if shape.process.kind == "regression":
        return "act" if shape.network.kind == "act" else "bc"
    return "consistency" if shape.process.kind == "consistency" else "diffusion"


def run_training(
    path: Path,
    settings: RunSettings,
    data: TrainingData,
    loss: Loss,
    start: Mapping[str, Tensor] | None = None,
    progress: Progress = silent,
    judge: Judge = never,
    announce: Announce = unannounced,
) -> Path:
    """Make or resume a run and train it to its end; the loop behind train and distill.

    Args:
        path: the run's folder.
        settings: its config.json; `training` must be a TrainingConfig as a mapping.
        data: what it learns from.
        loss: what it minimises.
        start: state of the policy to start from, normalisers included; None to start afresh.
        progress: told how far it is.
        judge: asked at every candidate whether training may stop.
        announce: told what is going to be trained, before it starts.

    Raises:
        StoreLocked: another process trains this run.
    """
    from accelerate import PartialState  # type: ignore[import-untyped]

    config = TrainingConfig(**settings.training)
    data.require(config.batch_size)
    torch.set_num_threads(config.threads)
    path.mkdir(parents=True, exist_ok=True)
    with WriterLock(path / "lock") if is_first_process() else nullcontext():
        with PartialState().main_process_first():
            open_run(path, settings, data)
        torch.manual_seed(config.seed)
        policy = Policy(settings.policy, data.contract)
        if start is not None:
            policy.load_state_dict(dict(start))
        elif not has_checkpoint(path):
            data.fit(policy)
        memory = require_memory(policy, data, config.batch_size)
        n_episodes = len(np.unique(data.episode_of))
        announce(Prospect(n_parameters(policy), memory, n_episodes, len(data.windows), tuple(data.constants())))
        loop = TrainingLoop(config, policy, loss, path)
        if has_checkpoint(path):
            loop.resume()
        loop.run(data, progress, judge)
    return path


def open_run(path: Path, settings: RunSettings, data: TrainingData) -> None:
    """Make the run's folder, or check that the one there has these very settings."""
    if not (path / "config.json").exists():
        data.save_calibration(path)
        save_tasks(path, data.tasks)
        save_run(path, settings, data.contract, robot_card(data))
        return
    there, contract, _ = load_settings(path)
    ours, theirs = settings.to_mapping(), there.to_mapping()
    differing = [f"{key}: there {theirs[key]!r}, here {ours[key]!r}" for key in ours if ours[key] != theirs[key]]
    if differing:
        raise RunExists(path, differing)
    contract.require_same(data.contract, f"the run {path}", "its data")
