"""One episode as one Zarr v3 zip: written and read with numpy and the standard library, and opened by any Zarr.

A robot's computer records without zarr installed, and a commit costs about 2 ms. Every array carries a SHA-256
bound to its name and its episode's index; only raw little-endian arrays of a few dtypes are ever decoded.

observations/NAME, actions/NAME, time_s, commands     one value a step
streams/NAME/{values, capture_s, receive_s}           a source's own samples; the observation follows from them
images/NAME/{bytes, ends}                             encoded frames end to end, and where each of them ends
"""

import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from math import prod
from pathlib import Path
from typing import IO, Any
from zipfile import ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.contract import Contract, Feature, ImageFeature
from ashore.datasets.episode import Episode, EpisodeMeta
from ashore.datasets.errors import DamagedFile, InvalidSample
from ashore.datasets.features import DTYPES
from ashore.datasets.images import FileBytes, Frames, HeldBytes
from ashore.datasets.streams import Stream

Array = NDArray[Any]
SCHEMA_VERSIONS = (1, 2)
"""Those that are read; an episode is written in the oldest that holds it, its contract's."""
CHUNK_BYTES = 8 * 2**20
"""An array larger than this is split along time; encoded frames never are."""
_CODECS: list[dict[str, Any]] = [{"name": "bytes", "configuration": {"endian": "little"}}]
_FAULTS = (BadZipFile, KeyError, ValueError, TypeError, AttributeError, NotImplementedError, RuntimeError, EOFError)


@dataclass(frozen=True)
class ArchiveHead:
    """What an archive says of itself, without its arrays."""

    episode_index: int
    contract_sha256: str
    meta: EpisodeMeta
    sha256: Mapping[str, str]
    """{array's path in the archive: SHA-256 bound to path and episode index}."""


def arrays_of(episode: Episode) -> dict[str, Array]:
    """Name an episode's arrays as the archive does, each in its stored dtype."""
    contract, streams = episode.contract, episode.streams
    arrays = {
        f"{group}/{feature.name}": _stored(values[feature.name], feature.dtype)
        for group, features, values in (
            ("observations", contract.observations, episode.observations),
            ("actions", contract.actions, episode.actions),
        )
        for feature in features
        if feature.name in values and feature.name not in streams
    }
    for name, frames in episode.images.items():
        stream = streams.get(name)
        shown = stream.values if stream is not None and isinstance(stream.values, Frames) else frames
        arrays |= _frame_arrays(name, shown)
    for name, stream in streams.items():
        if not isinstance(stream.values, Frames):
            dtype = next(feature.dtype for feature in contract.observations if feature.name == name)
            arrays[f"streams/{name}/values"] = _stored(stream.values, dtype)
        arrays[f"streams/{name}/capture_s"] = _stored(stream.capture_s, "float64")
        arrays[f"streams/{name}/receive_s"] = _stored(stream.receive_s, "float64")
    arrays["time_s"] = _stored(episode.time_s, "float64")
    if episode.commands is not None:
        arrays["commands"] = _stored(episode.commands, "float64")
    return arrays


def _frame_arrays(name: str, frames: Frames) -> dict[str, Array]:
    parts = [frames.encoded(entry) for entry in range(len(frames))]
    ends = np.cumsum([len(part) for part in parts], dtype="<i8")
    return {f"images/{name}/bytes": np.frombuffer(b"".join(parts), np.uint8), f"images/{name}/ends": ends}


def digests(episode_index: int, arrays: Mapping[str, Array]) -> dict[str, str]:
    """Hash each array together with its name, form and episode, so that neither can be exchanged unnoticed."""
    found = {}
    for name, value in arrays.items():
        hasher = hashlib.sha256(f"{episode_index}\0{name}\0{value.dtype.str}\0{value.shape}\0".encode())
        hasher.update(value.data)
        found[name] = hasher.hexdigest()
    return found


