"""Distil a trained diffusion policy into a student that plans with one network evaluation."""

from dataclasses import asdict, replace
from pathlib import Path

from ashore.datasets.progress import Progress, silent
from ashore.policies.checkpoint import RunSettings, load_run, load_settings
from ashore.policies.errors import NotATeacher
from ashore.policies.losses import ConsistencyLoss
from ashore.policies.training import TrainingConfig, run_training
from ashore.policies.training_data import episodes_digest, open_stores

DISTILLATION = TrainingConfig(minutes=1.2, learning_rate=2e-4, average_decay=0.998, warmup_updates=1)
"""The recipe: short, gentle, and with a target that follows the student quickly."""


def distill(
    teacher: Path | str,
    out: Path | str,
    training: TrainingConfig = DISTILLATION,
    progress: Progress = silent,
    start_std: float = 1.0,
) -> Path:
    """Distil a diffusion run into a consistency run, or resume the one that is already there.

    The student starts from the teacher's averaged weights and learns on the teacher's stores.

    Args:
        teacher: a run of kind diffusion.
        out: the student's run folder.
        training: duration and optimizer.
        progress: told as in train.
        start_std: of the noise that the student plans from, see ConsistencyConfig.

    Returns:
        The student's run folder.

    Raises:
        NotATeacher: the run is a student itself.
        NotARun, UnreadableFile: it has no whole checkpoint, or one of another shape.
        RunExists: the folder holds a run with other settings.
    """
    folder = Path(teacher)
    there, contract, _ = load_settings(folder)
    if there.kind != "diffusion":
        raise NotATeacher(folder, there.kind)
    guide = load_run(folder).policy
    consistency = replace(there.policy.consistency, start_std=start_std)
    shape = replace(there.policy, sampler="consistency", levels=1, consistency=consistency)
    horizons = (shape.obs_horizon, shape.prediction_horizon, shape.action_horizon)
    data = open_stores(there.stores, horizons, training.seed)
    contract.require_same(data.contract, f"the run {folder}", "its store")
    settings = RunSettings(
        "consistency", shape, asdict(training), there.stores, episodes_digest(there.stores), str(folder.resolve())
    )
    return run_training(Path(out), settings, data, ConsistencyLoss(guide.network), guide.state_dict(), progress)
