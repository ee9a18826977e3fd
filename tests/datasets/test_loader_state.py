"""A loader goes on where another stopped, bit for bit, and leaves nothing running behind."""

import json
import threading
import time
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ashore.datasets.batch_loader import BatchLoader, LoaderState
from ashore.datasets.contract import ImageFeature
from ashore.datasets.errors import InvalidBatch
from ashore.datasets.images import Frames
from ashore.datasets.store import EpisodeStore
from ashore.datasets.weights import Shares
from ashore.datasets.windows import Batch, WindowSampler

CAMERA = ImageFeature("camera", (6, 5, 3), "camera")
N_STEPS = 20


@pytest.fixture(scope="module")
def sampler(contract, make_episode, tmp_path_factory) -> WindowSampler:
    """40 windows of two episodes with a camera; half of its frames fit into memory."""
    seeing = replace(contract, images=(CAMERA,))
    rng = np.random.default_rng(0)
    with EpisodeStore.create(tmp_path_factory.mktemp("loader") / "store", seeing) as store:
        for seed in range(2):
            images = {"camera": Frames.of(CAMERA, rng.integers(0, 255, (N_STEPS, *CAMERA.shape), np.uint8))}
            store.append(replace(make_episode(seed, N_STEPS), contract=seeing, images=images))
    return WindowSampler([store], 2, 4, 3, images=["camera"], memory_budget_bytes=N_STEPS * CAMERA.size)


def fingerprint(batch: Batch) -> bytes:
    """All bits of a batch."""
    return b"".join(array.tobytes() for array in (batch.obs, batch.actions, *batch.images.values()))


def take(loader: BatchLoader, count: int) -> list[bytes]:
    """Give the next batches, over the ends of epochs."""
    found: list[bytes] = []
    while len(found) < count:
        for batch in loader:
            found.append(fingerprint(batch))
            if len(found) == count:
                break
    return found


@settings(max_examples=30)
@given(
    batch_size=st.integers(1, 40),
    n_before=st.integers(0, 12),
    n_after=st.integers(1, 6),
    prefetch=st.integers(0, 3),
    seed=st.integers(0, 5),
)
def test_a_resumed_loader_gives_the_same_bits(sampler, batch_size, n_before, n_after, prefetch, seed) -> None:
    through = BatchLoader(sampler, batch_size, seed, prefetch=prefetch)
    expected = take(through, n_before + n_after)
    stopped = BatchLoader(sampler, batch_size, seed)
    assert take(stopped, n_before) == expected[:n_before]
    state = LoaderState(**json.loads(json.dumps(asdict(stopped.state))))
    resumed = BatchLoader(sampler, batch_size, seed, state=state)
    assert take(resumed, n_after) == expected[n_before:]
    assert resumed.state == through.state
    per_epoch = len(sampler) // batch_size
    epoch, place = divmod(n_before + n_after, per_epoch)
    assert resumed.state == LoaderState(epoch, place * batch_size)


def test_an_epoch_is_the_samplers_order_in_whole_batches(sampler) -> None:
    order = sampler.epoch(3, 0)
    batches = list(BatchLoader(sampler, 10, 3))
    assert len(batches) == len(sampler) // 10
    for number, batch in enumerate(batches):
        expected = sampler.batch(order[10 * number : 10 * number + 10])
        assert fingerprint(batch) == fingerprint(expected)


def test_weighted_epochs_resume_as_well(contract, make_episode, tmp_path) -> None:
    stores = []
    for name in "ab":
        stores.append(EpisodeStore.create(tmp_path / name, contract))
        stores[-1].append(make_episode(ord(name), 30))
    sampler = WindowSampler(stores, 2, 4, 3, weights=Shares((1, 4)))
    expected = take(BatchLoader(sampler, 8, 0), 9)
    state = LoaderState(0, 24)
    assert take(BatchLoader(sampler, 8, 0, state=state), 6) == expected[3:]


def test_buffers_are_written_in_turn(sampler) -> None:
    buffers = [sampler.make_batch(8) for _ in range(3)]
    expected = take(BatchLoader(sampler, 8, 1), 5)
    seen = []
    for number, batch in enumerate(BatchLoader(sampler, 8, 1, buffers=buffers)):
        assert batch is buffers[number % 3]
        time.sleep(0.005)  # Time for the background to overwrite it, if it did.
        seen.append(fingerprint(batch))
    assert seen == expected


def test_no_thread_is_left_after_break_fault_or_interrupt(sampler) -> None:
    def leave(how: str) -> None:
        for _ in BatchLoader(sampler, 4, 0):
            if how == "break":
                return
            raise {"fault": ZeroDivisionError, "interrupt": KeyboardInterrupt}[how]

    for how, error in (("fault", ZeroDivisionError), ("interrupt", KeyboardInterrupt)):
        with pytest.raises(error):
            leave(how)
    leave("break")
    assert [thread.name for thread in threading.enumerate() if "ashore-batches" in thread.name] == []


def test_a_fault_in_the_background_reaches_the_loop_at_its_batch(sampler, monkeypatch) -> None:
    gather, calls = sampler.batch, []

    def failing(indices: np.ndarray, out: Batch | None = None) -> Batch:
        calls.append(len(indices))
        if len(calls) == 3:
            raise OSError("the disk is gone")
        return gather(indices, out)

    monkeypatch.setattr(sampler, "batch", failing)
    loader, n_given = BatchLoader(sampler, 4, 0), 0
    with pytest.raises(OSError, match="the disk is gone"):
        for _ in loader:
            n_given += 1
    assert n_given == 2
    assert loader.state == LoaderState(0, 8)


def test_only_the_batches_that_are_allowed_lie_ready(sampler, monkeypatch) -> None:
    gather, n_gathered = sampler.batch, 0

    def counting(indices: np.ndarray, out: Batch | None = None) -> Batch:
        nonlocal n_gathered
        n_gathered += 1
        return gather(indices, out)

    monkeypatch.setattr(sampler, "batch", counting)
    for n_given, _ in enumerate(BatchLoader(sampler, 4, 0, prefetch=2), 1):
        time.sleep(0.01)
        assert n_gathered <= n_given + 2


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"batch_size": 0}, "0 windows in a batch"),
        ({"batch_size": 1000}, "1 to 40"),
        ({"batch_size": 8, "prefetch": -1}, "prefetch -1"),
        ({"batch_size": 8, "state": LoaderState(0, 99)}, "position from 0 to 40"),
        ({"batch_size": 8, "state": LoaderState(-1, 0)}, "epoch=-1"),
    ],
)
def test_what_cannot_be_given_is_refused(sampler, options, told) -> None:
    with pytest.raises(InvalidBatch, match=told):
        BatchLoader(sampler, seed=0, **options)
    with pytest.raises(InvalidBatch, match="2 buffers"):
        BatchLoader(sampler, 4, 0, buffers=[sampler.make_batch(4)] * 2)
