"""Time LeRobot's own loader on a data set of its own: `python lerobot_loader.py --data FOLDER --kind state`.

A script for a Python that has LeRobot and not Ashore; `lerobot_write.py` makes the data set. Video needs torchcodec.

    step          n-1   n     n+1   ...     To = 2
    observed      x     x
    action        0     1     2     ...     Tp in all, index 0 is the oldest observed step
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lerobot_policy import REPO_ID, declare_torchvision
from torch.utils.data import DataLoader

BATCH = {"state": 256, "images": 32, "video": 32}
"""Windows in a batch; pictures take so long that smaller batches give a finer clock."""


def open_windows(data: Path, kind: str, obs_horizon: int, prediction_horizon: int) -> Any:
    """Open the data set so that item n is the window whose newest observation is step n.

    Raises:
        SystemExit: the data set is of another kind.
    """
    from lerobot.datasets.lerobot_dataset import LeRobotDataset, LeRobotDatasetMetadata

    meta = LeRobotDatasetMetadata(REPO_ID, root=data)
    is_kind = {"state": not meta.camera_keys, "images": bool(meta.image_keys), "video": bool(meta.video_keys)}
    if not is_kind[kind]:
        raise SystemExit(f"{data} has images {meta.image_keys} and videos {meta.video_keys}: expected --kind {kind}.")
    oldest = 1 - obs_horizon
    observed_s = [step / meta.fps for step in range(oldest, 1)]
    action_s = [step / meta.fps for step in range(oldest, oldest + prediction_horizon)]
    times_s = {name: observed_s for name in meta.features if name.startswith("observation.")}
    return LeRobotDataset(REPO_ID, root=data, delta_timestamps=times_s | {"action": action_s})


def batches_of(windows: Any, n_batch: int, n_workers: int) -> Iterator[dict[str, Any]]:
    """Yield shuffled batches without end."""
    loader: DataLoader[dict[str, Any]] = DataLoader(
        windows, n_batch, shuffle=True, num_workers=n_workers, persistent_workers=n_workers > 0, drop_last=True
    )
    if not len(loader):
        raise SystemExit(f"the data set has {len(windows)} steps: expected at least {n_batch}, one batch.")
    while True:
        yield from loader


def count_windows(batches: Iterator[dict[str, Any]], seconds: float, n_warm: int) -> tuple[int, float]:
    """Draw for some seconds; returns the windows and the seconds that they took, the first batches left out."""
    for _ in range(n_warm):
        next(batches)
    n_windows, wall_s, began_s = 0, 0.0, time.perf_counter()
    while wall_s < seconds:
        n_windows += len(next(batches)["action"])
        wall_s = time.perf_counter() - began_s
    return n_windows, wall_s


def main() -> None:
    """Draw windows and write one line of JSON that says how fast."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--kind", choices=tuple(BATCH), required=True)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--obs-horizon", type=int, default=2)
    parser.add_argument("--prediction-horizon", type=int, default=16)
    parser.add_argument("--batch", type=int, help="default: 256 for state, 32 with cameras")
    arguments = parser.parse_args()
    declare_torchvision()
    windows = open_windows(arguments.data, arguments.kind, arguments.obs_horizon, arguments.prediction_horizon)
    batches = batches_of(windows, arguments.batch or BATCH[arguments.kind], arguments.workers)
    n_windows, wall_s = count_windows(batches, arguments.seconds, max(1, arguments.workers))
    disk_bytes = sum(path.stat().st_size for path in arguments.data.rglob("*") if path.is_file())
    found = {"windows_per_s": n_windows / wall_s, "n_windows": n_windows, "disk_bytes": disk_bytes}
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
