"""Figures of a run as it is trained: metrics.csv for programs and TensorBoard files for people."""

import csv
from collections.abc import Mapping
from pathlib import Path

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

    def add(self, update: int, elapsed_s: float, figures: Mapping[str, float]) -> None:
        """Write one row; figures are named by COLUMNS and may be few."""
        texts = {name: f"{value:.6g}" for name, value in figures.items()}
        self._rows.writerow({"update": update, "elapsed_s": f"{elapsed_s:.3f}", **texts})
        self._file.flush()
        for name, value in figures.items():
            self._board.add_scalar(name, value, update)

    def close(self) -> None:
        """Close both files."""
        self._file.close()
        self._board.close()


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


def _rows_until(path: Path, update: int) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        rows = [
            row for row in csv.DictReader(file) if None not in row.values()
        ]  # A killed process may leave half a row.
    return [row for row in rows if row["update"].isdigit() and int(row["update"]) <= update]
