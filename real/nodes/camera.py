"""A camera's process: pictures with the time when they were taken, as JPEG; a camera that is gone is opened again."""

import argparse
import array
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence

from ashore.real.cameras import TYPE, CameraSpec
from ashore.real.drivers.camera import Camera
from ashore.real.errors import NoCamera
from ashore.real.health import Health
from ashore.real.messages import message_class
from ashore.real.nodes.base import Work, run_node
from ashore.real.nodes.link import Link
from ashore.real.nodes.worker import Worker

PATIENCE_S = 3.0
"""How long a driver that hangs is waited for."""
AGAIN_S = 1.0
"""How long after a failure a camera is opened again."""
GONE_S = 1.0
"""Silence after which a camera counts as gone."""
DARK, BRIGHT = 8.0, 247.0
"""Mean brightness, 0 to 255, beyond which there is nothing to be seen: a lid, or glare."""


class CameraWork(Work):
    """Publishes what a camera sees, while active."""

    def __init__(self, spec: CameraSpec) -> None:
        self._spec = spec
        self._camera: Camera | None = None
        self._worker = Worker("camera", self._run, PATIENCE_S)
        self._taken_s: deque[float] = deque(maxlen=50)
        """When the newest pictures were taken."""
        self._brightness = 0.0

    def configure(self, link: Link) -> None:
        """Open the camera.

        Raises:
            NoCamera: it is not there, or is another one than was told.
        """
        self._link = link
        self._camera = Camera(self._spec)
        link.on_clear(self._close)
        self._publish = link.publisher(self._spec.topic, TYPE, "stream")

    def activate(self) -> None:
        """Begin to publish."""
        self._taken_s.clear()
        self._worker.start()

    def deactivate(self) -> None:
        """Stop publishing; the camera stays open, unless its driver hangs: then it is opened anew."""
        if not self._worker.stop():
            self._camera = None

    def health(self) -> Health:
        """Say whether pictures come, how often, and whether there is anything to be seen in them."""
        taken_s = list(self._taken_s)
        silent_s = time.monotonic() - taken_s[-1] if taken_s else float("inf")
        if silent_s > max(GONE_S, 3 / self._spec.hz):
            return Health("error", "no picture comes; it is opened again and again", {"hz": 0.0})
        hz = (len(taken_s) - 1) / (taken_s[-1] - taken_s[0]) if len(taken_s) > 1 else 0.0
        facts = {"hz": hz, "brightness": self._brightness}
        if not DARK <= self._brightness <= BRIGHT:
            return Health("warning", f"nothing is to be seen: brightness {self._brightness:.0f} of 255", facts)
        if len(taken_s) > 10 and hz < self._spec.hz / 2:
            return Health("warning", f"slow: {hz:.3g} Hz of {self._spec.hz:g}", facts)
        return Health("ok", "pictures come", facts)

    def _run(self, ended: threading.Event) -> None:
        while not ended.is_set():
            camera = self._camera
            frame = camera.read() if camera is not None else None
            stamp = self._link.stamp()
            if ended.is_set():
                return
            if frame is None or camera is None:
                self._open_again(ended)
                continue
            message = message_class(TYPE)(format="jpeg")
            message.header.stamp, message.header.frame_id = stamp, self._spec.feature.frame
            # An array is handed over as it is; of bytes, rclpy looks at each one.
            message.data = array.array("B", camera.encode(frame))
            self._publish(message)
            self._brightness = float(frame[::8, ::8].mean())
            self._taken_s.append(time.monotonic())

    def _open_again(self, ended: threading.Event) -> None:
        self._close()
        if ended.wait(AGAIN_S):
            return
        try:
            self._camera = Camera(self._spec)
        except NoCamera as error:
            self._link.refuse(str(error))

    def _close(self) -> None:
        camera, self._camera = self._camera, None
        if camera is not None:
            camera.close()


def make(argv: Sequence[str]) -> tuple[CameraWork, str]:
    """Read the command line of a camera's process."""
    parser = argparse.ArgumentParser(prog="ashore-camera", description="Publish what a camera sees, as JPEG.")
    parser.add_argument("--camera", required=True, help="NAME=DEVICE[@WIDTHxHEIGHT][@HZ], such as wrist=/dev/video0")
    parser.add_argument("--namespace", default="", help="the robot's ROS namespace")
    given = parser.parse_args(argv)
    return CameraWork(CameraSpec.parse(given.camera)), given.namespace


def main(argv: Sequence[str] | None = None) -> int:
    """Run a camera's process; returns its exit code."""
    return run_node("camera", make, argv)


if __name__ == "__main__":
    sys.exit(main())
