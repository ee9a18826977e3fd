import json
import os
import shutil
import stat
import zipfile
from dataclasses import replace
from pathlib import Path

import numcodecs
import numpy as np
import pytest
import zarr

from ashore.datasets.contract import Contract, Feature, ImageFeature
from ashore.datasets.episode import Episode, EpisodeMeta
from ashore.datasets.errors import CannotExport, StoreExists, UnknownName, UnreadableFile
from ashore.datasets.formats import export_episodes, import_episodes
from ashore.datasets.formats.diffusion_policy import read
from ashore.datasets.formats.pusht_contract import PUSHT_CAMERA, PUSHT_CONTRACT, keypoints_from_pose
from ashore.datasets.images import Frames
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


def test_the_pictures_arrive_bit_for_bit(imported) -> None:
    raw = zarr.open_array(PUSHT / "data/img", mode="r")
    ends = np.cumsum([len(episode) for episode in imported])
    for index in (0, 100, 205):
        begin, end = ends[index] - len(imported.read(index)), ends[index]
        pictures = imported.read(index).images["camera"].stack()
        np.testing.assert_array_equal(pictures, raw[begin:end])


def test_the_import_is_sound_and_gives_the_published_number_of_windows(imported) -> None:
    assert imported.verify() == []
    assert imported.contract == replace(PUSHT_CONTRACT, images=(PUSHT_CAMERA,))
    assert imported.contract.without_images() == PUSHT_CONTRACT
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


def write(path: Path, key: str, value, chunks=None, codec="auto", order="C") -> None:
    shutil.rmtree(path / key, ignore_errors=True)
    chunks = chunks or (min(4, len(value)), *value.shape[1:])
    form = {"chunks": chunks, "dtype": value.dtype, "zarr_format": 2, "compressors": codec, "order": order}
    zarr.create_array(path / key, shape=value.shape, **form)[...] = value


def test_a_small_buffer_is_imported(buffer, tmp_path) -> None:
    heard = []
    assert (
        import_episodes("diffusion-policy", buffer, tmp_path / "out", progress=lambda *word: heard.append(word[:2]))
        == 2
    )
    assert [len(episode) for episode in EpisodeStore.open(tmp_path / "out")] == [3, 4]
    assert heard == [(1, 2), (2, 2)]


def set_metadata(path: Path, **values) -> None:
    metadata = json.loads((path / "data/state/.zarray").read_text())
    (path / "data/state/.zarray").write_text(json.dumps(metadata | values))


def poison(path: Path) -> None:
    array = zarr.open_array(path / "data/action", mode="r+")
    array[5, 0] = np.nan


FAULTS = [
    (lambda path: shutil.rmtree(path), ("meta/episode_ends", ".zarray is missing")),
    (lambda path: (path / "data/keypoint/.zarray").unlink(), ("data/keypoint", ".zarray is missing")),
    (lambda path: shutil.rmtree(path / "data/keypoint"), ("control_hz", "for want of data/keypoint", "--mapping")),
    (lambda path: (path / "data/state/1.0").unlink(), ("data/state", "chunk 1.0 (from row 4) is missing")),
    (lambda path: (path / "data/state/1.0").write_bytes(b"x"), ("data/state",)),
    (lambda path: (path / "data/state/.zarray").write_text("{"), ("data/state", "Expecting")),
    (lambda path: set_metadata(path, dtype="|O"), ("data/state", "'|O'", "not allowed")),
    (lambda path: set_metadata(path, compressor={"id": "pickle"}), ("data/state", "'pickle'", "not allowed")),
    (poison, ("data/action", "row 5 holds NaN")),
    (lambda path: write(path, "data/action", np.ones((7, 3), np.float32)), ("data/action", "(7, 3)", "(7, 2)")),
    (lambda path: write(path, "data/state", np.ones((7, 5))), ("data/state", "float64")),
    (lambda path: write(path, "meta/episode_ends", np.array([3, 3, 7])), ("meta/episode_ends", "row 1 is 3")),
    (lambda path: write(path, "meta/episode_ends", np.array([3, 6])), ("meta/episode_ends", "row 1 is 6", "7 steps")),
    (lambda path: write(path, "meta/episode_ends", np.array([0, 7])), ("meta/episode_ends", "row 0 is 0")),
    (lambda path: write(path, "meta/episode_ends", np.array([3.0, 7.0])), ("meta/episode_ends", "float64")),
    (lambda path: write(path, "data/keypoint", np.ones((6, 9, 2), np.float32)), ("data/keypoint", "6 rows")),
    (lambda path: write(path, "data/img", pictures(0.5)), ("data/img", "row 0", "whole number from 0 to 255")),
    (lambda path: write(path, "data/img", pictures(-1.0)), ("data/img", "row 0", "whole number from 0 to 255")),
    (lambda path: write(path, "data/img", pictures(np.nan)), ("data/img", "row 0", "whole number from 0 to 255")),
    (lambda path: set_metadata(path, chunks=[1 << 40, 5]), ("data/state", "when decoded", "at most")),
    (lambda path: set_metadata(path, shape=[1 << 40, 5]), ("data/state", "chunk 2.0 (from row 8) is missing")),
    (lambda path: set_metadata(path, shape="seven"), ("data/state", "'seven'", "whole numbers")),
    (lambda path: set_metadata(path, zarr_format=3), ("data/state", "zarr_format 3")),
    (lambda path: set_metadata(path, filters=[{"id": "delta"}]), ("data/state", "filters")),
    (lambda path: set_metadata(path, chunks=[5, 5]), ("data/state", "chunk 0.0 (from row 0) is damaged")),
    (lambda path: link(path / "data/state/1.0"), ("data/state", "data/state/1.0 is a link")),
    (lambda path: link(path / "data/state"), ("data/state", "data/state is a link")),
]


