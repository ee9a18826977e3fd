"""Two stores that went on from one: what each of them consists of, and what only one of them has."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ashore.datasets import edits, layout
from ashore.datasets.durable import storing
from ashore.datasets.edits import parse_edits
from ashore.datasets.snapshot import state_name
from ashore.datasets.store import EpisodeStore


@dataclass(frozen=True)
class Side:
    """One of two stores that are compared: the one here, or the one there."""

    identity: tuple[str, str]
    """Names of its contract.json and store.json as objects, which carry their SHA-256."""
    log: bytes
    """Content of its edits.jsonl, whole lines only."""
    episodes: Mapping[str, int]
    """{file name: bytes}."""


@dataclass(frozen=True)
class Comparison:
    """What two sides have, one without the other."""

    conflicts: list[str]
    """What both have, differently."""
    only_here: list[str]
    """Episodes' file names."""
    only_there: list[str]
    """Episodes' file names."""
    log: bytes
    """The longer edits.jsonl."""


def compare(here: Side, there: Side) -> Comparison:
    """Compare two stores, of which each may have gone on since they were equal.

    Each episode that only one of them has is new, unless the longer log says that compact dropped that very file.

    Raises:
        DamagedFile: a log is not what `ashore datasets` writes.
    """
    if here.identity != there.identity:
        return Comparison(["contract.json, store.json: another contract"], [], [], here.log)
    longer = max(here.log, there.log, key=len)
    if not (longer.startswith(here.log) and longer.startswith(there.log)):
        return Comparison([_first_difference(here.log, there.log)], [], [], here.log)
    known = parse_edits(longer, edits.NAME)
    only_here, only_there = (
        {
            layout.index_of(name): name
            for name in mine.episodes.keys() - other.episodes.keys()
            if not known.has_dropped(layout.index_of(name), layout.sha256_of(name))
        }
        for mine, other in ((here, there), (there, here))
    )
    conflicts = [
        f"episode {index}: {_short(only_here[index])} here, {_short(only_there[index])} there"
        for index in sorted(only_here.keys() & only_there.keys())
    ]
    for where, mine in (("here", only_here), ("there", only_there)):
        conflicts += [
            f"episode {index}: recorded {where}, while compact removed another one of this index"
            for index in sorted(mine.keys() & known.removed)
        ]
    return Comparison(
        conflicts,
        [only_here[index] for index in sorted(only_here)],
        [only_there[i] for i in sorted(only_there)],
        longer,
    )


def read_whole_side(path: Path) -> tuple[Side, dict[str, bytes]]:
    """Read what a store consists of, after a compact that was killed has been ended."""
    here, state = read_side(path)
    known = parse_edits(here.log, path / edits.NAME)
    if any(known.is_left_over(layout.index_of(name), layout.sha256_of(name)) for name in here.episodes):
        with EpisodeStore.open(path):
            here, state = read_side(path)
    return here, state


def read_side(path: Path) -> tuple[Side, dict[str, bytes]]:
    """Read what a store consists of, as one moment shows it, and the content of its state objects."""
    while True:
        log = _whole_lines(path)
        with storing(path, "list a store"):
            named = {file.name: file.stat().st_size for file in layout.episode_files(path)}
        if _whole_lines(path) == log:
            break
    texts = {file: (path / file).read_bytes() for file in ("contract.json", "store.json") if (path / file).exists()}
    names = {file: state_name(file, text) for file, text in texts.items()}
    state = {names[file]: text for file, text in texts.items()}
    state |= {state_name(edits.NAME, log): log} if log else {}
    return Side((names.get("contract.json", ""), names.get("store.json", "")), log, named), state


def _whole_lines(path: Path) -> bytes:
    with storing(path / edits.NAME, "read the edits"):
        data = (path / edits.NAME).read_bytes() if (path / edits.NAME).exists() else b""
    return data[: data.rfind(b"\n") + 1]


def _short(name: str) -> str:
    return layout.sha256_of(name)[:12]


def _first_difference(here: bytes, there: bytes) -> str:
    pairs = zip(here.splitlines(), there.splitlines(), strict=False)
    number = next(number for number, (mine, other) in enumerate(pairs) if mine != other)
    mine, other = (parse_edits(log, edits.NAME).log[number] for log in (here, there))
    return f"edit {number}: {mine.kind} by {mine.who} here, {other.kind} by {other.who} there"
