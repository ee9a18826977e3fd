"""A store to and from object storage: what was committed travels once; one sealed object says what belongs together.

    push    episodes, edits, contract ─► snapshot.json        killed before the last arrow: the snapshot of before
    pull    snapshot.json ─► edits ─► episodes ─► store.json  killed before the last arrow: no store yet, or the old
                                                              one with some new episodes; the next pull goes on

Ashore's own objects only are listed, compared and removed; see ashore.datasets.snapshot for their names.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from ashore.datasets import edits, layout, snapshot
from ashore.datasets.bucket import Bucket, open_bucket
from ashore.datasets.contract import Contract
from ashore.datasets.durable import sha256_hex, storing, sync_folder, unseal, write_synced
from ashore.datasets.edits import parse_edits
from ashore.datasets.errors import DamagedFile, DamagedObject, RemoteConflict, RemoteFailed, StoreExists
from ashore.datasets.lock import WriterLock
from ashore.datasets.progress import Progress, silent
from ashore.datasets.sides import Comparison, Side, compare, read_side, read_whole_side
from ashore.datasets.snapshot import Snapshot, parse_snapshot, sha256_of
from ashore.datasets.store import EpisodeStore
from ashore.datasets.transfer import SEND_AGAIN, checked, damaged_of, each, fetch, read_small, unlike

_SEND_ALL = (
    "Remove that object and push again from a store that has the data: what lies there undamaged is not sent again."
)


@dataclass(frozen=True)
class Pushed:
    """What a push did."""

    n_objects: int
    """All that the snapshot lists."""
    n_sent: int
    sent_bytes: int
    damaged: tuple[str, ...]
    """Names of the objects that were there, damaged, and were sent again."""
    n_removed: int
    """Objects that the snapshot of before listed and this one does not: older edits, episodes that compact dropped."""


@dataclass(frozen=True)
class Pulled:
    """What a pull did."""

    n_episodes: int
    """Episodes that the store shows now."""
    n_fetched: int
    fetched_bytes: int
    n_edits: int
    """Edits that are new here."""
    n_ahead: int
    """Episodes and edits that are here only; a push sends them."""


def push(path: Path | str, url: str, *, check: bool = False, progress: Progress = silent) -> Pushed:
    """Send what a store has and a URL lacks; a recording that is going on is not disturbed, and not sent.

    Args:
        path: the store's folder.
        url: of a folder in object storage, as fsspec reads it.
        check: read every object that is there as well, and send those again that are damaged.
        progress: told of each object.

    Raises:
        NotAStore: there is none at path.
        InvalidRemote: the URL is none.
        RemoteFailed: the storage refused; the snapshot of before is whole.
        RemoteConflict: the URL has what the store lacks, or another push ended meanwhile.
        DamagedObject: the snapshot that is there is damaged.
        DamagedFile: a file of the store is damaged; it was not sent.
        StoreLocked: compact is at work.
    """
    path, bucket = Path(path), open_bucket(url)
    EpisodeStore.open(path, readonly=True)
    here, state = read_whole_side(path)
    mine = _snapshot_of(here, state)
    tag = bucket.tag(snapshot.NAME)  # Before it is read: who replaces it in between is noticed.
    before = _read_snapshot(bucket)
    listed: dict[str, int] = {}
    if before is not None:
        theirs = _parse(bucket, before)
        listed = dict(theirs.objects)
        _require_ahead(here, _side_of(bucket, theirs, here.log), path, url)
    found = bucket.sizes()
    missing = [name for name, n_bytes in mine.objects.items() if found.get(name) != n_bytes]
    damaged = damaged_of(bucket, mine, set(missing), progress) if check else []
    sent = missing + damaged

    def send(name: str) -> int:
        if name in state:
            bucket.put(name, state[name])
        else:
            bucket.send(name, checked(path / name))
        return mine.objects[name]

    def remove(name: str) -> int:
        bucket.remove(name)
        return listed[name]

    sent_bytes = each(send, sent, progress)
    _publish(bucket, before, mine.to_bytes(), tag, path)
    removed = [name for name in listed if name not in mine.objects and name in found]
    each(remove, removed, silent)
    return Pushed(len(mine.objects), len(sent), sent_bytes, tuple(damaged), len(removed))


def pull(url: str, path: Path | str, progress: Progress = silent) -> Pulled:
    """Fetch what a URL has and a store lacks, and make the store if there is none; every byte is checked.

    Args:
        url: where a push ended.
        path: folder of the store; where there is none, it becomes one at the end.
        progress: told of each episode.

    Raises:
        InvalidRemote: the URL is none.
        RemoteFailed: the storage refused, or no push has ended there.
        RemoteConflict: both have what the other lacks, at the same place.
        DamagedObject: an object is not what the snapshot says; nothing of it is kept.
        StoreExists: there is something else at path.
        StoreLocked: another process writes the store.
        StorageFailed: the disk refused.
    """
    path, bucket = Path(path), open_bucket(url)
    listed = _require_snapshot(bucket)
    if (path / "store.json").exists():
        with EpisodeStore.open(path):  # Ends a compact that was killed.
            pass
    else:
        _require_unfinished(path)
    with storing(path, "make a store"):
        (path / "episodes").mkdir(parents=True, exist_ok=True)
    with WriterLock(path / "lock"):
        while True:
            try:
                pulled = _pull_listed(bucket, listed, path, progress)
                break
            except DamagedObject:
                again = _require_snapshot(bucket)
                if again == listed:
                    raise
                listed = again  # A push ended meanwhile, and removed what only the snapshot of before listed.
    with EpisodeStore.open(path) as store:  # Cuts and removes what compact did there.
        return Pulled(len(store), *pulled)


def _pull_listed(bucket: Bucket, listed: Snapshot, path: Path, progress: Progress) -> tuple[int, int, int, int]:
    folder, is_new = path / "episodes", not (path / "store.json").exists()
    with storing(folder, "clear what a killed pull left"):
        for leftover in folder.glob("*.tmp"):
            leftover.unlink()
    here, _ = read_side(path)
    there = _side_of(bucket, listed, here.log)
    texts = _description(bucket, listed) if is_new else {}
    found = compare(Side(there.identity, here.log, here.episodes) if is_new else here, there)
    if found.conflicts:
        raise RemoteConflict("pull", path, bucket.url, found.conflicts, _way_out(found, path, bucket.url))
    if is_new and found.only_here:  # A killed pull of this store left none that is not there.
        raise StoreExists(path)
    names = [f"episodes/{name}" for name in found.only_there]
    sizes = bucket.sizes() if names else {}
    for name in names:
        if sizes.get(name) != listed.objects[name]:
            raise unlike(bucket, name, listed.objects[name], f"{sizes[name]} bytes" if name in sizes else "nothing")
    if found.log != here.log:
        _write(path, edits.NAME, found.log)
    fetched_bytes = each(lambda name: fetch(bucket, name, listed.objects[name], path), names, progress)
    with storing(folder, "keep episodes"):
        sync_folder(folder)
    for file in texts:
        _write(path, file, texts[file])
    n_edits, n_edits_ahead = _n_lines(found.log[len(here.log) :]), _n_lines(found.log[len(there.log) :])
    return len(names), fetched_bytes, n_edits, n_edits_ahead + len(found.only_here)


def _n_lines(log: bytes) -> int:
    return log.count(b"\n")


def _snapshot_of(side: Side, state: dict[str, bytes]) -> Snapshot:
    objects = {f"episodes/{name}": n_bytes for name, n_bytes in side.episodes.items()}
    return Snapshot(objects | {name: len(data) for name, data in state.items()})


def _side_of(bucket: Bucket, listed: Snapshot, here_log: bytes) -> Side:
    """Describe the store behind a URL; its edits are fetched only where they are no beginning of those here."""
    name = listed.state(edits.NAME)
    log = b""
    if name is not None:
        log = here_log[: listed.objects[name]]
        if sha256_hex(log) != sha256_of(name):
            log = read_small(bucket, name, listed.objects[name])
            try:
                if parse_edits(log, name).torn_bytes:
                    raise DamagedFile(name, "its last line is not whole")
            except DamagedFile as error:
                raise DamagedObject(bucket.url, name, "edits that ashore wrote", str(error), SEND_AGAIN) from error
    return Side((listed.state("contract.json") or "", listed.state("store.json") or ""), log, listed.episodes)


def _description(bucket: Bucket, listed: Snapshot) -> dict[str, bytes]:
    """Fetch contract.json and store.json, in the order in which they are written, and see that they fit each other."""
    texts = {}
    for file in ("contract.json", "store.json"):
        name = listed.state(file) or ""
        texts[file] = read_small(bucket, name, listed.objects[name])
    try:
        contract = Contract.from_json(texts["contract.json"].decode(), f"{bucket.url}/contract.json")
        if unseal(texts["store.json"]) != layout.description(contract, sha256_hex(texts["contract.json"])):
            raise ValueError("it does not fit contract.json")
    except ValueError as error:
        raise DamagedObject(bucket.url, "store.json", "a store's description", str(error), SEND_AGAIN) from error
    return texts


def _parse(bucket: Bucket, data: bytes) -> Snapshot:
    try:
        return parse_snapshot(data)
    except ValueError as error:
        raise DamagedObject(bucket.url, snapshot.NAME, "a snapshot as push seals it", str(error), _SEND_ALL) from error


def _read_snapshot(bucket: Bucket) -> bytes | None:
    return bucket.read(snapshot.NAME, snapshot.MAX_STATE_BYTES)


def _require_snapshot(bucket: Bucket) -> Snapshot:
    data = _read_snapshot(bucket)
    if data is None:
        problem = FileNotFoundError("it is not there; no push has ended at this URL")
        raise RemoteFailed(f"{bucket.url.rstrip('/')}/{snapshot.NAME}", "read", problem)
    return _parse(bucket, data)


def _require_unfinished(path: Path) -> None:
    """Raise StoreExists unless there is nothing, an empty folder, or what a killed pull left of a new store."""
    parts = {"episodes", "lock", edits.NAME, "contract.json"}
    if path.exists() and (not path.is_dir() or any(entry.name not in parts for entry in path.iterdir())):
        raise StoreExists(path)


def _require_ahead(here: Side, there: Side, path: Path, url: str) -> None:
    """Raise RemoteConflict unless the store has all that the URL has."""
    found = compare(here, there)
    differences = found.conflicts or [f"episode {layout.index_of(name)}: there only" for name in found.only_there]
    n_edits = _n_lines(found.log[len(here.log) :])
    differences += [f"edits.jsonl: {n_edits} edit(s) there only"] if n_edits else []
    if differences:
        raise RemoteConflict("push", path, url, differences, _way_out(found, path, url))


def _way_out(found: Comparison, path: Path, url: str) -> str:
    if found.conflicts:
        return (
            f"Use another URL or folder. To have both in one: pull {url} into a new folder, join it and {path} with "
            "`ashore datasets merge`, and delete what `ashore doctor data` finds twice."
        )
    return f"Run `ashore datasets pull {url} {path}` first, then push again."


def _publish(bucket: Bucket, before: bytes | None, data: bytes, tag: str | None, path: Path) -> None:
    """Replace the snapshot, unless another push has replaced it since this one began."""
    now = _read_snapshot(bucket)
    if now == before and now != data:
        bucket.replace(snapshot.NAME, data, tag)
        now = _read_snapshot(bucket)
    if now != data:
        ended = [f"{snapshot.NAME}: another push ended meanwhile"]
        raise RemoteConflict("push", path, bucket.url, ended, "Run the command again.")


def _write(path: Path, file: str, data: bytes) -> None:
    """Replace one of a store's small files, whole or not at all."""
    aside = path / "episodes" / f"{file}.tmp"
    with storing(path / file, "write a store"):
        aside.unlink(missing_ok=True)
        write_synced(aside, data)
        os.replace(aside, path / file)
        sync_folder(path)
