"""Every fault of data, with the words a person reads."""

import errno
import os
from pathlib import Path

import pytest

from ashore.datasets import errors

STORE = Path("demo/episodes")
FULL_DISK = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
TABLE: list[tuple[errors.AshoreError, str]] = [
    (
        errors.UnknownName("task", "arm/pick-plaice", ["arm/pick-place"]),
        "there is no task 'arm/pick-plaice'. Valid: 'arm/pick-place'. Did you mean 'arm/pick-place'?",
    ),
    (
        errors.InvalidContract(["x.shape: (0,); every side must be positive"]),
        "the contract has 1 fault(s):\n  x.shape: (0,); every side must be positive\n"
        "Correct these fields and build it again.",
    ),
    (
        errors.ContractMismatch("policy P", "robot R", ["control_hz: 20.0 against 10.0 -> retrain"]),
        "policy P and robot R disagree on 1 field(s):\n  control_hz: 20.0 against 10.0 -> retrain",
    ),
    (
        errors.InvalidSample("step 3", ["x: holds NaN or infinity"]),
        "step 3 breaks the contract in 1 place(s):\n  x: holds NaN or infinity",
    ),
    (
        errors.UnreadableFile("a.json", "a contract", "no JSON", "Export it again."),
        "cannot read a.json: no JSON. Expected a contract. Export it again.",
    ),
    (
        errors.NotAStore(STORE, "store.json is missing"),
        "demo/episodes is not a readable episode store: store.json is missing. Expected a folder with store.json, "
        "contract.json and episodes/. Give the folder that `ashore collect --out` or `ashore datasets import --out` "
        "made, or restore it from a copy.",
    ),
    (
        errors.StoreExists(STORE),
        "demo/episodes already exists and is not empty. Choose another folder, or open the store that is there.",
    ),
    (
        errors.StoreLocked(STORE, "process 7 on lab (ashore collect) since noon"),
        "demo/episodes is being written by process 7 on lab (ashore collect) since noon. It has one writer at a "
        "time. Wait until it ends or stop it, or write to another folder; reading is always possible.",
    ),
    (
        errors.ReadOnlyStore(STORE),
        "demo/episodes was opened for reading only. Open it without readonly=True to write.",
    ),
    (
        errors.StorageFailed(STORE, "commit an episode", FULL_DISK),
        "cannot commit an episode in demo/episodes: No space left on device. Every committed episode is untouched. "
        "Free some space or choose a folder on another disk, and try again.",
    ),
    (
        errors.DamagedFile("e.zip", "its SHA-256 is not the one in its name"),
        "e.zip is damaged: its SHA-256 is not the one in its name. Expected the bytes that were committed. "
        "Run `ashore datasets verify` to list all damage, and restore the file from a copy.",
    ),
    (
        errors.CannotExport("crazyflie", "it is written by its devices alone", ("lerobot", "rosbag2")),
        "cannot write crazyflie: it is written by its devices alone. Formats that can be written: 'lerobot', "
        "'rosbag2'. Choose another one, or leave out what it cannot hold.",
    ),
    (errors.NoSuchEpisode(STORE, 9, "0 to 2"), "demo/episodes has no episode 9. Valid: 0 to 2."),
    (
        errors.RecordingEnded("add a step"),
        "cannot add a step: this episode was committed or discarded. Begin another with store.begin(meta).",
    ),
    (
        errors.NoWindows(3, 1, 12),
        "no training window in 3 episode(s), 1 of them skipped as failed. Expected an episode of at least 12 step(s). "
        "Collect more, shorten the horizons, or take the failed ones with successful_only=False.",
    ),
    (
        errors.InvalidHorizons(2, 4, 4),
        "horizons To=2, Tp=4, Ta=4 do not fit. Expected all at least 1 and To - 1 + Ta <= Tp. "
        "Raise the prediction horizon or lower one of the others.",
    ),
    (
        errors.NoActions(STORE),
        "demo/episodes is a reference set: its contract lists no actions. Windows for training need both observations "
        "and actions. Use a store of demonstrations, and give this one to `ashore rank` as what reality looks like.",
    ),
    (
        errors.FeatureMissing(STORE, 3, "wrist"),
        "episode 3 of demo/episodes lacks the optional feature 'wrist'. Windows are cut from episodes that hold every "
        "feature asked for. Filter the episodes without it out of the store, or do not ask for it.",
    ),
    (
        errors.InvalidWeights("shares (0, 0)", "at least one above zero"),
        "no window can be drawn by shares (0, 0). Expected at least one above zero, none negative or infinite, and "
        "windows where one is above zero. Correct them, or leave them out to see each window once an epoch.",
    ),
    (
        errors.InvalidBatch("300 windows in a batch", "1 to 256, the windows that there are"),
        "no batch can be made: 300 windows in a batch. Expected 1 to 256, the windows that there are. "
        "Correct the size, buffers or state.",
    ),
    (
        errors.InvalidEdit(STORE, "delete episodes", ["episode 12: not in the store; valid: 0 to 9"]),
        "cannot delete episodes in demo/episodes:\n  episode 12: not in the store; valid: 0 to 9\nNothing was changed. "
        "`ashore datasets info` lists the episodes, `ashore datasets log` the edits.",
    ),
    (
        errors.InvalidSelection(["draw 'frictoin': no episode has it"]),
        "the selection has 1 fault(s):\n  draw 'frictoin': no episode has it\nCorrect these and select again.",
    ),
    (
        errors.InvalidRemote("s3://...", "it holds credentials", "leave them out"),
        "cannot use 's3://...' as the place of a store: it holds credentials. Expected an fsspec URL such as "
        "s3://bucket/folder. The way out: leave them out.",
    ),
    (
        errors.RemoteFailed("s3://robots/arm/snapshot.json", "read", PermissionError("Forbidden")),
        "cannot read s3://robots/arm/snapshot.json: Forbidden. Expected storage that is reached and allows it. Set "
        "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or AWS_PROFILE), or what another scheme's package reads, to an "
        "account with the right to list, read, write and remove there, and run the command again: it goes on where it "
        "stopped.",
    ),
    (
        errors.RemoteConflict(
            "push", STORE, "s3://robots/arm", [f"episode {i}: there only" for i in range(11)], "Pull."
        ),
        "cannot push: demo/episodes (here) and s3://robots/arm (there) differ:\n"
        + "".join(f"  episode {i}: there only\n" for i in range(10))
        + "  and 1 more\nExpected one to hold all that the other has. Nothing was changed. Pull.",
    ),
    (
        errors.DamagedObject("s3://robots/arm/", "snapshot.json", "a sealed snapshot", "other bytes", "Remove it."),
        "s3://robots/arm/snapshot.json is damaged: expected a sealed snapshot, found other bytes. Nothing of it was "
        "taken. Remove it.",
    ),
]


@pytest.mark.parametrize(("error", "text"), TABLE, ids=[type(error).__name__ for error, _ in TABLE])
def test_an_error_says_what_was_given_expected_and_what_to_do(error, text) -> None:
    assert str(error) == text


def test_every_error_of_data_is_in_the_table() -> None:
    own = {cls for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, errors.AshoreError)}
    assert {type(error) for error, _ in TABLE} == own - {errors.AshoreError}
