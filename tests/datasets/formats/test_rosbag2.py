import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rosbags.rosbag2 import Reader, StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from ashore.datasets.contract import Contract
from ashore.datasets.episode import Episode, EpisodeMeta
from ashore.datasets.errors import UnreadableFile
from ashore.datasets.features import Align, Feature, ImageFeature
from ashore.datasets.formats.rosbag2 import read
from ashore.datasets.formats.rosbag2_writer import MAPPING_FILE, name_topics, write
from ashore.datasets.images import Frames
from ashore.datasets.streams import Stream

TYPES = get_typestore(Stores.LATEST)
START_NS = 1_700_000_000_000_000_000
MS = 1_000_000
RNG = np.random.default_rng(3)
MAPPING = {
    "robot": "franka/panda",
    "task": "lift",
    "control_hz": 20,
    "operator": "Ada",
    "features": {
        "joint_pos_rad": {"topic": "/joint_states", "field": "position[j1, j2]", "unit": "rad", "frame": "joint"},
        "tcp_pos_base_m": {"topic": "/tcp", "field": "pose.position", "unit": "m", "frame": "base"},
        "tcp_quat_base_wxyz": {"topic": "/tcp", "field": "pose.orientation", "unit": "1", "frame": "base"},
        "front": {"role": "image", "topic": "/camera", "frame": "front_optical"},
        "target_rad": {
            "role": "action",
            "topic": "/command",
            "unit": "rad",
            "frame": "joint",
            "components": ["j1", "j2"],
        },
    },
}


def make(kind: str, **fields):
    return TYPES.types[kind](**fields)


def header(ns: int):
    return make("std_msgs/msg/Header", stamp=stamp(ns), frame_id="base")


def stamp(ns: int):
    return make("builtin_interfaces/msg/Time", sec=ns // 10**9, nanosec=ns % 10**9)


def joints(ns: int, position, names=("j2", "j1")):
    empty = np.zeros(0)
    values = np.array(position, dtype=np.float64)
    return make(
        "sensor_msgs/msg/JointState", header=header(ns), name=list(names), position=values, velocity=empty, effort=empty
    )


def pose(ns: int, xyz, xyzw):
    point = make("geometry_msgs/msg/Point", **dict(zip("xyz", map(float, xyz), strict=True)))
    turn = make("geometry_msgs/msg/Quaternion", **dict(zip("xyzw", map(float, xyzw), strict=True)))
    return make(
        "geometry_msgs/msg/PoseStamped",
        header=header(ns),
        pose=make("geometry_msgs/msg/Pose", position=point, orientation=turn),
    )


def image(ns: int, frame, encoding: str, pad: int = 0):
    rows = np.ascontiguousarray(frame).view(np.uint8).reshape(frame.shape[0], -1)
    data = np.pad(rows, ((0, 0), (0, pad)))
    height, width = frame.shape[:2]
    words = {"height": height, "width": width, "encoding": encoding, "is_bigendian": 0, "step": data.shape[1]}
    return make("sensor_msgs/msg/Image", header=header(ns), **words, data=data.reshape(-1))


def numbers(values):
    layout = make("std_msgs/msg/MultiArrayLayout", dim=[], data_offset=0)
    return make("std_msgs/msg/Float64MultiArray", layout=layout, data=np.array(values, dtype=np.float64))


def write_messages(path: Path, messages, plugin=StoragePlugin.SQLITE3) -> Path:
    """Write (topic, receive_ns, message) triples as a bag."""
    with Writer(path, version=9, storage_plugin=plugin) as writer:
        connections = {}
        for topic, receive_ns, message in sorted(messages, key=lambda item: item[1]):
            kind = message.__msgtype__
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=TYPES)
            writer.write(connections[topic], receive_ns, TYPES.serialize_cdr(message, kind))
    return path


