import json
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
import zarr
from zarr.storage import ZipStore

from ashore.datasets import archive
from ashore.datasets.archive import read_archive, write_archive
from ashore.datasets.errors import DamagedFile
from ashore.datasets.store import EpisodeStore


def written(episode) -> bytes:
    file = BytesIO()
    write_archive(file, 0, episode, "0" * 64)
    return file.getvalue()


def rewritten(data: bytes, name: str, change) -> bytes:
    file = BytesIO()
    with ZipFile(BytesIO(data)) as before, ZipFile(file, "w") as after:
        for entry in before.namelist():
            after.writestr(entry, change(before.read(entry)) if entry == name else before.read(entry))
    return file.getvalue()


@pytest.mark.parametrize("chunk_bytes", [50, 10_000_000])
def test_zarr_itself_opens_an_episode(
    contract, make_episode, store_path, monkeypatch, require_equal, chunk_bytes
) -> None:
    monkeypatch.setattr(archive, "CHUNK_BYTES", chunk_bytes)
    episode = make_episode(3, n_steps=17)
    store = EpisodeStore.create(store_path, contract)
    store.append(episode)
    require_equal(store.read(0), episode)
    [file] = (store_path / "episodes").iterdir()
    group = zarr.open_group(ZipStore(file, mode="r"), mode="r")
    np.testing.assert_array_equal(group["time_s"][:], episode.time_s)
    np.testing.assert_array_equal(group["commands"][:], episode.commands)
    np.testing.assert_array_equal(group["observations/closed"][:], episode.observations["closed"])
    joints = group["observations/joint_pos_rad"]
    np.testing.assert_array_equal(joints[:], episode.observations["joint_pos_rad"])
    assert dict(joints.attrs) == {"unit": "rad", "frame": "joint"}
    assert joints.nchunks == (5 if chunk_bytes == 50 else 1)


def test_the_same_episode_gives_the_same_bytes(make_episode) -> None:
    episode = make_episode(created="2026-01-01T00:00:00+00:00")
    assert written(episode) == written(replace(episode))


@pytest.mark.parametrize("codec", ["pickle", "vlen-utf8", "json2", "numcodecs.blosc"])
def test_a_codec_off_the_list_is_never_decoded(contract, make_episode, codec) -> None:
    def change(text: bytes) -> bytes:
        return json.dumps(json.loads(text) | {"codecs": [{"name": codec}]}).encode()

    data = rewritten(written(make_episode()), "time_s/zarr.json", change)
    with pytest.raises(DamagedFile, match="not on the list"):
        read_archive(data, Path("x.zip"), contract)


@pytest.mark.parametrize(
    ("name", "change", "text"),
    [
        ("time_s/c/0", lambda data: data[8:] + data[:8], "SHA-256"),
        ("time_s/c/0", lambda data: data[:-1], "wrong length"),
        ("time_s/zarr.json", lambda data: data.replace(b"float64", b"object"), "not on the list"),
        (
            "actions/tcp_target_base_m/zarr.json",
            lambda data: data.replace(b"[5, 2]", b"[2, 5]", 1),
            "not one that ashore writes|wrong length|entries|item",
        ),
        ("zarr.json", lambda data: data.replace(b'"schema_version": 1', b'"schema_version": 9'), "schema version is 9"),
        ("zarr.json", lambda data: data.replace(b'"seed"', b'"sead"'), "sead"),
        ("zarr.json", lambda data: b"[]", "indices"),
    ],
)
def test_a_changed_part_is_named(contract, make_episode, name, change, text) -> None:
    with pytest.raises(DamagedFile, match=text):
        read_archive(rewritten(written(make_episode()), name, change), Path("x.zip"), contract)


def test_an_array_cannot_pass_for_that_of_another_episode(contract, make_episode) -> None:
    """Each hash is bound to its array's name and its episode."""
    episode = make_episode()
    with pytest.raises(DamagedFile, match="SHA-256"):
        data = rewritten(
            written(episode), "zarr.json", lambda text: text.replace(b'"episode_index": 0', b'"episode_index": 1')
        )
        read_archive(data, Path("x.zip"), contract)


def test_a_stranger_in_the_archive_is_refused(contract, make_episode) -> None:
    file = BytesIO(written(make_episode()))
    with ZipFile(file, "a") as opened:
        opened.writestr("more", b"")
    with pytest.raises(DamagedFile, match="parts that no episode"):
        read_archive(file.getvalue(), Path("x.zip"), contract)
