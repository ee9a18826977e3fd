"""Figures of a run as it is trained: metrics.csv for programs; TensorBoard and, if installed, wandb for people."""

import csv
import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

COLUMNS = ("update", "elapsed_s", "loss", "learning_rate", "samples_per_s", "held_out_loss")


class MetricsLog:
    """Append rows to RUN/metrics.csv and RUN/tb/; rows after the update it resumes from are dropped first."""

    def __init__(self, run: Path, update: int) -> None:
        """Open the log of a run that has made `update` updates."""
        from torch.utils.tensorboard import SummaryWriter

        path = run / "metrics.csv"
        aside = path.with_name("metrics.csv.part")
        with aside.open("w", newline="") as file:
            rows = csv.DictWriter(file, COLUMNS)
            rows.writeheader()
            rows.writerows(_rows_until(path, update))
        aside.replace(path)
        self._file = path.open("a", newline="")
        self._rows = csv.DictWriter(self._file, COLUMNS)
        self._board = SummaryWriter(str(run / "tb"), purge_step=update)
        self._wandb = _open_wandb(run)

    def add(self, update: int, elapsed_s: float, figures: Mapping[str, float]) -> None:
        """Write one row; figures are named by COLUMNS and may be few."""
        texts = {name: f"{value:.6g}" for name, value in figures.items()}
        self._rows.writerow({"update": update, "elapsed_s": f"{elapsed_s:.3f}", **texts})
        self._file.flush()
        for name, value in figures.items():
            self._board.add_scalar(name, value, update)
        if self._wandb is not None:
            self._wandb.log(dict(figures), step=update)

    def close(self) -> None:
        """Close both files."""
        self._file.close()
        self._board.close()
        if self._wandb is not None:
            self._wandb.finish()


class NoLog:
    """Takes rows and writes nothing, in processes that only help."""

    def add(self, update: int, elapsed_s: float, figures: Mapping[str, float]) -> None:
        """Write nothing."""

    def close(self) -> None:
        """Close nothing."""


def read_metrics(run: Path) -> list[dict[str, float]]:
    """Read metrics.csv; figures that a row does not have are left out of it."""
    with (run / "metrics.csv").open(newline="") as file:
        return [{name: float(text) for name, text in row.items() if text} for row in csv.DictReader(file)]


def _open_wandb(run: Path) -> Any:
    """Open a run of wandb where that is installed: offline and below the run's folder, unless WANDB_MODE says else."""
    if find_spec("wandb") is None:
        return None
    import wandb

    mode: Any = os.environ.get("WANDB_MODE", "offline")
    quiet = wandb.Settings(silent=True, console="off")
    return wandb.init(project="ashore", name=run.name, dir=run, mode=mode, settings=quiet)


def _rows_until(path: Path, update: int) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        rows = [
            row for row in csv.DictReader(file) if None not in row.values()
        ]  # A killed process may leave half a row.
    return [row for row in rows if row["update"].isdigit() and int(row["update"]) <= update]
