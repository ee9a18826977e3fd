"""The frames of some cameras, decoded by threads from the episodes' files and held in memory up to a budget."""

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import prod
from pathlib import Path
from threading import Lock
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.durable import storing
from ashore.datasets.features import ImageFeature
from ashore.datasets.images import FileBytes, Frames, decode

Array = NDArray[Any]
MEMORY_BUDGET_BYTES = 2 * 2**30
"""Of decoded frames that are held. Not in it: 20 bytes a frame that say where it lies, and the batches themselves."""
MAX_OPEN = 128
"""Episodes' files that stay open: opening one takes a tenth of decoding a small frame, and far more over a network."""
FRAMES_A_TASK = 16
"""Few enough that threads end together, many enough that handing over takes no time."""


@dataclass(frozen=True, eq=False)
class FrameTable:
    """Where the frame of each step lies, for one camera: S stored frames, R steps."""

    feature: ImageFeature
    files: tuple[Path, ...]
    file_of: NDArray[np.int32]
    """(S,) which file holds it."""
    begins: NDArray[np.int64]
    """(S,) its first byte in the file."""
    sizes: NDArray[np.int64]
    """(S,) bytes."""
    shown: NDArray[np.int64]
    """(R,) which stored frame each step shows."""

    @property
    def frame_bytes(self) -> int:
        """Bytes of one decoded frame."""
        return prod(self.feature.shape) * np.dtype(self.feature.dtype).itemsize


class FrameTableBuilder:
    """Collects the frames of one camera, episode by episode."""

    def __init__(self, feature: ImageFeature) -> None:
        self._feature = feature
        self._files: list[Path] = []
        self._parts: list[tuple[Array, Array, Array, Array]] = []
        self._n_stored = 0

    def add(self, frames: Frames) -> None:
        """Add an episode's frames, which were read with on_disk=True; those that no step shows are left out."""
        source = cast(FileBytes, frames.source)
        stored, shown = np.unique(frames.index, return_inverse=True)
        begins = np.concatenate([[0], frames.ends[:-1]])[stored]
        file_of = np.full(len(stored), len(self._files), np.int32)
        sizes = frames.ends[stored] - begins
        self._files.append(source.path)
        self._parts.append((file_of, begins + source.offset, sizes, shown.astype(np.int64) + self._n_stored))
        self._n_stored += len(stored)

    def build(self) -> FrameTable:
        """Join what was added, at least one episode."""
        return FrameTable(self._feature, tuple(self._files), *map(np.concatenate, zip(*self._parts, strict=True)))


class FramePool:
    """Gives the frames of any steps. What was decoded is held until the budget is full, and then kept.

    Every epoch asks for each frame equally often, so that a frame that is held saves as much as any other: nothing is
    gained by exchanging them, and where all fit, later epochs only copy. The cameras share the budget by their sizes.
    """

    def __init__(self, tables: Mapping[str, FrameTable], budget_bytes: int) -> None:
        needed = sum(len(table.sizes) * table.frame_bytes for table in tables.values())
        share = min(1.0, budget_bytes / max(needed, 1))
        self._cameras = {name: _Camera(table, int(share * len(table.sizes))) for name, table in tables.items()}
        self._lock = Lock()
        self._open = lru_cache(MAX_OPEN)(_OpenFile)

    @property
    def held_bytes(self) -> int:
        """Bytes of the decoded frames that are held now."""
        return sum(camera.n_held * camera.table.frame_bytes for camera in self._cameras.values())

    def gather(self, rows: Array, out: Mapping[str, Array]) -> None:
        """Write the frames of some steps.

        Args:
            rows: (...) steps.
            out: {camera: (..., *shape), contiguous}.

        Raises:
            DamagedFile: a frame's bytes are no such frame.
            StorageFailed: a file cannot be read any more.
        """
        with self._lock:
            fills = [self._cameras[name].copy_held(rows, array) for name, array in out.items()]
            tasks = [(fill, start) for fill in fills for start in range(0, len(fill.frames), FRAMES_A_TASK)]
            if tasks:
                list(self._threads.map(self._decode, *zip(*tasks, strict=True)))
            for fill in fills:
                fill.finish()

    @cached_property
    def _threads(self) -> ThreadPoolExecutor:
        import cv2

        cv2.setNumThreads(1)  # The threads are here; OpenCV's own would only wait for each other.
        return ThreadPoolExecutor(len(os.sched_getaffinity(0)), "ashore-frames")

    def _decode(self, fill: "_Fill", start: int) -> None:
        table, stop = fill.camera.table, start + FRAMES_A_TASK
        for frame, place in zip(fill.frames[start:stop].tolist(), fill.places[start:stop].tolist(), strict=True):
            path = table.files[table.file_of[frame]]
            with storing(path, "read a frame"):
                data = self._open(path).read(int(table.sizes[frame]), int(table.begins[frame]))
            fill.out[place] = decode(table.feature, data, path)


class _Camera:
    """What is held of one camera."""

    def __init__(self, table: FrameTable, n_slots: int) -> None:
        self.table = table
        self.n_held = 0
        self.held = np.empty((n_slots, *table.feature.shape), table.feature.dtype)  # Takes memory as it is written to.
        self.slot_of = np.full(len(table.sizes), -1, np.int32)

    def copy_held(self, rows: Array, out: Array) -> "_Fill":
        """Copy what is held, and tell what must be decoded."""
        frames = self.table.shown[rows].reshape(-1)
        flat = out.reshape(-1, *self.table.feature.shape)
        slots = self.slot_of[frames]
        missing = np.flatnonzero(slots < 0)
        if len(missing) < len(frames):  # Places that are missing get frame 0 first, and their own later.
            np.take(self.held, slots, axis=0, out=flat, mode="clip")
        wanted, first, which = np.unique(frames[missing], return_index=True, return_inverse=True)
        return _Fill(self, flat, wanted, missing[first], missing, which)


@dataclass(frozen=True, eq=False)
class _Fill:
    """Frames that must be decoded into a batch, each once."""

    camera: _Camera
    out: Array
    """(n, *shape) of the batch."""
    frames: Array
    """(m,) stored frames, rising, so that neighbours lie in one file."""
    places: Array
    """(m,) where in `out` each is decoded to."""
    missing: Array
    """(k,) all places that show one of them."""
    which: Array
    """(k,) the frame of each such place, as an index of `frames`."""

    def finish(self) -> None:
        """Copy to the other places that show the same frames, and hold what there is room for."""
        again = self.places[self.which] != self.missing
        if again.any():
            self.out[self.missing[again]] = self.out[self.places[self.which[again]]]
        camera = self.camera
        stop = min(camera.n_held + len(self.frames), len(camera.held))
        n_new = stop - camera.n_held
        if n_new:
            np.take(self.out, self.places[:n_new], axis=0, out=camera.held[camera.n_held : stop], mode="clip")
            camera.slot_of[self.frames[:n_new]] = np.arange(camera.n_held, stop)
            camera.n_held = stop


class _OpenFile:
    """A file that is closed when the last thread that reads it has let go of it."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):
            os.close(self._descriptor)

    def read(self, size: int, offset: int) -> bytes:
        return os.pread(self._descriptor, size, offset)
