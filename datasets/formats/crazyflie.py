"""Flights of a real Crazyflie, from the logs of its uSD card, as reference sets: what reality looks like.

Numbers stay as the firmware wrote them, bit for bit, so units are the firmware's: g and degrees, and names say so. A
mapping file with `scale` converts to SI where that is worth a rounding. The motors' PWM is an observation: it is what
the firmware sent after its own controllers, no policy told it; a mapping may give it the role of an action.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.contract import Contract
from ashore.datasets.episode import Episode, EpisodeMeta
from ashore.datasets.errors import InvalidSample, UnreadableFile, quoted
from ashore.datasets.features import Align
from ashore.datasets.formats import Foreign
from ashore.datasets.formats.topics import EXPECTED as MAPPING
from ashore.datasets.formats.topics import Entry, TopicMapping, is_number, is_text, is_texts, load_topics
from ashore.datasets.formats.usd_log import EXPECTED, WAY_OUT, UsdLog, read_usd_log
from ashore.datasets.streams import Stream, align, step_times, values_at

FIXED_RATE = "fixedFrequency"
"""The event that is logged by a clock; others happen now and then, and come in by a mapping alone."""
GROUPS = (
    ("acc_body_g", ("acc.x", "acc.y", "acc.z"), "g", "body"),
    ("gyro_body_deg_s", ("gyro.x", "gyro.y", "gyro.z"), "deg/s", "body"),
    ("motor_pwm", ("motor.m1", "motor.m2", "motor.m3", "motor.m4"), "1", "none"),
    ("motor_request_pwm", ("motor.m1req", "motor.m2req", "motor.m3req", "motor.m4req"), "1", "none"),
    ("pos_world_m", ("stateEstimate.x", "stateEstimate.y", "stateEstimate.z"), "m", "world"),
    ("linvel_world_m_s", ("stateEstimate.vx", "stateEstimate.vy", "stateEstimate.vz"), "m/s", "world"),
    (
        "quat_world_wxyz",
        ("stateEstimate.qw", "stateEstimate.qx", "stateEstimate.qy", "stateEstimate.qz"),
        "1",
        "world",
    ),
)
"""(feature, variables, unit, frame) of variables that belong together; PWM goes from 0 to 65535."""
_DTYPES = {"int8": "int16", "uint32": "int64", "float16": "float32"}
"""{type in the log: the contract's type that holds all its values}."""
_PLACES = {"variables": is_texts, "event": is_text, "scale": is_number}


@dataclass(frozen=True)
class _Placed:
    """One feature with the event and the variables that hold it."""

    entry: Entry
    event: str
    fields: tuple[str, ...]
    scale: float | None


def read(source: Path, mapping: Path | None = None) -> Foreign:
    """Open one log, or a folder of logs, each an episode.

    Args:
        source: a log, or a folder with logs, which are its files named log* or *.bin or *.usd.
        mapping: a file as ashore.datasets.formats.topics describes, with `variables`, `event` and `scale` as places
            of a feature; without its features the known variables are grouped and all others come one by one.

    Raises:
        UnreadableFile: a log or the mapping is not what it should be; names file and offset.
    """
    told = TopicMapping() if mapping is None else load_topics(mapping, _PLACES, whole=False)
    paths = _find(source)
    first = read_usd_log(paths[0])
    if not told.entries:
        told = TopicMapping(**(vars(told) | {"entries": _grouped(first)}))
    if told.robot == "unknown":
        told = TopicMapping(**(vars(told) | {"robot": "bitcraze/crazyflie"}))
    contract = _contract(first, told)
    return Foreign(contract, len(paths), _episodes(paths, told, contract))


def _find(source: Path) -> list[Path]:
    if not source.is_dir():
        return [source]
    found = [p for p in source.iterdir() if p.is_file() and (p.name.startswith("log") or p.suffix in (".bin", ".usd"))]
    if not found:
        problem = "the folder holds no file log*, *.bin or *.usd"
        raise UnreadableFile(source, EXPECTED, problem, "Name a log, or the folder that the card's logs are in.")
    return sorted(found, key=lambda path: (len(path.name), path.name))


def _episodes(paths: Sequence[Path], told: TopicMapping, contract: Contract) -> Iterator[Episode]:
    expected = None
    for path in paths:
        log = read_usd_log(path)
        variables = [(event.name, event.variables) for event in log.types]
        expected = expected or variables
        if (told.path is None and variables != expected) or _contract(log, told) != contract:
            problem = f"its variables or their types are not those of {paths[0].name}"
            raise UnreadableFile(path, EXPECTED, problem, "Import it into a store of its own.")
        try:
            yield _episode(log, told, contract)
        except InvalidSample as error:
            raise UnreadableFile(path, EXPECTED, " ".join(str(error).split()), WAY_OUT) from error


def _episode(log: UsdLog, told: TopicMapping, contract: Contract) -> Episode:
    placed = [_place(log, entry, told) for entry in told.entries]
    features = {feature.name: feature for feature in contract.features}
    for event in {each.event for each in placed}:
        _require_rising(log, event)
    zero = min(int(log.blocks[each.event]["time"][0]) for each in placed)
    streams = {}
    for each in placed:
        time_s = log.time_s(each.event, zero)
        values = _values(log, each, features[each.entry.name].dtype)
        streams[each.entry.name] = Stream(values, time_s, time_s)
    time_s = step_times(streams, features, contract.control_hz)
    told_names = [action.name for action in contract.actions]
    return Episode(
        contract=contract,
        observations={},
        actions={name: _held(features[name], streams[name], time_s) for name in told_names},
        time_s=time_s,
        streams={name: stream for name, stream in streams.items() if name not in told_names},
        meta=EpisodeMeta(
            source=told.source,
            operator=told.operator,
            instruction=told.instruction,
            origin=f"Crazyflie uSD-card log version {log.version}, {log.path.name}",
        ),
    )


def _held(feature: Any, stream: Stream, time_s: NDArray[np.float64]) -> NDArray[Any]:
    return values_at(feature, stream, align(stream, time_s, Align()))


def _require_rising(log: UsdLog, event: str) -> None:
    ticks = log.blocks[event]["time"]
    if not len(ticks):
        raise UnreadableFile(log.path, EXPECTED, f"it holds no block of event {event!r}", "Leave the event out.")
    late = np.flatnonzero(ticks[1:] <= ticks[:-1])
    if late.size:
        row = int(late[0]) + 1
        problem = f"event {event!r}: the time of row {row} is {ticks[row]}, after {ticks[row - 1]}"
        raise UnreadableFile(log.path, EXPECTED, problem, "Times must rise; log at a lower rate, or leave the log out.")


def _values(log: UsdLog, placed: _Placed, dtype: str) -> NDArray[Any]:
    """Take a feature (S, n) out of the blocks."""
    blocks = log.blocks[placed.event]
    columns = [blocks[f"v {name}"] for name in placed.fields]
    for name, column in zip(placed.fields, columns, strict=True):
        bad = np.flatnonzero(~np.isfinite(column))
        if bad.size:
            problem = f"event {placed.event!r}, {name}: row {bad[0]} holds NaN or infinity"
            raise UnreadableFile(log.path, EXPECTED, problem, "Leave the variable out by a mapping.")
    values = np.stack(columns, axis=1)
    if placed.scale is not None:
        values = values.astype(np.float64) * placed.scale
    converted = values.astype(dtype)
    if not np.issubdtype(converted.dtype, np.floating) and np.any(converted != values):
        problem = f"features.{placed.entry.name}.dtype: {dtype} cannot hold the {values.dtype} values of the log"
        raise UnreadableFile(log.path, EXPECTED, problem, "Leave `dtype` out of the mapping, or take a wider one.")
    return converted


def _contract(log: UsdLog, told: TopicMapping) -> Contract:
    features = []
    for entry in told.entries:
        placed = _place(log, entry, told)
        record = log.blocks[placed.event].dtype
        native = np.result_type(*(record[f"v {name}"] for name in placed.fields))
        dtype = "float32" if placed.scale is not None else _DTYPES.get(native.name, native.name)
        if "components" not in entry.words:
            entry = Entry(
                entry.name, entry.role, entry.place, {**entry.words, "components": placed.fields}, entry.align
            )
        features.append(entry.feature((len(placed.fields),), dtype))
    return told.contract(features)


def _place(log: UsdLog, entry: Entry, told: TopicMapping) -> _Placed:
    """Find the one event that holds all variables of a feature."""
    wanted = tuple(entry.place["variables"])
    if entry.role not in ("observation", "action") or entry.align is None:
        problem = f"features.{entry.name}: role is observation or action, and align is not 'none', for a log"
        raise UnreadableFile(told.path or "the mapping", MAPPING, problem, "Correct it.")
    asked = entry.place.get("event")
    holders = [e.name for e in log.types if set(wanted) <= set(e.variables) and asked in (None, e.name)]
    if FIXED_RATE in holders:
        holders = [FIXED_RATE]
    if len(holders) != 1:
        there = "; ".join(f"event {event.name!r}: {quoted(event.variables)}" for event in log.types)
        count = "no event holds" if not holders else "several events hold"
        problem = f"features.{entry.name}: {count} {quoted(wanted)}; there is {there}"
        raise UnreadableFile(log.path, EXPECTED, problem, "Correct `variables` or `event` in the mapping.")
    return _Placed(entry, holders[0], wanted, entry.place.get("scale"))


def _grouped(log: UsdLog) -> tuple[Entry, ...]:
    """Make features of the variables logged by the clock: the known ones in groups, all others alone."""
    names = [event.name for event in log.types]
    if FIXED_RATE not in names:
        problem = f"no event {FIXED_RATE!r}; events: {quoted(names)}"
        raise UnreadableFile(log.path, EXPECTED, problem, "Name variables of the others in a mapping file.")
    free = list(log.types[names.index(FIXED_RATE)].variables)
    entries = []
    for name, variables, unit, frame in GROUPS:
        if set(variables) <= set(free):
            free = [variable for variable in free if variable not in variables]
            entries.append(Entry(name, "observation", {"variables": variables}, {"unit": unit, "frame": frame}))
    return (*entries, *(Entry(name, "observation", {"variables": (name,)}) for name in free))
