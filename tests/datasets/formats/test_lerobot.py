"""LeRobot data sets: those that LeRobot wrote are read, those that we write come back, and bad ones are refused."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ashore.datasets.contract import Align, Contract, Feature, ImageFeature
from ashore.datasets.episode import Episode, EpisodeMeta
from ashore.datasets.errors import CannotExport, UnreadableFile
from ashore.datasets.formats import export_episodes, import_episodes
from ashore.datasets.formats.lerobot import read
from ashore.datasets.images import Frames
from ashore.datasets.store import EpisodeStore
from ashore.datasets.streams import Stream

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "lerobot"
CAMERA = "observation.images.front"
VERSIONS = ("v21_images", "v21_video", "v30_images", "v30_video")
FRONT = ImageFeature("front", (6, 8, 3), "front_optical")
WRIST = ImageFeature("wrist", (6, 8, 3), "wrist_optical", "bgr", "jpeg", quality=90)
DEPTH = ImageFeature("depth", (6, 8), "front_optical", "depth", "png", "uint16", "mm", invalid=0.0)
RAW = ImageFeature("mask", (6, 8), "front_optical", "gray", "raw")
CONTRACT = Contract(
    robot="arm",
    task="lift",
    observations=(
        Feature("joint_pos_rad", (3,), "rad", "joint", ("a", "b", "c")),
        Feature("grip_m", (), "m", "none"),
        Feature("closed", (), "1", "none", dtype="bool"),
        Feature("grid", (2, 2), "N", "tcp", dtype="float64"),
        Feature("count", (1,), "1", "none", dtype="int64"),
    ),
    actions=(Feature("tcp_target_m", (2,), "m", "base", ("x", "y"), low=(-9, -9), high=(9, 9)),),
    control_hz=20.0,
    images=(FRONT, WRIST, DEPTH, RAW),
)


@pytest.fixture(scope="module")
def golden() -> dict:
    if not (GOLDEN / "expected.npz").is_file():
        pytest.skip(f"the data sets that LeRobot wrote are not at {GOLDEN}; restore tests/golden from the repository")
    return dict(np.load(GOLDEN / "expected.npz"))


@pytest.fixture
def copied(golden, tmp_path):
    """Copy a golden data set that a test may then damage."""

    def copy(name: str = "v30_images") -> Path:
        return Path(shutil.copytree(GOLDEN / name, tmp_path / "copy"))

    return copy


def made(seed: int, n_steps: int, **meta) -> Episode:
    rng = np.random.default_rng(seed)

    def frames(feature: ImageFeature) -> Frames:
        top = np.iinfo(feature.dtype).max
        return Frames.of(feature, rng.integers(0, top, (n_steps, *feature.shape), feature.dtype, endpoint=True))

    return Episode(
        contract=CONTRACT,
        observations={
            "joint_pos_rad": rng.normal(size=(n_steps, 3)).astype(np.float32),
            "grip_m": rng.random(n_steps).astype(np.float32),
            "closed": rng.random(n_steps) < 0.5,
            "grid": rng.normal(size=(n_steps, 2, 2)),
            "count": rng.integers(-(2**63), 2**63 - 1, (n_steps, 1)),
        },
        actions={"tcp_target_m": rng.normal(size=(n_steps, 2)).astype(np.float32)},
        time_s=np.arange(n_steps) / 20.0 + (seed % 2) * 1e-3 * rng.random(n_steps),
        meta=EpisodeMeta("simulation", seed=seed, draw={"mass_kg": 0.1}, **meta),
        commands=rng.normal(size=(n_steps, 7)),
        images={feature.name: frames(feature) for feature in CONTRACT.images},
    )


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Give a store, and what became of its export."""
    folder = tmp_path_factory.mktemp("lerobot")
    store = EpisodeStore.create(folder / "store", CONTRACT)
    for seed, (n_steps, task) in enumerate(((3, "push"), (300, "lift"), (1, "push"))):
        store.append(made(seed, n_steps, instruction=task, success=seed != 1, reward=0.5 * seed))
    return store, folder / "out", export_episodes("lerobot", store, folder / "out")


@pytest.mark.parametrize("name", VERSIONS)
def test_what_lerobot_wrote_arrives_bit_for_bit(golden, name) -> None:
    foreign = read(GOLDEN / name)
    episodes = list(foreign.episodes)
    assert foreign.n_episodes == 3
    np.testing.assert_array_equal(np.cumsum([len(e) for e in episodes]), golden["episode_ends"])
    assert (
        np.concatenate([e.observations["observation.state"] for e in episodes]).tobytes() == golden["state"].tobytes()
    )
    assert np.concatenate([e.actions["action"] for e in episodes]).tobytes() == golden["action"].tobytes()
    assert [e.meta.instruction for e in episodes] == ["push the block", "lift the block", "push the block"]
    np.testing.assert_array_equal(episodes[1].time_s, np.arange(9) / 10)
    assert foreign.contract.robot == "toy"
    assert foreign.contract.control_hz == 10
    assert foreign.contract.observations[0].components == ("x", "y", "grip")
    assert foreign.contract.observations[0].unit == "unknown"


