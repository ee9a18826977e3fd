"""Which cameras look on: what `--camera wrist=/dev/video0@640x480@30` says, and what of it is recorded."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from ashore.datasets.features import Align, ImageFeature
from ashore.real.errors import InvalidCamera

TYPE = "sensor_msgs/CompressedImage"
QUALITY = 95
"""Of JPEG, 1 to 100; recorded as it was sent."""
FORM = re.compile(
    r"(?P<name>[a-z][a-z0-9_]*)=(?P<device>[^@]+)(@(?P<width>\d+)x(?P<height>\d+))?(@(?P<hz>\d+(\.\d+)?))?"
)
SIDES = (16, 8192)


@dataclass(frozen=True)
class CameraSpec:
    """One camera: where it is, and what it shall give."""

    name: str
    device: str
    """A number or /dev/videoN, or a video file, which is played again and again."""
    width: int = 640
    height: int = 480
    hz: float = 30.0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read NAME=DEVICE[@WIDTHxHEIGHT][@HZ].

        Raises:
            InvalidCamera: it says something else, or a size or rate that no camera has.
        """
        found = FORM.fullmatch(text)
        if found is None:
            raise InvalidCamera(text, "it has another form")
        given = {key: value for key, value in found.groupdict().items() if value is not None}
        spec = cls(
            given["name"],
            given["device"],
            int(given.get("width", cls.width)),
            int(given.get("height", cls.height)),
            float(given.get("hz", cls.hz)),
        )
        if not all(SIDES[0] <= side <= SIDES[1] for side in (spec.width, spec.height)):
            raise InvalidCamera(text, f"its size is {spec.width}x{spec.height}")
        if not 0.1 <= spec.hz <= 1000:
            raise InvalidCamera(text, f"its rate is {spec.hz:g} Hz")
        return spec

    @property
    def text(self) -> str:
        """What parse reads."""
        return f"{self.name}={self.device}@{self.width}x{self.height}@{self.hz:g}"

    @property
    def topic(self) -> str:
        """Where its pictures are told, as image_transport names it."""
        return f"camera/{self.name}/image_raw/compressed"

    @property
    def feature(self) -> ImageFeature:
        """What is recorded: every picture at its own rate; an episode that began without the camera lacks it."""
        return ImageFeature(
            f"{self.name}_rgb",
            (self.height, self.width, 3),
            f"{self.name}_optical",
            codec="jpeg",
            quality=QUALITY,
            rate_hz=self.hz,
            optional=True,
            align=Align(),
        )


def parse_cameras(texts: Sequence[str]) -> tuple[CameraSpec, ...]:
    """Read several cameras.

    Raises:
        InvalidCamera: see CameraSpec.parse, or two have one name.
    """
    specs = tuple(CameraSpec.parse(text) for text in texts)
    names = [spec.name for spec in specs]
    for spec in specs:
        if names.count(spec.name) > 1:
            raise InvalidCamera(spec.text, f"two cameras are called {spec.name!r}")
    return specs