def write_archive(file: IO[bytes], episode_index: int, episode: Episode, contract_sha256: str) -> None:
    """Write an episode; the same episode and index give the same bytes."""
    arrays = arrays_of(episode)
    words = {feature.name: _words(feature) for feature in episode.contract.features}
    head = {
        "schema_version": episode.contract.schema_version,
        "episode_index": episode_index,
        "contract_sha256": contract_sha256,
        "meta": episode.meta.to_plain(),
        "sha256": digests(episode_index, arrays),
    }
    with ZipFile(file, "w", ZIP_STORED) as archive:
        _write(archive, "zarr.json", _json(_group({"ashore": head})))
        for group in _groups(arrays):
            _write(archive, f"{group}/zarr.json", _json(_group({})))
        for name, value in arrays.items():
            rows = len(value) if name.endswith("/bytes") else _rows_per_chunk(value)
            metadata = _array(value.shape, value.dtype, rows, words.get(name.split("/")[1], {}) if "/" in name else {})
            _write(archive, f"{name}/zarr.json", _json(metadata))
            for start in range(0, len(value), rows):
                _write(archive, _chunk_key(name, start // rows, value.ndim), _chunk(value, start, rows))


def read_head(path: Path) -> ArchiveHead:
    """Read what an archive says of itself, without reading or checking its arrays.

    Raises:
        DamagedFile: it is no archive of this schema.
    """
    try:
        with ZipFile(path) as archive:
            return _head(archive)
    except (*_FAULTS, OSError) as error:
        raise DamagedFile(path, str(error)) from error


def read_archive(data: bytes, where: Path, contract: Contract, *, on_disk: bool = False) -> tuple[ArchiveHead, Episode]:
    """Read an episode and check every array against its hash.

    Args:
        data: the whole file.
        where: its path, for the error text.
        contract: the store's contract, which says what must be there.
        on_disk: let frames be read from the file again when they are asked for, so that they take no memory.

    Raises:
        DamagedFile: a part is missing, superfluous, of a form that is not allowed, or does not match its hash.
    """
    try:
        with ZipFile(BytesIO(data)) as archive:
            head = _head(archive)
            _require_arrays(contract, head.sha256)
            arrays, entries = {}, ["zarr.json", *(f"{group}/zarr.json" for group in _groups(head.sha256))]
            for name in head.sha256:
                arrays[name], parts = _read_array(archive, name)
                entries += parts
            if sorted(entries) != sorted(archive.namelist()):
                raise ValueError("it holds parts that no episode of this contract has")
            offsets = {name: _data_offset(data, archive, name) for name in arrays if name.endswith("/bytes")}
        if digests(head.episode_index, arrays) != head.sha256:
            raise ValueError("an array does not match its SHA-256")
        sources = {name: FileBytes(where, offset) for name, offset in offsets.items()} if on_disk else {}
        return head, _episode(contract, arrays, sources, head.meta)
    except (*_FAULTS, InvalidSample) as error:
        raise DamagedFile(where, str(error)) from error


def _require_arrays(contract: Contract, given: Mapping[str, str]) -> None:
    """Refuse an archive that lacks an array of the contract, or has one that the contract does not know."""
    required, allowed = {"time_s"}, {"time_s", "commands"}
    for group, features in (("observations", contract.observations), ("actions", contract.actions)):
        for feature in features:
            forms = [{f"{group}/{feature.name}"}]
            if feature.align is not None:
                forms.append({f"streams/{feature.name}/{part}" for part in ("values", "capture_s", "receive_s")})
            _note(feature, forms, given, required, allowed)
    for image in contract.images:
        frames = {f"images/{image.name}/bytes", f"images/{image.name}/ends"}
        times = {f"streams/{image.name}/capture_s", f"streams/{image.name}/receive_s"}
        _note(image, [frames, frames | times] if image.align is not None else [frames], given, required, allowed)
    missing, foreign = sorted(required - set(given)), sorted(set(given) - allowed)
    if missing or foreign:
        raise ValueError(f"arrays missing: {missing}; arrays that the contract does not know: {foreign}")


def _note(
    feature: Feature | ImageFeature,
    forms: list[set[str]],
    given: Mapping[str, str],
    required: set[str],
    allowed: set[str],
) -> None:
    """Choose the form in which a feature is there, the largest that has a part of its own, and note its arrays."""
    present = [form for form in forms if form <= set(given)]
    if present:
        allowed |= max(present, key=len)
    elif not feature.optional:
        required |= forms[0]


def _episode(
    contract: Contract, arrays: Mapping[str, Array], sources: Mapping[str, FileBytes], meta: EpisodeMeta
) -> Episode:
    images = {}
    for feature in contract.images:
        key = f"images/{feature.name}"
        if f"{key}/ends" in arrays:
            data, ends = arrays[f"{key}/bytes"], arrays[f"{key}/ends"]
            if ends.ndim != 1 or data.ndim != 1 or np.any(np.diff(ends, prepend=0) <= 0) or ends[-1] != len(data):
                raise ValueError(f"{key}: its frames do not end where they should")
            source = sources.get(f"{key}/bytes") or HeldBytes(data.data)
            images[feature.name] = Frames(feature, source, ends, np.arange(len(ends)))
    streams = {
        name: Stream(
            images[name] if name in images else arrays[f"streams/{name}/values"],
            arrays[f"streams/{name}/capture_s"],
            arrays[f"streams/{name}/receive_s"],
        )
        for name in (feature.name for feature in contract.features)
        if f"streams/{name}/capture_s" in arrays
    }
    return Episode(
        contract=contract,
        observations=_part(arrays, "observations/"),
        actions=_part(arrays, "actions/"),
        time_s=arrays["time_s"],
        meta=meta,
        commands=arrays.get("commands"),
        images=images,
        streams=streams,
    )


def _part(arrays: Mapping[str, Array], prefix: str) -> dict[str, Array]:
    return {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}


def _words(feature: Feature | ImageFeature) -> dict[str, Any]:
    words: dict[str, Any] = {"unit": feature.unit, "frame": feature.frame}
    if isinstance(feature, ImageFeature):
        words |= {"codec": feature.codec, "colour": feature.colour, "shape": list(feature.shape)}
    return words


def _groups(names: Mapping[str, Any]) -> list[str]:
    """List the groups of an archive: observations and actions always, and those in which other arrays lie."""
    found = {"observations", "actions"}
    for name in names:
        parts = name.split("/")[:-1]
        found |= {"/".join(parts[: depth + 1]) for depth in range(len(parts))}
    return sorted(found)


def _data_offset(data: bytes, archive: ZipFile, name: str) -> int:
    """Find where the one chunk of an array begins in the file: after the entry's local header."""
    start = archive.getinfo(_chunk_key(name, 0, 1)).header_offset
    n_name, n_extra = struct.unpack_from("<HH", data, start + 26)
    return int(start + 30 + n_name + n_extra)


def _stored(value: Array, dtype: str) -> Array:
    return np.ascontiguousarray(value, dtype=np.dtype(dtype).newbyteorder("<"))


def _rows_per_chunk(value: Array) -> int:
    return min(len(value), max(1, CHUNK_BYTES // (value.itemsize * prod(value.shape[1:]))))


def _chunk(value: Array, start: int, rows: int) -> bytes:
    part = value[start : start + rows].tobytes()
    return part.ljust(rows * prod(value.shape[1:]) * value.itemsize, b"\0")  # Zarr's last chunk is full, too.


def _chunk_key(name: str, index: int, ndim: int) -> str:
    return "/".join([name, "c", str(index), *["0"] * (ndim - 1)])


def _group(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {"zarr_format": 3, "node_type": "group", "attributes": attributes}


def _array(shape: tuple[int, ...], dtype: np.dtype[Any], rows: int, attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": shape,
        "data_type": dtype.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": (rows, *shape[1:])}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": False if dtype.kind == "b" else 0,
        "codecs": _CODECS,
        "attributes": attributes,
    }


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, allow_nan=False, sort_keys=True).encode()


def _write(archive: ZipFile, name: str, data: bytes) -> None:
    archive.writestr(ZipInfo(name), data)  # A fixed date: the same content gives the same bytes.


def _head(archive: ZipFile) -> ArchiveHead:
    raw = json.loads(archive.read("zarr.json"))["attributes"]["ashore"]
    if raw["schema_version"] not in SCHEMA_VERSIONS:
        raise ValueError(f"its schema version is {raw['schema_version']}, this ashore reads {SCHEMA_VERSIONS}")
    return ArchiveHead(
        int(raw["episode_index"]), str(raw["contract_sha256"]), EpisodeMeta.from_plain(raw["meta"]), dict(raw["sha256"])
    )


def _read_array(archive: ZipFile, name: str) -> tuple[Array, list[str]]:
    """Decode one array, and list the entries it consists of."""
    raw = json.loads(archive.read(f"{name}/zarr.json"))
    if raw["data_type"] not in DTYPES or raw["codecs"] != _CODECS:
        raise ValueError(
            f"{name}: dtype {raw['data_type']!r} with codecs {raw['codecs']!r} is not on the list of allowed ones"
        )
    shape, dtype = tuple(int(side) for side in raw["shape"]), np.dtype(raw["data_type"]).newbyteorder("<")
    rows = int(raw["chunk_grid"]["configuration"]["chunk_shape"][0])
    if json.loads(_json(_array(shape, dtype, rows, raw["attributes"]))) != raw or min(*shape, rows) < 1:
        raise ValueError(f"{name}: its description is not one that ashore writes")
    row_bytes = dtype.itemsize * prod(shape[1:])
    keys = [_chunk_key(name, index, len(shape)) for index in range(-(-shape[0] // rows))]
    chunks = [archive.read(key) for key in keys]
    if any(len(chunk) != rows * row_bytes for chunk in chunks):
        raise ValueError(f"{name}: a chunk has the wrong length")
    value = np.frombuffer(b"".join(chunks)[: shape[0] * row_bytes], dtype).reshape(shape)
    return value, [f"{name}/zarr.json", *keys]
