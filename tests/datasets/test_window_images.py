"""Windows with pictures: those of the definition, whatever is held, and never more memory than was allowed."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ashore.datasets.contract import Align, Contract, Feature, ImageFeature
from ashore.datasets.edits import Edit
from ashore.datasets.episode import Episode, EpisodeMeta
from ashore.datasets.errors import DamagedFile, FeatureMissing, InvalidBatch, NoActions, StorageFailed, UnknownName
from ashore.datasets.images import Frames
from ashore.datasets.store import EpisodeStore
from ashore.datasets.streams import Stream
from ashore.datasets.windows import Batch, WindowSampler

IMAGES = (
    ImageFeature("wrist", (8, 6, 3), "wrist_camera"),
    ImageFeature("depth", (4, 5), "wrist_camera", colour="depth", dtype="uint16", unit="mm", invalid=0.0),
)
FRAME_BYTES = 8 * 6 * 3 + 4 * 5 * 2
CONTRACT = Contract(
    "test/arm",
    "test/look",
    (Feature("pos_m", (2,), "m", "base"),),
    (Feature("target_m", (2,), "m", "base"),),
    10.0,
    IMAGES,
)
LENGTHS = (7, 1, 12)


def pictures(feature: ImageFeature, seed: int, count: int) -> np.ndarray:
    """Noise of a seed (count, *shape)."""
    rng = np.random.default_rng([seed, feature.size])
    return rng.integers(0, np.iinfo(feature.dtype).max, (count, *feature.shape), feature.dtype)


def make_episode(contract: Contract, seed: int, n_steps: int, without: str = "") -> Episode:
    """Make an episode whose frames are noise of its seed."""
    numbers = np.random.default_rng(seed).normal(size=(n_steps, 2)).astype(np.float32)
    frames = {f.name: Frames.of(f, pictures(f, seed, n_steps)) for f in contract.images if f.name != without}
    actions = {"target_m": numbers} if contract.actions else {}
    time_s = np.arange(n_steps) / 10.0
    return Episode(contract, {"pos_m": numbers}, actions, time_s, EpisodeMeta("real"), images=frames)


def fill_store(path: Path, contract: Contract = CONTRACT) -> EpisodeStore:
    """Make a store of three episodes."""
    store = EpisodeStore.create(path, contract)
    for seed, n_steps in enumerate(LENGTHS):
        store.append(make_episode(contract, seed, n_steps))
    return store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> EpisodeStore:
    """Three episodes that no test changes."""
    return fill_store(tmp_path_factory.mktemp("images") / "store")


def expected_images(feature: ImageFeature, horizons: tuple[int, int, int]) -> np.ndarray:
    """Build the frames (W, To, *shape) of all windows step by step, as the definition says."""
    obs_horizon, prediction_horizon, action_horizon = horizons
    windows = []
    for seed, n_steps in enumerate(LENGTHS):
        frames = pictures(feature, seed, n_steps)
        for start in range(-(obs_horizon - 1), n_steps - prediction_horizon + action_horizon):
            windows.append(frames[[min(max(start + i, 0), n_steps - 1) for i in range(obs_horizon)]])
    return np.array(windows)


@settings(max_examples=30)
@given(
    obs_horizon=st.integers(1, 4),
    action_horizon=st.integers(1, 4),
    spare=st.integers(0, 2),
    budget=st.integers(0, 25 * FRAME_BYTES),
    seed=st.integers(0, 9),
)
def test_pictures_are_those_of_the_definition_whatever_is_held(
    store, obs_horizon, action_horizon, spare, budget, seed
) -> None:
    horizons = (obs_horizon, obs_horizon - 1 + action_horizon + spare, action_horizon)
    sampler = WindowSampler([store], *horizons, images=("wrist", "depth"), memory_budget_bytes=budget)
    expected = {feature.name: expected_images(feature, horizons) for feature in IMAGES}
    for epoch in range(3):
        order = sampler.epoch(seed, epoch)
        for indices in (order[:5], order[5:], np.repeat(order[:2], 3)):
            batch = sampler.batch(indices)
            for name, images in batch.images.items():
                np.testing.assert_array_equal(images, expected[name][indices])
                assert images.dtype == expected[name].dtype
            np.testing.assert_array_equal(batch.obs, WindowSampler.batch(sampler, indices).obs)
    assert sampler.frames.held_bytes <= budget
    if budget >= sum(LENGTHS) * FRAME_BYTES and not spare:  # All fit, and a window shows each of them.
        assert sampler.frames.held_bytes == sum(LENGTHS) * FRAME_BYTES


def test_held_frames_are_not_read_again(tmp_path) -> None:
    sampler = WindowSampler([fill_store(tmp_path / "store")], 2, 4, 2, images=("wrist",))
    first = sampler.batch(np.arange(len(sampler)))
    for file in (tmp_path / "store" / "episodes").iterdir():
        file.unlink()
    again = sampler.batch(np.arange(len(sampler)))
    np.testing.assert_array_equal(first.images["wrist"], again.images["wrist"])


def test_only_the_images_asked_for_are_in_the_contract_and_the_batch(store) -> None:
    sampler = WindowSampler([store], 2, 4, 2, images=("depth",))
    assert sampler.contract == replace(CONTRACT, images=(IMAGES[1],))
    assert list(sampler.batch(np.arange(3)).images) == ["depth"]
    assert WindowSampler([store], 2, 4, 2).contract == CONTRACT.without_images()
    with pytest.raises(UnknownName, match="Did you mean 'wrist'"):
        WindowSampler([store], 2, 4, 2, images=("wirst",))


def test_stores_with_and_without_pictures_mix_where_none_are_asked_for(store, tmp_path) -> None:
    blind = fill_store(tmp_path / "blind", CONTRACT.without_images())
    sampler = WindowSampler([store, blind], 2, 4, 2)
    assert sampler.store_of.tolist() == [0, 0, 0, 1, 1, 1]
    assert sampler.index_of.tolist() == [0, 1, 2, 0, 1, 2]
    with pytest.raises(UnknownName, match="no image feature 'wrist'"):
        WindowSampler([store, blind], 2, 4, 2, images=("wrist",))


def test_a_batch_is_written_where_the_caller_says(store) -> None:
    sampler = WindowSampler([store], 2, 4, 2, images=("wrist", "depth"))
    out, indices = sampler.make_batch(6), np.array([3, 3, 0, 8, 9, 1])
    for array in (out.obs, out.actions, *out.images.values()):
        array.fill(7)
    written, plain = sampler.batch(indices, out), sampler.batch(indices)
    assert written is out
    for a, b in zip((out.obs, out.actions, *out.images.values()), (*plain[:2], *plain.images.values()), strict=True):
        np.testing.assert_array_equal(a, b)


BUFFERS: dict[str, Callable[[Batch], Batch]] = {
    "batch of 5": lambda out: Batch(out.obs[:5], out.actions[:5], {k: v[:5] for k, v in out.images.items()}),
    "dtype": lambda out: out._replace(obs=out.obs.astype(np.float64)),
    "no images": lambda out: out._replace(images={}),
    "not contiguous": lambda out: out._replace(actions=out.actions.repeat(2, axis=2)[..., ::2]),
}


@pytest.mark.parametrize("name", BUFFERS)
def test_a_buffer_that_does_not_fit_is_refused(store, name) -> None:
    sampler = WindowSampler([store], 2, 4, 2, images=("wrist",))
    with pytest.raises(InvalidBatch, match="buffer"):
        sampler.batch(np.arange(6), BUFFERS[name](sampler.make_batch(6)))


def test_trimmed_episodes_show_their_kept_frames(tmp_path) -> None:
    store = fill_store(tmp_path / "store")
    store.edit(Edit("trim", "me", "idle", (2,), start=3, stop=9))
    sampler = WindowSampler([store], 1, 1, 1, images=("wrist",))
    shown = sampler.batch(np.arange(8, 14)).images["wrist"][:, 0]
    np.testing.assert_array_equal(shown, pictures(IMAGES[0], 2, 12)[3:9])


def test_frames_of_a_slower_camera_are_shown_again_and_held_once(tmp_path) -> None:
    feature = replace(IMAGES[0], align=Align("hold"))
    contract = replace(CONTRACT, images=(feature,))
    frames = pictures(feature, 1, 3)
    times_s = np.array([0.0, 0.35, 0.6])
    numbers = np.zeros((8, 2), np.float32)
    stream = Stream(Frames.of(feature, frames), times_s, times_s)
    with EpisodeStore.create(tmp_path / "store", contract) as store:
        store.append(
            Episode(
                contract,
                {"pos_m": numbers},
                {"target_m": numbers},
                np.arange(8) / 10.0,
                EpisodeMeta("real"),
                streams={"wrist": stream},
            )
        )
    sampler = WindowSampler([store], 1, 1, 1, images=("wrist",))
    shown = sampler.batch(np.arange(8)).images["wrist"][:, 0]
    np.testing.assert_array_equal(shown, frames[[0, 0, 0, 0, 1, 1, 2, 2]])
    assert sampler.frames.held_bytes == 3 * feature.size


def test_an_optional_feature_that_an_episode_lacks_is_named_with_the_episode(tmp_path) -> None:
    contract = replace(CONTRACT, images=(replace(IMAGES[0], optional=True),))
    with EpisodeStore.create(tmp_path / "store", contract) as store:
        store.append(make_episode(contract, 0, 9))
        store.append(make_episode(contract, 1, 9, without="wrist"))
    assert len(WindowSampler([store], 2, 4, 2).episode_ends) == 2
    with pytest.raises(FeatureMissing, match=r"episode 1 of .*store lacks the optional feature 'wrist'.*Filter"):
        WindowSampler([store], 2, 4, 2, images=("wrist",))


def test_a_reference_set_has_no_windows(tmp_path) -> None:
    store = fill_store(tmp_path / "store", replace(CONTRACT, actions=()))
    with pytest.raises(NoActions, match="lists no actions"):
        WindowSampler([store], 2, 4, 2)


def test_frames_that_are_damaged_or_gone_later_are_told(tmp_path) -> None:
    sampler = WindowSampler([fill_store(tmp_path / "store")], 1, 1, 1, images=("wrist",), memory_budget_bytes=0)
    file = sorted((tmp_path / "store" / "episodes").iterdir())[0]
    data = file.read_bytes()
    file.write_bytes(data.replace(b"IHDR", b"JHDR"))
    with pytest.raises(DamagedFile, match="000000"):
        sampler.batch(np.arange(3))
    sorted((tmp_path / "store" / "episodes").iterdir())[2].unlink()
    with pytest.raises(StorageFailed, match="read a frame"):
        sampler.batch(np.arange(8, 12))


def test_a_camera_without_observations_can_be_learnt_from(tmp_path) -> None:
    contract = replace(CONTRACT, observations=())
    with EpisodeStore.create(tmp_path / "store", contract) as store:
        store.append(replace(make_episode(CONTRACT, 0, 9), contract=contract, observations={}))
    batch = WindowSampler([store], 2, 4, 2, images=("wrist",)).batch(np.arange(3))
    assert batch.obs.shape == (3, 2, 0)
    assert batch.images["wrist"].shape == (3, 2, 8, 6, 3)


BUDGET, SIDE, N_FRAMES = 24 * 2**20, 128, 1200
MEASURE = f"""
import sys
from pathlib import Path
import numpy as np
from ashore.datasets.batch_loader import BatchLoader
from ashore.datasets.store import EpisodeStore
from ashore.datasets.windows import WindowSampler

