import errno
import os
import time

import numpy as np
import pytest

from ashore.datasets.episode import EpisodeMeta
from ashore.datasets.errors import InvalidSample, RecordingEnded, StorageFailed
from ashore.datasets.journal import SYNC_S, Journal, Seal
from ashore.datasets.store import EpisodeStore

META = EpisodeMeta(source="real", operator="tester")


def step(episode, index: int):
    observation = {name: value[index] for name, value in episode.observations.items()}
    action = {name: value[index] for name, value in episode.actions.items()}
    return observation, action, float(episode.time_s[index]), episode.commands[index]


@pytest.fixture
def store(contract, store_path) -> EpisodeStore:
    return EpisodeStore.create(store_path, contract)


def test_several_episodes_may_be_open_at_once(store, make_episode, require_equal) -> None:
    episodes = [make_episode(seed) for seed in range(3)]
    writers = [store.begin(META) for _ in episodes]
    for index in range(5):
        for writer, episode in zip(writers, episodes, strict=True):
            writer.add(*step(episode, index))
    assert [writer.commit(seed=seed) for seed, writer in enumerate(writers)] == [0, 1, 2]
    for read, episode in zip(store, episodes, strict=True):
        require_equal(read, episode)
    assert store.verify() == []


def test_a_bad_step_is_refused_and_the_recording_goes_on(store, make_episode, require_equal) -> None:
    episode = make_episode()
    writer = store.begin(META)
    for index in range(5):
        observation, action, time_s, command = step(episode, index)
        with pytest.raises(InvalidSample, match="NaN"):
            writer.add(observation | {"joint_pos_rad": np.full(3, np.nan)}, action, time_s, command)
        with pytest.raises(InvalidSample, match="does not come after"):
            writer.add(observation, action, time_s - 1 if index else np.nan, command)
        writer.add(observation, action, time_s, command)
        with pytest.raises(InvalidSample, match="expected 3"):
            writer.add(observation, action, time_s + 0.01, command[:2])
    require_equal(store.read(writer.commit()), episode)


def test_an_episode_without_a_step_cannot_be_committed(store) -> None:
    writer = store.begin(META)
    with pytest.raises(InvalidSample, match="no step"):
        writer.commit()
    writer.discard()
    assert len(store) == 0
    assert store.verify() == []


def test_an_ended_writer_says_so(store, make_episode) -> None:
    writer = store.begin(META)
    writer.add(*step(make_episode(), 0))
    writer.commit()
    for use in (writer.commit, writer.discard, lambda: writer.add(*step(make_episode(), 1))):
        with pytest.raises(RecordingEnded, match=r"store\.begin"):
            use()


def test_what_an_error_interrupts_stays_in_the_journal(store, make_episode, require_equal) -> None:
    with pytest.raises(KeyboardInterrupt), store.begin(META) as writer:
        for index in range(3):
            writer.add(*step(make_episode(), index))
        raise KeyboardInterrupt
    assert len(store.abandoned_journals()) == 1
    [recovered] = store.recover()
    assert (recovered.n_steps, recovered.episode_index, recovered.was_committed) == (3, 0, False)
    require_equal(store.read(0), make_episode(), n_steps=3)
    assert store.read_meta(0).truncated
    assert store.verify() == []


def test_a_torn_row_is_dropped_and_the_whole_ones_kept(store, make_episode, require_equal, caplog) -> None:
    writer = store.begin(META)
    for index in range(4):
        writer.add(*step(make_episode(), index))
    [journal] = (store.path / "journal").iterdir()
    store.end_recording(writer._journal, keep=True)
    os.truncate(journal, journal.stat().st_size - 1)
    again = EpisodeStore.open(store.path)
    assert "recorder died" in caplog.text
    [recovered] = again.recover()
    assert recovered.n_steps == 3
    assert recovered.torn_bytes > 0
    require_equal(again.read(0), make_episode(), n_steps=3)


def test_a_full_disk_costs_one_step_and_no_other(store, make_episode, require_equal, monkeypatch) -> None:
    """The disk takes half a row and then no more; later it has room again."""
    episode, write = make_episode(), os.write
    writer = store.begin(META)
    for index in range(5):
        with monkeypatch.context() as patch:
            taken = iter([10])

            def stingy(descriptor: int, data: bytes, taken=taken) -> int:
                n_bytes = next(taken, None)
                if n_bytes is None:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                return write(descriptor, bytes(data)[:n_bytes])

            if index == 2:
                patch.setattr(os, "write", stingy)
                with pytest.raises(StorageFailed, match="Free some space"):
                    writer.add(*step(episode, index))
        writer.add(*step(episode, index))
    require_equal(store.read(writer.commit()), episode)


def test_rows_wait_for_the_disk_at_most_a_quarter_second(contract, tmp_path, monkeypatch) -> None:
    journal = Journal(tmp_path / "0.journal")
    synced = [time.monotonic()]
    journal.begin(contract, "0" * 64, META, (-1, []))
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(time.monotonic()) or fsync(descriptor))
    begun_s = time.monotonic()
    while time.monotonic() - begun_s < 1.6:
        journal.add(b"row")
        time.sleep(0.01)
    journal.close()
    assert SYNC_S <= 1.0
    assert len(synced) >= 4
    assert np.diff(synced).max() < 1.0


def test_a_disk_that_fails_beside_the_work_ends_the_recording_with_a_clear_error(
    contract, tmp_path, monkeypatch
) -> None:
    now_s = [0.0]
    journal = Journal(tmp_path / "0.journal", clock=lambda: now_s[0])
    journal.begin(contract, "0" * 64, META, (-1, []))

    def refuse(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", refuse)
    now_s[0] = 1.0
    journal.add(b"row")
    with pytest.raises(StorageFailed, match="Input/output error"):
        journal.seal(Seal(0, META))
    journal.close()
