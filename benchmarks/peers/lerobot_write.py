"""Write a LeRobot data set from arrays: `python lerobot_write.py --npz FILE --out FOLDER --kind state`.

A script for a Python that has LeRobot and not Ashore. The file holds `state` (R, Do) and `action` (R, Da) float32,
`episode_ends` (E,) and, for images and video, one `camera_NAME` (R, H, W, 3) uint8 for each camera; R counts the steps
of all E episodes. `environment_state` (R, De), what is observed beside the robot, may come with them.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from lerobot_policy import REPO_ID, declare_torchvision

FPS = 10
TASK = "benchmark"
IMAGE_THREADS = 4
"""Threads that write pictures while frames come in, as LeRobot advises for each camera."""


def load_arrays(npz: Path, kind: str) -> dict[str, np.ndarray]:
    """Load the arrays by their LeRobot names, and `episode_ends`.

    Raises:
        SystemExit: images or video are wanted and the file holds no camera.
    """
    with np.load(npz, allow_pickle=False) as file:
        arrays = {"observation.state": file["state"], "action": file["action"], "episode_ends": file["episode_ends"]}
        if "environment_state" in file.files:
            arrays["observation.environment_state"] = file["environment_state"]
        cameras = [name for name in file.files if name.startswith("camera_") and kind != "state"]
        arrays |= {f"observation.images.{name}": file[name] for name in cameras}
    if kind != "state" and not cameras:
        raise SystemExit(f"{npz} holds no array camera_NAME (R, H, W, 3) uint8: expected one for --kind {kind}.")
    return arrays


def features_of(arrays: dict[str, np.ndarray], kind: str) -> dict[str, dict[str, Any]]:
    """Describe the arrays of steps to LeRobot."""
    dtype = "image" if kind == "images" else "video"
    features: dict[str, dict[str, Any]] = {}
    for name, array in arrays.items():
        if "images" in name:
            features[name] = {"dtype": dtype, "shape": array.shape[1:], "names": ["height", "width", "channels"]}
        else:
            names = [f"{name}_{index}" for index in range(array.shape[1])]
            features[name] = {"dtype": "float32", "shape": array.shape[1:], "names": names}
    return features


def write(arrays: dict[str, np.ndarray], out: Path, kind: str) -> None:
    """Add frame after frame and save episode after episode, as a recorder would."""
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    steps = {name: array for name, array in arrays.items() if name != "episode_ends"}
    threads = IMAGE_THREADS * sum("images" in name for name in steps)
    data = LeRobotDataset.create(
        REPO_ID,
        FPS,
        features_of(steps, kind),
        root=out,
        use_videos=kind == "video",
        image_writer_threads=threads,
    )
    begin = 0
    for end in arrays["episode_ends"].tolist():
        for row in range(begin, end):
            data.add_frame({name: array[row] for name, array in steps.items()} | {"task": TASK})
        data.save_episode()
        begin = end
    data.finalize()


def main() -> None:
    """Write the data set and one line of JSON that says how fast."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--npz", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="a folder that is not there yet")
    parser.add_argument("--kind", choices=("state", "images", "video"), required=True)
    arguments = parser.parse_args()
    declare_torchvision()
    arrays = load_arrays(arguments.npz, arguments.kind)
    began_s = time.perf_counter()
    write(arrays, arguments.out, arguments.kind)
    wall_s = time.perf_counter() - began_s
    n_frames = len(arrays["action"])
    disk_bytes = sum(path.stat().st_size for path in arguments.out.rglob("*") if path.is_file())
    found = {"frames_per_s": n_frames / wall_s, "n_frames": n_frames, "disk_bytes": disk_bytes}
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
