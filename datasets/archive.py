"""One episode as one Zarr v3 zip: written and read with numpy and the standard library, and opened by any Zarr.

A robot's computer records without zarr installed, and a commit costs about 2 ms. Every array carries a SHA-256
bound to its name and its episode's index; only raw little-endian arrays of five dtypes are ever decoded.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from math import prod
from pathlib import Path
from typing import IO, Any
from zipfile import ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.contract import DTYPES, Contract
from ashore.datasets.episode import Episode, EpisodeMeta
from ashore.datasets.errors import DamagedFile, InvalidSample

Array = NDArray[Any]
SCHEMA_VERSION = 1
CHUNK_BYTES = 8 * 2**20
"""An array larger than this is split along time."""
_CODECS: list[dict[str, Any]] = [{"name": "bytes", "configuration": {"endian": "little"}}]
_GROUPS = ("observations", "actions")
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
    """Name an episode's arrays as the archive does, each (T, ...) in its stored dtype."""
    contract = episode.contract
    arrays = {f"observations/{f.name}": _stored(episode.observations[f.name], f.dtype) for f in contract.observations}
    arrays |= {f"actions/{f.name}": _stored(episode.actions[f.name], f.dtype) for f in contract.actions}
    arrays["time_s"] = _stored(episode.time_s, "float64")
    if episode.commands is not None:
        arrays["commands"] = _stored(episode.commands, "float64")
    return arrays


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
    units = {
        f.name: {"unit": f.unit, "frame": f.frame} for f in (*episode.contract.observations, *episode.contract.actions)
    }
    head = {
        "schema_version": SCHEMA_VERSION,
        "episode_index": episode_index,
        "contract_sha256": contract_sha256,
        "meta": episode.meta.to_plain(),
        "sha256": digests(episode_index, arrays),
    }
    with ZipFile(file, "w", ZIP_STORED) as archive:
        _write(archive, "zarr.json", _json(_group({"ashore": head})))
        for group in _GROUPS:
            _write(archive, f"{group}/zarr.json", _json(_group({})))
        for name, value in arrays.items():
            rows = _rows_per_chunk(value)
            metadata = _array(value.shape, value.dtype, rows, units.get(name.partition("/")[2], {}))
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


def read_archive(data: bytes, where: Path, contract: Contract) -> tuple[ArchiveHead, Episode]:
    """Read an episode and check every array against its hash.

    Args:
        data: the whole file.
        where: its path, for the error text.
        contract: the store's contract, which says what must be there.

    Raises:
        DamagedFile: a part is missing, superfluous, of a form that is not allowed, or does not match its hash.
    """
    try:
        with ZipFile(BytesIO(data)) as archive:
            head = _head(archive)
            names = [f"observations/{f.name}" for f in contract.observations]
            names += [f"actions/{f.name}" for f in contract.actions] + ["time_s"]
            names += ["commands"] if "commands" in head.sha256 else []
            arrays, entries = {}, ["zarr.json", *(f"{group}/zarr.json" for group in _GROUPS)]
            for name in names:
                arrays[name], parts = _read_array(archive, name)
                entries += parts
            if sorted(entries) != sorted(archive.namelist()):
                raise ValueError("it holds parts that no episode of this contract has")
        if digests(head.episode_index, arrays) != head.sha256:
            raise ValueError("an array does not match its SHA-256")
        return head, _episode(contract, arrays, head.meta)
    except (*_FAULTS, InvalidSample) as error:
        raise DamagedFile(where, str(error)) from error


def _episode(contract: Contract, arrays: Mapping[str, Array], meta: EpisodeMeta) -> Episode:
    return Episode(
        contract=contract,
        observations={f.name: arrays[f"observations/{f.name}"] for f in contract.observations},
        actions={f.name: arrays[f"actions/{f.name}"] for f in contract.actions},
        time_s=arrays["time_s"],
        meta=meta,
        commands=arrays.get("commands"),
    )


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


def _array(shape: tuple[int, ...], dtype: np.dtype[Any], rows: int, attributes: Mapping[str, str]) -> dict[str, Any]:
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
    if raw["schema_version"] != SCHEMA_VERSION:
        raise ValueError(f"its schema version is {raw['schema_version']}, this ashore reads {SCHEMA_VERSION}")
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
