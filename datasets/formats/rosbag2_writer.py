"""Episodes as bags of ROS 2: one bag each, standard messages, and the mapping that reads them back bit for bit.

    out/ashore_mapping.yaml        which topic is which feature, in the form that the reader takes
    out/episode_000000/            a bag: metadata.yaml and a sqlite3 file
        steps                      std_msgs/Float64, the time of each step in s
        observations/NAME          std_msgs/Float64MultiArray, Int64MultiArray for int64
        observations/NAME/times    std_msgs/Float64MultiArray, capture and receive time in s of each sample
        actions/NAME, commands     as observations
        images/NAME                sensor_msgs/CompressedImage (png, jpeg as stored) or Image (raw)

Bag time is the episode's start plus the time, rounded to 1 ns; the topics of times keep them exactly.
"""

import errno
import heapq
import json
import re
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml
from numpy.typing import NDArray
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from ashore.datasets.contract import Contract
from ashore.datasets.episode import Episode
from ashore.datasets.features import Feature, ImageFeature
from ashore.datasets.images import Frames
from ashore.datasets.progress import Progress, silent
from ashore.datasets.store import EpisodeStore

Array = NDArray[Any]
MAPPING_FILE = "ashore_mapping.yaml"
META = "ashore.meta"
"""Key of a bag's custom data: the episode's description as JSON."""
VERSION: Literal[8] = 8
"""Of rosbag2's metadata: read by Iron, Jazzy and later."""
STEPS = "steps"
_TYPES = get_typestore(Stores.LATEST)
_ENCODINGS = {
    ("rgb", "uint8"): "rgb8",
    ("bgr", "uint8"): "bgr8",
    ("gray", "uint8"): "mono8",
    ("gray", "uint16"): "mono16",
}
_DEPTH = {"uint8": "8UC1", "uint16": "16UC1", "float32": "32FC1"}
_FALLBACK_NS = int(datetime(2000, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000_000


@dataclass(frozen=True)
class _Track:
    """One topic's messages: what is sent when, both on the episode's clock in s."""

    topic: str
    type: str
    values: Array | Frames
    capture_s: Array
    receive_s: Array
    feature: Feature | ImageFeature | None = None


def write(store: EpisodeStore, out: Path, progress: Progress = silent) -> tuple[str, ...]:
    """Write a store's episodes as bags.

    Args:
        store: what to write.
        out: folder to make; it does not exist yet.
        progress: called with each episode.

    Returns:
        What bags cannot hold, one line each.
    """
    out.mkdir()
    contract = store.contract
    topics = name_topics(contract)
    has_commands, lost = None, set()
    for index, episode in enumerate(store):
        lost |= {
            f"{feature.name}: samples at the steps become a stream"
            for feature in contract.features
            if feature.align and feature.name not in episode.streams and _is_there(episode, feature.name)
        }
        has_commands = has_commands or (episode.commands.shape[1:] if episode.commands is not None else None)
        write_bag(episode, out / f"episode_{index:06d}", topics)
        progress(index + 1, len(store), f"{len(episode)} steps")
    text = yaml.safe_dump(_mapping(contract, topics, has_commands), sort_keys=False, allow_unicode=True)
    (out / MAPPING_FILE).write_text(text, encoding="utf-8")
    lost |= {
        f"{feature.name}: pixels that are NaN are read back as {feature.invalid}"
        for feature in contract.images
        if feature.dtype == "float32"
    }
    return tuple(sorted(lost))


def name_topics(contract: Contract) -> dict[str, str]:
    """Give each feature a topic of its own: {name: topic}; ROS knows neither dots nor dashes in topics."""
    found: dict[str, str] = {}
    groups: Sequence[tuple[str, Sequence[Feature | ImageFeature]]] = (
        ("observations", contract.observations),
        ("actions", contract.actions),
        ("images", contract.images),
    )
    for group, features in groups:
        for feature in features:
            topic = wanted = f"{group}/{re.sub(r'[._-]+', '_', feature.name)}"
            number = 2
            while topic in found.values():
                topic, number = f"{wanted}_{number}", number + 1
            found[feature.name] = topic
    return found


def write_bag(episode: Episode, path: Path, topics: dict[str, str]) -> None:
    """Write one episode as a bag.

    Raises:
        OSError: the disk refused.
    """
    start_ns = _start_ns(episode)
    writer = Writer(path, version=VERSION, storage_plugin=StoragePlugin.SQLITE3)
    writer.set_custom_data(META, json.dumps(episode.meta.to_plain()))
    try:
        with writer:
            tracks = list(_tracks(episode, topics))
            connections = {
                track.topic: writer.add_connection(f"/{track.topic}", track.type, typestore=_TYPES) for track in tracks
            }
            sent = (_messages(track, start_ns, order) for order, track in enumerate(tracks))
            for stamp_ns, _, topic, data in heapq.merge(*sent, key=lambda item: item[:2]):
                writer.write(connections[topic], stamp_ns, data)
    except sqlite3.Error as error:
        number = errno.ENOSPC if "full" in str(error) else errno.EIO
        raise OSError(number, str(error), str(path)) from error


def _start_ns(episode: Episode) -> int:
    try:
        seconds = datetime.fromisoformat(episode.meta.created).timestamp()
    except (ValueError, OverflowError):
        return _FALLBACK_NS
    return max(int(seconds * 1e3) * 1_000_000, _FALLBACK_NS)


def _is_there(episode: Episode, name: str) -> bool:
    return any(name in group for group in (episode.observations, episode.actions, episode.images))


def _tracks(episode: Episode, topics: dict[str, str]) -> Iterator[_Track]:
    time_s = np.asarray(episode.time_s, dtype=np.float64)
    yield _Track(STEPS, "std_msgs/msg/Float64", time_s, time_s, time_s)
    for feature in episode.contract.features:
        if not _is_there(episode, feature.name):
            continue
        topic, stream = topics[feature.name], episode.streams.get(feature.name)
        group = {"observations": episode.observations, "actions": episode.actions, "images": episode.images}
        values: Any = group[topic.partition("/")[0]][feature.name] if stream is None else stream.values
        capture_s, receive_s = (time_s, time_s) if stream is None else (stream.capture_s, stream.receive_s)
        yield _Track(topic, _type(feature), values, capture_s, receive_s, feature)
        if feature.align is not None:
            times = np.stack([capture_s, receive_s], axis=1).astype(np.float64)
            yield _Track(f"{topic}/times", "std_msgs/msg/Float64MultiArray", times, capture_s, receive_s)
    if episode.commands is not None:
        yield _Track("commands", "std_msgs/msg/Float64MultiArray", episode.commands, time_s, time_s)


def _type(feature: Feature | ImageFeature) -> str:
    if isinstance(feature, ImageFeature):
        return f"sensor_msgs/msg/{'Image' if feature.codec == 'raw' else 'CompressedImage'}"
    # A double holds every value of the other types, but not every int64.
    return f"std_msgs/msg/{'Int64' if feature.dtype == 'int64' else 'Float64'}MultiArray"


def _messages(track: _Track, start_ns: int, order: int) -> Iterator[tuple[int, int, str, Any]]:
    """Make one topic's messages with their bag times, which rise, so that readers keep the order."""
    before_ns = -1
    # One layout serves all messages of a topic: making one for each takes longer than the rest.
    layout = None if isinstance(track.values, Frames) else _layout(track.feature, np.asarray(track.values[0]))
    for row in range(len(track.values)):
        stamp_ns = max(start_ns + round(float(track.receive_s[row]) * 1e9), before_ns + 1)
        before_ns = stamp_ns
        message = _message(track, row, start_ns + round(float(track.capture_s[row]) * 1e9), layout)
        yield stamp_ns, order, track.topic, _TYPES.serialize_cdr(message, track.type)


def _message(track: _Track, row: int, capture_ns: int, layout: Any) -> Any:
    kinds = _TYPES.types
    if track.type == "std_msgs/msg/Float64":
        return kinds[track.type](data=float(track.values[row]))
    if isinstance(track.feature, ImageFeature) and isinstance(track.values, Frames):
        stamp = kinds["builtin_interfaces/msg/Time"](sec=capture_ns // 10**9, nanosec=capture_ns % 10**9)
        header = kinds["std_msgs/msg/Header"](stamp=stamp, frame_id=track.feature.frame)
        return _picture(track.feature, track.values.encoded(row), header)
    dtype = np.int64 if "Int64" in track.type else np.float64
    value = np.asarray(track.values[row])
    return kinds[track.type](layout=layout, data=value.astype(dtype).reshape(-1))


def _layout(feature: Feature | ImageFeature | None, value: Array) -> Any:
    """One dimension an axis; the last one's label lists the components."""
    labels = [f"axis{axis}" for axis in range(value.ndim)]
    if isinstance(feature, Feature) and feature.components and labels:
        labels[-1] = ",".join(feature.components)
    strides = [int(np.prod(value.shape[axis:])) for axis in range(value.ndim)]
    kind = _TYPES.types["std_msgs/msg/MultiArrayDimension"]
    dim = [kind(label=a, size=b, stride=c) for a, b, c in zip(labels, value.shape, strides, strict=True)]
    return _TYPES.types["std_msgs/msg/MultiArrayLayout"](dim=dim, data_offset=0)


def _picture(feature: ImageFeature, data: bytes | memoryview, header: Any) -> Any:
    pixels = np.frombuffer(data, np.uint8)
    if feature.codec != "raw":
        return _TYPES.types["sensor_msgs/msg/CompressedImage"](header=header, format=feature.codec, data=pixels)
    height, width = feature.shape[:2]
    encoding = (
        _DEPTH[feature.dtype] if feature.colour == "depth" else _ENCODINGS.get((feature.colour, feature.dtype), "32FC1")
    )
    return _TYPES.types["sensor_msgs/msg/Image"](
        header=header,
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=0,
        step=len(pixels) // height,
        data=pixels,
    )


def _mapping(contract: Contract, topics: dict[str, str], command_shape: tuple[int, ...] | None) -> dict[str, Any]:
    """Write down what the reader needs to know."""
    entries: dict[str, Any] = {}
    roles = {"observations": "observation", "actions": "action", "images": "image"}
    for feature in contract.features:
        topic = topics[feature.name]
        entry: dict[str, Any] = {"topic": topic, "role": roles[topic.partition("/")[0]], **_words(feature)}
        entry["align"] = "none" if feature.align is None else feature.align.rule
        if feature.align is not None:
            entry["times"] = f"{topic}/times"
            entry |= {} if feature.align.max_age_s is None else {"max_age_s": feature.align.max_age_s}
        entries[feature.name] = entry
    if command_shape is not None:
        name = "commands"
        while name in entries:
            name += "_sent"
        entries[name] = {
            "topic": "commands",
            "role": "commands",
            "shape": list(command_shape),
            "dtype": "float64",
            "align": "none",
            "optional": True,
        }
    head = {"robot": contract.robot, "task": contract.task, "control_hz": contract.control_hz}
    return {**head, STEPS: STEPS, "features": entries}


def _words(feature: Feature | ImageFeature) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for each in fields(feature):
        value = getattr(feature, each.name)
        default = each.default if each.default is not MISSING else None
        if each.name in ("name", "align") or (value == default and each.name != "dtype"):
            continue
        found[each.name] = list(value) if isinstance(value, tuple) else value
    return found