def peak_bytes():
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return 1024 * int(line.split()[1])

store = EpisodeStore.open(sys.argv[1], readonly=True)
warm = WindowSampler([store], 2, 4, 2, images=("wrist",), memory_budget_bytes=0)
warm.batch(np.arange(16))
before = peak_bytes()
sampler = WindowSampler([store], 2, 4, 2, images=("wrist",), memory_budget_bytes={BUDGET})
loader = BatchLoader(sampler, 16, 0)
for _ in range(2):
    for batch in loader:
        pass
sys.stdout.write(str(peak_bytes() - before) + " " + str(sampler.frames.held_bytes))
"""


def test_memory_stays_within_the_budget_on_a_store_that_is_larger(tmp_path) -> None:
    """The store's frames take 59 MB decoded; the budget is 25 MB, and a batch of 1.6 MB lies in memory five times."""
    feature = ImageFeature("wrist", (SIDE, SIDE, 3), "wrist_camera")
    contract = replace(CONTRACT, images=(feature,))
    frames = Frames.of(feature, pictures(feature, 0, 4))
    numbers = np.zeros((N_FRAMES // 4, 2), np.float32)
    path = tmp_path / "store"
    with EpisodeStore.create(path, contract) as store:
        for seed in range(4):
            shown = {"wrist": frames.take(np.arange(len(numbers)) % 4)}
            meta, time_s = EpisodeMeta("real", seed=seed), np.arange(len(numbers)) / 10.0
            store.append(Episode(contract, {"pos_m": numbers}, {"target_m": numbers}, time_s, meta, images=shown))
    found: Any = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True, check=True, env=os.environ
    )
    grown, held = map(int, found.stdout.split())
    decoded = N_FRAMES * SIDE * SIDE * 3
    assert decoded > 2 * BUDGET
    assert BUDGET - SIDE * SIDE * 3 < held <= BUDGET
    assert held * 0.9 < grown < BUDGET + 16 * 2**20