def arm(n_s: float = 1.0, begin_ns: int = START_NS):
    """What an arm sends: joints at 100 Hz, poses at 50 Hz, pictures at 10 Hz, commands at 7 Hz, 4 ms on the way."""
    found = []
    for rate, topic in ((100, "/joint_states"), (50, "/tcp"), (10, "/camera"), (7, "/command")):
        for k in range(int(rate * n_s)):
            at = begin_ns + k * 10**9 // rate
            message = {
                "/joint_states": lambda at=at, k=k: joints(at, [k + 0.1, -k]),
                "/tcp": lambda at=at, k=k: pose(at, [k, 2 * k, 0.3], [0.6, 0, 0, 0.8]),
                "/camera": lambda at=at, k=k: image(
                    at, np.full((4, 6, 3), k, np.uint8) + np.arange(3, dtype=np.uint8), "rgb8"
                ),
                "/command": lambda k=k: numbers([k, k / 3]),
            }[topic]()
            found.append((topic, at + 4 * MS, message))
    return found


def save(path: Path, mapping) -> Path:
    path.write_text(yaml.safe_dump(mapping, sort_keys=False))
    return path


@pytest.fixture
def mapping(tmp_path) -> Path:
    return save(tmp_path / "mapping.yaml", MAPPING)


@pytest.mark.parametrize("plugin", [StoragePlugin.SQLITE3, StoragePlugin.MCAP])
def test_a_bag_of_many_rates_keeps_its_streams_and_is_aligned(tmp_path, mapping, plugin) -> None:
    bag = write_messages(tmp_path / "bag", arm(), plugin)
    foreign = read(bag, mapping)
    [episode] = foreign.episodes
    assert foreign.n_episodes == 1
    stream = episode.streams["joint_pos_rad"]
    assert stream.values.dtype == np.float64 and stream.values.shape == (100, 2)
    np.testing.assert_array_equal(stream.values, np.stack([-np.arange(100.0), np.arange(100) + 0.1], axis=1))
    np.testing.assert_array_equal(stream.receive_s, np.arange(100) * 10 * MS / 1e9)
    np.testing.assert_allclose(stream.capture_s, stream.receive_s - 0.004, atol=1e-12)
    assert episode.streams["tcp_quat_base_wxyz"].values[3].tolist() == [0.8, 0.6, 0.0, 0.0]
    assert foreign.contract.observations[0].components == ("j1", "j2")
    assert foreign.contract.observations[1].components == ("x", "y", "z")
    np.testing.assert_allclose(np.diff(episode.time_s), 0.05)
    # A command is held until the next: at 0.30 s the third one (0.286 s) is the newest.
    step = int(np.argmin(np.abs(episode.time_s - 0.3)))
    assert episode.actions["target_rad"][step].tolist() == [2.0, 2 / 3]
    assert episode.observations["joint_pos_rad"][step].tolist() == [-30.0, 30.1]
    assert episode.images["front"][step].tolist() == (np.full((4, 6, 3), 3) + np.arange(3)).tolist()
    assert episode.meta.source == "real" and episode.meta.operator == "Ada"
    assert episode.meta.created == "2023-11-14T22:13:20.004+00:00"


def test_a_folder_of_bags_without_actions_is_a_reference_set(tmp_path) -> None:
    for index in (1, 0):
        write_messages(tmp_path / "bags" / f"flight_{index}", arm(0.5 + index, START_NS + index * 10**12))
    features = {key: MAPPING["features"][key] for key in ("joint_pos_rad", "tcp_pos_base_m")}
    foreign = read(tmp_path / "bags", save(tmp_path / "m.yaml", {**MAPPING, "features": features}))
    episodes = list(foreign.episodes)
    assert foreign.n_episodes == 2 and foreign.contract.actions == ()
    assert [episode.meta.origin for episode in episodes] == ["rosbag2, flight_0", "rosbag2, flight_1"]
    assert len(episodes[0]) < len(episodes[1])


