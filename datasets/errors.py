"""The root of every error that Ashore raises on purpose, and the faults of data.

One class a fault. Callers pass facts; the class composes the sentence in four parts: what was given, what was
expected, the valid choices, the way out. The command line prints the sentence and exits with code 2.
"""

import errno
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path


class AshoreError(Exception):
    """Root of all errors that a user can cause and mend."""


def closest(name: str, choices: Iterable[str]) -> str:
    """Return " Did you mean 'x'?" for the nearest choice, or an empty string."""
    match = get_close_matches(name, list(choices), n=1)
    return f" Did you mean {match[0]!r}?" if match else ""


def quoted(names: Iterable[str]) -> str:
    """List names for an error text: 'a', 'b', 'c'."""
    return ", ".join(repr(name) for name in names) or "none"


def printable(text: str, most: int = 2000) -> str:
    """Give what a file says of itself so that a terminal can show it: no control characters, not without end."""
    shown = "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text[:most])
    return shown if len(text) <= most else f"{shown}... ({len(text) - most} characters more)"


class UnknownName(AshoreError):
    """A name that is not in a registry."""

    def __init__(self, kind: str, name: str, choices: Sequence[str]) -> None:
        super().__init__(f"there is no {kind} {name!r}. Valid: {quoted(choices)}.{closest(name, choices)}")


class InvalidContract(AshoreError):
    """A contract that contradicts itself; lists every fault."""

    def __init__(self, faults: Sequence[str]) -> None:
        lines = "\n".join(f"  {fault}" for fault in faults)
        super().__init__(f"the contract has {len(faults)} fault(s):\n{lines}\nCorrect these fields and build it again.")


class ContractMismatch(AshoreError):
    """Two contracts that must agree do not; lists every differing field and what to do."""

    def __init__(self, left: str, right: str, differences: Sequence[object]) -> None:
        lines = "\n".join(f"  {difference}" for difference in differences)
        super().__init__(f"{left} and {right} disagree on {len(differences)} field(s):\n{lines}")


class InvalidSample(AshoreError):
    """A sample that breaks its contract; lists every fault."""

    def __init__(self, where: str, faults: Sequence[str]) -> None:
        lines = "\n".join(f"  {fault}" for fault in faults)
        super().__init__(f"{where} breaks the contract in {len(faults)} place(s):\n{lines}")


class UnreadableFile(AshoreError):
    """A file that is missing, or is not what its name says."""

    def __init__(self, path: Path | str, expected: str, problem: str, way_out: str) -> None:
        super().__init__(f"cannot read {path}: {problem}. Expected {expected}. {way_out}")


class NotAStore(AshoreError):
    """A folder that holds no episode store, or one whose description is damaged."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(
            f"{path} is not a readable episode store: {problem}. Expected a folder with store.json, contract.json and "
            "episodes/. Give the folder that `ashore collect --out` or `ashore datasets import --out` made, or restore "
            "it from a copy."
        )


class StoreExists(AshoreError):
    """A store is to be made where something is already."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} already exists and is not empty. Choose another folder, or open the store that is there."
        )


class StoreLocked(AshoreError):
    """A second process wants to write a store or a run."""

    def __init__(self, path: Path, holder: str) -> None:
        super().__init__(
            f"{path} is being written by {holder}. It has one writer at a time. "
            "Wait until it ends or stop it, or write to another folder; reading is always possible."
        )


class ReadOnlyStore(AshoreError):
    """A store that was opened for reading is written to."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} was opened for reading only. Open it without readonly=True to write.")


class StorageFailed(AshoreError):
    """The disk refused; what was committed before is untouched."""

    def __init__(self, path: Path | str, doing: str, error: OSError) -> None:
        advice = _STORAGE_ADVICE.get(error.errno or 0, "Check the disk and the folder's permissions")
        super().__init__(
            f"cannot {doing} in {path}: {error.strerror or error}. Every committed episode is untouched. "
            f"{advice}, and try again."
        )


_STORAGE_ADVICE = {
    errno.ENOSPC: "Free some space or choose a folder on another disk",
    errno.EDQUOT: "Free some of your quota or choose a folder on another disk",
    errno.EFBIG: "Raise the file-size limit (ulimit -f)",
    errno.EROFS: "Mount the disk for writing or choose another folder",
    errno.EACCES: "Get write permission on the folder or choose another",
    errno.EPERM: "Get write permission on the folder or choose another",
    errno.EMFILE: "Close files or raise the limit on open files (ulimit -n)",
}


class DamagedFile(AshoreError):
    """A file of a store is not what was committed."""

    def __init__(self, path: Path | str, problem: str) -> None:
        super().__init__(
            f"{path} is damaged: {problem}. Expected the bytes that were committed. Run `ashore datasets verify` to "
            "list all damage, and restore the file from a copy."
        )


class NoSuchEpisode(AshoreError, IndexError):
    """An episode index outside a store."""

    def __init__(self, path: Path, index: int, valid: str, told: str = "") -> None:
        choices = f"Valid: {valid}." if valid else "The store is empty; collect or import episodes first."
        super().__init__(f"{path} has no episode {index}. {told}{choices}")


class RecordingEnded(AshoreError):
    """An episode writer is used after its commit or discard."""

    def __init__(self, doing: str) -> None:
        super().__init__(
            f"cannot {doing}: this episode was committed or discarded. Begin another with store.begin(meta)."
        )


class NoWindows(AshoreError):
    """There is nothing to train on."""

    def __init__(self, n_episodes: int, n_skipped: int, shortest: int) -> None:
        super().__init__(
            f"no training window in {n_episodes} episode(s), {n_skipped} of them skipped as failed. Expected an "
            f"episode of at least {shortest} step(s). Collect more, shorten the horizons, or take the failed ones with "
            "successful_only=False."
        )


class NoActions(AshoreError):
    """Windows are asked for from a reference set, which holds no actions."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} is a reference set: its contract lists no actions. Windows for training need both observations "
            "and actions. Use a store of demonstrations, and give this one to `ashore rank` as what reality looks like."
        )


