import errno
import os
import resource
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ashore.datasets.contract import Contract
from ashore.datasets.errors import (
    ContractMismatch,
    DamagedFile,
    NoSuchEpisode,
    NotAStore,
    ReadOnlyStore,
    StorageFailed,
    StoreExists,
)
from ashore.datasets.store import EpisodeStore


@settings(max_examples=30)
@given(data=st.data())
def test_what_is_appended_is_read_back_bit_for_bit(any_contract, any_episode, require_equal, data) -> None:
    contract = data.draw(any_contract)
    written = data.draw(st.lists(any_episode(contract), min_size=1, max_size=2))
    with TemporaryDirectory() as folder:
        with EpisodeStore.create(Path(folder) / "store", contract) as store:
            assert [store.append(episode) for episode in written] == list(range(len(written)))
        again = EpisodeStore.open(store.path)
        assert again.contract == contract
        for read, episode in zip(again, written, strict=True):
            require_equal(read, episode)
            assert read.meta == episode.meta
        assert again.verify() == []


@settings(max_examples=30)
@given(data=st.data())
def test_what_is_recorded_step_by_step_is_read_back_bit_for_bit(any_contract, any_episode, require_equal, data) -> None:
    contract = data.draw(any_contract)
    written = data.draw(any_episode(contract))
    with TemporaryDirectory() as folder:
        store = EpisodeStore.create(Path(folder) / "store", contract)
        with store.begin(replace(written.meta, reward=None)) as writer:
            for step in range(len(written)):
                observation = {name: value[step] for name, value in written.observations.items()}
                action = {name: value[step] for name, value in written.actions.items()}
                command = None if written.commands is None else written.commands[step]
                writer.add(observation, action, float(written.time_s[step]), command)
            assert len(writer) == len(written)
            index = writer.commit(reward=written.meta.reward)
        require_equal(store.read(index), written)
        assert store.read_meta(index) == written.meta
        assert store.verify() == []


def test_two_handles_in_turn_number_episodes_on(contract, make_episode, store_path) -> None:
    one = EpisodeStore.create(store_path, contract)
    other = EpisodeStore.open(store_path)
    assert [one.append(make_episode(0)), other.append(make_episode(1)), one.append(make_episode(2))] == [0, 1, 2]
    assert [episode.meta.seed for episode in one] == [0, 1, 2]


def test_an_episode_of_another_contract_is_refused(contract, make_episode, store_path) -> None:
    other = Contract.from_json(contract.to_json().replace("20.0", "50.0"))
    store = EpisodeStore.create(store_path, other)
    with pytest.raises(ContractMismatch, match="control_hz"):
        store.append(make_episode())
    assert len(store) == 0


def test_a_store_is_never_made_over_something(contract, tmp_path) -> None:
    (tmp_path / "precious.txt").write_text("keep")
    with pytest.raises(StoreExists):
        EpisodeStore.create(tmp_path, contract)
    assert [entry.name for entry in tmp_path.iterdir()] == ["precious.txt"]
    (tmp_path / "empty").mkdir()
    assert len(EpisodeStore.create(tmp_path / "empty", contract)) == 0


@pytest.mark.parametrize("name", ["store.json", "contract.json"])
def test_a_store_without_its_description_is_told_apart(contract, store_path, name) -> None:
    EpisodeStore.create(store_path, contract)
    (store_path / name).unlink()
    with pytest.raises(NotAStore, match=name):
        EpisodeStore.open(store_path)


def test_a_missing_folder_is_no_store(tmp_path) -> None:
    with pytest.raises(NotAStore, match="ashore collect"):
        EpisodeStore.open(tmp_path / "nowhere")


def test_an_index_outside_names_the_valid_ones(contract, make_episode, store_path) -> None:
    store = EpisodeStore.create(store_path, contract)
    with pytest.raises(NoSuchEpisode, match="empty"):
        store.read(0)
    store.append(make_episode())
    with pytest.raises(NoSuchEpisode, match="Valid: 0"):
        store.read(1)


def test_a_readonly_store_takes_no_lock_and_refuses_to_write(contract, make_episode, store_path) -> None:
    with EpisodeStore.create(store_path, contract) as store, EpisodeStore.open(store_path, readonly=True) as reader:
        store.append(make_episode())
        with pytest.raises(ReadOnlyStore):
            reader.append(make_episode())
        with pytest.raises(ReadOnlyStore):
            reader.begin(make_episode().meta)
    assert len(EpisodeStore.open(store_path, readonly=True)) == 1


def test_a_damaged_episode_is_not_read(contract, make_episode, store_path) -> None:
    store = EpisodeStore.create(store_path, contract)
    store.append(make_episode())
    [file] = (store_path / "episodes").iterdir()
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(DamagedFile, match="SHA-256"):
        store.read(0)


@pytest.mark.parametrize("name", ["fsync", "rename"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_refusing_disk_is_a_clear_error_and_leaves_nothing_behind(
    contract, make_episode, store_path, monkeypatch, name, number
) -> None:
    store = EpisodeStore.create(store_path, contract)
    store.append(make_episode(0))
    before = sorted(store_path.rglob("*"))

    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, name, refuse)
        with pytest.raises(StorageFailed, match="committed episode is untouched"):
            store.append(make_episode(1))
    assert sorted(store_path.rglob("*")) == before
    assert store.append(make_episode(2)) == 1
    assert store.verify() == []


def test_recording_needs_nothing_but_numpy(tmp_path) -> None:
    """A robot's computer records without zarr, torch or a simulator."""
    heavy = ("zarr", "torch", "mujoco", "pybullet", "matplotlib")
    code = (
        f"import sys, ashore.datasets.store, ashore.datasets.windows; sys.exit(any(m in sys.modules for m in {heavy}))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False).returncode == 0


def test_a_full_disk_ends_a_recording_cleanly(contract, make_episode, store_path) -> None:
    """The file-size limit stands for the disk: the kernel itself refuses the bytes."""
    store = EpisodeStore.create(store_path, contract)
    store.append(make_episode(0))
    child = os.fork()
    if not child:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        try:
            store.append(make_episode(1, n_steps=5000))
        except StorageFailed as error:
            os._exit(7 if "file-size limit" in str(error) else 1)
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    again = EpisodeStore.open(store_path)
    assert again.verify() == []
    np.testing.assert_array_equal(again.read(0).time_s, make_episode(0).time_s)