@pytest.mark.parametrize("name", ["v21_images", "v30_images"])
def test_pictures_keep_their_bytes(golden, name) -> None:
    episodes = list(read(GOLDEN / name).episodes)
    np.testing.assert_array_equal(np.concatenate([e.images[CAMERA].stack() for e in episodes]), golden["frames"])
    rows = pq.read_table(sorted((GOLDEN / name / "data").glob("*/*.parquet"))[0])[CAMERA].to_pylist()
    assert [bytes(episodes[0].images[CAMERA].encoded(i)) for i in range(5)] == [row["bytes"] for row in rows[:5]]


@pytest.mark.parametrize("name", ["v21_video", "v30_video"])
def test_video_gives_the_frames_that_lerobot_decodes(golden, name, caplog) -> None:
    frames = np.concatenate([e.images[CAMERA].stack() for e in read(GOLDEN / name).episodes])
    assert "compressed lossily" in caplog.text
    np.testing.assert_array_equal(frames[golden["decoded_rows"]], golden[f"decoded_{name}"])
    assert np.abs(frames.astype(int) - golden["frames"]).max() < 20, "a frame of another step would differ by more"


def test_a_mapping_names_units_and_the_codec_of_video(golden, tmp_path) -> None:
    mapping = tmp_path / "mapping.yaml"
    mapping.write_text(
        "robot: so100\ntask: push\nsource: real\nfeatures:\n"
        "  observation.state: {name: tcp_pos_m, unit: m, frame: base, components: [x, y, z]}\n"
        f"  {CAMERA}: {{name: front, frame: front_optical, codec: jpeg, quality: 80}}\n"
    )
    foreign = read(GOLDEN / "v30_video", mapping)
    feature, camera = foreign.contract.observations[0], foreign.contract.images[0]
    assert (feature.name, feature.unit, feature.components) == ("tcp_pos_m", "m", ("x", "y", "z"))
    assert (camera.name, camera.codec, camera.quality) == ("front", "jpeg", 80)
    first = next(iter(foreign.episodes))
    assert (foreign.contract.robot, first.meta.source) == ("so100", "real")
    assert bytes(first.images["front"].encoded(0))[:3] == b"\xff\xd8\xff"


def test_a_store_comes_back_bit_for_bit(exported, tmp_path, require_equal) -> None:
    store, out, _ = exported
    assert import_episodes("lerobot", out, tmp_path / "back") == 3
    back = EpisodeStore.open(tmp_path / "back")
    assert {d.field for d in store.contract.differences(back.contract)} == {"images.mask.codec"}
    for written, read_again in zip(store, back, strict=True):
        kept = Episode(**{**vars(written), "commands": None})
        require_equal(read_again, kept)
        assert read_again.meta == written.meta
        for name in ("front", "wrist", "depth"):
            for step in range(len(written)):
                assert bytes(read_again.images[name].encoded(step)) == bytes(written.images[name].encoded(step))
        np.testing.assert_array_equal(read_again.images["mask"].stack(), written.images["mask"].stack())


def test_an_export_says_what_is_lost_and_names_elements(exported) -> None:
    _, out, result = exported
    lost = "\n".join(result.lost)
    for word in (
        "commands",
        "units, frames, limits",
        "time_s",
        "seed, draw",
        "grid: shape (2, 2)",
        "wrist",
        "depth",
        "mask",
    ):
        assert word in lost
    info = json.loads((out / "meta/info.json").read_text())
    assert info["features"]["observation.state"]["names"] == [
        "joint_pos_rad.a",
        "joint_pos_rad.b",
        "joint_pos_rad.c",
        "grip_m",
    ]
    assert (info["total_frames"], info["total_tasks"], info["fps"]) == (304, 2, 20)


def test_an_export_is_read_without_our_own_files_too(exported, tmp_path) -> None:
    store, out, _ = exported
    plain = Path(shutil.copytree(out, tmp_path / "plain"))
    (plain / "meta/ashore_contract.json").unlink()
    for written, found in zip(store, read(plain).episodes, strict=True):
        joined = np.concatenate(
            [written.observations["joint_pos_rad"], written.observations["grip_m"][:, None]], axis=1
        )
        assert found.observations["observation.state"].tobytes() == joined.tobytes()
        assert (found.meta.success, found.meta.reward) == (written.meta.success, written.meta.reward)
        assert found.meta.instruction == written.meta.instruction
        np.testing.assert_allclose(found.time_s, written.time_s - written.time_s[0], atol=1e-6)


