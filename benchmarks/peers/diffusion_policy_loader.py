"""Time Diffusion Policy's own sampler on arrays in memory: `python diffusion_policy_loader.py --npz FILE`.

A script for a Python that has torch, numba and zarr before 3, and not Ashore. $ASHORE_DIFFUSION_POLICY is the folder of
a checkout of real-stanford/diffusion_policy. The file holds `state` (R, Do) and `action` (R, Da) float32 and
`episode_ends` (E,). Windows are made as that project's Push-T data set of low dimension makes them: one by one, padded
by To - 1 before and Ta - 1 after, Tp observations each.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

CHECKOUT = "ASHORE_DIFFUSION_POLICY"
BATCH = 256
WORKERS = (0, 2)
"""Both are timed, and the faster one counts."""


class Windows(Dataset[dict[str, torch.Tensor]]):
    """The windows of a sampler, as tensors."""

    def __init__(self, sampler: Any) -> None:
        self._sampler = sampler

    def __len__(self) -> int:
        return len(self._sampler)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        """Gather one window: obs (Tp, Do), action (Tp, Da)."""
        sample = self._sampler.sample_sequence(index)
        return {name: torch.from_numpy(array) for name, array in sample.items()}


def add_checkout() -> None:
    """Make Diffusion Policy importable.

    Raises:
        SystemExit: the variable is unset, or its folder holds no checkout.
    """
    folder = os.environ.get(CHECKOUT)
    if not folder:
        raise SystemExit(f"{CHECKOUT} is unset: expected the folder of a checkout of real-stanford/diffusion_policy.")
    if not (Path(folder) / "diffusion_policy" / "common" / "sampler.py").is_file():
        raise SystemExit(f"{CHECKOUT} is {folder}: expected a checkout, with diffusion_policy/common/sampler.py in it.")
    sys.path.insert(0, folder)


def open_windows(npz: Path, obs_horizon: int, prediction_horizon: int, action_horizon: int) -> Windows:
    """Copy the episodes into a replay buffer of numpy arrays and index its windows."""
    from diffusion_policy.common.replay_buffer import ReplayBuffer
    from diffusion_policy.common.sampler import SequenceSampler

    buffer = ReplayBuffer.create_empty_numpy()
    with np.load(npz, allow_pickle=False) as file:
        obs, actions, ends = file["state"], file["action"], file["episode_ends"].tolist()
    for begin, end in zip([0, *ends[:-1]], ends, strict=True):
        buffer.add_episode({"obs": obs[begin:end], "action": actions[begin:end]})
    sampler = SequenceSampler(buffer, prediction_horizon, pad_before=obs_horizon - 1, pad_after=action_horizon - 1)
    return Windows(sampler)


def batches_of(windows: Windows, n_workers: int) -> Iterator[dict[str, torch.Tensor]]:
    """Yield shuffled batches without end."""
    loader = DataLoader(
        windows, BATCH, shuffle=True, num_workers=n_workers, persistent_workers=n_workers > 0, drop_last=True
    )
    if not len(loader):
        raise SystemExit(f"the file has {len(windows)} windows: expected at least {BATCH}, one batch.")
    while True:
        yield from loader


def count_windows(batches: Iterator[dict[str, torch.Tensor]], seconds: float, n_warm: int) -> tuple[float, int]:
    """Draw for some seconds; returns windows a second and their number, the first batches left out."""
    for _ in range(n_warm):
        next(batches)
    n_windows, wall_s, began_s = 0, 0.0, time.perf_counter()
    while wall_s < seconds:
        n_windows += len(next(batches)["action"])
        wall_s = time.perf_counter() - began_s
    return n_windows / wall_s, n_windows


def main() -> None:
    """Draw windows without and with workers and write one line of JSON about the faster way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--npz", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each of the two ways")
    parser.add_argument("--obs-horizon", type=int, default=2)
    parser.add_argument("--prediction-horizon", type=int, default=16)
    parser.add_argument("--action-horizon", type=int, default=8)
    arguments = parser.parse_args()
    add_checkout()
    windows = open_windows(arguments.npz, arguments.obs_horizon, arguments.prediction_horizon, arguments.action_horizon)
    timed = {n: count_windows(batches_of(windows, n), arguments.seconds, max(1, n)) for n in WORKERS}
    n_workers, (windows_per_s, n_windows) = max(timed.items(), key=lambda item: item[1][0])
    disk_bytes = arguments.npz.stat().st_size
    found = {"windows_per_s": windows_per_s, "n_windows": n_windows, "disk_bytes": disk_bytes, "workers": n_workers}
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