def test_start_and_stop_cut_a_bag_into_episodes(tmp_path) -> None:
    empty = make("std_msgs/msg/Empty", structure_needs_at_least_one_member=0)
    marks = [("/go", 100), ("/end", 400), ("/go", 500)]
    cuts = [(topic, START_NS + at * MS, empty) for topic, at in marks]
    bag = write_messages(tmp_path / "bag", arm() + cuts)
    foreign = read(bag, save(tmp_path / "m.yaml", {**MAPPING, "start": "go", "stop": "/end"}))
    first, second = foreign.episodes
    assert foreign.n_episodes == 2
    assert first.streams["joint_pos_rad"].values[0, 1] == 10.1 and second.streams["joint_pos_rad"].values[0, 1] == 50.1
    assert first.streams["joint_pos_rad"].receive_s[-1] < 0.3
    assert (first.meta.truncated, second.meta.truncated) == (False, True)


@pytest.mark.parametrize(
    ("encoding", "dtype", "channels", "colour"),
    [
        ("rgb8", "uint8", 3, "rgb"),
        ("bgr8", "uint8", 3, "bgr"),
        ("mono8", "uint8", 0, "gray"),
        ("mono16", "uint16", 0, "gray"),
        ("16UC1", "uint16", 0, "depth"),
        ("32FC1", "float32", 0, "depth"),
    ],
)
def test_pictures_of_every_encoding_arrive_pixel_by_pixel(tmp_path, encoding, dtype, channels, colour) -> None:
    frame = RNG.integers(0, 255, (5, 7, channels)[: 3 if channels else 2]).astype(dtype)
    bag = write_messages(
        tmp_path / "bag", [("/c", START_NS + k * MS, image(START_NS + k * MS, frame, encoding, 5)) for k in range(3)]
    )
    features = {"cam": {"role": "image", "topic": "c", "frame": "optical"}}
    foreign = read(bag, save(tmp_path / "m.yaml", {**MAPPING, "features": features}))
    [episode] = foreign.episodes
    assert foreign.contract.images[0].colour == colour
    np.testing.assert_array_equal(episode.images["cam"][0], frame)


@pytest.mark.parametrize("codec", ["png", "jpeg"])
def test_compressed_pictures_pass_through_unchanged(tmp_path, codec) -> None:
    data = bytes(cv2.imencode(f".{codec}", RNG.integers(0, 255, (8, 9, 3)).astype(np.uint8))[1])
    kind = "sensor_msgs/msg/CompressedImage"
    message = make(kind, header=header(START_NS), format=codec, data=np.frombuffer(data, np.uint8))
    bag = write_messages(tmp_path / "bag", [("/c", START_NS, message)])
    features = {"cam": {"role": "image", "topic": "c", "frame": "optical"}}
    [episode] = read(bag, save(tmp_path / "m.yaml", {**MAPPING, "features": features})).episodes
    assert bytes(episode.streams["cam"].values.encoded(0)) == data
    assert episode.contract.images[0].codec == codec

    cut = make(kind, header=header(START_NS), format=codec, data=np.frombuffer(data[:-9], np.uint8))
    bag = write_messages(tmp_path / "cut", [("/c", START_NS, cut)])
    with pytest.raises(UnreadableFile, match=r"message 0: its \d+ bytes .* are no whole PNG or JPEG"):
        read(bag, tmp_path / "m.yaml")


def test_a_message_type_of_ones_own_is_read(tmp_path) -> None:
    own = get_typestore(Stores.LATEST)
    own.register(get_types_from_msg("std_msgs/Header header\nfloat32[3] force_n\nuint32 count", "lab_msgs/msg/Touch"))
    kind = own.types["lab_msgs/msg/Touch"]
    with Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection("/touch", "lab_msgs/msg/Touch", typestore=own)
        for k in range(3):
            message = kind(header=header(START_NS + k * MS), force_n=np.full(3, k + 0.1, np.float32), count=2**32 - 1)
            writer.write(connection, START_NS + k * MS, own.serialize_cdr(message, "lab_msgs/msg/Touch"))
    features = {"force_n": {"topic": "/touch", "field": "force_n"}, "n": {"topic": "/touch", "field": "count"}}
    [episode] = read(tmp_path / "bag", save(tmp_path / "m.yaml", {**MAPPING, "features": features})).episodes
    assert episode.streams["force_n"].values.dtype == np.float32
    assert episode.streams["n"].values.tolist() == [[2**32 - 1]] * 3


