import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ashore.datasets.contract import Contract, Feature, ImageFeature
from ashore.datasets.episode import Episode, EpisodeMeta
from ashore.datasets.errors import CannotExport, UnreadableFile
from ashore.datasets.formats import export_episodes, import_episodes
from ashore.datasets.formats.robomimic import read
from ashore.datasets.images import Frames
from ashore.datasets.store import EpisodeStore

ENVIRONMENT = {
    "env_name": "Lift",
    "type": 1,
    "env_kwargs": {"control_freq": 20, "robots": ["Panda"], "reward_shaping": False},
}
LENGTHS = {"demo_0": 4, "demo_2": 70, "demo_10": 5}


def values_of(n_steps: int, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "obs/robot0_eef_pos": rng.random((n_steps, 3)),
        "obs/object": rng.random((n_steps, 10)).astype(np.float32),
        "obs/agentview_image": rng.integers(0, 256, (n_steps, 9, 8, 3), dtype=np.uint8),
        "actions": rng.random((n_steps, 7)),
        "states": rng.random((n_steps, 32)),
        "rewards": np.arange(n_steps) == n_steps - 1.0,
        "dones": (np.arange(n_steps) == n_steps - 1).astype(np.int64),
    }


@pytest.fixture
def source(tmp_path) -> Path:
    """A file of three made-up demonstrations, numbered with gaps."""
    path = tmp_path / "low_dim.hdf5"
    with h5py.File(path, "w") as file:
        for seed, (demo, n_steps) in enumerate(LENGTHS.items()):
            for key, value in values_of(n_steps, seed).items():
                form = {"chunks": (2, *value.shape[1:]), "compression": "gzip"} if key == "obs/object" else {}
                file.create_dataset(
                    f"data/{demo}/{key}", data=value.astype(float) if key == "rewards" else value, **form
                )
            file[f"data/{demo}"].attrs["num_samples"] = n_steps
            file[f"data/{demo}"].attrs["model_file"] = "<mujoco/>"
        file["data"].attrs["env_args"] = json.dumps(ENVIRONMENT)
        file["data"].attrs["total"] = sum(LENGTHS.values())
        file["mask/train"] = np.array([b"demo_0"])
    return path


def test_demonstrations_arrive_bit_for_bit_in_the_order_of_their_numbers(source, tmp_path) -> None:
    assert import_episodes("robomimic", source, tmp_path / "store") == 3
    episodes = list(EpisodeStore.open(tmp_path / "store"))
    assert [episode.meta.origin for episode in episodes] == [f"robomimic, low_dim.hdf5, {demo}" for demo in LENGTHS]
    for seed, episode in enumerate(episodes):
        values = values_of(len(episode), seed)
        for name in ("robot0_eef_pos", "object"):
            assert episode.observations[name].tobytes() == values[f"obs/{name}"].tobytes()
        assert episode.actions["actions"].tobytes() == values["actions"].tobytes()
        np.testing.assert_array_equal(episode.images["agentview_image"].stack(), values["obs/agentview_image"])
        np.testing.assert_array_equal(episode.time_s, np.arange(len(episode)) * 0.05)
        assert (episode.meta.success, episode.meta.reward) == (True, 1.0)
    assert EpisodeStore.open(tmp_path / "store").verify() == []


def test_the_environment_tells_robot_task_and_rate_and_a_mapping_goes_first(source, tmp_path) -> None:
    contract = read(source).contract
    assert (contract.robot, contract.task, contract.control_hz) == ("Panda", "Lift", 20)
    mapping = tmp_path / "mapping.yaml"
    mapping.write_text(
        "robot: arm\ncontrol_hz: 10\nfeatures:\n"
        "  robot0_eef_pos: {name: tcp_pos_world_m, unit: m, frame: world, components: [x, y, z]}\n"
        "  object: {group: none}\n"
    )
    foreign = read(source, mapping)
    expected = Feature("tcp_pos_world_m", (3,), "m", "world", ("x", "y", "z"), "float64")
    assert (foreign.contract.robot, foreign.contract.task, foreign.contract.control_hz) == ("arm", "Lift", 10)
    assert foreign.contract.observations == (expected,)
    assert len(list(foreign.episodes)) == 3


