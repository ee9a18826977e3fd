"""What a contract lists: a quantity measured or told, a picture, and how samples of another rate come to the steps."""

import re
from dataclasses import dataclass
from math import prod
from typing import Literal

import numpy as np

from ashore.datasets.errors import quoted

DTYPES = ("bool", "uint8", "uint16", "int16", "int32", "int64", "float32", "float64")
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
Kind = Literal["absolute", "delta", "relative", "velocity"]
KINDS: tuple[Kind, ...] = ("absolute", "delta", "relative", "velocity")
Rule = Literal["hold", "nearest", "interpolate", "drop"]
RULES: tuple[Rule, ...] = ("hold", "nearest", "interpolate", "drop")
Codec = Literal["png", "jpeg", "raw"]
CODECS: tuple[Codec, ...] = ("png", "jpeg", "raw")
Colour = Literal["rgb", "bgr", "gray", "depth"]
CHANNELS: dict[Colour, int | None] = {"rgb": 3, "bgr": 3, "gray": None, "depth": None}
"""{colour: size of a picture's last axis, None where it has rows and columns alone}."""


@dataclass(frozen=True)
class Align:
    """How the samples of a source with a rate of its own come to the steps of an episode.

    capture     .a...b...c...d        hold         the newest sample received by the step, so none of the future
    receive     ..a...b...c...d       nearest      the sample captured nearest to the step
    step        ......|.......|       interpolate  between the two captures around the step; quaternions are normalized
                      a       c       drop         hold; a step whose sample is older than max_age_s is not recorded
    """

    rule: Rule = "hold"
    max_age_s: float | None = None
    """Age, step time less capture time, above which a sample counts as stale; "drop" needs it."""


@dataclass(frozen=True)
class Feature:
    """One named quantity of an observation, an action or a command."""

    name: str
    shape: tuple[int, ...]
    unit: str
    """SI unit such as m, rad, m/s, N; "1" for dimensionless, "px" for image coordinates."""
    frame: str
    """world, base, tcp, body, joint, or "none" where no frame applies."""
    components: tuple[str, ...] = ()
    """One name an element in C order; empty where the elements are alike."""
    dtype: str = "float32"
    rate_hz: float | None = None
    """Native rate of the source, None where it is the contract's control rate."""
    low: tuple[float, ...] | None = None
    high: tuple[float, ...] | None = None
    kind: Kind = "absolute"
    relative_to: str | None = None
    """The observation that a policy predicts this action relative to; stored and sent values stay absolute."""
    optional: bool = False
    """Whether an episode may lack it as a whole."""
    align: Align | None = None
    """Where given, its samples are kept at their native rate and brought to the steps by this rule."""

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def space(self) -> Literal["joint", "cartesian"]:
        """Whether the values are of joints or of places and turns in a frame."""
        return "joint" if self.frame == "joint" else "cartesian"

    def faults(self) -> list[str]:
        """List what is wrong with this feature by itself."""
        found = [*_common_faults(self), *self._bound_faults()]
        if self.components and len(self.components) != self.size:
            found.append(f"{self.name}.components: {len(self.components)} names for {self.size} elements")
        if self.kind not in KINDS:
            found.append(f"{self.name}.kind: {self.kind!r}; valid: {quoted(KINDS)}")
        if self.align is not None and self.align.rule == "interpolate" and not self.dtype.startswith("float"):
            found.append(f"{self.name}.align: {self.dtype} values cannot be interpolated; hold or nearest can")
        return found

    def _bound_faults(self) -> list[str]:
        found = []
        for side in ("low", "high"):
            values = getattr(self, side)
            if values is not None and len(values) != self.size:
                found.append(f"{self.name}.{side}: {len(values)} values for {self.size} elements")
            elif values is not None and not np.all(np.isfinite(values)):
                found.append(f"{self.name}.{side}: holds a number that is not finite")
        if self.low and self.high and len(self.low) == len(self.high) and np.any(np.greater(self.low, self.high)):
            found.append(f"{self.name}: low lies above high; swap them")
        return found


