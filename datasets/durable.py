"""Writing that survives: bytes that reach the disk before their name does, and small files that notice any change."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ashore.datasets.errors import StorageFailed, StoreExists


@contextmanager
def storing(path: Path, doing: str) -> Iterator[None]:
    """Turn what the operating system says of a disk into a StorageFailed that names the path and the work."""
    try:
        yield
    except OSError as error:
        raise StorageFailed(path, doing, error) from error


def require_free(out: Path) -> None:
    """Raise StoreExists unless there is nothing, or an empty folder, at a path."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise StoreExists(out)


@contextmanager
def made_aside(out: Path, doing: str) -> Iterator[Path]:
    """Give a path beside the final one to make a file or folder at; it appears whole at the end, or not at all.

    Raises:
        StoreExists: there is something at out, which is not replaced.
        StorageFailed: the disk refused.
    """
    require_free(out)
    with storing(out, doing):
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as folder:
            draft = Path(folder) / out.name
            yield draft
            draft.rename(out)
            sync_folder(out.parent)


def sync_folder(path: Path) -> None:
    """Wait until a folder's names are on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_synced(path: Path, data: bytes) -> None:
    """Write a new file and wait until its bytes are on the disk; its name is safe after sync_folder."""
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def write_all(descriptor: int, data: bytes) -> None:
    """Write every byte, however few the system takes at a time."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def sha256_hex(data: bytes) -> str:
    """SHA-256 in lower-case hex."""
    return hashlib.sha256(data).hexdigest()


def seal(content: Mapping[str, Any]) -> bytes:
    """Write a small JSON document that carries its own SHA-256, in one canonical form."""
    body = json.dumps(dict(content), sort_keys=True)
    return json.dumps({"content": content, "sha256": sha256_hex(body.encode())}, indent=2, sort_keys=True).encode()


def unseal(data: bytes) -> dict[str, Any]:
    """Read a document that seal wrote.

    Raises:
        ValueError: a single bit differs from what seal wrote.
    """
    try:
        content = json.loads(data)["content"]
        sealed = seal(content)
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError("it is no sealed document") from error
    if sealed != data:
        raise ValueError("its SHA-256 does not match its content")
    return dict(content)
