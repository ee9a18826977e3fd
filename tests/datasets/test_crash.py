"""Recorders killed at every system call that changes a file, and at random moments: nothing committed is lost."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import picture_cases
import pytest

from ashore.datasets.episode import EpisodeMeta
from ashore.datasets.errors import NotAStore
from ashore.datasets.store import EpisodeStore

N_STEPS = 4
CALLS = ("write", "fsync", "rename", "unlink", "ftruncate", "mkdir", "open")
META = EpisodeMeta(source="real", operator="killed", created="2026-01-01T00:00:00+00:00")


def record(path: Path, make_episode: Callable, contract, tell: Callable[[bytes], None], n_episodes: int) -> None:
    """Record episodes, appended and step by step in turn; tell each step and each commit once it is safe."""
    store = EpisodeStore.open(path) if path.exists() else EpisodeStore.create(path, contract)
    with store:
        for number in range(n_episodes):
            episode = make_episode(number, N_STEPS)
            if number % 2:
                store.append(episode)
            else:
                writer = store.begin(META)
                for i in range(N_STEPS):
                    observation = {name: value[i] for name, value in episode.observations.items()}
                    action = {name: value[i] for name, value in episode.actions.items()}
                    writer.add(observation, action, float(episode.time_s[i]), episode.commands[i])
                    tell(b"s")
                writer.commit(success=True)
            tell(b"c")


def run_killed(
    body: Callable[[Callable[[bytes], None]], None], kill_after_s: float | None = None
) -> tuple[bool, int, int]:
    """Run body in a child; return whether it was killed, and the commits and open steps that it had told."""
    reader, writer = os.pipe()
    write = os.write
    child = os.fork()
    if not child:
        try:
            body(lambda word: write(writer, word) and None)
        finally:
            os._exit(0)
    os.close(writer)
    if kill_after_s is not None:
        time.sleep(kill_after_s)
        os.kill(child, signal.SIGKILL)
    told = b""
    while part := os.read(reader, 65536):
        told += part
    os.close(reader)
    killed = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    return killed, told.count(b"c"), len(told) - told.rfind(b"c") - 1


def kill_self_at(number: int, *, after: bool) -> None:
    """Kill this process before or after the numbered system call that may change a file."""
    count = [0]

    def wrap(name: str) -> None:
        call = getattr(os, name)

        def counted(*args, **kwargs):
            count[0] += 1
            doomed = count[0] == number
            if doomed and not after:
                if name == "write":
                    call(args[0], bytes(args[1])[: len(args[1]) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            try:
                return call(*args, **kwargs)
            finally:
                if doomed:
                    os.kill(os.getpid(), signal.SIGKILL)

        setattr(os, name, counted)

    for name in CALLS:
        wrap(name)


def require_nothing_lost(path: Path, make_episode, require_equal, n_committed: int, n_open_steps: int) -> None:
    store = EpisodeStore.open(path)
    assert all("recorder died" in f.problem or f.where.endswith(".tmp") for f in store.verify())
    recovered = store.recover()
    assert store.verify() == []
    assert len(store) >= n_committed
    lengths = []
    for number, episode in enumerate(store):
        lengths.append(len(episode))
        require_equal(episode, make_episode(number, N_STEPS), n_steps=len(episode))
        assert episode.meta.truncated == (episode.meta.success is None and number % 2 == 0)
    assert lengths[:n_committed] == [N_STEPS] * n_committed
    assert sum(lengths[n_committed:]) >= n_open_steps
    assert len(lengths) <= n_committed + 1
    assert len(recovered) <= 1
    assert store.append(make_episode(99)) == len(lengths)


@pytest.mark.parametrize("after", [False, True])
def test_killed_at_any_system_call_nothing_committed_is_lost(
    contract, make_episode, require_equal, tmp_path, after
) -> None:
    number, killed = 0, True
    while killed:
        number += 1
        path = tmp_path / str(number) / "store"
        path.parent.mkdir()

        def body(tell, path=path, number=number) -> None:
            kill_self_at(number, after=after)
            record(path, make_episode, contract, tell, n_episodes=3)

        killed, n_committed, n_open_steps = run_killed(body)
        try:
            require_nothing_lost(path, make_episode, require_equal, n_committed, n_open_steps)
        except NotAStore:
            assert not path.exists()
            assert not n_committed
    assert number > 40
    assert n_committed == 3


@pytest.mark.parametrize("n_kills", [15, pytest.param(300, marks=pytest.mark.full)])
def test_killed_at_random_moments_nothing_committed_is_lost(
    contract, make_episode, require_equal, tmp_path, n_kills
) -> None:
    rng = np.random.default_rng(0)
    n_committed_in_all = 0
    for trial in range(n_kills):
        path = tmp_path / str(trial) / "store"
        EpisodeStore.create(path, contract)

        def body(tell, path=path) -> None:
            record(path, make_episode, contract, tell, n_episodes=10_000)

        killed, n_committed, n_open_steps = run_killed(body, kill_after_s=rng.uniform(0.0, 0.12))
        assert killed
        require_nothing_lost(path, make_episode, require_equal, n_committed, n_open_steps)
        n_committed_in_all += n_committed
    assert n_committed_in_all > 0


@pytest.mark.parametrize("after", [False, True])
def test_killed_at_any_system_call_no_picture_and_no_sample_is_lost(tmp_path, after) -> None:
    episode = picture_cases.make_episode()
    number, killed = 0, True
    while killed:
        number += 1
        path = tmp_path / str(number) / "store"
        store = EpisodeStore.create(path, picture_cases.CONTRACT)
        store.append(picture_cases.make_episode(1))

        def body(tell, path=path, number=number) -> None:
            kill_self_at(number, after=after)
            picture_cases.record(EpisodeStore.open(path), episode, tell).commit()
            tell(b"c")

        killed, n_committed, n_open_steps = run_killed(body)
        store = EpisodeStore.open(path)
        store.recover()
        assert store.verify() == []
        picture_cases.require_equal(store.read(0), picture_cases.make_episode(1))
        assert len(store) >= 1 + n_committed
        n_steps = len(store.read(1)) if len(store) > 1 else 0
        assert n_steps >= (len(episode) if n_committed else n_open_steps)
        if n_steps:
            for name, frames in store.read(1).images.items():
                assert frames.stack().tobytes() == episode.images[name].stack()[:n_steps].tobytes()
    assert number > 60
