"""Each fault of data, planted in one episode of a sound store, is found there and nowhere else."""

from dataclasses import replace

import numpy as np
import pytest

from ashore.datasets.contract import Align, Contract, Feature, ImageFeature
from ashore.datasets.episode import Episode, EpisodeMeta
from ashore.datasets.examination import KINDS, examine
from ashore.datasets.images import Frames
from ashore.datasets.stillness import sliding_spread, stretches
from ashore.datasets.store import EpisodeStore
from ashore.datasets.streams import Stream

HZ, N_STEPS, N_EPISODES = 20.0, 80, 7
CONTRACT = Contract(
    "test/arm",
    "test/look",
    (
        Feature("pos_m", (3,), "m", "base", ("x", "y", "z"), low=(-2.0,) * 3, high=(2.0,) * 3),
        Feature("goal_m", (2,), "m", "base"),
        Feature("force_n", (1,), "N", "tcp", align=Align("hold", max_age_s=0.1)),
    ),
    (
        Feature("go_m_s", (2,), "m/s", "base", ("x", "y"), low=(-1.0, -1.0), high=(1.0, 1.0)),
        Feature("grip", (), "1", "none", low=(0.0,), high=(1.0,)),
    ),
    HZ,
    images=(ImageFeature("cam", (6, 6, 3), "cam"),),
)


def make(seed: int) -> Episode:
    rng = np.random.default_rng(seed)
    time_s = np.arange(N_STEPS) / HZ
    phase = rng.uniform(0, 6, 3)
    pos_m = np.sin(2 * time_s[:, None] + phase).astype(np.float32)
    capture_s = np.arange(-0.1, N_STEPS / HZ, 0.02)
    return Episode(
        CONTRACT,
        {"pos_m": pos_m, "goal_m": np.tile(rng.normal(size=2), (N_STEPS, 1)).astype(np.float32)},
        {
            "go_m_s": (0.8 * np.cos(2 * time_s[:, None] + phase[:2])).astype(np.float32),
            "grip": (time_s > 2).astype(np.float32),
        },
        time_s,
        EpisodeMeta("real"),
        images={"cam": Frames.of(CONTRACT.images[0], rng.integers(0, 255, (N_STEPS, 6, 6, 3), np.uint8))},
        streams={
            "force_n": Stream(rng.normal(size=(len(capture_s), 1)).astype(np.float32), capture_s, capture_s + 0.005)
        },
    )


def changed(episode: Episode, group: str, name: str, change) -> Episode:
    values = getattr(episode, group)[name].copy()
    change(values)
    return replace(episode, **{group: {**getattr(episode, group), name: values}})


def gap(episode: Episode) -> Episode:
    time_s = episode.time_s.copy()
    time_s[40:] += 0.2
    capture_s = np.arange(-0.1, time_s[-1], 0.02)
    force_n = np.random.default_rng(0).normal(size=(len(capture_s), 1)).astype(np.float32)
    return replace(episode, time_s=time_s, streams={"force_n": Stream(force_n, capture_s, capture_s + 0.005)})


def still(episode: Episode) -> Episode:
    actions = {name: value.copy() for name, value in episode.actions.items()}
    observations = {name: value.copy() for name, value in episode.observations.items()}
    observations["force_n"][:] = 1
    for value in (*actions.values(), *observations.values()):
        value[10:50] = value[10]
    force = episode.streams["force_n"]
    values = np.where(force.capture_s[:, None] < 3, 0, force.values).astype(np.float32)
    return replace(
        episode, actions=actions, observations=observations, streams={"force_n": replace(force, values=values)}
    )


def late(episode: Episode) -> Episode:
    force = episode.streams["force_n"]
    receive_s = force.receive_s.copy()
    receive_s[100:140] = receive_s[140]
    return replace(episode, streams={"force_n": replace(force, receive_s=receive_s)})


def stuck(episode: Episode) -> Episode:
    frames = episode.images["cam"]
    entries = np.arange(N_STEPS)
    entries[20:30] = 20
    return replace(episode, images={"cam": frames.take(entries)})


