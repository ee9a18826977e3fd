"""Objects on their way: several at once, each checked against the SHA-256 in its name before it counts."""

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from hashlib import file_digest
from pathlib import Path

from ashore.datasets import layout
from ashore.datasets.bucket import Bucket
from ashore.datasets.durable import sha256_hex, storing
from ashore.datasets.errors import DamagedFile, DamagedObject
from ashore.datasets.progress import Progress
from ashore.datasets.snapshot import Snapshot, sha256_of

N_THREADS = 8
"""Objects on their way at once: an answer from far away takes longer than the bytes of a small episode."""
SEND_AGAIN = "Run `ashore datasets push --check` from a store that has it: that sends it again."
"""The way out of a damaged object."""


def damaged_of(bucket: Bucket, mine: Snapshot, missing: set[str], progress: Progress) -> list[str]:
    """List the objects whose bytes are not those of their names."""
    found = []

    def look(name: str) -> int:
        hasher = hashlib.sha256()
        for block in bucket.blocks(name, mine.objects[name]):
            hasher.update(block)
        if hasher.hexdigest() != sha256_of(name):
            found.append(name)
        return mine.objects[name]

    each(look, [name for name in mine.objects if name not in missing], progress)
    return sorted(found)


def read_small(bucket: Bucket, name: str, n_bytes: int) -> bytes:
    """Read a small object whole, or raise DamagedObject."""
    data = b"".join(bucket.blocks(name, n_bytes))
    if sha256_hex(data) != sha256_of(name):
        raise unlike(bucket, name, n_bytes, f"{len(data)} bytes of SHA-256 {sha256_hex(data)}")
    return data


def fetch(bucket: Bucket, name: str, n_bytes: int, path: Path) -> int:
    """Write an episode aside, check it, wait for the disk, and give it its name."""
    target = path / name
    aside, hasher = target.with_name(f"{target.name}.tmp"), hashlib.sha256()
    with storing(target, "keep an episode"):
        try:
            with aside.open("wb") as file:
                for block in bucket.blocks(name, n_bytes):
                    hasher.update(block)
                    file.write(block)
                file.flush()
                os.fsync(file.fileno())
            if hasher.hexdigest() != sha256_of(name):
                raise unlike(bucket, name, n_bytes, f"SHA-256 {hasher.hexdigest()}")
            aside.rename(target)
        finally:
            aside.unlink(missing_ok=True)
    return n_bytes


def checked(file: Path) -> Path:
    """Give the path of an episode's file back, or raise DamagedFile where its bytes are not those of its name."""
    with storing(file, "read an episode"), file.open("rb") as stream:
        if file_digest(stream, "sha256").hexdigest() != layout.sha256_of(file.name):
            raise DamagedFile(file, "its SHA-256 is not the one in its name")
    return file


def unlike(bucket: Bucket, name: str, n_bytes: int, actual: str) -> DamagedObject:
    """Describe an object that is not what the snapshot lists."""
    return DamagedObject(bucket.url, name, f"{n_bytes} bytes of SHA-256 {sha256_of(name)}", actual, SEND_AGAIN)


def each(work: Callable[[str], int], names: Sequence[str], progress: Progress) -> int:
    """Do the work for each name, some at once, and return the sum of bytes; the first fault ends it."""
    n_bytes = 0
    with ThreadPoolExecutor(N_THREADS) as pool:
        futures = [pool.submit(work, name) for name in names]
        try:
            for done, future in enumerate(as_completed(futures)):
                n_bytes += future.result()
                progress(done + 1, len(names), f"{n_bytes / 1e6:.1f} MB")
        finally:
            pool.shutdown(cancel_futures=True)
    return n_bytes
