import os
import signal

import pytest

from ashore.datasets.errors import StoreLocked
from ashore.datasets.lock import WriterLock
from ashore.datasets.store import EpisodeStore


def test_second_writer_is_refused_and_told_by_whom(contract, make_episode, store_path) -> None:
    store = EpisodeStore.create(store_path, contract)
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        with store:
            os.write(writer, b"x")
            signal.pause()
    assert os.read(reader, 1) == b"x"
    try:
        with pytest.raises(StoreLocked, match=f"process {child} on .* since"):
            store.append(make_episode())
        with pytest.raises(StoreLocked):
            store.recover()
        assert store.verify() == []
        assert len(EpisodeStore.open(store_path)) == 0
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(reader)
        os.close(writer)
    assert store.append(make_episode()) == 0


def test_a_second_handle_in_one_process_is_refused_too(contract, make_episode, store_path) -> None:
    with EpisodeStore.create(store_path, contract) as store:
        with store:
            pass
        with pytest.raises(StoreLocked, match=str(os.getpid())):
            EpisodeStore.open(store_path).append(make_episode())
    assert EpisodeStore.open(store_path).append(make_episode()) == 0


def test_the_lock_is_held_from_first_entry_to_last_exit(tmp_path) -> None:
    lock, other = WriterLock(tmp_path / "lock"), WriterLock(tmp_path / "lock")
    assert not other.held_elsewhere()
    with lock:
        with lock:
            assert lock.depth == 2
        assert lock.held
        assert other.held_elsewhere()
    assert not lock.held
    assert not other.held_elsewhere()
    assert (tmp_path / "lock").read_bytes() == b""


def test_racing_writers_number_their_episodes_without_a_gap(contract, make_episode, store_path) -> None:
    EpisodeStore.create(store_path, contract)
    children = []
    for seed in range(4):
        child = os.fork()
        if not child:
            store, done = EpisodeStore.open(store_path), 0
            while done < 5:
                try:
                    store.append(make_episode(seed))
                    done += 1
                except StoreLocked:
                    continue
            os._exit(0)
        children.append(child)
    assert all(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0 for child in children)
    store = EpisodeStore.open(store_path)
    assert store.verify() == []
    assert sorted(episode.meta.seed for episode in store) == sorted([0, 1, 2, 3] * 5)
