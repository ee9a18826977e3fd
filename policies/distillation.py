"""Distil a trained diffusion policy into a student that plans with one network evaluation."""

from dataclasses import asdict, replace
from pathlib import Path

import torch

from ashore.datasets.errors import UnreadableFile
from ashore.datasets.progress import Progress, silent
from ashore.policies.checkpoint import RunSettings, load_settings, load_weights
from ashore.policies.errors import NotATeacher
from ashore.policies.generation.consistency import ConsistencyConfig, Form
from ashore.policies.generation.edm import EDMConfig
from ashore.policies.generation.samplers import SamplerConfig
from ashore.policies.losses import FromTeacher
from ashore.policies.policy import Policy
from ashore.policies.training import run_training
from ashore.policies.training_data import episodes_digest, open_stores
from ashore.policies.training_loop import TrainingConfig

DISTILLATION = TrainingConfig(minutes=1.2, learning_rate=2e-4, average_decay=0.998, warmup_updates=1)
"""The recipe: short, gentle, and with a target that follows the student quickly."""


def distill(
    teacher: Path | str,
    out: Path | str,
    training: TrainingConfig = DISTILLATION,
    progress: Progress = silent,
    student: ConsistencyConfig | None = None,
) -> Path:
    """Distil a diffusion run into a consistency run, or resume the one that is already there.

    The student starts from the teacher's averaged weights and learns on the teacher's stores.

    Args:
        teacher: a run of kind diffusion, trained with the EDM process.
        out: the student's run folder.
        training: duration and optimizer.
        progress: told as in train.
        student: its form and noise; None for the usual one, see student_config.

    Returns:
        The student's run folder.

    Raises:
        NotATeacher: the run is none that can be distilled.
        NotARun, UnreadableFile: it has no whole checkpoint, or one of another shape.
        RunExists: the folder holds a run with other settings.
    """
    folder = Path(teacher)
    there, contract, _ = load_settings(folder)
    noise = there.policy.process
    if not isinstance(noise, EDMConfig):
        raise NotATeacher(folder, there.kind)
    process = student or student_config(folder)
    guide, weights = Policy(there.policy, contract), load_weights(folder)
    try:
        guide.load_state_dict(dict(weights))
    except RuntimeError as error:
        way_out = "Train the teacher again, or restore config.json and checkpoint/ from one run."
        raise UnreadableFile(folder / "checkpoint", "weights of the configured policy", str(error), way_out) from error
    shape = replace(there.policy, process=process, sampler=SamplerConfig())
    data = open_stores(there.stores, shape, training.seed)
    contract.require_same(data.contract, f"the run {folder}", "its store")
    digest = episodes_digest(there.stores)
    settings = RunSettings("consistency", shape, asdict(training), there.stores, digest, str(folder.resolve()))
    start = student_weights(guide, Policy(shape, contract))
    loss = FromTeacher(guide.network.eval().requires_grad_(False), noise)
    return run_training(Path(out), settings, data, loss, start, progress)


def student_config(teacher: Path | str, form: Form = "distillation", start_std: float = 1.0) -> ConsistencyConfig:
    """Fit a student's noise to its teacher's.

    By default it is the recipe for tasks with one right answer. Where several are right, as when people push a T one
    way or the other, "solution" from the largest level (20) keeps each of them.

    Raises:
        NotATeacher, NotARun, UnreadableFile: as in distill.
    """
    folder = Path(teacher)
    there, _, _ = load_settings(folder)
    noise = there.policy.process
    if not isinstance(noise, EDMConfig):
        raise NotATeacher(folder, there.kind)
    usual = ConsistencyConfig()
    return replace(usual, form=form, noise=replace(noise, sigma_min=usual.sigma_min), start_std=start_std)


def student_weights(teacher: Policy, student: Policy) -> dict[str, torch.Tensor]:
    """Start a student from its teacher; where its network is told a second level, that counts for nothing yet."""
    ours, theirs = student.state_dict(), teacher.state_dict()
    for name, tensor in theirs.items():
        if ours[name].shape == tensor.shape:
            ours[name] = tensor
        else:
            ours[name] = torch.zeros_like(ours[name])
            ours[name][:, : tensor.shape[1]] = tensor
    return ours
