"""A camera through OpenCV: a device, or a video file that is played at its rate, again and again."""

import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.real.cameras import QUALITY, CameraSpec
from ashore.real.errors import NoCamera

Array = NDArray[Any]


class Camera:
    """One open camera; used by one thread."""

    def __init__(self, spec: CameraSpec) -> None:
        """Open it, and look at its first picture.

        Raises:
            NoCamera: it cannot be opened, gives nothing, or pictures of another size.
        """
        import cv2

        self._cv2, self._spec = cv2, spec
        self._is_file = Path(spec.device).is_file()
        source: int | str = int(spec.device) if spec.device.isdigit() else spec.device
        self._capture = cv2.VideoCapture(source)
        for setting, value in (
            (cv2.CAP_PROP_FRAME_WIDTH, spec.width),
            (cv2.CAP_PROP_FRAME_HEIGHT, spec.height),
            (cv2.CAP_PROP_FPS, spec.hz),
            (cv2.CAP_PROP_BUFFERSIZE, 1),
        ):
            self._capture.set(setting, value)
        ok, frame = self._capture.read()
        if not ok:
            self.close()
            raise NoCamera(spec.name, spec.device, "it gives no picture", _devices())
        height, width = frame.shape[:2]
        if (width, height) != (spec.width, spec.height):
            self.close()
            problem = f"its pictures are {width}x{height}, not {spec.width}x{spec.height}"
            raise NoCamera(spec.name, spec.device, problem, _devices())
        self._due_s = time.monotonic()

    def read(self) -> Array | None:
        """Wait for the next picture (H, W, 3) uint8 bgr; None where the camera is gone."""
        if self._is_file:
            self._due_s = max(self._due_s + 1.0 / self._spec.hz, time.monotonic())
            time.sleep(max(0.0, self._due_s - time.monotonic()))
        ok, frame = self._capture.read()
        if not ok and self._is_file:
            self._capture.open(self._spec.device)
            ok, frame = self._capture.read()
        return np.asarray(frame) if ok else None

    def encode(self, frame: Array) -> bytes:
        """Write a picture (H, W, 3) bgr as JPEG."""
        return bytes(self._cv2.imencode(".jpeg", frame, [self._cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1])

    def close(self) -> None:
        """Let go of the device."""
        self._capture.release()


def _devices() -> list[str]:
    return sorted(str(path) for path in Path("/dev").glob("video*"))