def test_a_type_name_that_holds_code_is_refused(tmp_path) -> None:
    trap = tmp_path / "trap"
    hostile = f"lab/msg/Touch:\n    open({str(trap)!r}, 'w')\nclass X"
    with Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection("/touch", hostile, msgdef="float32 force_n", rihs01="x")
        writer.write(connection, START_NS, b"\0\1\0\0\0\0\0\0")
    features = {"force_n": {"topic": "/touch", "field": "force_n"}}
    with pytest.raises(UnreadableFile, match=r"no plain one|type lab"):
        read(tmp_path / "bag", save(tmp_path / "m.yaml", {**MAPPING, "features": features}))
    assert not trap.exists()


FAULTS = {
    "topic": (
        {"topic": "/joint_state"},
        r"no message on topic '/joint_state'; topics: '/camera'.*Did you mean '/joint_states'",
    ),
    "field": (
        {"field": "positions"},
        r"no field 'positions'; fields: 'header', 'name', 'position'.*Did you mean 'position'",
    ),
    "joint": ({"field": "position[j1, j3]"}, r"no joint 'j3'; joints: 'j2', 'j1'"),
    "struct": ({"field": "header"}, r"'header' is a Header, not numbers; name one of its fields: 'stamp', 'frame_id'"),
    "text": ({"field": "name"}, r"holds list, not numbers"),
    "path": ({"field": "position[j1"}, r"is no path such as"),
    "quaternion": ({"topic": "/tcp", "field": "pose.orientation"}, r"call the feature joint_pos_rad_wxyz"),
    "components": ({"components": ["a"]}, r"1 names for 2 elements"),
    "key": ({"feild": "position"}, r"feild: unknown key; valid: .*Did you mean 'field'"),
    "unit": ({"unit": 1}, r"joint_pos_rad.unit: 1, expected text"),
    "rule": ({"align": "newest"}, r"align: 'newest'; valid: 'hold', 'nearest', 'interpolate', 'drop', 'none'"),
    "none": ({"align": "none"}, r"'none' needs `steps`"),
    "drop": ({"align": "drop"}, r"needs max_age_s"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_mapping_is_told_with_what_is_there(tmp_path, fault) -> None:
    change, said = FAULTS[fault]
    bag = write_messages(tmp_path / "bag", arm(0.3))
    joint = {**MAPPING["features"]["joint_pos_rad"], **change}
    with pytest.raises(UnreadableFile, match=said):
        list(read(bag, save(tmp_path / "m.yaml", {**MAPPING, "features": {"joint_pos_rad": joint}})).episodes)


def test_all_faults_of_a_mapping_are_told_at_once(tmp_path) -> None:
    bag = write_messages(tmp_path / "bag", arm(0.3))
    wrong = {"robot": 3, "control_hz": 0, "source": "dream", "features": {"a": {"unit": 2}}}
    with pytest.raises(UnreadableFile) as caught:
        read(bag, save(tmp_path / "m.yaml", wrong))
    for said in (
        "task: missing",
        "robot: 3",
        "control_hz: 0",
        "source: 'dream'",
        "features.a.topic: missing",
        "a.unit: 2",
    ):
        assert said in str(caught.value)
    with pytest.raises(UnreadableFile, match="no mapping file was given"):
        read(bag)


BROKEN = {
    "back": ([("/joint_states", 20, joints(START_NS, [1, 2]))], r"message 1: stamped .* not after .*`stamp: receive`"),
    "nan": ([("/joint_states", 20, joints(START_NS + 20 * MS, [1, math.nan]))], r"message 1: it holds NaN"),
    "ragged": ([("/joint_states", 20, joints(START_NS + 20 * MS, [1]))], r"message 1: it names 2 joints, but holds 1"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_message_is_named(tmp_path, fault) -> None:
    extra, said = BROKEN[fault]
    messages = [("/joint_states", START_NS + 10 * MS, joints(START_NS + 10 * MS, [1, 2]))]
    messages += [(topic, START_NS + at * MS, message) for topic, at, message in extra]
    bag = write_messages(tmp_path / "bag", messages)
    features = {"joint_pos_rad": MAPPING["features"]["joint_pos_rad"]}
    with pytest.raises(UnreadableFile, match=said):
        list(read(bag, save(tmp_path / "m.yaml", {**MAPPING, "features": features})).episodes)


@pytest.mark.parametrize("plugin", [StoragePlugin.SQLITE3, StoragePlugin.MCAP])
def test_a_bag_cut_anywhere_is_refused(tmp_path, mapping, plugin) -> None:
    bag = write_messages(tmp_path / "bag", arm(), plugin)
    [storage] = [path for path in bag.iterdir() if path.name != "metadata.yaml"]
    data = storage.read_bytes()
    for kept in np.linspace(0, len(data) - 1, 25).astype(int):
        storage.write_bytes(data[:kept])
        with pytest.raises(UnreadableFile, match="bag"):
            list(read(bag, mapping).episodes)
    storage.unlink()
    with pytest.raises(UnreadableFile, match="missing"):
        read(bag, mapping)


def test_unknown_storage_lost_metadata_and_no_bag_are_told(tmp_path, mapping) -> None:
    bag = write_messages(tmp_path / "bags" / "a", arm(0.3))
    told = (bag / "metadata.yaml").read_text()
    (bag / "metadata.yaml").write_text(told.replace("storage_identifier: sqlite3", "storage_identifier: tape"))
    with pytest.raises(UnreadableFile, match="'tape' not supported"):
        read(bag, mapping)
    (bag / "metadata.yaml").write_text(told.replace("version: 9", "version: 99"))
    with pytest.raises(UnreadableFile, match="version 99"):
        read(bag, mapping)
    (bag / "metadata.yaml").unlink()
    with pytest.raises(UnreadableFile, match=r"no metadata.yaml.*ros2 bag reindex"):
        read(tmp_path / "bags", mapping)
    shutil.rmtree(bag)
    with pytest.raises(UnreadableFile, match="it holds no bag"):
        read(tmp_path / "bags", mapping)
    with pytest.raises(UnreadableFile, match="it is missing"):
        read(tmp_path / "nowhere", mapping)


class Episodes(list):
    """Stands in for a store."""

    @property
    def contract(self) -> Contract:
        return self[0].contract


CONTRACT = Contract(
    robot="arm",
    task="lift",
    observations=(
        Feature("joint_pos.rad", (2,), "rad", "joint", ("j1", "j2"), low=(-3.1, -0.1), high=(3.1, 1e-5)),
        Feature("grid", (2, 2), "1", "none", dtype="int64"),
        Feature("closed", (1,), "1", "none", dtype="bool", optional=True),
        Feature("quat_base_wxyz", (4,), "1", "base", dtype="float64", align=Align("interpolate", 0.5)),
        Feature("force_n", (3,), "N", "tcp", align=Align("hold")),
    ),
    actions=(Feature("joint_pos_rad", (2,), "rad", "joint", relative_to="joint_pos.rad"),),
    control_hz=30.0,
    images=(
        ImageFeature("front", (4, 5, 3), "front", "bgr", align=Align("nearest")),
        ImageFeature("wrist", (4, 6, 3), "wrist", codec="jpeg", quality=80),
        ImageFeature("depth", (3, 3), "front", "depth", "raw", "float32", "m", invalid=0.0),
    ),
)


def sample_episode(seed: int, n_steps: int = 6, with_commands: bool = True, **change) -> Episode:
    rng = np.random.default_rng(seed)
    time_s = np.cumsum(rng.uniform(0.01, 0.05, n_steps))
    capture_s = np.cumsum(rng.uniform(0.001, 0.03, 20)) - 0.05
    stream_s = (capture_s, np.minimum(capture_s + 0.003, np.maximum.accumulate(capture_s + 0.003)))
    quats = rng.normal(size=(20, 4))
    pictures = Frames.of(CONTRACT.images[0], rng.integers(0, 255, (20, 4, 5, 3)).astype(np.uint8))
    force = rng.normal(size=(20, 3)).astype(np.float32)
    return Episode(
        contract=CONTRACT,
        observations={
            "joint_pos.rad": rng.normal(size=(n_steps, 2)).astype(np.float32),
            "grid": rng.integers(-(2**63), 2**63 - 1, (n_steps, 2, 2)),
        }
        | ({"closed": rng.integers(0, 2, (n_steps, 1)).astype(bool)} if seed % 2 else {}),
        actions={"joint_pos_rad": rng.normal(size=(n_steps, 2)).astype(np.float32)},
        time_s=time_s,
        meta=EpisodeMeta("twin", "Ada", seed, True, 1.5, {"mass": [1.0, math.inf]}, metrics={"a_m": 0.1}, **change),
        commands=rng.normal(size=(n_steps, 3)) if with_commands else None,
        images={
            "wrist": Frames.of(CONTRACT.images[1], rng.integers(0, 255, (n_steps, 4, 6, 3)).astype(np.uint8)),
            "depth": Frames.of(CONTRACT.images[2], rng.random((n_steps, 3, 3)).astype(np.float32)),
        },
        streams={
            "quat_base_wxyz": Stream(quats / np.linalg.norm(quats, axis=1, keepdims=True), *stream_s),
            "force_n": Stream(force, *stream_s),
            "front": Stream(pictures, *stream_s),
        },
    )


def require_same(ours: Episode, theirs: Episode) -> None:
    assert ours.contract == theirs.contract
    assert ours.meta == theirs.meta
    assert ours.time_s.tobytes() == theirs.time_s.tobytes()
    for group in ("observations", "actions"):
        a, b = getattr(ours, group), getattr(theirs, group)
        assert a.keys() == b.keys()
        for name in a:
            assert a[name].dtype == b[name].dtype and a[name].shape == b[name].shape
            assert a[name].tobytes() == b[name].tobytes(), name
    assert (ours.commands is None) == (theirs.commands is None)
    assert ours.commands is None or ours.commands.tobytes() == theirs.commands.tobytes()
    assert ours.images.keys() == theirs.images.keys() and ours.streams.keys() == theirs.streams.keys()
    for name, frames in ours.images.items():
        assert [bytes(frames.encoded(k)) for k in range(len(frames))] == [
            bytes(theirs.images[name].encoded(k)) for k in range(len(frames))
        ]
    for name, stream in ours.streams.items():
        assert stream.capture_s.tobytes() == theirs.streams[name].capture_s.tobytes()
        assert stream.receive_s.tobytes() == theirs.streams[name].receive_s.tobytes()
        if isinstance(stream.values, np.ndarray):
            assert stream.values.tobytes() == theirs.streams[name].values.tobytes()


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 99), st.integers(1, 9), st.booleans()), min_size=1, max_size=2))
def test_what_is_written_is_read_back_bit_for_bit(tmp_path, made) -> None:
    out = tmp_path / "out"
    shutil.rmtree(out, ignore_errors=True)
    episodes = Episodes(sample_episode(*each) for each in made)
    lost = write(episodes, out)
    assert lost == ("depth: pixels that are NaN are read back as 0.0",)
    foreign = read(out)
    assert foreign.contract == CONTRACT and foreign.n_episodes == len(episodes)
    for ours, theirs in zip(episodes, foreign.episodes, strict=True):
        require_same(ours, theirs)


