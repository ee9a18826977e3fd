"""A disk that is really full, and one that is really read-only: a small file system in memory, of one process."""

import subprocess
import sys
from pathlib import Path

import pytest

FILL = """
import json, os, subprocess, sys
import numpy as np
from pathlib import Path
from ashore.cli.main import main
from ashore.datasets.contract import Contract, Feature
from ashore.datasets.episode import EpisodeMeta
from ashore.datasets.errors import AshoreError
from ashore.datasets.store import EpisodeStore

disk = Path(sys.argv[1])
contract = Contract(
    "test/arm", "test/fill", (Feature("q", (64,), "rad", "joint"),), (Feature("u", (2,), "m", "base"),), 20.0
)
store = EpisodeStore.create(disk / "store", contract)
rng = np.random.default_rng(0)


def record(n_steps):
    writer = store.begin(EpisodeMeta(source="human", operator="me"))
    kept = 0
    try:
        for step in range(n_steps):
            row = {"q": rng.normal(size=64).astype(np.float32)}
            writer.add(row, {"u": np.zeros(2, np.float32)}, 0.05 * step)
            kept += 1
        writer.commit(success=True)
    except AshoreError as error:
        return kept, str(error), writer
    return kept, None, None


told, committed, writer = None, 0, None
with store:
    while told is None and committed < 200:
        kept, told, writer = record(300)
        committed += told is None
before = [store.read(i).observations["q"].tobytes() for i in range(committed)]
(disk / "ballast").unlink()
again = EpisodeStore.open(disk / "store", readonly=True)
same = [again.read(i).observations["q"].tobytes() for i in range(committed)] == before
saved = len(store.read(writer.commit()).time_s)
faults = [fault.kind for fault in EpisodeStore.open(disk / "store", readonly=True).verify()]
with store:
    after = record(50)[:2]
subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
try:
    EpisodeStore.open(disk / "store").begin(EpisodeMeta(source="human", operator="me"))
    refused = None
except AshoreError as error:
    refused = str(error)
reads = len(EpisodeStore.open(disk / "store", readonly=True))
print(json.dumps(dict(told=told, committed=committed, kept=kept, same=same, saved=saved, faults=faults,
                      after=after, refused=refused, reads=reads)))
"""


def _in_a_small_disk(script: str, disk: Path, size: str) -> str:
    disk.mkdir()
    mount = (
        f'mount -t tmpfs -o size={size} tmpfs "$1" && head -c 200000 /dev/zero > "$1/ballast" && exec "$2" -c "$3" "$1"'
    )
    asked = ["unshare", "--mount", "--map-root-user", "sh", "-c", mount, "sh", str(disk), sys.executable, script]
    done = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode and ("unshare" in done.stderr or "mount" in done.stderr):
        pytest.skip(f"no file system of its own for a process here: {done.stderr.strip()[-200:]}")
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()[-1]


def test_nothing_committed_is_lost_on_a_full_disk_and_a_read_only_one_is_told(tmp_path: Path) -> None:
    import json

    seen = json.loads(_in_a_small_disk(FILL, tmp_path / "disk", "1500k"))
    assert seen["told"] is not None and "Free some space" in seen["told"]
    assert seen["committed"] >= 3 and seen["same"]
    assert seen["faults"] == []
    assert seen["saved"] == seen["kept"]
    assert seen["after"][1] is None
    assert seen["refused"] is not None and "read-only" in seen["refused"].lower()
    assert seen["reads"] >= seen["committed"] + 2
