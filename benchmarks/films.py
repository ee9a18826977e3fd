"""A film that plays a camera's part."""

from pathlib import Path

import numpy as np

FILM_SIZE, HZ, FRAMES = (240, 320), 30.0, 90
"""Height and width in px; frames a second."""


def film(path: Path) -> Path:
    """Write a film of coarse noise, which compresses badly."""
    import cv2

    rng, (height, width) = np.random.default_rng(0), FILM_SIZE
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), HZ, (width, height))
    for _ in range(FRAMES):
        coarse = rng.integers(0, 255, (height // 8, width // 8, 3), dtype=np.uint8)
        writer.write(cv2.resize(coarse, (width, height)))
    writer.release()
    return path