def test_the_statistics_are_those_of_all_rows(exported) -> None:
    store, out, _ = exported
    stats = json.loads((out / "meta/stats.json").read_text())
    actions = np.concatenate([e.actions["tcp_target_m"] for e in store]).astype(np.float64)
    for name, value in (
        ("min", actions.min(0)),
        ("max", actions.max(0)),
        ("mean", actions.mean(0)),
        ("std", actions.std(0)),
    ):
        np.testing.assert_allclose(stats["action"][name], value, atol=1e-12)
    assert np.shape(stats["observation.images.front"]["mean"]) == (3, 1, 1)


def test_files_begin_anew_by_size(exported, tmp_path, monkeypatch) -> None:
    store, _, _ = exported
    monkeypatch.setattr("ashore.datasets.formats.lerobot.writing.FILE_BYTES", 1000)
    monkeypatch.setattr("ashore.datasets.formats.lerobot.writing.FILES_A_CHUNK", 2)
    export_episodes("lerobot", store, tmp_path / "out")
    files = sorted(str(file.relative_to(tmp_path / "out/data")) for file in (tmp_path / "out/data").glob("*/*"))
    assert files == ["chunk-000/file-000.parquet", "chunk-000/file-001.parquet", "chunk-001/file-000.parquet"]
    assert [len(episode) for episode in read(tmp_path / "out").episodes] == [3, 300, 1]


def test_streams_and_optional_features_are_told_as_lost(tmp_path) -> None:
    force = Feature("force_n", (1,), "N", "tcp", align=Align("hold"))
    contract = Contract("arm", "t", (force, Feature("q", (1,), "rad", "joint", optional=True)), (), 10.0)
    store, stamps = EpisodeStore.create(tmp_path / "store", contract), np.arange(40) / 100
    stream = Stream(np.arange(40, dtype=np.float32)[:, None], stamps, stamps)
    store.append(Episode(contract, {}, {}, np.arange(1, 4) / 10, EpisodeMeta("real"), streams={"force_n": stream}))
    result = export_episodes("lerobot", store, tmp_path / "out")
    assert any(line.startswith("force_n: samples at their native rates") for line in result.lost)
    assert any(line.startswith("q: left out, as some episodes lack it") for line in result.lost)
    episode = next(iter(read(tmp_path / "out").episodes))
    np.testing.assert_array_equal(episode.observations["force_n"][:, 0], [10, 20, 30])


