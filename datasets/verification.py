"""Read everything in a store and say what is wrong: damage, gaps, strangers and what a crash left behind."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ashore.datasets import edits, layout
from ashore.datasets.archive import read_archive
from ashore.datasets.contract import Contract
from ashore.datasets.durable import sha256_hex, unseal
from ashore.datasets.errors import AshoreError
from ashore.datasets.journal import read_journal
from ashore.datasets.lock import WriterLock
from ashore.datasets.progress import Progress, silent

_RESTORE = "restore it from a copy"


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with a store."""

    where: str
    """Path inside the store."""
    problem: str
    advice: str

    def __str__(self) -> str:
        return f"{self.where}: {self.problem} -> {self.advice}"


def verify_store(path: Path | str, progress: Progress = silent) -> list[Fault]:
    """List every fault of a store, even one too damaged to open; empty where all is well.

    Any flipped bit in any file is found: episodes by the SHA-256 in their names, contract.json by the one in
    store.json, which carries its own.
    """
    path = Path(path)
    contract, contract_sha256, faults = _check_description(path)
    faults += [Fault(where, "it does not belong to a store", "move it elsewhere") for where in _strangers(path)]
    known, broken = _read_edits(path)
    faults += broken
    files = layout.episode_files(path)
    faults += _check_indices(files, known)
    for done, file in enumerate(files):
        problem = _episode_problem(file, contract, contract_sha256)
        faults += [Fault(f"episodes/{file.name}", problem, _RESTORE)] if problem else []
        progress(done + 1, len(files), f"{len(faults)} fault(s)")
    lock = WriterLock(path / "lock")
    if not lock.held_elsewhere():
        faults += [_abandoned(file, contract, contract_sha256) for file in layout.journal_files(path)]
        faults += _check_lock(path / "lock")
    return faults


def _check_description(path: Path) -> tuple[Contract | None, str, list[Fault]]:
    try:
        told = unseal((path / "store.json").read_bytes())
    except (OSError, ValueError) as error:
        told, faults = None, [Fault("store.json", str(error), _RESTORE)]
    else:
        faults = []
    try:
        text = (path / "contract.json").read_bytes()
        contract = Contract.from_json(text.decode(), path / "contract.json")
    except (OSError, UnicodeDecodeError, AshoreError) as error:
        return None, "", [*faults, Fault("contract.json", str(error), _RESTORE)]
    if told is not None and told != layout.description(contract, sha256_hex(text)):
        faults.append(Fault("contract.json", "its SHA-256 is not the one in store.json", _RESTORE))
    return contract, sha256_hex(text), faults


def _strangers(path: Path) -> Iterator[str]:
    known = {"store.json", "contract.json", "lock", "episodes", "journal", edits.NAME}
    yield from sorted(entry.name for entry in path.iterdir() if entry.name not in known)
    for folder, pattern in (("episodes", layout.EPISODE_NAME), ("journal", layout.JOURNAL_NAME)):
        inside = (path / folder).iterdir() if (path / folder).is_dir() else iter(())
        yield from sorted(f"{folder}/{entry.name}" for entry in inside if not pattern.fullmatch(entry.name))


def _read_edits(path: Path) -> tuple[edits.Edits, list[Fault]]:
    try:
        found = edits.read_edits(path)
    except AshoreError as error:
        return edits.Edits(), [Fault(edits.NAME, str(error), _RESTORE)]
    if not found.torn_bytes:
        return found, []
    problem = f"{found.torn_bytes} byte(s) of an edit that was not written whole"
    return found, [Fault(edits.NAME, problem, "run `ashore datasets recover`")]


def _check_indices(files: list[Path], known: edits.Edits) -> list[Fault]:
    counts, removed = Counter(layout.index_of(file.name) for file in files), known.removed
    end = max([-1, *counts, *removed]) + 1
    faults = [
        Fault("episodes", f"episode {index} is missing", _RESTORE)
        for index in range(end)
        if index not in counts and index not in removed
    ]
    replaced = {int(index) for edit in known.log for index in edit.replaced}
    left = [file for file in files if known.is_left_over(layout.index_of(file.name), layout.sha256_of(file.name))]
    faults += [Fault(f"episodes/{file.name}", "compact did not end", "run `ashore datasets recover`") for file in left]
    twice = sorted(index for index, count in counts.items() if count > 1 and index not in replaced)
    return faults + [Fault("episodes", f"episode {index} is there twice", "move one elsewhere") for index in twice]


def _episode_problem(file: Path, contract: Contract | None, contract_sha256: str) -> str | None:
    try:
        data = file.read_bytes()
        if sha256_hex(data) != layout.sha256_of(file.name):
            return "its SHA-256 is not the one in its name"
        if contract is None:
            return None
        head, _ = read_archive(data, file, contract)
    except (OSError, AshoreError) as error:
        return str(error)
    if head.contract_sha256 != contract_sha256:
        return "it was recorded with another contract"
    return (
        None
        if head.episode_index == layout.index_of(file.name)
        else f"it is episode {head.episode_index} under another name"
    )


def _abandoned(file: Path, contract: Contract | None, contract_sha256: str) -> Fault:
    where = f"journal/{file.name}"
    if contract is None:
        return Fault(where, "its recorder died, and the contract to read it with is damaged", "restore the contract")
    try:
        content = read_journal(file, contract, contract_sha256)
    except AshoreError as error:
        return Fault(where, str(error), "move it elsewhere")
    n_steps, torn = (len(content.rows), content.torn_bytes) if content else (0, file.stat().st_size)
    return Fault(
        where, f"its recorder died; {n_steps} whole step(s), {torn} byte(s) torn", "run `ashore datasets recover`"
    )


def _check_lock(file: Path) -> list[Fault]:
    try:
        data = file.read_bytes() if file.exists() else b""
        if data:
            unseal(data)
    except (OSError, ValueError) as error:
        problem = f"the last writer's note is not whole ({error}): its recorder died, or the file was changed"
        return [Fault("lock", problem, "run `ashore datasets recover`")]
    return []
