"""Readers of what others recorded, by name; each turns a foreign data set into a store."""

from collections.abc import Callable
from pathlib import Path

from ashore.datasets.errors import UnknownName
from ashore.datasets.progress import Progress, silent

IMPORTERS = ("diffusion-policy",)
Importer = Callable[[Path, Path, Progress], int]


def import_episodes(kind: str, source: Path | str, out: Path | str, progress: Progress = silent) -> int:
    """Turn a foreign data set into a new store and return its number of episodes.

    Args:
        kind: the foreign format, one of IMPORTERS.
        source: the data set.
        out: folder of the store; it appears whole, or not at all.
        progress: called with each episode.

    Raises:
        UnknownName: there is no such importer.
        UnreadableFile: the data set is not what it should be; names file, key and row.
        StoreExists: there is something at out.
    """
    return make_importer(kind)(Path(source), Path(out), progress)


def make_importer(kind: str) -> Importer:
    """Find the importer of a format.

    Raises:
        UnknownName: there is no such importer.
    """
    if kind != "diffusion-policy":
        raise UnknownName("importer", kind, IMPORTERS)
    from ashore.datasets.importers.diffusion_policy import import_diffusion_policy

    return import_diffusion_policy