class FeatureMissing(AshoreError):
    """An optional feature that is asked for is not in every episode."""

    def __init__(self, path: Path, index: int, name: str) -> None:
        super().__init__(
            f"episode {index} of {path} lacks the optional feature {name!r}. Windows are cut from episodes that hold "
            "every feature asked for. Filter the episodes without it out of the store, or do not ask for it."
        )


class InvalidWeights(AshoreError):
    """Weights or shares by which no window can be drawn."""

    def __init__(self, given: str, expected: str) -> None:
        super().__init__(
            f"no window can be drawn by {given}. Expected {expected}, none negative or infinite, and windows where one "
            "is above zero. Correct them, or leave them out to see each window once an epoch."
        )


class InvalidBatch(AshoreError):
    """A batch that cannot be made, or a place in an epoch that does not exist."""

    def __init__(self, given: str, expected: str) -> None:
        super().__init__(f"no batch can be made: {given}. Expected {expected}. Correct the size, buffers or state.")


class InvalidHorizons(AshoreError):
    """Horizons that do not fit each other."""

    def __init__(self, obs_horizon: int, prediction_horizon: int, action_horizon: int) -> None:
        super().__init__(
            f"horizons To={obs_horizon}, Tp={prediction_horizon}, Ta={action_horizon} do not fit. Expected all at "
            "least 1 and To - 1 + Ta <= Tp. Raise the prediction horizon or lower one of the others."
        )


class CannotExport(AshoreError):
    """Episodes that a foreign format cannot hold at all."""

    def __init__(self, kind: str, problem: str, formats: Sequence[str]) -> None:
        super().__init__(
            f"cannot write {kind}: {problem}. Formats that can be written: {quoted(formats)}. Choose another one, or "
            "leave out what it cannot hold."
        )


class InvalidEdit(AshoreError):
    """An edit of a store that cannot be made; lists every fault."""

    def __init__(self, path: Path, doing: str, faults: Sequence[str]) -> None:
        lines = "\n".join(f"  {fault}" for fault in faults)
        super().__init__(
            f"cannot {doing} in {path}:\n{lines}\nNothing was changed. `ashore datasets info` lists the episodes, "
            "`ashore datasets log` the edits."
        )


class InvalidSelection(AshoreError):
    """A choice of episodes that cannot be made; lists every fault."""

    def __init__(self, faults: Sequence[str]) -> None:
        lines = "\n".join(f"  {fault}" for fault in faults)
        super().__init__(f"the selection has {len(faults)} fault(s):\n{lines}\nCorrect these and select again.")


class InvalidRemote(AshoreError):
    """A URL at which no store can be kept."""

    def __init__(self, url: str, problem: str, way_out: str) -> None:
        super().__init__(
            f"cannot use {url!r} as the place of a store: {problem}. Expected an fsspec URL such as "
            f"s3://bucket/folder. The way out: {way_out}."
        )


class RemoteFailed(AshoreError):
    """The storage behind a URL refused, or was not reached."""

    def __init__(self, where: str, doing: str, error: Exception) -> None:
        told = " ".join(str(error).split()) or type(error).__name__
        super().__init__(
            f"cannot {doing} {where}: {told.rstrip('.')}. Expected storage that is reached and allows it. "
            f"{_remote_advice(error)}, and run the command again: it goes on where it stopped."
        )


def _remote_advice(error: Exception) -> str:
    if isinstance(error, PermissionError) or "Credential" in type(error).__name__:
        return (
            "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or AWS_PROFILE), or what another scheme's package reads, "
            "to an account with the right to list, read, write and remove there"
        )
    if isinstance(error, FileNotFoundError):
        return "Make the bucket, or correct the URL"
    return "Check the network, the URL and AWS_ENDPOINT_URL"


class RemoteConflict(AshoreError):
    """A store and the one behind a URL that cannot follow each other; lists what differs."""

    def __init__(self, doing: str, path: Path, url: str, differences: Sequence[str], way_out: str) -> None:
        shown = [f"  {line}" for line in differences[:N_SHOWN]]
        if len(differences) > N_SHOWN:
            shown.append(f"  and {len(differences) - N_SHOWN} more")
        lines = "\n".join(shown)
        super().__init__(
            f"cannot {doing}: {path} (here) and {url} (there) differ:\n{lines}\nExpected one to hold all that the "
            f"other has. Nothing was changed. {way_out}"
        )


N_SHOWN = 10
"""How many differences a text lists."""


class DamagedObject(AshoreError):
    """An object behind a URL is not what the snapshot says."""

    def __init__(self, url: str, name: str, expected: str, actual: str, way_out: str) -> None:
        super().__init__(
            f"{url.rstrip('/')}/{name} is damaged: expected {expected}, found {actual}. Nothing of it was taken. "
            f"{way_out}"
        )