@dataclass(frozen=True)
class ImageFeature:
    """The pictures of one camera, stored frame by frame in a codec; they are no part of the flat observation."""

    name: str
    shape: tuple[int, ...]
    """(H, W, 3) of rgb and bgr, (H, W) of gray and depth."""
    frame: str
    """The camera's optical frame: x right, y down, z ahead."""
    colour: Colour = "rgb"
    """Order of the channels; "depth" is distance along z."""
    codec: Codec = "png"
    """How frames are stored: png and raw are lossless, jpeg is not and takes 8-bit colour and gray alone."""
    dtype: str = "uint8"
    """uint8; gray and depth may be uint16; depth in float32 is stored raw."""
    unit: str = "1"
    """"1" for brightness; m or mm for depth."""
    quality: int | None = None
    """Of jpeg, 1 to 100."""
    invalid: float | None = None
    """The value of a depth pixel that saw nothing; depth needs it."""
    rate_hz: float | None = None
    optional: bool = False
    align: Align | None = None
    """Where given, frames are kept at their native rate and brought to the steps by this rule."""

    @property
    def size(self) -> int:
        """Number of elements of one frame."""
        return prod(self.shape)

    def faults(self) -> list[str]:
        """List what is wrong with this feature by itself."""
        found = _common_faults(self)
        for field, value, valid in (("colour", self.colour, tuple(CHANNELS)), ("codec", self.codec, CODECS)):
            if value not in valid:
                found.append(f"{self.name}.{field}: {value!r}; valid: {quoted(valid)}")
        if found:
            return found
        channels = CHANNELS[self.colour]
        if len(self.shape) != (2 if channels is None else 3) or (channels and self.shape[-1] != channels):
            expected = "(H, W)" if channels is None else f"(H, W, {channels})"
            found.append(f"{self.name}.shape: {self.shape}; {self.colour} needs {expected}")
        if self.align is not None and self.align.rule == "interpolate":
            found.append(f"{self.name}.align: pictures cannot be interpolated; hold or nearest can")
        return found + self._codec_faults() + self._depth_faults()

    def _codec_faults(self) -> list[str]:
        dtypes: tuple[str, ...] = ("uint8",)
        if self.codec != "jpeg" and CHANNELS[self.colour] is None:
            dtypes = ("uint8", "uint16", "float32") if self.codec == "raw" else ("uint8", "uint16")
        found = []
        if self.dtype not in dtypes:
            found.append(f"{self.name}.dtype: {self.dtype!r} of {self.colour} as {self.codec}; valid: {quoted(dtypes)}")
        if self.codec == "jpeg" and self.colour == "depth":
            found.append(f"{self.name}.codec: jpeg changes distances; png or raw keep them")
        if (self.codec == "jpeg") != (self.quality is not None) or not 1 <= (self.quality or 100) <= 100:
            found.append(f"{self.name}.quality: {self.quality}; 1 to 100 for jpeg, none for others")
        return found

    def _depth_faults(self) -> list[str]:
        if self.colour != "depth":
            return []
        found = [] if self.unit in ("m", "mm") else [f"{self.name}.unit: {self.unit!r}; depth is in 'm' or 'mm'"]
        if self.invalid is None:
            found.append(f"{self.name}.invalid: missing; say which value means that nothing was seen, such as 0")
        return found


def _common_faults(feature: Feature | ImageFeature) -> list[str]:
    found = []
    if not NAME.fullmatch(feature.name):
        found.append(f"{feature.name!r}: a name is a letter, then letters, digits and . _ -")
    if feature.dtype not in DTYPES:
        found.append(f"{feature.name}.dtype: {feature.dtype!r}; valid: {quoted(DTYPES)}")
    if any(n <= 0 for n in feature.shape):
        found.append(f"{feature.name}.shape: {feature.shape}; every side must be positive")
    if feature.rate_hz is not None and not 0 < feature.rate_hz < float("inf"):
        found.append(f"{feature.name}.rate_hz: {feature.rate_hz}; must be positive and finite")
    if feature.align is not None:
        found += _align_faults(feature.name, feature.align)
    return found


def _align_faults(name: str, align: Align) -> list[str]:
    if align.rule not in RULES:
        return [f"{name}.align: {align.rule!r}; valid: {quoted(RULES)}"]
    if align.rule == "drop" and align.max_age_s is None:
        return [f"{name}.align: 'drop' needs max_age_s, the age above which a step is dropped"]
    if align.max_age_s is not None and not 0 < align.max_age_s < float("inf"):
        return [f"{name}.align: max_age_s {align.max_age_s}; must be positive and finite"]
    return []
