"""Frames for benchmarks: those that people saw while they recorded Push-T, or rendered ones where they are not here."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

PUSHT = Path("../shared/data/pusht_human/pusht_cchi_v7_replay.zarr")


def realistic_frames(count: int, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Give frames (count, H, W, 3): Push-T's board, enlarged to the size, with a little sensor noise."""
    import cv2

    rng = np.random.default_rng(0)
    boards = _pusht(count) if PUSHT.exists() else _drawn(count)
    frames = np.empty((count, *shape), np.uint8)
    for place, board in zip(range(count), boards, strict=True):
        large = cv2.resize(board, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR)
        noise = rng.integers(-2, 3, large.shape) if shape[0] > board.shape[0] else 0
        frames[place] = np.clip(large.astype(np.int16) + noise, 0, 255)
    return frames


def _pusht(count: int) -> NDArray[np.uint8]:
    import zarr

    return np.asarray(zarr.open_array(PUSHT / "data/img", mode="r", zarr_format=2)[:count]).astype(np.uint8)


def _drawn(count: int) -> NDArray[np.uint8]:
    import cv2

    frames = np.full((count, 96, 96, 3), 255, np.uint8)
    for place, frame in enumerate(frames):
        cv2.rectangle(frame, (20 + place % 40, 30), (60 + place % 30, 42), (119, 136, 153), -1)
        cv2.circle(frame, (10 + place % 70, 70), 5, (65, 105, 225), -1)
    return frames