def test_topics_are_ros_names_and_differ() -> None:
    topics = name_topics(
        replace(CONTRACT, observations=(*CONTRACT.observations, Feature("joint_pos_rad2", (1,), "rad", "joint")))
    )
    assert topics["joint_pos.rad"] == "observations/joint_pos_rad"
    twins = (Feature("a.b", (1,), "m", "base"), Feature("a_b", (1,), "m", "base"))
    names = name_topics(replace(CONTRACT, observations=twins, actions=()))
    assert names["a.b"] != names["a_b"]


def test_samples_told_at_the_steps_alone_are_listed_as_lost(tmp_path) -> None:
    feature = Feature("force_n", (1,), "N", "tcp", align=Align())
    contract = Contract("arm", "lift", (feature,), (), 10.0)
    value = np.ones((3, 1), np.float32)
    episode = Episode(contract, {"force_n": value}, {}, np.arange(3) * 0.1, EpisodeMeta("real", created="today"))
    assert write(Episodes([episode]), tmp_path / "out") == ("force_n: samples at the steps become a stream",)
    [back] = read(tmp_path / "out").episodes
    assert (
        back.observations["force_n"].tobytes() == value.tobytes() and back.time_s.tobytes() == episode.time_s.tobytes()
    )


def test_a_damaged_description_is_refused(tmp_path) -> None:
    write(Episodes([sample_episode(1)]), tmp_path / "out")
    path = tmp_path / "out" / "episode_000000" / "metadata.yaml"
    path.write_text(path.read_text().replace("operator", "operater"))
    with pytest.raises(UnreadableFile, match=r"custom_data, ashore.meta: keys"):
        list(read(tmp_path / "out").episodes)


