import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr

from ashore.datasets.errors import StoreExists, UnknownName, UnreadableFile
from ashore.datasets.importers import import_episodes
from ashore.datasets.importers.pusht_contract import PUSHT_CONTRACT, keypoints_from_pose
from ashore.datasets.store import EpisodeStore
from ashore.datasets.windows import WindowSampler

DATA = Path(os.environ.get("ASHORE_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))
PUSHT = DATA / "pusht_human" / "pusht_cchi_v7_replay.zarr"


@pytest.fixture(scope="module")
def imported(tmp_path_factory) -> EpisodeStore:
    if not PUSHT.is_dir():
        pytest.skip(f"the human Push-T demonstrations are not at {PUSHT}; set ASHORE_DATA to the folder of pusht_human")
    out = tmp_path_factory.mktemp("pusht") / "store"
    assert import_episodes("diffusion-policy", PUSHT, out) == 206
    return EpisodeStore.open(out)


def test_the_human_demonstrations_arrive_bit_for_bit(imported) -> None:
    raw = {key: zarr.open_array(PUSHT / key, mode="r")[:] for key in ("data/state", "data/action", "data/keypoint")}
    names = ("agent_pos_px", "block_pos_px", "block_angle_rad")
    episodes = list(imported)
    state = np.concatenate([np.concatenate([e.observations[name] for name in names], axis=1) for e in episodes])
    assert state.shape == (25_650, 5)
    assert state.tobytes() == raw["data/state"].tobytes()
    assert np.concatenate([e.actions["agent_target_px"] for e in episodes]).tobytes() == raw["data/action"].tobytes()
    keypoints = np.concatenate([e.observations["block_keypoints_px"] for e in episodes])
    assert keypoints.tobytes() == raw["data/keypoint"].tobytes()
    ends = zarr.open_array(PUSHT / "meta/episode_ends", mode="r")[:]
    np.testing.assert_array_equal(np.cumsum([len(e) for e in episodes]), ends)
    assert {e.meta.source for e in episodes} == {"human"}


def test_the_import_is_sound_and_gives_the_published_number_of_windows(imported) -> None:
    assert imported.verify() == []
    assert imported.contract == PUSHT_CONTRACT
    assert len(WindowSampler([imported], 2, 16, 8)) == 24_208


def test_keypoints_follow_from_the_pose(imported) -> None:
    for episode in (imported.read(0), imported.read(100)):
        computed = keypoints_from_pose(episode.observations["block_pos_px"], episode.observations["block_angle_rad"])
        assert np.median(np.abs(computed - episode.observations["block_keypoints_px"])) < 0.05


@pytest.fixture
def buffer(tmp_path) -> Path:
    """A replay buffer of two made-up episodes, three and four steps long."""
    path = tmp_path / "buffer.zarr"
    rng = np.random.default_rng(0)
    for key, shape in (("data/state", (7, 5)), ("data/action", (7, 2)), ("data/keypoint", (7, 9, 2))):
        write(path, key, rng.random(shape).astype(np.float32))
    write(path, "meta/episode_ends", np.array([3, 7]))
    return path


def write(path: Path, key: str, value) -> None:
    shutil.rmtree(path / key, ignore_errors=True)
    chunks = (min(4, len(value)), *value.shape[1:])
    array = zarr.create_array(path / key, shape=value.shape, chunks=chunks, dtype=value.dtype, zarr_format=2)
    array[...] = value


def test_a_small_buffer_is_imported(buffer, tmp_path) -> None:
    heard = []
    assert import_episodes("diffusion-policy", buffer, tmp_path / "out", lambda *word: heard.append(word[:2])) == 2
    assert [len(episode) for episode in EpisodeStore.open(tmp_path / "out")] == [3, 4]
    assert heard == [(1, 2), (2, 2)]


def set_dtype(path: Path) -> None:
    metadata = json.loads((path / "data/state/.zarray").read_text())
    (path / "data/state/.zarray").write_text(json.dumps(metadata | {"dtype": "|O"}))


def set_codec(path: Path) -> None:
    metadata = json.loads((path / "data/state/.zarray").read_text())
    (path / "data/state/.zarray").write_text(json.dumps(metadata | {"compressor": {"id": "pickle"}}))


def poison(path: Path) -> None:
    array = zarr.open_array(path / "data/action", mode="r+")
    array[5, 0] = np.nan


FAULTS = [
    (lambda path: shutil.rmtree(path), ("data/state", ".zarray is missing")),
    (lambda path: shutil.rmtree(path / "data/keypoint"), ("data/keypoint", ".zarray is missing")),
    (lambda path: (path / "data/state/1.0").unlink(), ("data/state", "chunk 1.0 (from row 4) is missing")),
    (lambda path: (path / "data/state/1.0").write_bytes(b"x"), ("data/state",)),
    (lambda path: (path / "data/state/.zarray").write_text("{"), ("data/state", "Expecting")),
    (set_dtype, ("data/state", "'|O'", "not allowed")),
    (set_codec, ("data/state", "'pickle'", "not allowed")),
    (poison, ("data/action", "row 5 holds NaN")),
    (lambda path: write(path, "data/action", np.ones((7, 3), np.float32)), ("data/action", "(7, 3)", "(7, 2)")),
    (lambda path: write(path, "data/state", np.ones((7, 5))), ("data/state", "float64")),
    (lambda path: write(path, "meta/episode_ends", np.array([3, 3, 7])), ("meta/episode_ends", "row 1 is 3")),
    (lambda path: write(path, "meta/episode_ends", np.array([3, 6])), ("meta/episode_ends", "row 1 is 6", "7 steps")),
]


@pytest.mark.parametrize(("spoil", "words"), FAULTS)
def test_a_format_error_names_file_key_and_row(buffer, tmp_path, spoil, words) -> None:
    spoil(buffer)
    with pytest.raises(UnreadableFile) as caught:
        import_episodes("diffusion-policy", buffer, tmp_path / "out")
    for word in (str(buffer), *words):
        assert word in str(caught.value)
    assert sorted(entry.name for entry in tmp_path.iterdir() if entry != buffer) == []


def test_an_import_never_goes_over_something(buffer, tmp_path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious.txt").write_text("keep")
    with pytest.raises(StoreExists):
        import_episodes("diffusion-policy", buffer, tmp_path / "out")


def test_an_unknown_importer_is_told_the_valid_ones(tmp_path) -> None:
    with pytest.raises(UnknownName, match="Did you mean 'diffusion-policy'"):
        import_episodes("difusion-policy", tmp_path, tmp_path / "out")