def pictures(value: float):
    return np.full((7, 96, 96, 3), value, np.float32)


def link(path: Path) -> None:
    aside = next(parent for parent in path.parents if parent.suffix == ".zarr") / "aside"
    path.rename(aside)
    path.symlink_to(aside)


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


CODECS = {
    "none": None,
    "blosc": numcodecs.Blosc("lz4"),
    "zstd": numcodecs.Zstd(3),
    "lz4": numcodecs.LZ4(),
    "zlib": numcodecs.Zlib(3),
    "gzip": numcodecs.GZip(3),
}


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
@pytest.mark.parametrize("order", ["C", "F"])
def test_each_codec_and_order_is_read_and_its_damage_found(buffer, codec, order) -> None:
    state = np.random.default_rng(1).random((7, 5)).astype(np.float32)
    write(buffer, "data/state", state, chunks=(3, 2), codec=codec, order=order)
    assert [e.observations["agent_pos_px"].tolist() for e in read(buffer).episodes] == [
        state[:3, :2].tolist(),
        state[3:, :2].tolist(),
    ]
    chunk = buffer / "data/state/1.1"
    whole = chunk.read_bytes()
    for spoilt in (
        whole[: len(whole) // 2],
        b"",
        whole[:1],
        whole + whole if codec is None else bytes(len(whole)),
    ):
        chunk.write_bytes(spoilt)
        with pytest.raises(UnreadableFile, match=r"data/state: chunk 1\.1 \(from row 3\) is damaged"):
            list(read(buffer).episodes)


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
@pytest.mark.parametrize("n_bytes", [4, 1 << 26])
def test_a_chunk_of_another_size_than_declared_is_refused(buffer, codec, n_bytes) -> None:
    data = bytes(n_bytes)
    (buffer / "data/state/.zarray").unlink()
    write(buffer, "data/state", np.ones((7, 5), np.float32), codec=codec)
    (buffer / "data/state/0.0").write_bytes(data if codec is None else codec.encode(data))
    with pytest.raises(UnreadableFile, match=r"chunk 0\.0 .* is damaged"):
        list(read(buffer).episodes)


def zipped(folder: Path, path: Path, prefix: str = "") -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for entry in sorted(folder.rglob("*")):
            if entry.is_file():
                file.write(entry, prefix + str(entry.relative_to(folder)))
    return path


@pytest.mark.parametrize("prefix", ["", "buffer.zarr/"])
def test_a_zip_holds_the_same(buffer, tmp_path, prefix) -> None:
    path = zipped(buffer, tmp_path / "buffer.zarr.zip", prefix)
    for ours, theirs in zip(read(path).episodes, read(buffer).episodes, strict=True):
        assert {name: value.tobytes() for name, value in ours.observations.items()} == {
            name: value.tobytes() for name, value in theirs.observations.items()
        }


def add_link(file: zipfile.ZipFile) -> None:
    entry = zipfile.ZipInfo("data/link")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    file.writestr(entry, "/etc/passwd")


def add_twice(file: zipfile.ZipFile) -> None:
    with pytest.warns(UserWarning, match="Duplicate"):
        file.writestr("data/state/0.0", b"x")


HOSTILE = [
    (lambda file: file.writestr("../evil", b"x"), "leads out of the zip"),
    (lambda file: file.writestr("/etc/evil", b"x"), "leads out of the zip"),
    (add_link, "'data/link' is a link"),
    (add_twice, "comes twice"),
    (lambda file: file.writestr("data/extra/.zarray", bytes(1 << 21)), "has 2097152 bytes, expected at most"),
]


@pytest.mark.parametrize(("spoil", "words"), HOSTILE)
def test_a_hostile_zip_is_refused(buffer, tmp_path, spoil, words) -> None:
    path = zipped(buffer, tmp_path / "buffer.zip")
    with zipfile.ZipFile(path, "a") as file:
        spoil(file)
    with pytest.raises(UnreadableFile, match=words):
        import_episodes("diffusion-policy", path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_truncated_zip_is_refused(buffer, tmp_path) -> None:
    path = zipped(buffer, tmp_path / "buffer.zip")
    whole = path.read_bytes()
    for n_bytes in (0, 30, len(whole) // 2, len(whole) - 10):
        path.write_bytes(whole[:n_bytes])
        with pytest.raises(UnreadableFile):
            list(read(path).episodes)


def test_any_buffer_is_read_with_a_mapping(tmp_path) -> None:
    path, rng = tmp_path / "buffer.zarr", np.random.default_rng(0)
    values = {
        "data/eef_pos": rng.random((7, 3)),
        "data/gripper": rng.integers(0, 9, 7).astype(np.int32),
        "data/action": rng.random((7, 2)).astype(np.float32),
        "data/front": rng.integers(0, 256, (7, 12, 16, 3)).astype(np.uint8),
        "data/wrist": rng.integers(0, 256, (7, 8, 8, 3)).astype(np.float64),
        "meta/episode_ends": np.array([2, 7]),
    }
    for key, value in values.items():
        write(path, key, value)
    mapping = tmp_path / "mapping.yaml"
    mapping.write_text(
        "control_hz: 20\nrobot: arm\nfeatures:\n  eef_pos: {name: tcp_pos_base_m, unit: m, frame: base}\n"
    )
    foreign = read(path, mapping)
    assert foreign.contract.observations == (
        Feature("tcp_pos_base_m", (3,), "m", "base", dtype="float64"),
        Feature("gripper", (), "unknown", "unknown", dtype="int32"),
    )
    assert (foreign.contract.control_hz, foreign.contract.robot) == (20, "arm")
    assert {image.name: image.shape for image in foreign.contract.images} == {"front": (12, 16, 3), "wrist": (8, 8, 3)}
    episodes = list(foreign.episodes)
    for name, key in (("tcp_pos_base_m", "eef_pos"), ("gripper", "gripper")):
        joined = np.concatenate([episode.observations[name] for episode in episodes])
        assert joined.tobytes() == values[f"data/{key}"].tobytes()
    for name in ("front", "wrist"):
        joined = np.concatenate([episode.images[name].stack() for episode in episodes])
        np.testing.assert_array_equal(joined, values[f"data/{name}"])


ARM = Contract(
    "arm",
    "lift",
    observations=(
        Feature("joint_pos_rad", (3,), "rad", "joint"),
        Feature("count", (), "1", "none", dtype="int64"),
        Feature("force_n", (2,), "N", "tcp", optional=True),
    ),
    actions=(Feature("target_m", (2, 2), "m", "base"), Feature("grip", (1,), "1", "none", dtype="bool")),
    control_hz=20.0,
    images=(
        ImageFeature("wrist", (6, 10, 3), "wrist", colour="bgr"),
        ImageFeature("depth", (6, 10), "wrist", colour="depth", dtype="uint16", unit="mm", invalid=0),
    ),
)


def episode_of(contract: Contract, n_steps: int, seed: int, **values) -> Episode:
    rng = np.random.default_rng(seed)

    def some(feature):
        return (rng.random((n_steps, *feature.shape)) * 200).astype(feature.dtype)

    return Episode(
        contract,
        {f.name: some(f) for f in contract.observations if not f.optional},
        {f.name: some(f) for f in contract.actions},
        np.arange(n_steps) * contract.period_s,
        EpisodeMeta("simulation", success=True),
        images={f.name: Frames.of(f, some(f)) for f in contract.images},
        **values,
    )


def store_of(path: Path, episodes: list[Episode]) -> EpisodeStore:
    store = EpisodeStore.create(path, episodes[0].contract)
    with store:
        for episode in episodes:
            store.append(episode)
    return store


def test_an_export_comes_back_and_says_what_is_lost(tmp_path) -> None:
    episodes = [episode_of(ARM, n_steps, seed) for seed, n_steps in enumerate((5, 200, 1))]
    out = tmp_path / "buffer.zarr"
    done = export_episodes("diffusion-policy", store_of(tmp_path / "store", episodes), out)
    assert done.n_episodes == 3
    for word in ("force_n: an optional", "wrist: bgr became rgb", "target_m, grip lie side by side", "success"):
        assert any(word in line for line in done.lost), done.lost
    again = list(read(out).episodes)
    for before, after in zip(episodes, again, strict=True):
        for group in ("observations", "actions"):
            theirs = getattr(after, group)
            for name, value in getattr(before, group).items():
                assert (theirs[name].dtype, theirs[name].tobytes()) == (value.dtype, value.tobytes())
        assert before.time_s.tobytes() == after.time_s.tobytes()
        np.testing.assert_array_equal(after.images["wrist"].stack(), before.images["wrist"].stack()[..., ::-1])
        np.testing.assert_array_equal(after.images["depth"].stack(), before.images["depth"].stack())


def test_what_is_written_is_a_replay_buffer_for_zarr(tmp_path) -> None:
    episodes = [episode_of(ARM, n_steps, seed) for seed, n_steps in enumerate((5, 7))]
    export_episodes("diffusion-policy", store_of(tmp_path / "store", episodes), tmp_path / "out.zarr")
    root = zarr.open_group(tmp_path / "out.zarr", mode="r", zarr_format=2)
    assert sorted(root["data"].array_keys()) == ["action", "count", "depth", "joint_pos_rad", "wrist"]
    assert {array.shape[0] for _, array in root["data"].arrays()} == {12}
    ends = root["meta/episode_ends"]
    assert (ends.dtype, ends[:].tolist()) == (np.int64, [5, 12])
    assert (root["data/wrist"].dtype, root["data/wrist"].shape) == (np.uint8, (12, 6, 10, 3))
    told = [np.concatenate([e.actions["target_m"].reshape(-1, 4), e.actions["grip"]], axis=1) for e in episodes]
    np.testing.assert_array_equal(root["data/action"][:], np.concatenate(told))


def test_push_t_is_written_under_its_published_keys(buffer, tmp_path) -> None:
    write(buffer, "data/img", np.random.default_rng(0).integers(0, 256, (7, 96, 96, 3)).astype(np.float32))
    import_episodes("diffusion-policy", buffer, tmp_path / "store")
    export_episodes("diffusion-policy", EpisodeStore.open(tmp_path / "store"), tmp_path / "out.zarr")
    for key in ("data/state", "data/action", "data/keypoint", "data/img", "meta/episode_ends"):
        before, after = (zarr.open_array(path / key, mode="r")[:] for path in (buffer, tmp_path / "out.zarr"))
        np.testing.assert_array_equal(after, before)
    assert [e.contract.robot for e in read(tmp_path / "out.zarr").episodes] == ["pusht/pointer"] * 2


def test_an_observation_named_action_cannot_be_exported(tmp_path) -> None:
    contract = replace(ARM, observations=(Feature("action", (3,), "1", "none"),))
    store = store_of(tmp_path / "store", [episode_of(contract, 3, 0)])
    with pytest.raises(CannotExport, match="'action'"):
        export_episodes("diffusion-policy", store, tmp_path / "out")
    assert not (tmp_path / "out").exists()
