"""Importing the human Push-T demonstrations, images included, in a process of its own: wall time and peak memory."""

import json
import subprocess
import sys
from pathlib import Path
from shutil import rmtree

from ashore.datasets.errors import UnreadableFile
from ashore.datasets.progress import Progress
from benchmarks.frames import PUSHT
from benchmarks.row import Row

WALL_GOAL_S, MEMORY_GOAL_MB = 10.0, 500.0
CHILD = """
import json, sys, time
from pathlib import Path
from ashore.datasets.formats import import_episodes
began_s = time.perf_counter()
count = import_episodes("diffusion-policy", sys.argv[1], sys.argv[2])
lines = Path("/proc/self/status").read_text().splitlines()  # ru_maxrss counts the process it was forked from
peak_mb = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
print(json.dumps({"episodes": count, "wall_s": time.perf_counter() - began_s, "peak_mb": peak_mb}))
"""
"""Run apart, so that nothing else counts towards its peak."""


def run(quick: bool, folder: Path, progress: Progress) -> list[Row]:
    """Import, verify what came in, and give the figures; quick and full are the same work.

    Raises:
        UnreadableFile: the demonstrations are not here.
    """
    if not PUSHT.exists():
        raise UnreadableFile(PUSHT, "the human Push-T demonstrations", "it is missing", "Put the data set there.")
    rmtree(folder / "pusht", ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    progress(0, 1, "Push-T")
    command = [sys.executable, "-c", CHILD, str(PUSHT), str(folder / "pusht")]
    told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    n_bytes = sum(file.stat().st_size for file in (folder / "pusht").rglob("*") if file.is_file())
    source_bytes = sum(file.stat().st_size for file in PUSHT.rglob("*") if file.is_file())
    name = f"Push-T, {told['episodes']} episodes with images"
    return [
        Row.of(f"{name}: import", told["wall_s"], "s", "<=", WALL_GOAL_S),
        Row.of(f"{name}: peak memory", told["peak_mb"], "MB", "<=", MEMORY_GOAL_MB),
        Row.against(f"{name}: on disk", n_bytes / 1e6, "MB", ("the replay buffer", source_bytes / 1e6)),
    ]
