"""Recording 100 Hz state with two cameras at 30 Hz: processor time beside the same loop without a disk, and stalls."""

import time
from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.contract import Align, Contract, Feature, ImageFeature
from ashore.datasets.episode import EpisodeMeta
from ashore.datasets.progress import Progress
from ashore.datasets.store import EpisodeStore
from benchmarks.frames import realistic_frames
from benchmarks.row import Row

STATE_HZ, CAMERA_HZ = 100, 30
SECONDS, QUICK_SECONDS = 30, 5
SIZES = {"96 x 96, png": ((96, 96, 3), "png"), "480 x 640, jpeg 90": ((480, 640, 3), "jpeg")}
CORE_GOAL, STALL_GOAL_MS = 0.10, 5.0
META = EpisodeMeta("real", "benchmark")


def run(quick: bool, folder: Path, progress: Progress) -> list[Row]:
    """Record in real time; what a row says of a core is processor seconds of all threads a second of recording."""
    rows: list[Row] = []
    seconds = QUICK_SECONDS if quick else SECONDS
    for done, (name, (shape, codec)) in enumerate(SIZES.items()):
        progress(done, len(SIZES), name)
        rows += _one_size(name, _contract(shape, codec), seconds, folder)
    return rows


def _contract(shape: tuple[int, ...], codec: Any) -> Contract:
    quality = 90 if codec == "jpeg" else None
    cameras = tuple(
        ImageFeature(name, shape, name, codec=codec, quality=quality, rate_hz=CAMERA_HZ, align=Align("hold"))
        for name in ("camera_0", "camera_1")
    )
    joints = tuple(f"j{i}" for i in range(7))
    return Contract(
        robot="benchmark/arm",
        task="benchmark/record",
        observations=(
            Feature("joint_pos_rad", (7,), "rad", "joint", joints),
            Feature("joint_vel_rad_s", (7,), "rad/s", "joint", joints),
        ),
        actions=(Feature("joint_target_rad", (7,), "rad", "joint", joints),),
        control_hz=STATE_HZ,
        images=cameras,
    )


def _one_size(name: str, contract: Contract, seconds: int, folder: Path) -> list[Row]:
    frames = realistic_frames(64, contract.images[0].shape)
    bare, _ = _loop(None, frames, seconds)
    rmtree(folder / "store", ignore_errors=True)
    store = EpisodeStore.create(folder / "store", contract)
    with store.begin(META) as writer:
        recorded, stalls_s = _loop(writer, frames, seconds)
        began_s = time.perf_counter()
        writer.commit()
        commit_s = time.perf_counter() - began_s
    state, pictures = stalls_s
    goal = CORE_GOAL if contract.images[0].codec == "png" else None
    stall_goal = STALL_GOAL_MS if goal else None
    return [
        Row.of(f"{name}: share of a core, less the bare loop's {bare:.3f}", recorded - bare, "cores", "<=", goal),
        Row.of(f"{name}: time to write a step, p99", 1e3 * float(np.quantile(state, 0.99)), "ms", "<=", stall_goal),
        Row.of(f"{name}: time to write a step, worst", 1e3 * float(state.max()), "ms"),
        Row.of(f"{name}: time to encode and write a frame, p99", 1e3 * float(np.quantile(pictures, 0.99)), "ms"),
        Row.of(f"{name}: commit of {seconds} s", commit_s, "s"),
    ]


def _loop(
    writer: Any, frames: NDArray[np.uint8], seconds: int
) -> tuple[float, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Run the recorder's loop in real time; return cores used, and seconds of each step's and each frame's writing."""
    rng = np.random.default_rng(0)
    begun_cpu_s, begun_s = time.process_time(), time.perf_counter()
    n_frames, writing_state, writing_frames = 0, [], []
    for step in range(seconds * STATE_HZ):
        time_s = step / STATE_HZ
        time.sleep(max(0.0, begun_s + time_s - time.perf_counter()))
        values = rng.normal(size=(3, 7)).astype(np.float32)
        while n_frames / CAMERA_HZ <= time_s:
            writing_frames += _write_frames(writer, frames[n_frames % len(frames)], n_frames / CAMERA_HZ)
            n_frames += 1
        began_s = time.perf_counter()
        if writer is not None:
            observation = {"joint_pos_rad": values[0], "joint_vel_rad_s": values[1]}
            writer.add(observation, {"joint_target_rad": values[2]}, time_s, values[2])
        writing_state.append(time.perf_counter() - began_s)
    cores = (time.process_time() - begun_cpu_s) / (time.perf_counter() - begun_s)
    return cores, (np.array(writing_state), np.array(writing_frames))


def _write_frames(writer: Any, frame: NDArray[np.uint8], time_s: float) -> list[float]:
    took = []
    for name in ("camera_0", "camera_1"):
        began_s = time.perf_counter()
        if writer is not None:
            writer.add_sample(name, frame, time_s, time_s)
        took.append(time.perf_counter() - began_s)
    return took
