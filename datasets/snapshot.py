"""What a store behind a URL consists of: one sealed snapshot.json that lists objects whose names carry their SHA-256.

snapshot.json                        the only object that is ever replaced; its size is this list's, its seal covers it
episodes/000012-<sha256>.zarr.zip    the store's files, under the same names
state/<sha256>-edits.jsonl           also -contract.json and -store.json: what changes gets another name

A name in a snapshot comes from outside: only names of these forms are known, so that none leads out of a store.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ashore.datasets import edits, layout
from ashore.datasets.durable import seal, sha256_hex, unseal

NAME = "snapshot.json"
FORMAT, VERSION = "ashore-snapshot", 1
STATE_FILES = ("contract.json", edits.NAME, "store.json")
MAX_STATE_BYTES = 2**30
"""Edits of a million episodes are smaller; what is listed as larger is not read into memory."""
_STATE_NAME = re.compile(r"state/([0-9a-f]{64})-(contract\.json|edits\.jsonl|store\.json)")


@dataclass(frozen=True)
class Snapshot:
    """All objects of a store."""

    objects: Mapping[str, int]
    """{name: bytes}; the SHA-256 stands in the name."""

    @cached_property
    def episodes(self) -> Mapping[str, int]:
        """{file name: bytes} of the episodes."""
        start = len("episodes/")
        return {name[start:]: n_bytes for name, n_bytes in self.objects.items() if name.startswith("episodes/")}

    def state(self, file: str) -> str | None:
        """Name the object of contract.json, edits.jsonl or store.json; None where there is none."""
        return next((name for name in self.objects if name.startswith("state/") and name.endswith(f"-{file}")), None)

    def to_bytes(self) -> bytes:
        """Write it as the object snapshot.json."""
        return seal({"format": FORMAT, "version": VERSION, "objects": dict(self.objects)})


def state_name(file: str, data: bytes) -> str:
    """Name the object of contract.json, edits.jsonl or store.json by its content."""
    return f"state/{sha256_hex(data)}-{file}"


def sha256_of(name: str) -> str:
    """Read the SHA-256 in an object's name."""
    found = re.search(r"[0-9a-f]{64}", name)
    return found.group() if found else ""


def parse_snapshot(data: bytes) -> Snapshot:
    """Read the object snapshot.json.

    Raises:
        ValueError: a bit differs from what was written, or it lists what no snapshot of this version may list.
    """
    content = unseal(data)
    if content.get("format") != FORMAT or content.get("version") != VERSION:
        raise ValueError(
            f"format {content.get('format')!r}, version {content.get('version')!r}; a later ashore made it"
        )
    objects = content.get("objects")
    if not isinstance(objects, dict):
        raise ValueError("it lists no objects")
    seen: dict[str, str] = {}
    for name, n_bytes in objects.items():
        role = _role(name, n_bytes)
        if role in seen:
            raise ValueError(f"{name!r} and {seen[role]!r} cannot both be there")
        seen[role] = name
    for file in ("contract.json", "store.json"):
        if file not in seen:
            raise ValueError(f"it lists no {file}")
    return Snapshot(objects)


def _role(name: str, n_bytes: Any) -> str:
    """Tell which place in a store an object takes; two of one place would be one too many."""
    if type(n_bytes) is not int or n_bytes <= 0:
        raise ValueError(f"{name!r}: its size is {n_bytes!r}; expected a number of bytes above 0")
    state = _STATE_NAME.fullmatch(name)
    if state:
        if n_bytes > MAX_STATE_BYTES:
            raise ValueError(f"{name!r}: its size is {n_bytes}; expected at most {MAX_STATE_BYTES}")
        return state.group(2)
    folder, _, file = name.partition("/")
    if folder == "episodes" and layout.EPISODE_NAME.fullmatch(file):
        index = layout.index_of(file)
        if file == layout.episode_name(index, layout.sha256_of(file)):
            return f"episode {index}"
    raise ValueError(f"{name!r} is the name of no part of a store")