def test_ros_itself_reads_the_written_messages(tmp_path) -> None:
    serialization = pytest.importorskip("rclpy.serialization", reason="rclpy is not installed")
    from sensor_msgs.msg import CompressedImage, Image
    from std_msgs.msg import Float64, Float64MultiArray, Int64MultiArray

    kinds = {
        f"{kind.__module__.split('.')[0]}/msg/{kind.__name__}": kind
        for kind in (CompressedImage, Image, Float64, Float64MultiArray, Int64MultiArray)
    }
    episode = sample_episode(1)
    write(Episodes([episode]), tmp_path / "out")
    got: dict[str, list] = {}
    with Reader(tmp_path / "out" / "episode_000000") as reader:
        for connection, _, data in reader.messages():
            message = serialization.deserialize_message(bytes(data), kinds[connection.msgtype])
            got.setdefault(connection.topic, []).append(message)
    joint_pos = np.array([message.data for message in got["/observations/joint_pos_rad"]], dtype=np.float32)
    assert joint_pos.tobytes() == episode.observations["joint_pos.rad"].tobytes()
    assert got["/observations/joint_pos_rad"][0].layout.dim[0].label == "j1,j2"
    grid = np.array([message.data for message in got["/observations/grid"]]).reshape(-1, 2, 2)
    assert grid.tobytes() == episode.observations["grid"].tobytes()
    assert [message.data for message in got["/steps"]] == episode.time_s.tolist()
    assert bytes(got["/images/wrist"][2].data) == bytes(episode.images["wrist"].encoded(2))
    assert (got["/images/depth"][0].encoding, got["/images/depth"][0].step) == ("32FC1", 12)
    assert json.loads(reader_custom(tmp_path / "out" / "episode_000000"))["operator"] == "Ada"


def reader_custom(bag: Path) -> str:
    raw = yaml.safe_load((bag / "metadata.yaml").read_text())
    return raw["rosbag2_bagfile_information"]["custom_data"]["ashore.meta"]


def test_the_written_mapping_names_units_and_frames(tmp_path) -> None:
    write(Episodes([sample_episode(1)]), tmp_path / "out")
    told = yaml.safe_load((tmp_path / "out" / MAPPING_FILE).read_text())
    assert told["features"]["force_n"]["unit"] == "N" and told["features"]["force_n"]["frame"] == "tcp"
    assert told["steps"] == "steps"
