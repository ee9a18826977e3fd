"""Remembers which graphs were tried, so that a robot that starts with one again need not wait for that.

An empty file a graph, named by the hash of graph, vectors and runtime, in the user's own cache ($ASHORE_CACHE, or else
$XDG_CACHE_HOME/ashore): who can write there can do as the user does anyway. Without a cache every start tries anew.
"""

import hashlib
import os
from contextlib import suppress
from pathlib import Path


def digest_of(graph: bytes, vectors: bytes) -> str:
    """Name a graph that is run on these vectors by this runtime."""
    import onnxruntime

    parts = (graph, vectors, onnxruntime.__version__.encode())
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def is_known(digest: str) -> bool:
    """Tell whether a graph was tried before, and did well."""
    try:
        return (_folder() / digest).is_file()
    except OSError:
        return False


def remember(digest: str) -> None:
    """Note that a graph did well."""
    with suppress(OSError):
        _folder().mkdir(mode=0o700, parents=True, exist_ok=True)
        (_folder() / digest).touch()


def _folder() -> Path:
    given, home = os.environ.get("ASHORE_CACHE"), os.environ.get("XDG_CACHE_HOME")
    return (Path(given) if given else (Path(home) if home else Path("~/.cache").expanduser()) / "ashore") / "tried"