PLANTED = {
    "duplicate": (lambda e: make(0), "holds the same data as episode 0"),
    "frozen": (
        lambda e: changed(e, "observations", "pos_m", lambda v: v[:, 1].fill(0.5)),
        "pos_m elements 1 never changes",
    ),
    "time": (gap, "1 time(s) a gap between steps, at worst 0.25 s; expected 0.05 s"),
    "stale": (late, "force_n is older than 0.1 s"),
    "saturated": (
        lambda e: changed(e, "actions", "go_m_s", lambda v: v[:30, 0].fill(1.0)),
        "go_m_s (x) lies at its high limit in 38% of the steps",
    ),
    "idle": (still, "nothing moves for 2.0"),
    "short": (lambda e: e.part(slice(0, 20)), "has 20 step(s), the median is 80"),
    "limits": (
        lambda e: changed(e, "observations", "pos_m", lambda v: v[7:9, 2].fill(2.5)),
        "pos_m (z) lies above its limit in 2 step(s), as far as 2.5 m",
    ),
    "frames": (stuck, "cam repeats a frame while something moves, 1 time(s), up to 10 in a row"),
}


def store_of(path, episodes) -> EpisodeStore:
    store = EpisodeStore.create(path, CONTRACT)
    for episode in episodes:
        store.append(episode)
    return store


def test_a_sound_store_has_no_findings(store_path) -> None:
    found = examine(store_of(store_path, [make(seed) for seed in range(N_EPISODES)]))
    assert found.findings == ()
    assert found.lengths == dict.fromkeys(range(N_EPISODES), N_STEPS)


@pytest.mark.parametrize("kind", PLANTED)
def test_a_planted_fault_is_found_where_it_is_and_nowhere_else(kind, store_path) -> None:
    spoil, words = PLANTED[kind]
    episodes = [make(seed) for seed in range(N_EPISODES)]
    episodes[3] = spoil(episodes[3])
    found = examine(store_of(store_path, episodes))
    assert {(finding.kind, finding.episode) for finding in found.findings} == {(kind, 3)}
    assert words in str(found.findings[0])
    assert found.findings[0].advice in str(found.findings[0])


def test_every_kind_is_planted_once() -> None:
    assert set(PLANTED) == set(KINDS)


def test_where_the_fault_is_told_to_the_step(store_path) -> None:
    episodes = [make(seed) for seed in range(N_EPISODES)]
    episodes[1] = PLANTED["limits"][0](episodes[1])
    episodes[2] = stuck(episodes[2])
    episodes[4] = gap(episodes[4])
    found = {finding.kind: finding for finding in examine(store_of(store_path, episodes)).findings}
    assert (found["limits"].first_step, found["limits"].last_step) == (7, 8)
    assert (found["frames"].first_step, found["frames"].last_step) == (20, 29)
    assert (found["time"].first_step, found["time"].last_step) == (39, 40)


def test_deleting_what_was_found_mends_the_store(store_path) -> None:
    from ashore.datasets.curating import delete

    store = store_of(store_path, [make(0), make(1), make(0)])
    assert [finding.episode for finding in examine(store).findings] == [2]
    delete(store, [2], "ann", "twice")
    assert examine(store).findings == ()


def test_an_episode_of_one_step_and_an_empty_store_are_examined(store_path) -> None:
    store = EpisodeStore.create(store_path, CONTRACT)
    assert examine(store).findings == ()
    store.append(make(0).part(slice(0, 1)))
    assert examine(store).findings == ()


@pytest.mark.parametrize("n_window", [1, 2, 3, 7, 20])
def test_the_sliding_spread_is_that_of_each_window(n_window) -> None:
    values = np.random.default_rng(0).normal(size=(20, 3))
    expected = [np.ptp(values[start : start + n_window], axis=0) for start in range(21 - n_window)]
    np.testing.assert_array_equal(sliding_spread(values, n_window), expected)
    assert len(sliding_spread(values, 21)) == 0


def test_stretches_are_runs_of_true() -> None:
    assert stretches(np.array([1, 1, 0, 1, 0, 0, 1], bool)) == [(0, 1), (3, 3), (6, 6)]
    assert stretches(np.zeros(3, bool)) == []
