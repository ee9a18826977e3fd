"""Images and streams: stored bit for bit, recorded, recovered, and every fault of theirs named."""

import os
import signal
from dataclasses import replace

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from picture_cases import CONTRACT, DEPTH, GRAY, META, RGB, make_episode, pictures, record, require_equal

from ashore.datasets.contract import Align, ImageFeature
from ashore.datasets.errors import DamagedFile, InvalidContract, InvalidSample
from ashore.datasets.images import FileBytes, Frames, decode, encode
from ashore.datasets.store import EpisodeStore

LOSSLESS = (
    RGB,
    GRAY,
    DEPTH,
    replace(RGB, colour="bgr"),
    replace(RGB, codec="raw"),
    replace(DEPTH, dtype="float32", codec="raw", unit="m"),
)


@pytest.fixture
def store(store_path) -> EpisodeStore:
    return EpisodeStore.create(store_path, CONTRACT)


@pytest.mark.parametrize("feature", LOSSLESS, ids=lambda f: f"{f.colour}-{f.codec}-{f.dtype}")
def test_lossless_codecs_give_every_pixel_back(feature) -> None:
    frame = pictures(np.random.default_rng(0), feature, 1)[0]
    again = decode(feature, encode(feature, frame))
    assert again.dtype == frame.dtype
    assert again.tobytes() == frame.tobytes()


def test_jpeg_is_near_in_the_declared_order_of_channels() -> None:
    red = np.zeros((32, 32, 3), np.uint8)
    red[..., 0] = 200
    for colour in ("rgb", "bgr"):
        feature = ImageFeature("camera", red.shape, "camera", colour, "jpeg", quality=95)
        again = decode(feature, encode(feature, red))
        assert np.abs(again.astype(int) - red).max() < 12


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"codec": "jpeg"}, "quality"),
        ({"colour": "gray"}, r"needs \(H, W\)"),
        ({"dtype": "uint16"}, "'uint16' of rgb as png; valid: 'uint8'"),
        ({"colour": "depth", "shape": (4, 4)}, "invalid: missing"),
        ({"align": Align("interpolate")}, "cannot be interpolated"),
        ({"align": Align("drop")}, "needs max_age_s"),
        ({"codec": "mp4"}, "'mp4'; valid: 'png'"),
    ],
)
def test_an_image_feature_that_contradicts_itself_is_refused(change, words) -> None:
    with pytest.raises(InvalidContract, match=words):
        replace(CONTRACT, images=(replace(RGB, **change),))


def test_a_lossy_depth_codec_is_refused() -> None:
    with pytest.raises(InvalidContract, match="jpeg changes distances"):
        replace(CONTRACT, images=(replace(DEPTH, codec="jpeg", quality=90, dtype="uint8"),))


def test_a_hostile_picture_is_refused_before_it_is_decoded() -> None:
    frame = pictures(np.random.default_rng(0), RGB, 1)[0]
    bomb = bytearray(encode(RGB, frame))
    bomb[16:24] = (60_000).to_bytes(4, "big") * 2
    for data in (bytes(bomb), b"", b"GIF89a", encode(RGB, frame)[:40]):
        with pytest.raises(DamagedFile):
            decode(RGB, data)


JPEG = ImageFeature("wrist_rgb", (24, 32, 3), "wrist_optical", codec="jpeg", quality=95, optional=True, align=Align())
PICTURE = encode(JPEG, np.arange(24 * 32 * 3, dtype=np.uint8).reshape(24, 32, 3))


