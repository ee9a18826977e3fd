"""The container of a bundle: a zip file with one possible form, so that not one byte of it can change unnoticed."""

import os
import stat
import struct
import zipfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

from ashore.datasets.durable import seal, sha256_hex, storing, sync_folder, unseal
from ashore.datasets.errors import UnreadableFile
from ashore.policies.errors import InvalidBundle

SCHEMA_VERSION = 2
MANIFEST = "manifest.json"
NAMES = (
    "policy.onnx",
    "contract.json",
    "robot.json",
    "limits.json",
    "evidence.json",
    "card.md",
    "vectors.npz",
    "calibration.npz",
)
MAX_BYTES = 512 * 1024 * 1024
_END = struct.Struct("<4s4H2LH")
"""How a zip file ends: signature, disks, entries here and in all, size and place of the list, size of a comment."""
_MAX_LIST_BYTES = 64 * 1024


def save_archive(path: Path, files: Mapping[str, bytes]) -> None:
    """Write a bundle's files with their manifest; the path appears, whole and on the disk, or not at all.

    Args:
        path: the bundle's path; one that is there is replaced.
        files: {name: content} for every name of NAMES and no other.

    Raises:
        InvalidBundle: a name is missing or too much, or all together are too large.
        StorageFailed: the disk refused.
    """
    _check_names(path, set(files), set(NAMES))
    if sum(map(len, files.values())) > MAX_BYTES:
        raise InvalidBundle(path, "all files", f"together larger than {MAX_BYTES} bytes")
    entries = {name: {"bytes": len(files[name]), "sha256": sha256_hex(files[name])} for name in NAMES}
    manifest = seal({"schema_version": SCHEMA_VERSION, "files": entries})
    content = _pack({**files, MANIFEST: manifest})
    with storing(path, "write a bundle"):
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            with aside.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(aside, path)
        finally:
            aside.unlink(missing_ok=True)
        sync_folder(path.parent)


def read_archive(path: Path) -> bytes:
    """Read a bundle's bytes, of which nothing is checked but their number.

    Raises:
        UnreadableFile: there is no such file.
        InvalidBundle: it is too large.
    """
    try:
        facts = path.stat()
        if not stat.S_ISREG(facts.st_mode):
            raise UnreadableFile(path, "a bundle file", "it is not a file", "Give the path of a policy.ashore file.")
        if facts.st_size > MAX_BYTES:
            raise InvalidBundle(path, "the archive", f"{facts.st_size} bytes, more than {MAX_BYTES}")
        return path.read_bytes()
    except OSError as error:
        problem, way_out = error.strerror or str(error), "Give the path of a file that `ashore export` wrote."
        raise UnreadableFile(path, "a bundle", problem, way_out) from error


def unpack_archive(path: Path, content: bytes) -> dict[str, bytes]:
    """Take a bundle's files out of its bytes: each checked against the manifest, all against the one possible form.

    Args:
        path: where the bytes are from, for what is said of them.
        content: as `read_archive` gives them.

    Raises:
        UnreadableFile: they are no bundle.
        InvalidBundle: a byte is not what was written; names the file inside.
    """
    _check_end(path, content)
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            infos = archive.infolist()
            _check_names(path, {info.filename for info in infos}, {*NAMES, MANIFEST})
            files = {info.filename: _entry(path, archive, info) for info in infos}
    except (zipfile.BadZipFile, struct.error, OSError, ValueError, NotImplementedError) as error:
        raise UnreadableFile(path, "a bundle", str(error), "Copy it again, or export the run again.") from error
    _check_manifest(path, files)
    if _pack(files) != content:
        raise InvalidBundle(path, "the archive", "its own structure is not what was written")
    del files[MANIFEST]
    return files


def _check_end(path: Path, content: bytes) -> None:
    """Refuse a list of files of another form before zipfile walks it: it could name millions."""
    if len(content) < _END.size or not content.startswith(b"PK"):
        raise UnreadableFile(path, "a bundle", "File is not a zip file", "Copy it again, or export the run again.")
    signature, *_, size, _, n_comment = _END.unpack_from(content, len(content) - _END.size)
    is_ours = signature == b"PK\x05\x06" and n_comment == 0 and size <= _MAX_LIST_BYTES
    if not is_ours or content[-_END.size - 20 : -_END.size].startswith(b"PK\x06\x07"):
        raise InvalidBundle(path, "the archive", "its list of files is not that of a bundle, or it was cut short")


def _entry(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
        raise InvalidBundle(path, info.filename, "it is compressed")
    try:
        return archive.read(info)
    except (zipfile.BadZipFile, EOFError, RuntimeError) as error:
        raise InvalidBundle(path, info.filename, f"damaged ({error})") from error


def _check_manifest(path: Path, files: Mapping[str, bytes]) -> None:
    try:
        manifest = unseal(files[MANIFEST])
        version, entries = manifest["schema_version"], dict(manifest["files"])
        expected = {name: (entry["bytes"], entry["sha256"]) for name, entry in entries.items()}
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidBundle(path, MANIFEST, f"damaged ({error})") from error
    if type(version) is not int or version != SCHEMA_VERSION:
        raise InvalidBundle(path, MANIFEST, f"schema version {version!r}, this ashore reads {SCHEMA_VERSION}")
    _check_names(path, set(expected), set(NAMES))
    for name in NAMES:
        if expected[name] != (len(files[name]), sha256_hex(files[name])):
            raise InvalidBundle(path, name, "its bytes are not those that the manifest lists")


def _check_names(path: Path, given: set[str], expected: set[str]) -> None:
    for name in sorted(expected - given):
        raise InvalidBundle(path, name, "missing")
    for name in sorted(given - expected):
        raise InvalidBundle(path, repr(name), "not a file of a bundle")


def _pack(files: Mapping[str, bytes]) -> bytes:
    """Write the zip file of these contents: stored, in a fixed order, without dates; the same bytes every time."""
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in (*NAMES, MANIFEST):
            info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            info.create_system = 3
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            archive.writestr(info, files[name])
    return buffer.getvalue()
