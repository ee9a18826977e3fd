"""Random training windows a second, of state alone and with two cameras, beside LeRobot and Diffusion Policy.

$ASHORE_PEER_PYTHON names a Python with the peers, $ASHORE_DIFFUSION_POLICY a checkout; without, rows say so.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.batch_loader import BatchLoader
from ashore.datasets.contract import Contract, Feature, ImageFeature
from ashore.datasets.episode import Episode, EpisodeMeta
from ashore.datasets.images import Frames
from ashore.datasets.progress import Progress
from ashore.datasets.store import EpisodeStore
from ashore.datasets.windows import WindowSampler
from benchmarks.frames import realistic_frames
from benchmarks.loader_peers import DIFFUSION_POLICY, LEROBOT, diffusion_policy, lerobot
from benchmarks.row import Row

HORIZONS = (2, 16, 8)
STATE_BATCH, IMAGE_BATCH = 256, 256
STATE_WIDTH, ACTION_WIDTH, CONTROL_HZ = 20, 2, 10.0
CAMERAS = ("camera_0", "camera_1")
SHAPE = (96, 96, 3)
STATE_GOAL, SAMPLER_GOAL, IMAGE_GOAL, DISK_GOAL = 1000.0, 3.0, 20.0, 1.5
PREFETCH = 2


@dataclass(frozen=True)
class Sizes:
    """How much is drawn from, and for how long."""

    episodes: int
    image_episodes: int
    seconds: float


FULL = Sizes(episodes=200, image_episodes=24, seconds=10.0)
QUICK = Sizes(episodes=20, image_episodes=4, seconds=1.0)


def run(quick: bool, folder: Path, progress: Progress) -> list[Row]:
    """Write the same arrays as a store and as the peers' data sets, and draw from each in turn."""
    sizes = QUICK if quick else FULL
    place = folder / ("quick" if quick else "full")
    place.mkdir(parents=True, exist_ok=True)
    progress(0, 3, "state")
    rows = _state_rows(place, sizes)
    progress(1, 3, "two cameras")
    return rows + _image_rows(place, sizes, progress)


def _state_rows(folder: Path, sizes: Sizes) -> list[Row]:
    store = _write(folder, "state", _arrays(sizes.episodes, 0))
    windows_per_s = _draw(WindowSampler([store], *HORIZONS), sizes.seconds)
    peer = lerobot(folder / "state.npz", folder, "state", sizes.seconds)
    sampler = diffusion_policy(folder / "state.npz", sizes.seconds)
    figure = f"state alone, batch {STATE_BATCH}"
    return [
        _beside(figure, windows_per_s, (LEROBOT, peer), STATE_GOAL),
        _beside(figure, windows_per_s, (DIFFUSION_POLICY, sampler), SAMPLER_GOAL),
    ]


def _image_rows(folder: Path, sizes: Sizes, progress: Progress) -> list[Row]:
    arrays = _arrays(sizes.image_episodes, 1)
    arrays["camera_0"] = realistic_frames(len(arrays["state"]), SHAPE)
    arrays["camera_1"] = np.ascontiguousarray(arrays["camera_0"][:, :, ::-1])
    store = _write(folder, "images", arrays)
    timed = _draw_images(store, sizes.seconds)
    disk = float(sum(path.stat().st_size for path in store.path.rglob("*") if path.is_file()))
    rows = []
    for done, kind in enumerate(("images", "video")):
        progress(1 + done, 3, f"LeRobot's {kind}")
        peer = lerobot(folder / "images.npz", folder, kind, sizes.seconds)
        name = f"{LEROBOT}, {'PNG' if kind == 'images' else kind}"
        for how, windows_per_s in timed.items():
            figure = f"two cameras 96 x 96, batch {IMAGE_BATCH}, {how}"
            rows.append(_beside(figure, windows_per_s, (name, peer), IMAGE_GOAL))
        if peer is None:
            break
        told, is_video = (name, peer["disk_bytes"] / 1e6), kind == "video"
        figure = "size on disk, two cameras, PNG" + (" (lossless; the video is not)" if is_video else "")
        rows.append(Row.against(figure, disk / 1e6, "MB", told, "<=", None if is_video else DISK_GOAL))
    return rows


