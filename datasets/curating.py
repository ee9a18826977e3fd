"""Deletions and trims with who and why, undone at will until they are compacted; and new stores made of old ones."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ashore.datasets.durable import made_aside
from ashore.datasets.edits import Edit, ranges
from ashore.datasets.episode import Episode
from ashore.datasets.errors import InvalidEdit, InvalidSelection
from ashore.datasets.features import NAME
from ashore.datasets.progress import Progress, silent
from ashore.datasets.store import EpisodeStore


def delete(store: EpisodeStore, indices: Iterable[int], who: str, why: str) -> int:
    """Hide episodes until the deletion is undone, and return the edit's number.

    Args:
        store: where they are.
        indices: some of `store.indices`.
        who: name of the person or program that decides.
        why: the reason, in words.

    Raises:
        InvalidEdit: an index is not there, or who or why is empty.
        StoreLocked: another process writes this store.
        StorageFailed: the disk refused; the store is as before.
    """
    with store:
        chosen = tuple(sorted(set(indices)))
        faults = [] if chosen else ["episodes: none given"]
        faults += _unknown(store, chosen) + _unsigned(who, why)
        _require(store, "delete episodes", faults)
        return store.edit(Edit("delete", who, why, chosen))


def trim(store: EpisodeStore, index: int, start: int, stop: int | None, who: str, why: str) -> int:
    """Keep the steps [start, stop) of an episode, and return the edit's number.

    Args:
        store: where it is.
        index: one of `store.indices`.
        start: first step to keep, counted in the episode as the store shows it now.
        stop: one past the last step to keep; None keeps the end.
        who: name of the person or program that decides.
        why: the reason, in words.

    Raises:
        InvalidEdit: there is no such episode, no step would be left, or none cut off; or who or why is empty.
        StoreLocked: another process writes this store.
        StorageFailed: the disk refused; the store is as before.
    """
    with store:
        faults = _unknown(store, (index,)) + _unsigned(who, why)
        if faults:
            _require(store, "trim an episode", faults)
        n_steps = len(store.read(index, on_disk=True))
        end = n_steps if stop is None else stop
        if not 0 <= start < end <= n_steps:
            faults.append(f"steps {start} to {end}: expected 0 <= start < stop <= {n_steps}, the episode's steps")
        elif end - start == n_steps:
            faults.append(f"steps {start} to {end}: these are all of them; nothing would be cut off")
        _require(store, "trim an episode", faults)
        # The log counts in the file's own steps, so that undoing one trim does not shift another.
        kept = store.kept(index)
        first = 0 if kept is None else kept.start
        return store.edit(Edit("trim", who, why, (index,), first + start, first + end))


def undo(store: EpisodeStore, number: int, who: str, why: str) -> int:
    """Take a deletion or a trim back, and return the number of the edit that does.

    Raises:
        InvalidEdit: there is no such edit, it was undone or compacted, or who or why is empty; names those that can be.
        StoreLocked: another process writes this store.
        StorageFailed: the disk refused; the store is as before.
    """
    with store:
        log, valid = store.edits.log, store.edits.undoable()
        faults = _unsigned(who, why)
        if number not in valid:
            problem = "there is no such edit"
            if 0 <= number < len(log):
                problem = f"it is of kind {log[number].kind!r}"
                if log[number].kind in ("delete", "trim"):
                    problem = "it was undone" if store.edits.is_undone(number) else "compact made it permanent"
            faults.append(f"edit {number}: {problem}; edits that can be undone: {ranges(valid) or 'none'}")
        _require(store, f"undo edit {number}", faults)
        return store.edit(Edit("undo", who, why, store.edits.log[number].episodes, undoes=number))


def compact(store: EpisodeStore, who: str, why: str) -> list[int]:
    """Make all deletions and trims permanent, if there are any, and return the indices of the episodes that are gone.

    Raises:
        InvalidEdit: who or why is empty.
        StoreLocked: another process writes this store.
        StorageFailed: the disk refused; `recover` ends the work.
    """
    with store:
        _require(store, "compact", _unsigned(who, why))
        return store.compact(who, why) if store.edits.undoable() else []


def copy(store: EpisodeStore, indices: Sequence[int], out: Path | str, progress: Progress = silent) -> int:
    """Make a new store of some episodes, as the edits leave them, and return their number.

    Each keeps its origin; one that has none gets the name and index of where it was.

    Raises:
        InvalidSelection: an index is not in the store, or there is none.
        StoreExists: there is something at out.
        StorageFailed: the disk refused; nothing is left at out.
    """
    faults = _unknown(store, tuple(indices)) if indices else ["no episode is chosen"]
    if faults:
        raise InvalidSelection(faults)
    with made_aside(Path(out), "make a store") as draft:
        _fill(draft, [(store, index) for index in indices], progress)
    return len(indices)


def merge(stores: Sequence[EpisodeStore], out: Path | str, progress: Progress = silent) -> int:
    """Make a new store of all episodes of some stores, in order, and return their number.

    Raises:
        ContractMismatch: their contracts differ; names the fields.
        InvalidSelection: no store is given, or one twice.
        StoreExists: there is something at out.
        StorageFailed: the disk refused; nothing is left at out.
    """
    paths = [store.path.resolve() for store in stores]
    twice = sorted({str(path) for path in paths if paths.count(path) > 1})
    faults = [f"{path}: given twice" for path in twice] + ([] if stores else ["no store is given"])
    if faults:
        raise InvalidSelection(faults)
    for store in stores[1:]:
        store.contract.require_same(stores[0].contract, f"the store {store.path}", f"the store {stores[0].path}")
    chosen = [(store, index) for store in stores for index in store.indices]
    with made_aside(Path(out), "make a store") as draft:
        _fill(draft, chosen, progress, stores[0])
    return len(chosen)


def split(
    store: EpisodeStore, shares: Mapping[str, float], seed: int, out: Path | str, progress: Progress = silent
) -> dict[str, tuple[int, ...]]:
    """Divide a store by chance into new ones, episode by episode.

    The same store, shares and seed give the same division. Episodes left over by rounding go to the parts that lost
    most by it.

    Args:
        store: what to divide; deleted episodes are left out.
        shares: {name of a part: its share}; together 1.
        seed: of the division.
        out: folder of the parts, out/NAME each; all appear, or none.
        progress: called with each part.

    Returns:
        {name: rising indices in `store`}.

    Raises:
        InvalidSelection: shares that do not add up, a name that is none, a part without an episode.
        StoreExists: there is something at out.
        StorageFailed: the disk refused; nothing is left at out.
    """
    faults = [
        f"{name!r}: a name is a letter, then letters, digits and . _ -" for name in shares if not NAME.fullmatch(name)
    ]
    faults += [f"{name}: share {share}; must be positive" for name, share in shares.items() if not share > 0]
    if abs(sum(shares.values()) - 1.0) > 1e-6:
        faults.append(f"the shares add up to {sum(shares.values()):.6g}; expected 1")
    parts = {} if faults else divide(store.indices, shares, seed)
    faults += [
        f"{name}: share {shares[name]} of {len(store)} episode(s) is none" for name, part in parts.items() if not part
    ]
    if faults:
        raise InvalidSelection(faults)
    done = 0
    with made_aside(Path(out), "make stores") as draft:
        for name, part in parts.items():
            _fill(draft / name, [(store, index) for index in part], silent)
            done += len(part)
            progress(done, len(store), name)
    return parts


def divide(indices: Sequence[int], shares: Mapping[str, float], seed: int) -> dict[str, tuple[int, ...]]:
    """Divide indices by chance in given shares, which add up to 1; each part rises."""
    exact = np.array(list(shares.values())) * len(indices)
    counts = np.floor(exact + 1e-9).astype(int)
    left = len(indices) - int(counts.sum())
    counts[np.argsort(counts - exact, kind="stable")[:left]] += 1
    order = np.random.default_rng(seed).permutation(np.asarray(indices, dtype=np.int64))
    ends = np.cumsum(counts)
    return {
        name: tuple(sorted(order[end - count : end].tolist()))
        for name, count, end in zip(shares, counts, ends, strict=True)
    }


def _fill(
    path: Path, chosen: Sequence[tuple[EpisodeStore, int]], progress: Progress, model: EpisodeStore | None = None
) -> None:
    """Make a store of chosen episodes; model has its contract, where there may be none."""
    with EpisodeStore.create(path, (model or chosen[0][0]).contract) as made:
        for done, (store, index) in enumerate(chosen):
            made.append(_with_origin(store.read(index), store, index))
            progress(done + 1, len(chosen), f"{store.path.name} {index}")


def _with_origin(episode: Episode, store: EpisodeStore, index: int) -> Episode:
    if episode.meta.origin:
        return episode
    return replace(episode, meta=replace(episode.meta, origin=f"{store.path.name}, episode {index}"))


def _unknown(store: EpisodeStore, indices: Sequence[int]) -> list[str]:
    shown, deleted = set(store.indices), store.edits.deletions
    found = []
    for index in indices:
        if index in deleted:
            found.append(f"episode {index}: deleted by edit {deleted[index]}; undo it first")
        elif index not in shown:
            found.append(f"episode {index}: not in the store; valid: {ranges(store.indices) or 'none, it is empty'}")
    return found


def _unsigned(who: str, why: str) -> list[str]:
    given = (("who", who, "the name of who decides"), ("why", why, "the reason, in words"))
    return [f"{name}: empty; expected {expected}" for name, value, expected in given if not value.strip()]


def _require(store: EpisodeStore, doing: str, faults: Sequence[str]) -> None:
    if faults:
        raise InvalidEdit(store.path, doing, faults)
