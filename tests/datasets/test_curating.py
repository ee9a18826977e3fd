"""Deletions and trims that can be undone, compacting that survives being killed, and stores made of stores."""

import hashlib
import os
from pathlib import Path

import pytest
from test_crash import kill_self_at, run_killed

from ashore.datasets import curating
from ashore.datasets.contract import Contract
from ashore.datasets.errors import ContractMismatch, InvalidEdit, InvalidSelection, NoSuchEpisode, StoreExists
from ashore.datasets.store import EpisodeStore

N_EPISODES, N_STEPS = 6, 8


@pytest.fixture
def store(store_path, contract, make_episode) -> EpisodeStore:
    made = EpisodeStore.create(store_path, contract)
    fill(made, make_episode)
    return made


def fill(store: EpisodeStore, make_episode) -> None:
    for seed in range(N_EPISODES):
        store.append(make_episode(seed, N_STEPS, created="2026-01-01T00:00:00+00:00"))


def content(path: Path) -> dict[int, str]:
    """What a store shows: {index: hash of its arrays}."""
    return {
        index: digest(EpisodeStore.open(path, readonly=True).read(index)) for index in EpisodeStore.open(path).indices
    }


def digest(episode) -> str:
    parts = [episode.time_s, *episode.observations.values(), *episode.actions.values(), episode.commands]
    return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()


def test_a_deleted_episode_is_gone_for_readers_and_back_after_undo_even_when_reopened(store, store_path) -> None:
    before = content(store_path)
    number = curating.delete(store, [1, 4], "ann", "the gripper slipped")
    again = EpisodeStore.open(store_path)
    assert again.indices == (0, 2, 3, 5)
    with pytest.raises(NoSuchEpisode, match=r"ann deleted it \(the gripper slipped\); undo edit 0"):
        again.read(4)
    curating.undo(again, number, "bob", "it did not")
    assert content(store_path) == before
    assert [(edit.kind, edit.who) for edit in EpisodeStore.open(store_path).edits.log] == [
        ("delete", "ann"),
        ("undo", "bob"),
    ]


def test_a_trim_is_counted_in_what_is_shown_and_undone_one_by_one(
    store, store_path, make_episode, require_equal
) -> None:
    first = curating.trim(store, 2, 1, 7, "ann", "idle")
    second = curating.trim(store, 2, 2, None, "ann", "still idle")
    shown = EpisodeStore.open(store_path).read(2)
    require_equal(shown, make_episode(2, N_STEPS).part(slice(3, 7)))
    curating.undo(store, first, "ann", "too much")
    require_equal(EpisodeStore.open(store_path).read(2), make_episode(2, N_STEPS).part(slice(3, 7)))
    curating.undo(store, second, "ann", "too much")
    require_equal(EpisodeStore.open(store_path).read(2), make_episode(2, N_STEPS))


def test_compact_makes_it_permanent_and_indices_stay(store, store_path, make_episode, require_equal) -> None:
    curating.delete(store, [0, 5], "ann", "failed")
    curating.trim(store, 3, 2, 6, "ann", "idle")
    undone = curating.delete(store, [1], "ann", "by mistake")
    curating.undo(store, undone, "ann", "sorry")
    size = sum(file.stat().st_size for file in (store_path / "episodes").iterdir())
    assert curating.compact(store, "ann", "space") == [0, 5]
    again = EpisodeStore.open(store_path)
    assert again.indices == (1, 2, 3, 4)
    require_equal(again.read(3), make_episode(3, N_STEPS).part(slice(2, 6)))
    require_equal(again.read(1), make_episode(1, N_STEPS))
    assert sum(file.stat().st_size for file in (store_path / "episodes").iterdir()) < size
    assert again.verify() == []
    assert again.append(make_episode(9)) == N_EPISODES
    with pytest.raises(InvalidEdit, match="compact made it permanent; edits that can be undone: none"):
        curating.undo(again, 0, "ann", "please")
    assert curating.compact(again, "ann", "again") == []


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (
            lambda s: curating.delete(s, [2, 77, -1], "ann", ""),
            ["episode 77: not in", "episode -1", "0 to 5", "why: empty"],
        ),
        (lambda s: curating.delete(s, [], "ann", "x"), ["none given"]),
        (lambda s: curating.trim(s, 1, 5, 5, "ann", "x"), ["0 <= start < stop <= 8"]),
        (lambda s: curating.trim(s, 1, 0, 9, " ", "x"), ["who: empty"]),
        (lambda s: curating.trim(s, 1, 0, None, "ann", "x"), ["nothing would be cut off"]),
        (lambda s: curating.trim(s, 8, 1, 2, "ann", "x"), ["episode 8: not in the store"]),
        (lambda s: curating.undo(s, 3, "ann", "x"), ["edit 3: there is no such edit", "can be undone: none"]),
        (lambda s: curating.compact(s, "ann", ""), ["why: empty"]),
    ],
)
def test_a_wrong_edit_is_refused_with_all_faults_and_changes_nothing(store, store_path, wrong, words) -> None:
    before = content(store_path)
    with pytest.raises(InvalidEdit) as caught:
        wrong(store)
    assert all(word in str(caught.value) for word in words)
    assert content(store_path) == before
    assert not EpisodeStore.open(store_path).edits.log


