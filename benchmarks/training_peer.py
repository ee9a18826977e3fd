"""LeRobot's training on the human Push-T demonstrations, run by scripts under a Python of its own."""

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np

from ashore.datasets.formats.pusht_contract import KEYPOINTS_LOCAL_PX
from ashore.datasets.store import EpisodeStore
from ashore.sim.pusht import TEST_SEEDS, start_state
from benchmarks.peer_process import run_peer

PYTHON = "ASHORE_PEER_PYTHON"
LEROBOT = "LeRobot 0.4.4"
BATCH = 64
"""Of the training that is scored: more updates in as much time, and most of them are needed to warm up."""
LIMIT_S = 6 * 3600.0
FITTED = 3


def write_data(store: Path, folder: Path, n_episodes: int | None = None) -> Path | None:
    """Write the demonstrations as LeRobot's data set; returns its folder, or None where no peer is named."""
    npz, out = folder / "demonstrations.npz", folder / "lerobot"
    episodes = list(islice(EpisodeStore.open(store, readonly=True), n_episodes))
    arrays = {
        "state": [episode.observations["agent_pos_px"] for episode in episodes],
        "environment_state": [episode.observations["block_keypoints_px"] for episode in episodes],
        "action": [episode.actions["agent_target_px"] for episode in episodes],
    }
    joined = {name: np.concatenate(parts).astype(np.float32) for name, parts in arrays.items()}
    ends = np.cumsum([len(episode) for episode in episodes])
    np.savez(npz, allow_pickle=False, **joined, episode_ends=ends)
    rmtree(out, ignore_errors=True)
    return out if run_peer("lerobot_write.py", ["--npz", npz, "--out", out, "--kind", "state"], PYTHON) else None


def time_training(data: Path, widths: tuple[int, ...], threads: int, seconds: float) -> dict[str, float]:
    """Time the whole loop and the update alone, with batches of 256; returns samples/s as `loop` and `alone`."""
    return _train(data, widths, {"threads": threads, "seconds": seconds})


def train_scored(data: Path, widths: tuple[int, ...], cpu_minutes: float, n_scores: int) -> list[dict[str, float]]:
    """Train on one thread and score Push-T from the published start states on the way; returns the points in time."""
    task = data.parent / "task.npz"
    starts = np.stack([start_state(seed) for seed in TEST_SEEDS])
    np.savez(task, allow_pickle=False, start_states=starts, keypoints_local_px=KEYPOINTS_LOCAL_PX)
    given = {"batch": BATCH, "pusht": task, "minutes": cpu_minutes, "every": cpu_minutes / n_scores}
    points: list[dict[str, float]] = _train(data, widths, given)["points"]
    return points


def _train(data: Path, widths: tuple[int, ...], options: Mapping[str, object]) -> dict[str, Any]:
    """Run the peer's training on the data that the peer wrote."""
    given = {"data": data, "down-dims": ",".join(map(str, widths)), **options}
    found = run_peer("lerobot_training.py", [f"--{name}={value}" for name, value in given.items()], PYTHON, LIMIT_S)
    return found or {}


def minutes_to(score: float, minutes: Sequence[float], scores: Sequence[float]) -> float | None:
    """Say after how many CPU-minutes a score is reached.

    Between two points by the straight line in the logarithm of time; beyond the last, by such a line through the last
    three, which supposes that learning goes on as it did. None where that line does not rise.
    """
    logs, reached = np.log(minutes), np.flatnonzero(np.asarray(scores) >= score)
    if len(reached) and reached[0] > 0:
        last = reached[0]
        share = (score - scores[last - 1]) / (scores[last] - scores[last - 1])
        return float(np.exp(logs[last - 1] + share * (logs[last] - logs[last - 1])))
    if len(reached):
        return float(minutes[0])
    if len(scores) < FITTED:
        return None
    slope, offset = np.polyfit(logs[-FITTED:], scores[-FITTED:], 1)
    return float(np.exp((score - offset) / slope)) if slope > 0 else None
