"""Writing that survives: bytes that reach the disk before their name does, and small files that notice any change."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ashore.datasets.errors import StorageFailed


@contextmanager
def storing(path: Path, doing: str) -> Iterator[None]:
    """Turn what the operating system says of a disk into a StorageFailed that names the path and the work."""
    try:
        yield
    except OSError as error:
        raise StorageFailed(path, doing, error) from error


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