@pytest.mark.parametrize(
    ("rewards", "dones", "shaped", "success"),
    [
        ([0, 0, 1, 1], [0, 0, 0, 1], False, True),
        ([0, 0, 0, 0], [0, 0, 0, 1], False, False),
        ([0.1, 0.2, 0.3, 0.4], [0, 0, 0, 1], True, None),
        ([0.1, 0.2, 0.3, 2.25], [0, 0, 1, 1], True, True),
        (None, [0, 0, 0, 1], False, None),
        (None, [0, 1, 0, 1], False, True),
        (None, None, False, None),
    ],
)
def test_success_follows_from_sparse_rewards_or_early_dones(source, rewards, dones, shaped, success) -> None:
    with h5py.File(source, "a") as file:
        kwargs = ENVIRONMENT["env_kwargs"] | {"reward_shaping": shaped}
        file["data"].attrs["env_args"] = json.dumps(ENVIRONMENT | {"env_kwargs": kwargs})
        for key, value in (("rewards", rewards), ("dones", dones)):
            del file[f"data/demo_0/{key}"]
            if value is not None:
                file[f"data/demo_0/{key}"] = np.array(value)
    first = next(iter(read(source).episodes))
    assert first.meta.success is success
    assert first.meta.reward == (None if rewards is None else pytest.approx(sum(rewards)))


def replaced(key: str, value) -> Callable[[h5py.File], None]:
    def spoil(file: h5py.File) -> None:
        del file[key]
        if value is not None:
            file[key] = value

    return spoil


def poison(file: h5py.File) -> None:
    file["data/demo_2/obs/object"][3, 2] = np.nan


def make_hole(file: h5py.File) -> None:
    del file["data/demo_2/obs/object"]
    array = file.create_dataset("data/demo_2/obs/object", (70, 10), np.float32, chunks=(7, 10))
    array[:7] = 1


def make_objects(file: h5py.File) -> None:
    del file["data/demo_0/actions"]
    file.create_dataset("data/demo_0/actions", (4,), h5py.special_dtype(vlen=str))


def store_outside(file: h5py.File) -> None:
    del file["data/demo_0/actions"]
    file.create_dataset("data/demo_0/actions", (4, 7), "f8", external=[("/etc/passwd", 0, 224)])


def make_virtual(file: h5py.File) -> None:
    del file["data/demo_0/actions"]
    layout = h5py.VirtualLayout((4, 7), "f8")
    layout[:] = h5py.VirtualSource("other.hdf5", "x", (4, 7))
    file.create_virtual_dataset("data/demo_0/actions", layout)


def forget_rate(file: h5py.File) -> None:
    file["data"].attrs["env_args"] = json.dumps({"env_name": "Lift"})


def spoil_environment(file: h5py.File) -> None:
    file["data"].attrs["env_args"] = "{"


def miscount(file: h5py.File) -> None:
    file["data/demo_2"].attrs["num_samples"] = 71


FAULTS = [
    (replaced("data", None), ("data: it holds no demonstration",)),
    (replaced("data/demo_0/obs", None), ("data/demo_0/obs", "dataset_states_to_obs")),
    (replaced("data/demo_2/obs/object", None), ("data/demo_2/obs/object", "missing")),
    (replaced("data/demo_2/actions", np.ones((69, 7))), ("data/demo_2/actions", "69 rows", "70")),
    (replaced("data/demo_2/actions", np.ones((70, 6))), ("data/demo_2/actions", "(70, 6)", "(T, 7)")),
    (replaced("data/demo_2/rewards", np.ones(3)), ("data/demo_2/rewards", "3 rows")),
    (replaced("data/demo_2/obs/object", np.ones((70, 10), np.int32)), ("data/demo_2/obs/object", "int32")),
    (replaced("data/demo_0/actions", h5py.SoftLink("/data/demo_2/actions")), ("data/demo_0/actions", "is a link")),
    (replaced("data/demo_0/obs", h5py.ExternalLink("x.hdf5", "/")), ("data/demo_0/obs", "is a link")),
    (replaced("data/demo_0/actions", 1.0), ("data/demo_0/actions", "single value")),
    (lambda file: file.create_group("data/extra"), ("data/extra", "demo_ and a number")),
    (lambda file: file.create_group("data/demo_0/obs/deep"), ("data/demo_0/obs/deep", "no array")),
    (poison, ("data/demo_2/obs/object", "row 3 holds NaN")),
    (make_hole, ("data/demo_2/obs/object", "9 of 10 chunks are missing")),
    (make_objects, ("data/demo_0/actions", "'object' is not allowed")),
    (store_outside, ("data/demo_0/actions", "another file")),
    (make_virtual, ("data/demo_0/actions", "another file")),
    (forget_rate, ("control_hz", "--mapping")),
    (spoil_environment, ("env_args", "Expecting")),
    (miscount, ("data/demo_2", "num_samples is 71")),
]


@pytest.mark.parametrize(("spoil", "words"), FAULTS)
def test_a_format_error_names_file_and_key(source, tmp_path, spoil, words) -> None:
    with h5py.File(source, "a") as file:
        spoil(file)
    with pytest.raises(UnreadableFile) as caught:
        import_episodes("robomimic", source, tmp_path / "out")
    for word in (str(source), *words):
        assert word in str(caught.value)
    assert [entry for entry in tmp_path.iterdir() if entry != source] == []


