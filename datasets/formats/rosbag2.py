"""Bags of ROS 2 (sqlite3 and mcap), read with a mapping file that tells which topic is which feature, and written.

Samples stay at their native rates: captured at header.stamp where a message has one, else when received; received at
the bag's time; both zero at the first message. Steps follow at the contract's rate.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.contract import Contract
from ashore.datasets.episode import Episode, EpisodeMeta
from ashore.datasets.errors import InvalidSample, UnreadableFile
from ashore.datasets.features import Align, Feature, ImageFeature
from ashore.datasets.formats import Foreign
from ashore.datasets.formats.bag_files import EXPECTED, WAY_OUT, Bag, Received, find_bags, open_bag
from ashore.datasets.formats.ros_fields import (
    FieldFault,
    frame_bytes,
    image_words,
    is_quaternion,
    split_path,
    take,
)
from ashore.datasets.formats.rosbag2_writer import MAPPING_FILE, META, write
from ashore.datasets.formats.topics import EXPECTED as MAPPING
from ashore.datasets.formats.topics import Entry, TopicMapping, is_text, is_texts, load_topics
from ashore.datasets.images import Frames
from ashore.datasets.streams import Stream, align, step_times, values_at

__all__ = ["read", "write"]

Array = NDArray[Any]
Features = Mapping[str, Feature | ImageFeature]
Span = tuple[int | None, int | None, bool]
"""First receive time, one past the last (None: those of the bag), and whether the end was cut off; ns."""
_DTYPES = {"int8": "int16", "uint32": "int64", "uint64": "int64", "float16": "float32"}
"""{type in a message: the contract's type for it}."""
_PLACES = {
    "topic": is_text,
    "field": lambda value: is_text(value) or is_texts(value),
    "stamp": lambda value: value in ("header", "receive"),
    "times": is_text,
}


@dataclass
class _Samples:
    """What came for one feature in one episode, in the order of receipt."""

    values: list[Any] = field(default_factory=list)
    capture_ns: list[int] = field(default_factory=list)
    receive_ns: list[int] = field(default_factory=list)


def read(source: Path, mapping: Path | None = None) -> Foreign:
    """Open a bag, or a folder of bags.

    Args:
        source: a bag's folder, a folder of such, or one .mcap or .db3 file.
        mapping: a file as ashore.datasets.formats.topics describes; a place is a `topic` with its `field` ("data"
            where not said, a list joins several) and `stamp` (header or receive). Bags that Ashore wrote have one.

    Raises:
        UnreadableFile: a bag or the mapping is not what it should be; names file, topic and message.
    """
    if mapping is None and (source / MAPPING_FILE).is_file():
        mapping = source / MAPPING_FILE
    if mapping is None:
        problem = "no mapping file was given"
        raise UnreadableFile(source, MAPPING, problem, "Give --mapping; a bag does not say what its topics mean.")
    told = load_topics(mapping, _PLACES, ("start", "stop", "steps"), whole=True)
    _check_places(told)
    bags = find_bags(source)
    with open_bag(bags[0]) as bag:
        features = {entry.name: _describe(bag, entry) for entry in told.entries}
    contract = told.contract(list(features.values()))
    n_episodes = len(bags)
    if told.start or told.stop:
        n_episodes = sum(len(_spans_of(path, told)) for path in bags)
    return Foreign(contract, n_episodes, _episodes(bags, told, contract, features))


def _check_places(told: TopicMapping) -> None:
    faults = []
    for entry in told.entries:
        try:
            for path in _paths(entry):
                split_path(path)
        except FieldFault as fault:
            faults.append(f"features.{entry.name}.field: {fault}")
        if entry.align is None and not told.steps:
            faults.append(
                f"features.{entry.name}.align: 'none' needs `steps`, the topic that tells the time of each step"
            )
        if told.steps and entry.align is not None and "times" not in entry.place:
            faults.append(f"features.{entry.name}.times: missing; with `steps`, each aligned feature needs it")
    if faults:
        raise UnreadableFile(told.path or "the mapping", MAPPING, "; ".join(faults), "Correct these keys.")


def _paths(entry: Entry) -> tuple[str, ...]:
    said = entry.place.get("field", "data")
    return (said,) if isinstance(said, str) else tuple(said)


def _describe(bag: Bag, entry: Entry) -> Feature | ImageFeature:
    """Make a feature of the first message on its topic and the mapping's words."""
    if entry.is_optional and bag.find(entry.place["topic"]) is None and "shape" in entry.words:
        return entry.image({}) if entry.role == "image" else entry.feature((), "float32")
    first = next(bag.messages([bag.require(entry.place["topic"])]))
    try:
        if entry.role == "image":
            shown = image_words(first.message)
            if "codec" in entry.words and entry.words["codec"] != shown.get("codec"):
                shown.pop("quality", None)
            return entry.image(shown)
        value, names = take(first.message, _paths(entry))
        if is_quaternion(first.message, _paths(entry)) and not entry.name.endswith("_wxyz"):
            raise FieldFault(f"it is a quaternion; call the feature {entry.name}_wxyz, which tells its order")
    except FieldFault as fault:
        raise _unreadable(bag, first, entry, fault) from fault
    words = {"components": names} | dict(entry.words)
    return Entry(entry.name, entry.role, entry.place, words, entry.align).feature(
        value.shape, _DTYPES.get(value.dtype.name, value.dtype.name)
    )


def _spans_of(path: Path, told: TopicMapping) -> list[Span]:
    with open_bag(path) as bag:
        return _spans(bag, told)


def _spans(bag: Bag, told: TopicMapping) -> list[Span]:
    """Cut a bag into episodes by its start and stop messages."""
    if not told.start and not told.stop:
        return [(None, None, False)]
    stops = [each.receive_ns for each in bag.messages([bag.require(told.stop)])] if told.stop else []
    if told.start:
        starts = [each.receive_ns for each in bag.messages([bag.require(told.start)])]
    else:
        starts = [bag.start_ns, *stops[:-1]]
    spans: list[Span] = []
    for begin, following in zip(starts, [*starts[1:], None], strict=True):
        ends = [at for at in stops if at > begin and (following is None or at <= following)]
        spans.append((begin, ends[0] if ends else following, bool(told.stop) and not ends))
    return spans


def _episodes(bags: Sequence[Path], told: TopicMapping, contract: Contract, features: Features) -> Iterator[Episode]:
    for path in bags:
        with open_bag(path) as bag:
            for span in _spans(bag, told):
                try:
                    yield _episode(bag, told, contract, features, span)
                except InvalidSample as error:
                    problem = " ".join(str(error).split())
                    raise UnreadableFile(
                        path, EXPECTED, problem, "Correct the mapping, or leave the bag out."
                    ) from error


def _episode(bag: Bag, told: TopicMapping, contract: Contract, features: Features, span: Span) -> Episode:
    samples, exact = _gather(bag, told, features, span)
    heard = [each.receive_ns[0] for each in samples.values() if each.receive_ns]
    zero_ns = min(heard, default=bag.start_ns)
    streams: dict[str, Stream] = {}
    shown: dict[str, Stream] = {}
    for entry in told.entries:
        if entry.name in samples:
            stream = _stream(bag, entry, features[entry.name], samples.pop(entry.name), zero_ns, exact)
            (shown if entry.align is None else streams)[entry.name] = stream
    if told.steps:
        time_s = np.array(exact[bag.require(told.steps)], dtype=np.float64).reshape(-1)
    else:
        time_s = step_times(streams, features, contract.control_hz)
    values: dict[str, Any] = {name: stream.values for name, stream in shown.items()}
    roles = {entry.name: entry.role for entry in told.entries}
    for name in [name for name in streams if roles[name] in ("action", "commands")]:
        values[name] = _held(features[name], streams.pop(name), time_s)
    commands = [value for name, value in values.items() if roles[name] == "commands"]
    return Episode(
        contract=contract,
        observations={name: value for name, value in values.items() if roles[name] == "observation"},
        actions={name: value for name, value in values.items() if roles[name] == "action"},
        time_s=time_s,
        meta=_meta(bag, told, span),
        commands=commands[0] if commands else None,
        images={name: value for name, value in values.items() if roles[name] == "image"},
        streams=streams,
    )


def _gather(
    bag: Bag, told: TopicMapping, features: Features, span: Span
) -> tuple[dict[str, _Samples], dict[str, list[Array]]]:
    """Collect the samples of one episode, and what topics of exact times tell."""
    wanted: dict[str, list[Entry]] = {}
    exact: dict[str, list[Array]] = {bag.require(told.steps): []} if told.steps else {}
    for entry in told.entries:
        if entry.is_optional and bag.find(entry.place["topic"]) is None:
            continue
        wanted.setdefault(bag.require(entry.place["topic"]), []).append(entry)
        if "times" in entry.place:
            exact[bag.require(entry.place["times"])] = []
    samples = {entry.name: _Samples() for entries in wanted.values() for entry in entries}
    for received in bag.messages([*wanted, *exact], *span[:2]):
        if received.topic in exact:
            exact[received.topic].append(np.array(received.message.data))
        for entry in wanted.get(received.topic, ()):
            _add(bag, entry, features[entry.name], samples[entry.name], received)
    for entry in told.entries:
        if entry.name in samples and not samples[entry.name].values:
            problem = f"topic {entry.place['topic']!r}: no message between start and stop"
            raise UnreadableFile(bag.path, EXPECTED, problem, "Correct `start` and `stop` in the mapping.")
    return samples, exact


def _add(bag: Bag, entry: Entry, feature: Feature | ImageFeature, samples: _Samples, received: Received) -> None:
    try:
        value = _value(entry, feature, received.message)
        capture_ns = _capture_ns(entry, received)
        if samples.values and entry.align is not None and "times" not in entry.place:
            _require_rising(samples, capture_ns, received.receive_ns)
    except FieldFault as fault:
        raise _unreadable(bag, received, entry, fault) from fault
    samples.values.append(value)
    samples.capture_ns.append(capture_ns)
    samples.receive_ns.append(received.receive_ns)


def _require_rising(samples: _Samples, capture_ns: int, receive_ns: int) -> None:
    if capture_ns <= samples.capture_ns[-1]:
        problem = f"stamped {capture_ns} ns, not after {samples.capture_ns[-1]} ns before it"
        raise FieldFault(f"{problem}; `stamp: receive` in the mapping takes the bag's time instead")
    if receive_ns < samples.receive_ns[-1]:
        raise FieldFault(f"received at {receive_ns} ns, before {samples.receive_ns[-1]} ns of the one before")


def _value(entry: Entry, feature: Feature | ImageFeature, message: Any) -> Any:
    if isinstance(feature, ImageFeature):
        return frame_bytes(feature, message)
    value, _ = take(message, _paths(entry))
    if value.size != feature.size:
        raise FieldFault(f"{value.size} values, expected {feature.size}")
    if not np.all(np.isfinite(value)):
        raise FieldFault("it holds NaN or infinity")
    with np.errstate(over="ignore", invalid="ignore"):
        converted = value.astype(feature.dtype)
    if converted.dtype.kind != "f" and np.any(converted != value):
        raise FieldFault(f"it does not fit {feature.dtype}; set `dtype` in the mapping")
    return converted.reshape(feature.shape)


def _capture_ns(entry: Entry, received: Received) -> int:
    stamp = getattr(getattr(received.message, "header", None), "stamp", None)
    if stamp is None and entry.place.get("stamp") == "header":
        raise FieldFault("it has no header; leave `stamp` out of the mapping")
    if stamp is None or entry.place.get("stamp") == "receive":
        return received.receive_ns
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


def _stream(
    bag: Bag, entry: Entry, feature: Feature | ImageFeature, samples: _Samples, zero_ns: int, exact: Mapping[str, Any]
) -> Stream:
    values: Any
    if isinstance(feature, ImageFeature):
        values = Frames.of_encoded(feature, samples.values)
    else:
        values = np.stack(samples.values)
    if "times" not in entry.place:
        times = np.array([samples.capture_ns, samples.receive_ns], dtype=np.int64).T
        return Stream(values, *((times - zero_ns) / 1e9).T)
    told = exact[bag.require(entry.place["times"])]
    if len(told) != len(values) or any(np.shape(each) != (2,) for each in told):
        problem = f"topic {entry.place['times']!r}: {len(told)} messages, expected {len(values)} with two times each"
        raise UnreadableFile(bag.path, EXPECTED, problem, WAY_OUT)
    return Stream(values, *np.array(told, dtype=np.float64).T)


def _held(feature: Feature | ImageFeature, stream: Stream, time_s: Array) -> Array:
    """Bring what was told at another rate to the steps: the newest received by each."""
    if not isinstance(feature, Feature):
        raise InvalidSample(feature.name, ["a picture is no action"])
    aligned = align(stream, time_s, Align())
    if aligned.index.min(initial=0) < 0:
        raise InvalidSample(feature.name, ["nothing was told by the first step"])
    return values_at(feature, stream, aligned)


def _meta(bag: Bag, told: TopicMapping, span: Span) -> EpisodeMeta:
    kept = bag.custom.get(META)
    if kept is not None:
        try:
            return EpisodeMeta.from_plain(json.loads(kept))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            problem = f"metadata.yaml, custom_data, {META}: {error}"
            raise UnreadableFile(bag.path, EXPECTED, problem, WAY_OUT) from error
    begin_ns = bag.start_ns if span[0] is None else span[0]
    return EpisodeMeta(
        source=told.source,
        operator=told.operator,
        instruction=told.instruction,
        truncated=span[2],
        created=datetime.fromtimestamp(begin_ns / 1e9, UTC).isoformat(timespec="milliseconds"),
        origin=f"rosbag2, {bag.path.name}",
    )


def _unreadable(bag: Bag, received: Received, entry: Entry, fault: FieldFault) -> UnreadableFile:
    problem = f"feature {entry.name!r}, topic {received.topic!r}, message {received.number}: {fault}"
    return UnreadableFile(
        bag.path, "messages as the mapping says", problem, "Correct the mapping, or leave the bag out."
    )