def _beside(figure: str, value: float, peer: tuple[str, dict[str, Any] | None], goal: float) -> Row:
    """Make a row beside a peer, or one that says that it was not run."""
    name, found = peer
    if found is None:
        return Row(figure, value, "windows/s", f"{name}: peer not run", goal=f"ratio >= {goal:g}")
    told = f"{name}, {found['workers']} workers"
    return Row.against(figure, value, "windows/s", (told, float(found["windows_per_s"])), ">=", goal)


def _arrays(n_episodes: int, seed: int) -> dict[str, NDArray[Any]]:
    """Make random walks of about 125 steps, as long as Push-T's: state (R, 20), action (R, 2), episode_ends (E,)."""
    rng = np.random.default_rng(seed)
    ends = np.cumsum(rng.integers(50, 200, n_episodes))
    widths = {"state": STATE_WIDTH, "action": ACTION_WIDTH}
    walks = {name: rng.normal(0, 0.01, (ends[-1], width)).cumsum(axis=0) for name, width in widths.items()}
    return {name: walk.astype(np.float32) for name, walk in walks.items()} | {"episode_ends": ends}


def _write(folder: Path, name: str, arrays: dict[str, NDArray[Any]]) -> EpisodeStore:
    """Write NAME.npz for the peers, and the store."""
    np.savez(folder / f"{name}.npz", allow_pickle=False, **arrays)
    cameras = tuple(ImageFeature(camera, SHAPE, camera) for camera in CAMERAS if camera in arrays)
    contract = Contract(
        robot="benchmark/arm",
        task="benchmark/load",
        observations=(Feature("state", (STATE_WIDTH,), "1", "none"),),
        actions=(Feature("action", (ACTION_WIDTH,), "1", "none"),),
        control_hz=CONTROL_HZ,
        images=cameras,
    )
    rmtree(folder / name, ignore_errors=True)
    meta, begin = EpisodeMeta("simulation", "benchmark"), 0
    with EpisodeStore.create(folder / name, contract) as store:
        for end in arrays["episode_ends"].tolist():
            part = {key: value[begin:end] for key, value in arrays.items() if key != "episode_ends"}
            images = {camera.name: Frames.of(camera, part[camera.name]) for camera in cameras}
            time_s = np.arange(end - begin) / CONTROL_HZ
            store.append(
                Episode(contract, {"state": part["state"]}, {"action": part["action"]}, time_s, meta, images=images)
            )
            begin = end
    return store


def _draw(sampler: WindowSampler, seconds: float) -> float:
    """Gather random batches for some seconds; returns windows a second."""
    sampler.batch(np.arange(STATE_BATCH))
    n_windows, epoch, wall_s, began_s = 0, 0, 0.0, time.perf_counter()
    while wall_s < seconds:
        order, epoch = sampler.epoch(0, epoch), epoch + 1
        for start in range(0, len(order) - STATE_BATCH, STATE_BATCH):
            n_windows += len(sampler.batch(order[start : start + STATE_BATCH]).obs)
        wall_s = time.perf_counter() - began_s
    return n_windows / wall_s


def _draw_images(store: EpisodeStore, seconds: float) -> dict[str, float]:
    """Draw with nothing held, so that every frame is decoded anew, then while it is being held, and from memory."""
    nothing = WindowSampler([store], *HORIZONS, images=CAMERAS, memory_budget_bytes=0)
    cold = _load(nothing, seconds)
    everything = WindowSampler([store], *HORIZONS, images=CAMERAS)
    first = _load(everything, 0.0)
    warm = _load(everything, seconds)
    return {"every frame decoded (no memory)": cold, "first epoch": first, "later epochs, from memory": warm}


def _load(sampler: WindowSampler, seconds: float) -> float:
    """Load whole epochs as training does, for some seconds and at least once; returns windows a second."""
    size = min(IMAGE_BATCH, len(sampler))
    buffers = [sampler.make_batch(size) for _ in range(PREFETCH + 1)]
    for buffer in buffers:
        for array in buffer.images.values():
            array.fill(0)  # The memory is there before the clock runs, as pinned memory is.
    loader = BatchLoader(sampler, size, 0, prefetch=PREFETCH, buffers=buffers)
    n_windows, wall_s, began_s = 0, 0.0, time.perf_counter()
    while not n_windows or wall_s < seconds:
        for batch in loader:
            n_windows += len(batch.obs)
        wall_s = time.perf_counter() - began_s
    return n_windows / wall_s
