"""Where a store keeps what, and what its names say."""

import os
import re
from pathlib import Path

from ashore.datasets.contract import Contract

FORMAT = "ashore-episodes"
EPISODE_NAME = re.compile(r"(\d{6,})-([0-9a-f]{64})\.zarr\.zip")
JOURNAL_NAME = re.compile(r"\d+\.journal")


def description(contract: Contract, contract_sha256: str) -> dict[str, str | int]:
    """Give the content of store.json, which binds the store to its contract and has its schema version."""
    return {"format": FORMAT, "schema_version": contract.schema_version, "contract_sha256": contract_sha256}


def episode_name(index: int, sha256: str) -> str:
    """Name an episode's file by its place and the SHA-256 of its bytes."""
    return f"{index:06d}-{sha256}.zarr.zip"


def index_of(name: str) -> int:
    """Read the episode's index in a file's name."""
    return int(name[: name.index("-")])


def sha256_of(name: str) -> str:
    """Read the SHA-256 in a file's name."""
    return name.partition("-")[2].partition(".")[0]


def episode_names(path: Path) -> list[str]:
    """List the file names of a store's committed episodes by index; as names, 100,000 of them are quick and small."""
    folder = path / "episodes"
    names = os.listdir(folder) if folder.is_dir() else []  # noqa: PTH208 (names, not 100,000 paths)
    return sorted(filter(EPISODE_NAME.fullmatch, names), key=index_of)


def episode_files(path: Path) -> list[Path]:
    """List a store's committed episodes by index."""
    return [path / "episodes" / name for name in episode_names(path)]


def journal_files(path: Path) -> list[Path]:
    """List a store's journals, oldest number first."""
    files = (path / "journal").glob("*.journal")
    return sorted((file for file in files if JOURNAL_NAME.fullmatch(file.name)), key=lambda file: int(file.stem))
