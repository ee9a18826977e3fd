"""Where a store keeps what, and what its names say."""

import os
import re
from pathlib import Path

FORMAT = "ashore-episodes"
SCHEMA_VERSION = 1
EPISODE_NAME = re.compile(r"(\d{6,})-([0-9a-f]{64})\.zarr\.zip")
JOURNAL_NAME = re.compile(r"\d+\.journal")


def description(contract_sha256: str) -> dict[str, str | int]:
    """Give the content of store.json, which binds the store to its contract."""
    return {"format": FORMAT, "schema_version": SCHEMA_VERSION, "contract_sha256": contract_sha256}


def episode_name(index: int, sha256: str) -> str:
    """Name an episode's file by its place and the SHA-256 of its bytes."""
    return f"{index:06d}-{sha256}.zarr.zip"


def index_of(file: Path) -> int:
    """Read the episode's index in a file's name."""
    return int(file.name.partition("-")[0])


def sha256_of(file: Path) -> str:
    """Read the SHA-256 in a file's name."""
    return file.name.partition("-")[2].partition(".")[0]


def episode_files(path: Path) -> list[Path]:
    """List a store's committed episodes by index."""
    folder = path / "episodes"
    names = [entry.name for entry in os.scandir(folder)] if folder.is_dir() else []
    return sorted((folder / name for name in names if EPISODE_NAME.fullmatch(name)), key=index_of)


def journal_files(path: Path) -> list[Path]:
    """List a store's journals, oldest number first."""
    files = (path / "journal").glob("*.journal")
    return sorted((file for file in files if JOURNAL_NAME.fullmatch(file.name)), key=lambda file: int(file.stem))
