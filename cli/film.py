"""Films of pictures, .gif or .mp4 by their ending."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ashore.cli.errors import FileTrouble
from ashore.datasets.errors import UnknownName

Array = NDArray[Any]
PALETTE_FRAMES = 8
"""Pictures that the GIF's colours are chosen from, so that small things keep theirs."""
HOLD_MS = 1000
"""How long the last picture stays before the GIF starts again."""


def require_film(path: Path) -> None:
    """Check before the work that a film of this name can be written.

    Raises:
        UnknownName: its ending is none of a film.
    """
    if path.suffix.lower() not in FILMS:
        raise UnknownName("kind of film", path.suffix, sorted(FILMS))


def write_film(path: Path, frames: list[Array], period_ms: float) -> None:
    """Write pictures (H, W, 3) uint8 as a film of the kind that the path's ending says; it appears whole.

    Raises:
        UnknownName: its ending is none of a film.
        FileTrouble: it cannot be written.
    """
    require_film(path)
    FILMS[path.suffix.lower()](path, frames, period_ms)


def _write_gif(path: Path, frames: list[Array], period_ms: float) -> None:
    """Write pictures (H, W, 3) uint8 as a GIF that repeats, with colours of its own; it appears whole."""
    import numpy as np
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    sample = np.concatenate(frames[:: max(1, len(frames) // PALETTE_FRAMES)])
    palette = Image.fromarray(sample).quantize(256, Image.Quantize.MAXCOVERAGE)
    images = [Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    durations = [round(period_ms)] * (len(images) - 1) + [HOLD_MS]
    aside = path.with_name(path.name + ".part")
    images[0].save(aside, "GIF", save_all=True, append_images=images[1:], duration=durations, loop=0, optimize=True)
    aside.replace(path)


def _write_mp4(path: Path, frames: list[Array], period_ms: float) -> None:
    """Write pictures (H, W, 3) uint8 as an MPEG-4 film; it appears whole.

    Raises:
        FileTrouble: it cannot be written.
    """
    import cv2

    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f"{path.stem}.part{path.suffix}")
    height, width = frames[0].shape[:2]
    film = cv2.VideoWriter(str(aside), cv2.VideoWriter.fourcc(*"mp4v"), 1000.0 / period_ms, (width, height))
    if not film.isOpened():
        raise FileTrouble(path, "OpenCV cannot write an MPEG-4 film there")
    for frame in frames:
        film.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    film.release()
    aside.replace(path)


FILMS: Mapping[str, Callable[[Path, list[Array], float], None]] = {".gif": _write_gif, ".mp4": _write_mp4}
"""How each kind of film is written."""
