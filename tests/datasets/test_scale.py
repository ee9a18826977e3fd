"""Stores of many episodes: opening lists names once, reads no episode, and takes little memory."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ashore.datasets import layout
from ashore.datasets.archive import write_archive
from ashore.datasets.durable import sha256_hex
from ashore.datasets.store import EpisodeStore

CHILD = """
import json, sys, time
from pathlib import Path
from ashore.datasets.store import EpisodeStore
def peak_kb():  # not ru_maxrss, which counts the process that this one was forked from
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
before = peak_kb()
began_s = time.perf_counter()
store = EpisodeStore.open(Path(sys.argv[1]), readonly=True)
count, newest = len(store), len(store.read(store.indices[-1]))
took_s = time.perf_counter() - began_s
peak = peak_kb()
print(json.dumps({"count": count, "steps": newest, "grown_kb": peak - before, "peak_kb": peak, "took_s": took_s}))
"""


def fill(path: Path, contract, episode, count: int) -> EpisodeStore:
    """Write episodes as a commit does, but without waiting for the disk at each."""
    from io import BytesIO

    store = EpisodeStore.create(path, contract)
    for index in range(count):
        file = BytesIO()
        write_archive(file, index, episode, store.contract_sha256)
        name = layout.episode_name(index, sha256_hex(file.getvalue()))
        (path / "episodes" / name).write_bytes(file.getvalue())
    return store


@pytest.mark.parametrize("count", [3000, pytest.param(100_000, marks=[pytest.mark.full, pytest.mark.timeout(1500)])])
def test_a_store_of_many_episodes_opens_without_reading_them(contract, make_episode, store_path, count) -> None:
    fill(store_path, contract, make_episode(), count)
    command = [sys.executable, "-c", CHILD, str(store_path)]
    told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert (told["count"], told["steps"]) == (count, 5)
    assert told["peak_kb"] < 500_000
    assert told["grown_kb"] < 20_000 + count
    sys.stdout.write(f"{count} episodes: opened in {told['took_s']:.2f} s, {told['peak_kb'] / 1024:.0f} MB\n")


def test_opening_reads_no_episode(contract, make_episode, store_path, monkeypatch) -> None:
    fill(store_path, contract, make_episode(), 50)
    opened = []
    read_bytes = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: opened.append(path) or read_bytes(path))
    listed = []
    listdir = os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: listed.append(path) or listdir(path))
    assert len(EpisodeStore.open(store_path)) == 50
    assert not [path for path in opened if path.parent.name == "episodes"]
    assert len(listed) == 1