def test_an_empty_store_is_not_exported(tmp_path) -> None:
    with pytest.raises(CannotExport, match="no episode"):
        export_episodes("lerobot", EpisodeStore.create(tmp_path / "store", CONTRACT), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def with_info(folder: Path, **changes) -> None:
    path = folder / "meta/info.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def with_column(folder: Path, key: str, change) -> None:
    """Rewrite a column of the data file by its rows."""
    path = folder / "data/chunk-000/file-000.parquet"
    table = pq.read_table(path)
    place, rows = table.column_names.index(key), table[key].to_pylist()
    pq.write_table(table.set_column(place, key, pa.array(change(rows), table.schema.field(key).type)), path)


def with_row(row: int, value):
    return lambda rows: [value if number == row else old for number, old in enumerate(rows)]


DATA = "data/chunk-000/file-000.parquet"
DAMAGE = {
    "another version": (
        lambda f: with_info(f, codebase_version="v4.0"),
        "v4.0; versions that are read: 'v2.1', 'v3.0'",
    ),
    "no rate": (lambda f: with_info(f, fps=0), "fps: 0"),
    "other totals": (lambda f: with_info(f, total_frames=22), "total_frames: 22, but meta/ lists 21"),
    "a path out of it": (lambda f: with_info(f, data_path="../{chunk_index}/{file_index}"), "leads out"),
    "a hostile template": (lambda f: with_info(f, data_path="{chunk_index.__class__}"), "data_path"),
    "no data file": (lambda f: (f / DATA).unlink(), "there is no such file"),
    "a cut file": (lambda f: (f / DATA).write_bytes((f / DATA).read_bytes()[:-40]), "file-000.parquet"),
    "fewer rows": (lambda f: pq.write_table(pq.read_table(f / DATA).slice(0, 20), f / DATA), "ends at row 20"),
    "a missing column": (
        lambda f: pq.write_table(pq.read_table(f / DATA).drop(["action"]), f / DATA),
        "no column 'action'",
    ),
    "no info": (lambda f: (f / "meta/info.json").unlink(), "there is no such file"),
    "info is no JSON": (lambda f: (f / "meta/info.json").write_text("{"), "info.json"),
    "no tasks": (lambda f: (f / "meta/tasks.parquet").unlink(), "tasks.parquet"),
    "NaN": (lambda f: with_column(f, "action", with_row(7, [0.0, float("nan")])), "action: row 7 holds NaN"),
    "a missing row": (lambda f: with_column(f, "observation.state", with_row(8, None)), "observation.state: "),
    "time goes back": (lambda f: with_column(f, "timestamp", with_row(6, 0.0)), "timestamp: row 6"),
    "rows of another episode": (lambda f: with_column(f, "episode_index", with_row(2, 1)), "episode_index: row 2 is 1"),
    "an unknown task": (lambda f: with_column(f, "task_index", with_row(2, 9)), "task_index: 9"),
    "no picture": (
        lambda f: with_column(f, CAMERA, with_row(3, {"bytes": b"GIF89a", "path": None})),
        "row 3 is neither",
    ),
    "no bytes": (
        lambda f: with_column(f, CAMERA, with_row(3, {"bytes": None, "path": "a.png"})),
        "row 3 holds no picture",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_data_set_gives_one_clear_error_and_leaves_nothing(copied, tmp_path, damage) -> None:
    folder = copied()
    harm, words = DAMAGE[damage]
    harm(folder)
    with pytest.raises(UnreadableFile) as caught:
        import_episodes("lerobot", folder, tmp_path / "out")
    assert words in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]


def test_a_flipped_bit_in_a_picture_is_found(copied) -> None:
    folder = copied()

    def flip(rows: list) -> list:
        data = bytearray(rows[16]["bytes"])
        data[len(data) // 2] ^= 4
        return with_row(16, {"bytes": bytes(data), "path": None})(rows)

    with_column(folder, CAMERA, flip)
    with pytest.raises(UnreadableFile, match=r"observation\.images\.front: row 16 is a PNG that is damaged"):
        list(read(folder).episodes)


@pytest.mark.parametrize("name", ["v30_video", "v21_video"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_cut_video_is_refused(copied, name, share) -> None:
    folder = copied(name)
    video = sorted((folder / "videos").rglob("*.mp4"))[0]
    data = video.read_bytes()
    video.write_bytes(data[: int(share * len(data))])
    with pytest.raises(UnreadableFile, match=r"does not decode|no frame at|holds no video"):
        list(read(folder).episodes)


def test_a_video_without_a_frame_at_a_step_is_refused(copied) -> None:
    folder = copied("v30_video")
    shutil.copy(next((GOLDEN / "v21_video/videos").rglob("*_000000.mp4")), next((folder / "videos").rglob("*.mp4")))
    with pytest.raises(UnreadableFile, match="no frame at"):
        list(read(folder).episodes)


def test_lerobot_itself_opens_an_export(exported, tmp_path) -> None:
    python = os.environ.get("ASHORE_PEER_PYTHON")
    if not python:
        pytest.skip("ASHORE_PEER_PYTHON names no Python with LeRobot 0.4.4")
    store, out, _ = exported
    code = (
        "import sys, torch, numpy as np\n"
        "lib = torch.library.Library('torchvision', 'DEF')\n"  # A CPU-only torch may lack torchvision's operators.
        "for n in ('nms', 'qnms'): lib.define(n + '(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')\n"
        "from lerobot.datasets.lerobot_dataset import LeRobotDataset\n"
        "rows = list(LeRobotDataset('ashore/test', root=sys.argv[1]))\n"
        "keys = ('observation.state', 'observation.count', 'action', 'observation.images.front')\n"
        "np.savez(sys.argv[2], **{k: np.stack([r[k].numpy() for r in rows]) for k in keys})\n"
    )
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "cache")}
    arguments = [python, "-c", code, str(out), str(tmp_path / "seen.npz")]
    subprocess.run(arguments, check=True, env=environment, cwd=tmp_path, timeout=300)
    seen, episodes = np.load(tmp_path / "seen.npz"), list(store)
    assert seen["action"].tobytes() == np.concatenate([e.actions["tcp_target_m"] for e in episodes]).tobytes()
    np.testing.assert_array_equal(
        seen["observation.count"].ravel(), np.concatenate([e.observations["count"] for e in episodes]).ravel()
    )
    pixels = np.rint(255 * seen["observation.images.front"]).astype(np.uint8).transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(pixels, np.concatenate([e.images["front"].stack() for e in episodes]))
