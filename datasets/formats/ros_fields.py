"""Numbers and pictures in ROS messages: a path to a field, joints by name, quaternions from ROS's xyzw.

A path is names with dots; brackets pick elements, by place (`points[0].positions`) or by the joint names that the
message lists (`position[panda_joint1, panda_joint2]`).
"""

import re
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.errors import DamagedFile, closest, quoted
from ashore.datasets.features import ImageFeature
from ashore.datasets.images import decode, encode

Array = NDArray[Any]
_PART = re.compile(r"([A-Za-z_]\w*)(?:\[([^\[\]]*)\])?")
_AXES = (("x", "y", "z"), ("x", "y"))
_QUATERNION = ("w", "x", "y", "z")
_NAME_LISTS = ("name", "joint_names")
"""Fields in which messages list the joints."""
_ENCODINGS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "rgb8": ("u1", "rgb", {}),
    "bgr8": ("u1", "bgr", {}),
    "mono8": ("u1", "gray", {}),
    "8UC1": ("u1", "gray", {}),
    "mono16": ("u2", "gray", {}),
    "16UC1": ("u2", "depth", {"unit": "mm", "invalid": 0.0}),
    "32FC1": ("f4", "depth", {"unit": "m", "invalid": 0.0, "codec": "raw"}),
}
"""{encoding: (numpy type, colour, what REP 118 says of depth)}; NaN, its missing depth in metres, becomes `invalid`."""
_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
_DEPTH_HEADER = 12
"""Bytes before the PNG in a compressedDepth message."""


class FieldFault(Exception):
    """What a message lacks; whoever reads the bag says which message and file."""


def split_path(path: str) -> list[tuple[str, tuple[str, ...]]]:
    """Take a path apart: [(name, picked elements)].

    Raises:
        FieldFault: not a path.
    """
    parts = re.split(r"\.(?![^\[]*\])", path)
    found = [_PART.fullmatch(part.strip()) for part in parts]
    if not all(found):
        raise FieldFault(f"{path!r} is no path such as pose.position or position[joint1, joint2]")
    return [(m[1], tuple(x.strip() for x in m[2].split(",")) if m[2] is not None else ()) for m in found if m]


def take(message: Any, paths: Sequence[str]) -> tuple[Array, tuple[str, ...]]:
    """Take the numbers (n,) at some paths of a message, in order, with a name each where the message has names.

    Raises:
        FieldFault: a field or a joint is not there, or holds no numbers; names those that are there.
    """
    parts, names = zip(*(_at(message, path) for path in paths), strict=True)
    every = all(len(each) == len(part) for each, part in zip(names, parts, strict=True))
    return np.concatenate(parts), tuple(name for each in names for name in each) if every else ()


def is_quaternion(message: Any, paths: Sequence[str]) -> bool:
    """Whether the paths lead to one geometry_msgs/Quaternion."""
    return len(paths) == 1 and _kind(_walk(message, paths[0])[0]) == "Quaternion"


def _at(message: Any, path: str) -> tuple[Array, tuple[str, ...]]:
    value, names = _walk(message, path)
    if is_dataclass(value):
        inside = _names(value)
        axes = _QUATERNION if _kind(value) == "Quaternion" else next((a for a in _AXES if set(a) == set(inside)), None)
        if axes is None:
            raise FieldFault(f"{path!r} is a {_kind(value)}, not numbers; name one of its fields: {quoted(inside)}")
        return np.array([getattr(value, axis) for axis in axes]), axes
    array = np.asarray(value)
    if array.dtype.kind not in "buif" or array.ndim > 1:
        raise FieldFault(f"{path!r} holds {type(value).__name__}, not numbers")
    return np.atleast_1d(array), names


def _walk(message: Any, path: str) -> tuple[Any, tuple[str, ...]]:
    value: Any = message
    names: tuple[str, ...] = ()
    for name, picked in split_path(path):
        if not is_dataclass(value) or name not in _names(value):
            there = _names(value)
            raise FieldFault(f"{path!r}: there is no field {name!r}; fields: {quoted(there)}.{closest(name, there)}")
        parent, value, names = value, getattr(value, name), ()
        if picked:
            value, names = _pick(message, parent, value, picked)
        elif isinstance(value, np.ndarray | list):
            listed = _joints(message, parent)
            names = tuple(listed) if len(listed) == len(value) else ()
    return value, names


def _pick(message: Any, parent: Any, value: Any, picked: tuple[str, ...]) -> tuple[Any, tuple[str, ...]]:
    if not isinstance(value, np.ndarray | list):
        raise FieldFault(f"{quoted(picked)} cannot be picked from {type(value).__name__}; it holds no list")
    by_place = all(item.isdecimal() for item in picked)
    listed = [str(place) for place in range(len(value))] if by_place else _joints(message, parent)
    missing = [item for item in picked if item not in listed]
    if missing:
        kind = "element" if by_place else "joint"
        there = f"0 to {len(listed) - 1}" if by_place and listed else quoted(listed)
        raise FieldFault(f"there is no {kind} {missing[0]!r}; {kind}s: {there}.{closest(missing[0], listed)}")
    places = [listed.index(item) for item in picked]
    if max(places) >= len(value):
        raise FieldFault(f"it names {len(listed)} joints, but holds {len(value)} values")
    if by_place and len(places) == 1:
        return value[places[0]], ()
    return [value[place] for place in places], () if by_place else picked