def test_a_bomb_is_refused_before_it_takes_memory(tmp_path) -> None:
    path = tmp_path / "bomb.hdf5"
    with h5py.File(path, "w") as file:
        array = file.create_dataset("data/demo_0/obs/x", (1 << 40, 8), "f8", chunks=(1 << 20, 8), compression="gzip")
        array[:1] = 0
        file["data"].attrs["env_args"] = json.dumps(ENVIRONMENT)
    with pytest.raises(UnreadableFile, match=r"data/demo_0/obs/x: .* chunks are missing"):
        read(path)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_file_is_refused(source, share) -> None:
    whole = source.read_bytes()
    source.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(UnreadableFile, match=str(source)):
        read(source)


def test_a_missing_file_is_refused(tmp_path) -> None:
    with pytest.raises(UnreadableFile):
        read(tmp_path / "none.hdf5")


HAND = Contract(
    "arm",
    "lift",
    observations=(
        Feature("joint_pos_rad", (2, 3), "rad", "joint", dtype="float64"),
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


def episode_of(contract: Contract, n_steps: int, seed: int, success: bool | None = None) -> Episode:
    rng = np.random.default_rng(seed)

    def some(feature):
        return (rng.random((n_steps, *feature.shape)) * 200).astype(feature.dtype)

    meta = EpisodeMeta("simulation", "expert", seed, success, 0.5, {"mass_kg": 0.3}, instruction="lift it")
    return Episode(
        contract,
        {f.name: some(f) for f in contract.observations if not f.optional},
        {f.name: some(f) for f in contract.actions},
        np.cumsum(0.05 + rng.random(n_steps) / 100),
        meta,
        commands=rng.random((n_steps, 5)),
        images={f.name: Frames.of(f, some(f)) for f in contract.images},
    )


def store_of(path: Path, episodes: list[Episode]) -> EpisodeStore:
    store = EpisodeStore.create(path, episodes[0].contract)
    with store:
        for episode in episodes:
            store.append(episode)
    return store


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 1 << 30), lengths=st.lists(st.integers(1, 80), min_size=1, max_size=3))
def test_an_export_comes_back_bit_for_bit(tmp_path_factory, seed, lengths) -> None:
    folder = tmp_path_factory.mktemp("export")
    verdicts = (True, False, None)
    episodes = [episode_of(HAND, n, seed + at, verdicts[at]) for at, n in enumerate(lengths)]
    done = export_episodes("robomimic", store_of(folder / "store", episodes), folder / "out.hdf5")
    assert done.n_episodes == len(lengths)
    for before, after in zip(episodes, read(folder / "out.hdf5").episodes, strict=True):
        for group in ("observations", "actions"):
            theirs = getattr(after, group)
            for name, value in getattr(before, group).items():
                assert (theirs[name].dtype, theirs[name].tobytes()) == (value.dtype, value.tobytes())
        assert before.time_s.tobytes() == after.time_s.tobytes()
        assert before.commands is not None and after.commands is not None
        assert before.commands.tobytes() == after.commands.tobytes()
        assert replace(after.meta, origin="") == before.meta
        np.testing.assert_array_equal(after.images["wrist"].stack(), before.images["wrist"].stack()[..., ::-1])
        np.testing.assert_array_equal(after.images["depth"].stack(), before.images["depth"].stack())


def test_what_is_written_has_robomimics_layout_and_says_what_is_lost(tmp_path) -> None:
    episodes = [episode_of(HAND, 5, 0, True), episode_of(HAND, 3, 1)]
    done = export_episodes("robomimic", store_of(tmp_path / "store", episodes), tmp_path / "out.hdf5")
    for words in (
        "force_n: an optional",
        "wrist: bgr became rgb",
        "actions: target_m, grip",
        "success: unknown",
        "next_obs",
    ):
        assert any(words in line for line in done.lost), done.lost
    with h5py.File(tmp_path / "out.hdf5") as file:
        assert file["data"].attrs["total"] == 8
        assert json.loads(file["data"].attrs["env_args"])["env_kwargs"]["control_freq"] == 20
        demo = file["data/demo_0"]
        assert sorted(demo["obs"]) == ["count", "depth", "joint_pos_rad", "wrist"]
        assert (demo.attrs["num_samples"], demo["actions"].shape, demo["obs/count"].shape) == (5, (5, 5), (5, 1))
        assert (demo["rewards"][:].tolist(), demo["dones"][:].tolist()) == ([0, 0, 0, 0, 1], [0, 0, 0, 0, 1])
        assert file["data/demo_1/rewards"][:].tolist() == [0, 0, 0]


def test_a_reference_set_cannot_be_exported(tmp_path) -> None:
    store = store_of(tmp_path / "store", [episode_of(replace(HAND, actions=()), 3, 0)])
    with pytest.raises(CannotExport, match="no actions"):
        export_episodes("robomimic", store, tmp_path / "out.hdf5")
    assert not (tmp_path / "out.hdf5").exists()
