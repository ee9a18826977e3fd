import os
import shutil
import signal

import numpy as np
import picture_cases
import pytest

from ashore.datasets.edits import Edit
from ashore.datasets.episode import EpisodeMeta
from ashore.datasets.store import EpisodeStore
from ashore.datasets.verification import verify_store


@pytest.fixture
def crashed_store(contract, make_episode, store_path) -> EpisodeStore:
    """Three episodes, the journal of a fourth, and the lock file of the recorder that died."""
    store = EpisodeStore.create(store_path, contract)
    for seed in range(3):
        store.append(make_episode(seed))
    child = os.fork()
    if not child:
        writer, episode = store.begin(EpisodeMeta(source="real")), make_episode(3)
        for i in range(3):
            observation = {name: value[i] for name, value in episode.observations.items()}
            action = {name: value[i] for name, value in episode.actions.items()}
            writer.add(observation, action, float(episode.time_s[i]), episode.commands[i])
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    return store


@pytest.fixture
def crashed_store_of_pictures(store_path) -> EpisodeStore:
    """Pictures, streams, edits, and a recorder that died."""
    store = EpisodeStore.create(store_path, picture_cases.CONTRACT)
    for seed in range(3):
        store.append(picture_cases.make_episode(seed, n_steps=4))
    store.edit(Edit("delete", "tester", "blurred", (1,)))
    store.edit(Edit("trim", "tester", "idle", (2,), start=1))
    child = os.fork()
    if not child:
        picture_cases.record(store, picture_cases.make_episode(3, n_steps=2))
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    return store


@pytest.mark.parametrize("fixture", ["crashed_store", "crashed_store_of_pictures"])
@pytest.mark.parametrize("n_flips", [60, pytest.param(2000, marks=pytest.mark.full)])
def test_every_flipped_bit_in_every_file_is_found(fixture, n_flips, request) -> None:
    crashed_store = request.getfixturevalue(fixture)
    sound = verify_store(crashed_store.path)
    assert [fault.where for fault in sound] == ["journal/0.journal"]
    files = [file for file in sorted(crashed_store.path.rglob("*")) if file.is_file()]
    assert {file.name for file in files} >= {"store.json", "contract.json", "lock", "0.journal"}
    assert ("edits.jsonl" in {file.name for file in files}) == (fixture == "crashed_store_of_pictures")
    rng, n_found = np.random.default_rng(0), 0
    for file in files:
        data = file.read_bytes()
        n_bits = 8 * len(data)
        bits = rng.choice(n_bits, size=min(n_bits, n_flips), replace=False)
        for bit in bits.tolist():
            flipped = bytearray(data)
            flipped[bit // 8] ^= 1 << (bit % 8)
            file.write_bytes(flipped)
            assert verify_store(crashed_store.path) != sound, f"bit {bit} of {file.name}"
            n_found += 1
        file.write_bytes(data)
    assert n_found > 300
    assert verify_store(crashed_store.path) == sound


def test_a_missing_a_doubled_and_a_renamed_episode_are_named(contract, make_episode, store_path) -> None:
    store = EpisodeStore.create(store_path, contract)
    for seed in range(4):
        store.append(make_episode(seed))
    files = sorted((store_path / "episodes").iterdir())
    shutil.copy(files[3], files[3].with_name(files[3].name.replace("000003", "000002")))
    files[1].rename(files[1].with_name(files[1].name.replace("000001", "000007")))
    text = "\n".join(str(fault) for fault in store.verify())
    for words in ("episode 1 is missing", "episode 2 is there twice", "it is episode 1 under another name"):
        assert words in text


def test_strangers_and_leftovers_are_named(contract, store_path) -> None:
    store = EpisodeStore.create(store_path, contract)
    for name in ("notes.txt", "episodes/000000.tmp", "episodes/x.zarr.zip"):
        (store_path / name).write_bytes(b"")
    assert [fault.where for fault in store.verify()] == ["notes.txt", "episodes/000000.tmp", "episodes/x.zarr.zip"]
    store.recover()
    assert [fault.where for fault in store.verify()] == ["notes.txt", "episodes/x.zarr.zip"]


def test_progress_counts_the_episodes(contract, make_episode, store_path) -> None:
    store = EpisodeStore.create(store_path, contract)
    for seed in range(3):
        store.append(make_episode(seed))
    heard: list[tuple[int, int]] = []
    store.verify(lambda done, total, note: heard.append((done, total)))
    assert heard == [(1, 3), (2, 3), (3, 3)]
