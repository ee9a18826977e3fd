"""Frames of mp4 files by their time stamps, decoded in turn so that one frame is in memory at a time."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.formats.lerobot.description import Clip, fault, first_line

Array = NDArray[Any]
_TOLERANCE = 0.25
"""Share of a frame's period by which a frame's stamp may miss the time that is asked for; at half it would be open
which of two frames is meant."""


class VideoReader:
    """Gives the frames of a data set's video at rising times, one file open at a time."""

    def __init__(self, shape: tuple[int, ...], fps: float) -> None:
        self._shape = shape
        self._period_s = 1.0 / fps
        self._path: Path | None = None
        self._container: Any = None
        self._next: tuple[float, Any] | None = None
        self._last_s = -np.inf

    def close(self) -> None:
        """Close the open file."""
        if self._container is not None:
            self._container.close()
        self._path = self._container = self._next = None

    def frames(self, clip: Clip, time_s: Array) -> Iterator[NDArray[np.uint8]]:
        """Decode the frame (H, W, 3) in rgb at each time after the clip's begin.

        Raises:
            UnreadableFile: the file is missing or damaged, has another size, or no frame at one of the times.
        """
        import av

        wanted_s = clip.from_s + np.asarray(time_s, np.float64)
        try:
            if clip.path != self._path or self._last_s >= wanted_s[0] - _TOLERANCE * self._period_s:
                self._open(clip.path)
            for step, wanted in enumerate(wanted_s.tolist()):
                yield self._frame(clip.path, step, wanted)
        except FileNotFoundError as error:
            raise fault(clip.path, "there is no such file") from error
        except (av.FFmpegError, OSError) as error:
            raise fault(clip.path, f"the video does not decode ({first_line(error)})") from error

    def _open(self, path: Path) -> None:
        import av

        self.close()
        self._container = av.open(path)
        if not self._container.streams.video:
            raise fault(path, "it holds no video")
        stream = self._container.streams.video[0]
        stream.thread_type = "AUTO"
        self._require_size(path, stream)
        self._path, self._last_s = path, -np.inf
        self._decoded = self._container.decode(stream)
        self._advance()

    def _advance(self) -> None:
        frame = next(self._decoded, None)
        while frame is not None and frame.pts is None:
            frame = next(self._decoded, None)
        self._next = None if frame is None else (float(frame.pts * frame.time_base), frame)

    def _frame(self, path: Path, step: int, wanted_s: float) -> NDArray[np.uint8]:
        """Skip to the frame whose stamp is the first not below the time, less the tolerance."""
        margin_s = _TOLERANCE * self._period_s
        while self._next is not None and self._next[0] < wanted_s - margin_s:
            self._advance()
        if self._next is None or self._next[0] > wanted_s + margin_s:
            nearest = "it ends before" if self._next is None else f"the next one is at {self._next[0]:.6f} s"
            raise fault(path, f"step {step}: no frame at {wanted_s:.6f} s; {nearest}")
        self._last_s, frame = self._next
        self._require_size(path, frame)
        pixels = frame.to_ndarray(format="rgb24")
        self._advance()
        return np.asarray(pixels, np.uint8)

    def _require_size(self, path: Path, frame: Any) -> None:
        if (frame.height, frame.width) != self._shape[:2]:
            height, width = self._shape[:2]
            raise fault(path, f"its frames are {frame.height} x {frame.width}, expected {height} x {width}")