def _joints(message: Any, parent: Any) -> list[str]:
    for owner in (parent, message):
        for name in _NAME_LISTS:
            listed = getattr(owner, name, None)
            if isinstance(listed, list) and listed:
                return [str(item) for item in listed]
    return []


def _names(value: Any) -> list[str]:
    return [each.name for each in fields(value) if not each.name.startswith("__")] if is_dataclass(value) else []


def _kind(value: Any) -> str:
    return str(getattr(value, "__msgtype__", type(value).__name__)).rpartition("/")[2]


def image_words(message: Any) -> dict[str, Any]:
    """Tell shape, dtype, colour and codec of the camera from one sensor_msgs/Image or CompressedImage.

    Raises:
        FieldFault: no picture, or of an encoding that is not known.
    """
    if _kind(message) == "CompressedImage":
        return _compressed_words(message)
    dtype, colour, words = _encoding(message)
    shape = (message.height, message.width, 3)[: 3 if colour in ("rgb", "bgr") else 2]
    return {"shape": shape, "dtype": np.dtype(dtype).name, "colour": colour, **words}


def frame_bytes(feature: ImageFeature, message: Any) -> bytes:
    """Give one picture in the feature's codec: what is compressed passes through once it was decoded for a test.

    Raises:
        FieldFault: not a picture of this feature.
    """
    try:
        if _kind(message) == "CompressedImage":
            data, codec = _payload(message)
            if codec != feature.codec:
                raise FieldFault(f"it is {codec}, the ones before are {feature.codec}")
            decode(feature, data, "it")
            return data
        return encode(feature, _pixels(feature, message))
    except DamagedFile as error:
        raise FieldFault(str(error).partition(". Expected the bytes")[0]) from error


def _encoding(message: Any) -> tuple[str, str, dict[str, Any]]:
    if _kind(message) != "Image":
        raise FieldFault(f"{_kind(message)} is no picture; expected Image or CompressedImage")
    if message.encoding not in _ENCODINGS:
        raise FieldFault(f"encoding {message.encoding!r} is not known; known: {quoted(_ENCODINGS)}")
    return _ENCODINGS[message.encoding]


def _pixels(feature: ImageFeature, message: Any) -> Array:
    dtype = np.dtype(_encoding(message)[0]).newbyteorder(">" if message.is_bigendian else "<")
    height, width = message.height, message.width
    channels = 3 if message.encoding in ("rgb8", "bgr8") else 1
    row = width * channels * dtype.itemsize
    if message.step < row or len(message.data) != message.step * height:
        raise FieldFault(f"{len(message.data)} bytes in rows of {message.step}, expected {height} rows of {row}")
    # Rows may be longer than their pixels; what pads them is cut off.
    rows = np.ascontiguousarray(message.data.reshape(height, message.step)[:, :row])
    frame = rows.view(dtype).reshape((height, width, channels)[: 3 if channels == 3 else 2])
    if {message.encoding, feature.colour} == {"rgb8", "bgr"} or {message.encoding, feature.colour} == {"bgr8", "rgb"}:
        frame = frame[:, :, ::-1]
    frame = frame.astype(frame.dtype.newbyteorder("="))
    if frame.dtype.kind == "f" and feature.invalid is not None:
        frame = np.where(np.isnan(frame), np.float32(feature.invalid), frame)
    if frame.shape != feature.shape or frame.dtype != np.dtype(feature.dtype):
        raise FieldFault(f"it is {frame.shape} of {frame.dtype}, expected {feature.shape} of {feature.dtype}")
    return frame


def _payload(message: Any) -> tuple[bytes, str]:
    """Find picture and codec by the bytes themselves; the format's text differs between recorders."""
    data = bytes(message.data)
    if "compressedDepth" in message.format and data[_DEPTH_HEADER:].startswith(_PNG):
        if not message.format.startswith("16UC1"):
            raise FieldFault(f"{message.format!r} is quantized depth; record 16UC1 or the raw picture")
        data = data[_DEPTH_HEADER:]
    # OpenCV fills what a cut-off picture lacks, so that the end is looked for here.
    if data.startswith(_PNG) and data[-8:-4] == b"IEND":
        return data, "png"
    if data.startswith(_JPEG) and data.rstrip(b"\0").endswith(b"\xff\xd9"):
        return data, "jpeg"
    raise FieldFault(f"its {len(data)} bytes of format {message.format!r} are no whole PNG or JPEG")


def _compressed_words(message: Any) -> dict[str, Any]:
    import cv2

    data, codec = _payload(message)
    try:
        frame = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise FieldFault(f"it is no picture ({error.err})") from error
    if frame is None:
        raise FieldFault(f"its {len(data)} bytes are no picture")
    colour = "rgb" if frame.ndim == 3 else "gray"
    words: dict[str, Any] = {"shape": frame.shape, "dtype": frame.dtype.name, "colour": colour, "codec": codec}
    if "compressedDepth" in message.format or message.format.startswith("16UC1"):
        words |= {"colour": "depth"} | _ENCODINGS["16UC1"][2]
    return words | ({"quality": 95} if codec == "jpeg" else {})