@pytest.mark.parametrize(
    "data",
    [
        encode(replace(JPEG, codec="png", quality=None), np.zeros(JPEG.shape, np.uint8)),
        encode(replace(JPEG, shape=(32, 24, 3)), np.zeros((32, 24, 3), np.uint8)),
        PICTURE.replace(b"\x00\x18\x00\x20", b"\xff\xff\xff\xff"),
        PICTURE[:20],
        b"\xff\xd8" + b"\xff" * 100,
        b"\xff\xd8\xff\xe0\x00\x00",
        b"",
    ],
    ids=["png", "turned", "bomb", "cut", "fill", "segment_of_nothing", "nothing"],
)
def test_a_hostile_jpeg_is_refused_before_it_is_decoded_and_leaves_a_recording_whole(store_path, data) -> None:
    with pytest.raises(DamagedFile, match="is no JPEG of"):
        decode(JPEG, data)
    contract = replace(CONTRACT, observations=(), images=(JPEG,))
    action = {feature.name: np.zeros(feature.shape, feature.dtype) for feature in contract.actions}
    with EpisodeStore.create(store_path, contract) as store, store.begin(META) as writer:
        writer.add_sample("wrist_rgb", PICTURE, -0.01, 0.0)
        writer.add({}, action, 0.0)
        with pytest.raises(InvalidSample, match=r"wrist_rgb: .* is no JPEG of"):
            writer.add_sample("wrist_rgb", data, 0.01, 0.01)
        writer.add_sample("wrist_rgb", PICTURE, 0.02, 0.02)
        writer.add({}, action, 0.1)
        writer.commit()
    kept = EpisodeStore.open(store_path, readonly=True).read(0).streams["wrist_rgb"].values
    assert [bytes(kept.encoded(entry)) for entry in range(len(kept))] == [PICTURE, PICTURE]


@given(at=st.integers(0, len(PICTURE) - 1), byte=st.integers(0, 255), end=st.integers(0, len(PICTURE)))
def test_a_flipped_or_cut_jpeg_is_a_picture_of_its_size_or_refused(at, byte, end) -> None:
    for data in (PICTURE[:at] + bytes([byte]) + PICTURE[at + 1 :], PICTURE[:end]):
        try:
            assert decode(JPEG, data).shape == JPEG.shape
        except DamagedFile:
            continue


@pytest.mark.parametrize("depth", [True, False])
def test_pictures_and_streams_are_stored_bit_for_bit(store, depth) -> None:
    written = make_episode(depth=depth)
    store.append(written)
    store.append(make_episode(1))
    require_equal(store.read(0), written)
    require_equal(EpisodeStore.open(store.path).read(0, on_disk=True), written)
    assert store.verify() == []


def test_any_zarr_opens_the_arrays_of_an_episode(store) -> None:
    store.append(make_episode())
    file = next((store.path / "episodes").iterdir())
    group = zarr.open_group(zarr.storage.ZipStore(file, mode="r"), mode="r")
    frames = make_episode().images["side_camera"]
    ends, data = group["images/side_camera/ends"][:], group["images/side_camera/bytes"][:]
    assert data[: ends[0]].tobytes() == bytes(frames.encoded(0))
    assert group["images/side_camera/bytes"].attrs["codec"] == "png"


def test_frames_on_disk_take_no_memory_and_show_the_same(store) -> None:
    written = make_episode()
    store.append(written)
    frames = store.read(0, on_disk=True).images["wrist_camera"]
    assert isinstance(frames.source, FileBytes)
    assert frames[3].tobytes() == written.images["wrist_camera"][3].tobytes()


def test_a_step_shows_the_newest_frame_that_had_arrived_and_its_age(store) -> None:
    episode = make_episode()
    aligned = episode.alignment("wrist_camera")
    stream = episode.streams["wrist_camera"]
    for step, time_s in enumerate(episode.time_s):
        newest = np.flatnonzero(stream.receive_s <= time_s)[-1]
        assert aligned.index[step] == newest
        assert aligned.age_s[step] == time_s - stream.capture_s[newest]
        assert np.array_equal(episode.images["wrist_camera"][step], stream.values[newest])


def test_what_is_recorded_step_by_step_is_the_same_episode(store) -> None:
    written = make_episode()
    writer = record(store, written)
    writer.commit()
    read = store.read(0)
    assert read.observations["joint_pos_rad"].tobytes() == written.observations["joint_pos_rad"].tobytes()
    assert read.observations["acc_body_m_s2"].shape == (8, 3)
    for name, frames in read.images.items():
        assert frames.stack().tobytes() == written.images[name].stack().tobytes()
    assert store.verify() == []


def test_a_killed_recorder_of_pictures_loses_no_step(store) -> None:
    written = make_episode()
    child = os.fork()
    if not child:
        record(store, written)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert [item.n_steps for item in store.recover()] == [8]
    read = store.read(0)
    assert read.meta.truncated
    for name, frames in read.images.items():
        assert frames.stack().tobytes() == written.images[name].stack().tobytes()
    assert store.verify() == []


