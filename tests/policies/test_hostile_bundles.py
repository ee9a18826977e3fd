"""Hostile bundles: each is one clear error wherever a bundle is read; none runs, writes, connects or crashes."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from bundle_cases import contents
from hostile_bundles import CANARY, CASES, pickled
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ashore.datasets.errors import AshoreError
from ashore.policies.archive import save_archive
from ashore.policies.bundle import open_bundle

OPENING = Path(__file__).with_name("hostile_opening.py")
CPU_S = 2
"""What a graph may compute here; on a robot it is trial.CPU_S."""
LONGEST_S, PEAK_MB = 20.0, 512
"""Of one file by one entry point, generous for a busy machine; memory is what the policies' promise says."""
ENTRIES = ("planner", "read_bundle", "check_evidence", "preflight")
pytestmark = pytest.mark.filterwarnings("ignore:Duplicate name")
pytest.importorskip("rclpy", reason="the ROS 2 packages are not installed")


def open_all(paths: list[Path], canary: Path, cpu_s: int = CPU_S) -> subprocess.CompletedProcess[str]:
    """Open files in one process with limits."""
    command = [sys.executable, str(OPENING), str(cpu_s), *map(str, paths)]
    environment = {**os.environ, CANARY: str(canary)}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=240, check=False)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Mapping[str, dict[str, Any]]]:
    """{file: {entry point: how it ended}}, all opened by one process."""
    folder = tmp_path_factory.mktemp("hostile")
    paths = []
    for name, (_, write) in CASES.items():
        paths.append(folder / f"{name}.ashore")
        write(paths[-1])
    before = sorted(folder.rglob("*"))
    done = open_all(paths, folder / "canary")
    ends: dict[str, dict[str, dict[str, Any]]] = {}
    for line in done.stdout.splitlines():
        told = json.loads(line)
        ends.setdefault(told["file"], {})[told["entry"]] = told
    assert done.returncode == 0, f"after {list(ends)[-1:]}: {done.returncode} {done.stderr[-2000:]}"
    assert sorted(folder.rglob("*")) == before, "a file was made"
    return ends


def test_the_corpus_is_as_large_as_promised() -> None:
    assert len(CASES) >= 60


@pytest.mark.parametrize("name", CASES)
def test_each_hostile_bundle_is_one_clear_error_and_never_a_traceback(
    found: Mapping[str, Mapping[str, dict[str, Any]]], name: str
) -> None:
    ends = found[name]
    assert set(ends) == set(ENTRIES)
    told = ends["planner"]
    assert told["end"] == "refused", told
    assert f"{name}.ashore" in told["text"] and re.search(CASES[name][0], told["text"]), told["text"]
    for end in ends.values():
        assert end["end"] in ("refused", "passed"), end["text"]
        assert end["wall_s"] < LONGEST_S and end["peak_mb"] < PEAK_MB, end
        assert len(end["text"]) < 4000 and "\x1b" not in end["text"]


def test_a_good_bundle_passes_the_same_way(tmp_path: Path) -> None:
    good = tmp_path / "good.ashore"
    save_archive(good, contents())
    done = open_all([good], tmp_path / "canary")
    assert done.returncode == 0, done.stderr
    ends = {told["entry"]: told for told in map(json.loads, done.stdout.splitlines())}
    assert [ends[name]["end"] for name in ENTRIES] == ["passed", "passed", "refused", "refused"]
    assert "never ranked" in ends["check_evidence"]["text"] and "crazyflie" in ends["preflight"]["text"]


def test_the_watch_itself_would_notice(tmp_path: Path) -> None:
    """The control: the same process, made to unpickle, is ended by its hook, and without it makes the canary."""
    array = tmp_path / "objects.npy"
    array.write_bytes(pickled())
    load = f"import numpy; numpy.load({str(array)!r}, allow_pickle=True)"
    watched = f"import runpy, sys; w = runpy.run_path({str(OPENING)!r})['watch']; sys.addaudithook(w); {load}"
    environment = {**os.environ, CANARY: str(tmp_path / "canary")}
    done = subprocess.run([sys.executable, "-c", watched], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 77 and "pickle.find_class" in done.stderr and not (tmp_path / "canary").exists()
    subprocess.run([sys.executable, "-c", load], env=environment, capture_output=True, check=False)
    assert (tmp_path / "canary").exists()


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("good") / "good.ashore"
    save_archive(path, contents())
    return path.read_bytes()


def require_one_clear_error(path: Path) -> None:
    with pytest.raises(AshoreError, match=path.name):
        open_bundle(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(st.data())
def test_flipped_bytes_and_cuts_are_always_one_clear_error(good: bytes, tmp_path: Path, data: st.DataObject) -> None:
    raw = bytearray(good)
    for _ in range(data.draw(st.integers(1, 20))):
        raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    if data.draw(st.booleans()):
        start = data.draw(st.integers(0, len(raw) - 1))
        del raw[start : start + data.draw(st.integers(1, len(raw)))]
    if bytes(raw) == good:
        return
    (tmp_path / "fuzzed.ashore").write_bytes(raw)
    require_one_clear_error(tmp_path / "fuzzed.ashore")


PARTS = ("policy.onnx", "contract.json", "robot.json", "limits.json", "evidence.json", "vectors.npz", "calibration.npz")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(st.sampled_from(PARTS), st.data())
def test_a_part_changed_under_a_right_hash_is_harmless_or_one_clear_error(
    tmp_path: Path, part: str, data: st.DataObject
) -> None:
    files = contents()
    raw = bytearray(files[part])
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    save_archive(tmp_path / "part.ashore", {**files, part: bytes(raw)})
    try:
        open_bundle(tmp_path / "part.ashore").planner()
    except AshoreError as error:
        assert "part.ashore" in str(error)
