"""Encoded frames of LeRobot data sets: checked without decoding, and kept as they are where Ashore stores the same."""

import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ashore.datasets.features import Codec, ImageFeature
from ashore.datasets.formats.lerobot.description import fault
from ashore.datasets.images import encode

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8\xff"
_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}
"""{colour type of PNG: channels}; type 3 has a palette."""
_TRANSPARENCY = b"tRNS"
_FRAME_MARKERS = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
"""Markers of JPEG that tell the size; the three others are tables."""
_BARE_MARKERS = frozenset({0x01, *range(0xD0, 0xD8)})


@dataclass(frozen=True)
class Head:
    """What an encoded frame says of itself."""

    codec: Codec
    height: int
    width: int
    channels: int
    bits: int
    is_plain: bool = True
    """Whether its pixels are the feature's, with no palette and no transparency."""


def read_head(data: bytes) -> Head:
    """Read the head of a PNG or JPEG; of PNG, check every chunk's CRC as well.

    Raises:
        ValueError: it is neither, or damaged.
    """
    if data[:8] == PNG:
        return _png_head(data)
    if data[:3] == JPEG:
        return _jpeg_head(data)
    raise ValueError("neither PNG nor JPEG")


def _png_head(data: bytes) -> Head:
    if data[12:16] != b"IHDR":
        raise ValueError("a PNG without a head")
    at, names = 8, set()
    while True:
        length, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        end = at + 8 + length
        if zlib.crc32(memoryview(data)[at + 4 : end]) != int.from_bytes(data[end : end + 4], "big") or not name:
            raise ValueError(f"a PNG that is damaged at byte {at}")
        names.add(name)
        if name == b"IEND":
            break
        at = end + 4
    width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    bits, kind = data[24], data[25]
    is_plain = kind in (0, 2) and bits in (8, 16) and _TRANSPARENCY not in names
    return Head("png", height, width, _CHANNELS.get(kind, 0), bits, is_plain)


def _jpeg_head(data: bytes) -> Head:
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if marker in _FRAME_MARKERS and at + 10 <= len(data):
            height, width = int.from_bytes(data[at + 5 : at + 7], "big"), int.from_bytes(data[at + 7 : at + 9], "big")
            if data[-2:] != b"\xff\xd9":
                break
            return Head("jpeg", height, width, data[at + 9], data[at + 4])
        at += 2 if marker in _BARE_MARKERS else 1 if marker == 0xFF else 2 + length
    raise ValueError("a JPEG that is cut short")


def kept(feature: ImageFeature, data: bytes | None, path: Path, where: str) -> bytes:
    """Give a frame as Ashore stores it: the same bytes where they are a plain frame of the feature.

    Args:
        feature: what the frame must be.
        data: the encoded frame.
        path: the file it is from, for the error text.
        where: key and row, for the error text.

    Raises:
        UnreadableFile: it is no such frame.
    """
    if not data:
        raise fault(path, f"{where} holds no picture")
    try:
        head = read_head(data)
    except ValueError as error:
        raise fault(path, f"{where} is {error}") from error
    if (head.height, head.width) != feature.shape[:2]:
        raise fault(path, f"{where} is {head.height} x {head.width}, expected {feature.shape[0]} x {feature.shape[1]}")
    bits = 8 * np.dtype(feature.dtype).itemsize
    if head.bits > bits:
        raise fault(path, f"{where} has {head.bits} bits a channel, expected {bits}")
    channels = 3 if len(feature.shape) == 3 else 1
    if (head.codec, head.channels, head.bits, head.is_plain) == (feature.codec, channels, bits, True):
        return data
    return _encoded_anew(feature, data, path, where)


def _encoded_anew(feature: ImageFeature, data: bytes, path: Path, where: str) -> bytes:
    """Decode a frame with a palette, transparency or another number of channels, and encode it plainly."""
    import cv2

    is_wide = feature.dtype == "uint16"
    modes = {"rgb": cv2.IMREAD_COLOR_RGB, "bgr": cv2.IMREAD_COLOR_BGR}
    mode = modes.get(feature.colour, cv2.IMREAD_GRAYSCALE)
    mode |= cv2.IMREAD_IGNORE_ORIENTATION | (cv2.IMREAD_ANYDEPTH if is_wide else 0)
    try:
        frame = cv2.imdecode(np.frombuffer(data, np.uint8), mode)
    except cv2.error as error:
        raise fault(path, f"{where} is no picture ({error.err})") from error
    if frame is None or frame.shape != feature.shape or frame.dtype != np.dtype(feature.dtype):
        raise fault(path, f"{where} is no picture of {feature.shape} in {feature.dtype}")
    return encode(feature, np.asarray(frame))