def test_a_stream_that_goes_back_or_comes_too_late_is_refused_and_nothing_is_lost(store) -> None:
    episode = make_episode()
    frame, acc = episode.streams["wrist_camera"].values[0], np.zeros(3, np.float32)
    writer = store.begin(META)
    step = (
        {"joint_pos_rad": np.zeros(2), "side_camera": episode.images["side_camera"][0]},
        {"joint_target_rad": np.zeros(2)},
    )
    with pytest.raises(InvalidSample, match="wrist_camera: no sample yet"):
        writer.add(*step, 0.0)
    writer.add_sample("wrist_camera", frame, 0.01, 0.02)
    writer.add_sample("acc_body_m_s2", acc, 0.0, 0.0)
    with pytest.raises(InvalidSample, match="received after this step"):
        writer.add(*step, 0.01)
    writer.add(*step, 0.05)
    for capture_s, receive_s, words in (
        (0.01, 0.06, "capture_s"),
        (0.02, 0.01, "receive_s"),
        (np.nan, 0.1, "capture_s"),
    ):
        with pytest.raises(InvalidSample, match=words):
            writer.add_sample("wrist_camera", frame, capture_s, receive_s)
    with pytest.raises(InvalidSample, match="NaN"):
        writer.add_sample("acc_body_m_s2", acc * np.nan, 0.1, 0.1)
    with pytest.raises(InvalidSample, match="does not align it; valid: acc_body_m_s2, wrist_camera"):
        writer.add_sample("side_camera", frame, 0.1, 0.1)
    with pytest.raises(InvalidSample, match="given at some steps only"):
        depth = {"depth_camera": np.zeros((6, 7), np.uint16)}
        writer.add(step[0] | depth, step[1], 0.1)
    assert writer.commit() == 0
    assert store.verify() == []


def test_a_step_whose_sample_is_too_old_is_dropped_where_the_contract_says_so(store_path) -> None:
    rule = replace(RGB, align=Align("drop", 0.1))
    contract = replace(CONTRACT, observations=CONTRACT.observations[:1], images=(rule,))
    store = EpisodeStore.create(store_path, contract)
    frame = pictures(np.random.default_rng(0), rule, 1)[0]
    step = ({"joint_pos_rad": np.zeros(2)}, {"joint_target_rad": np.zeros(2)})
    writer = store.begin(META)
    writer.add_sample("wrist_camera", frame, 0.0, 0.0)
    kept = [writer.add(*step, 0.05 * i) for i in range(4)]
    writer.add_sample("wrist_camera", frame, 0.19, 0.2)
    kept += [writer.add(*step, 0.05 * i) for i in range(4, 6)]
    writer.commit()
    assert kept == [True, True, True, False, True, True]
    assert store.read(0).time_s.tolist() == pytest.approx([0.0, 0.05, 0.1, 0.2, 0.25])


def test_a_trim_cuts_pictures_and_keeps_streams(store) -> None:
    written = make_episode()
    part = written.part(slice(2, 5))
    store.append(part)
    for read in (part, store.read(0)):
        assert len(read) == 3
        assert np.array_equal(read.images["wrist_camera"].stack(), written.images["wrist_camera"].stack()[2:5])
        assert np.array_equal(read.observations["acc_body_m_s2"], written.observations["acc_body_m_s2"][2:5])


def test_ragged_frames_are_refused() -> None:
    episode = make_episode()
    short = {**episode.images, "side_camera": Frames.of(GRAY, pictures(np.random.default_rng(0), GRAY, 3))}
    with pytest.raises(InvalidSample, match="side_camera: 3 frames"):
        replace(episode, images=short)
    with pytest.raises(InvalidSample, match=r"\(9, 10\) of uint8, expected \(8, 10\)"):
        Frames.of(GRAY, [np.zeros((9, 10), np.uint8)])


@given(st.data())
def test_a_flipped_byte_of_a_picture_is_damage_or_the_wrong_hash(data) -> None:
    frame = pictures(np.random.default_rng(0), GRAY, 1)[0]
    sound = encode(GRAY, frame)
    place = data.draw(st.integers(0, len(sound) - 1))
    flipped = bytearray(sound)
    flipped[place] ^= 1 << data.draw(st.integers(0, 7))
    try:
        again = decode(GRAY, bytes(flipped))
    except DamagedFile:
        return
    assert again.shape == frame.shape
