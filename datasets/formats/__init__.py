"""What others record, read into stores and written from them: one module a format, found by name.

A reader gives the contract and one episode after the other, so that memory stays flat; a writer lists what its format
cannot hold. What is made appears whole, or not at all.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from ashore.datasets.contract import Contract
from ashore.datasets.durable import made_aside, require_free
from ashore.datasets.episode import Episode
from ashore.datasets.errors import CannotExport, UnknownName
from ashore.datasets.progress import Progress, silent
from ashore.datasets.store import EpisodeStore

FORMATS = {
    "crazyflie": "crazyflie",
    "diffusion-policy": "diffusion_policy",
    "lerobot": "lerobot",
    "robomimic": "robomimic",
    "rosbag2": "rosbag2",
}
"""{format's name: module of this package}; each module has `read`, and `write` where the format can be written."""
WRITABLE = ("diffusion-policy", "lerobot", "robomimic", "rosbag2")
UNKNOWN = "unknown"
"""Unit or frame of a feature whose format does not say; a mapping file can."""


@dataclass(frozen=True)
class Foreign:
    """A foreign data set that is open for reading."""

    contract: Contract
    n_episodes: int
    episodes: Iterable[Episode]
    """Read one at a time, as they are asked for; all of the contract."""


@dataclass(frozen=True)
class Exported:
    """What became of an export."""

    n_episodes: int
    lost: tuple[str, ...]
    """What the format cannot hold, one line each."""


Reader = Callable[[Path, Path | None], Foreign]
"""read(source, mapping): mapping is a YAML file that names units, frames, topics, or None."""
Writer = Callable[[EpisodeStore, Path, Progress], tuple[str, ...]]
"""write(store, out, progress): make out, which does not exist yet, and return what was lost."""


def import_episodes(
    kind: str, source: Path | str, out: Path | str, mapping: Path | str | None = None, progress: Progress = silent
) -> int:
    """Turn a foreign data set into a new store and return its number of episodes.

    Args:
        kind: the foreign format, one of FORMATS.
        source: the data set.
        out: folder of the store; it appears whole, or not at all.
        mapping: a YAML file with what the format does not say, such as units, frames or a bag's topics.
        progress: called with each episode.

    Raises:
        UnknownName: there is no such format.
        UnreadableFile: the data set is not what it should be; names file, key and row.
        StoreExists: there is something at out.
        StorageFailed: the disk refused.
    """
    read: Reader = _module(kind, "read")
    out = Path(out)
    require_free(out)
    foreign = read(Path(source), None if mapping is None else Path(mapping))
    with made_aside(out, "make a store") as draft:
        store = EpisodeStore.create(draft, foreign.contract)
        with store:
            for done, episode in enumerate(foreign.episodes):
                store.append(episode)
                progress(done + 1, foreign.n_episodes, f"{len(episode)} steps")
        return len(store)


def export_episodes(kind: str, store: EpisodeStore, out: Path | str, progress: Progress = silent) -> Exported:
    """Write a store's episodes in a foreign format.

    Args:
        kind: the foreign format, one of WRITABLE.
        store: what to write; deleted episodes and trimmed steps are left out.
        out: file or folder to make; it appears whole, or not at all.
        progress: called with each episode.

    Raises:
        UnknownName: there is no such format.
        CannotExport: the format cannot hold these episodes at all.
        StoreExists: there is something at out.
        StorageFailed: the disk refused.
    """
    if kind in FORMATS and kind not in WRITABLE:
        raise CannotExport(kind, "it is written by its devices alone", WRITABLE)
    write: Writer = _module(kind, "write")
    with made_aside(Path(out), "export episodes") as draft:
        lost = write(store, draft, progress)
    return Exported(len(store), lost)


def _module(kind: str, function: str) -> Any:
    if kind not in FORMATS:
        raise UnknownName("format", kind, tuple(FORMATS))
    return getattr(import_module(f"ashore.datasets.formats.{FORMATS[kind]}"), function)