def test_deleting_twice_and_undoing_twice_are_refused(store) -> None:
    number = curating.delete(store, [1], "ann", "x")
    with pytest.raises(InvalidEdit, match="episode 1: deleted by edit 0; undo it first"):
        curating.delete(store, [1], "ann", "x")
    curating.undo(store, number, "ann", "x")
    with pytest.raises(InvalidEdit, match="edit 0: it was undone"):
        curating.undo(store, number, "ann", "x")
    with pytest.raises(InvalidEdit, match="edit 1: it is of kind 'undo'"):
        curating.undo(store, 1, "ann", "x")


@pytest.mark.parametrize("after", [False, True])
def test_killed_anywhere_in_compact_the_store_shows_the_same_and_recover_ends_it(
    contract, make_episode, tmp_path, after
) -> None:
    number, killed = 0, True
    while killed:
        number += 1
        path = tmp_path / str(number) / "store"
        store = EpisodeStore.create(path, contract)
        fill(store, make_episode)
        curating.delete(store, [0, 4], "ann", "x")
        curating.trim(store, 1, 2, 6, "ann", "x")
        curating.trim(store, 5, 1, 7, "ann", "x")
        before = content(path)

        def body(tell, path=path, number=number) -> None:
            store = EpisodeStore.open(path)
            kill_self_at(number, after=after)
            curating.compact(store, "ann", "x")
            tell(b"c")

        killed, _, _ = run_killed(body)
        assert content(path) == before
        opened = EpisodeStore.open(path)
        opened.recover()
        assert opened.verify() == []
        assert content(path) == before
        if any(edit.kind == "compact" for edit in opened.edits.log):
            assert len(list((path / "episodes").iterdir())) == 4
        assert opened.append(make_episode(9)) == N_EPISODES
    assert number > 20


@pytest.mark.parametrize("then", ["delete", "trim"])
def test_an_edit_after_a_killed_compact_does_not_stop_recover(contract, make_episode, tmp_path, then) -> None:
    path = tmp_path / "store"
    fill(EpisodeStore.create(path, contract), make_episode)
    curating.trim(EpisodeStore.open(path), 1, 2, 6, "ann", "x")

    def body(tell) -> None:
        store = EpisodeStore.open(path)
        store._finish_compacting = lambda: os.kill(os.getpid(), 9)
        curating.compact(store, "ann", "x")

    assert run_killed(body)[0]
    store = EpisodeStore.open(path)
    if then == "delete":
        curating.delete(store, [1], "ann", "x")
    else:
        curating.trim(store, 1, 1, None, "ann", "x")
    shown = content(path)
    store.recover()
    assert content(path) == shown
    assert EpisodeStore.open(path).verify() == []


def test_merge_joins_stores_of_one_contract_and_keeps_where_episodes_came_from(
    store, contract, make_episode, require_equal, tmp_path
) -> None:
    other = EpisodeStore.create(tmp_path / "other", contract)
    other.append(make_episode(50, origin="a bag"))
    curating.delete(store, [0], "ann", "x")
    assert curating.merge([store, other], tmp_path / "new" / "both") == N_EPISODES
    both = EpisodeStore.open(tmp_path / "new" / "both")
    assert both.verify() == []
    require_equal(both.read(0), make_episode(1, N_STEPS))
    assert both.read_meta(0).origin == "store, episode 1"
    assert both.read_meta(5).origin == "a bag"


def test_merge_names_the_fields_on_which_contracts_differ_and_leaves_nothing(store, contract, tmp_path) -> None:
    faster = Contract(contract.robot, contract.task, contract.observations, contract.actions, control_hz=50.0)
    other = EpisodeStore.create(tmp_path / "other", faster)
    with pytest.raises(ContractMismatch, match=r"control_hz: 50\.0 against 20\.0"):
        curating.merge([store, other], tmp_path / "both")
    with pytest.raises(InvalidSelection, match="given twice"):
        curating.merge([store, store], tmp_path / "both")
    with pytest.raises(StoreExists):
        curating.merge([store], tmp_path / "other")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "store"]


def test_split_takes_every_episode_once_and_the_same_seed_gives_the_same(store, tmp_path) -> None:
    shares = {"train": 0.5, "check": 0.3, "test": 0.2}
    parts = curating.split(store, shares, 7, tmp_path / "a")
    assert parts == curating.split(store, shares, 7, tmp_path / "b")
    assert sorted(index for part in parts.values() for index in part) == list(store.indices)
    assert {name: len(part) for name, part in parts.items()} == {"train": 3, "check": 2, "test": 1}
    seeds = [int(episode.meta.seed) for episode in EpisodeStore.open(tmp_path / "a" / "train")]
    assert tuple(seeds) == parts["train"]
    assert len({str(curating.divide(store.indices, shares, seed)) for seed in range(10)}) > 1


def test_a_wrong_split_is_refused_and_leaves_nothing(store, tmp_path) -> None:
    with pytest.raises(InvalidSelection) as caught:
        curating.split(store, {"../up": 0.5, "b": -1}, 0, tmp_path / "out")
    assert all(word in str(caught.value) for word in ("'../up'", "must be positive", "add up to -0.5"))
    with pytest.raises(InvalidSelection, match="is none"):
        curating.split(store, {"a": 0.99, "b": 0.01}, 0, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_a_copy_that_meets_damage_leaves_nothing(store, store_path, tmp_path) -> None:
    file = sorted((store_path / "episodes").iterdir())[3]
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    from ashore.datasets.errors import DamagedFile

    with pytest.raises(DamagedFile):
        curating.copy(store, [0, 3], tmp_path / "copy")
    with pytest.raises(InvalidSelection, match="episode 9"):
        curating.copy(store, [0, 9], tmp_path / "copy")
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
    assert curating.copy(store, [0, 2], tmp_path / "copy") == 2
