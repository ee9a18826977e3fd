"""Run as a program: opens files by every entry point that reads a bundle and tells how it ended, as JSON lines.

Nothing that a file holds may start a program, unpickle, connect, or write: such an event ends this process at once.
"""

import json
import os
import resource
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy  # noqa: F401  # Before the hook: its own start is not what is watched.
import onnxruntime  # noqa: F401

from ashore.datasets.errors import AshoreError
from ashore.policies import trial
from ashore.policies.bundle import open_bundle, read_bundle
from ashore.policies.ranking.gate import check_evidence
from ashore.real.deploy import DeployConfig, preflight
from ashore.real.nodes.link import load_rclpy

MEMORY_BYTES = 3 * 1024**3
FORBIDDEN = (
    "os.system",
    "os.exec",
    "os.fork",
    "os.posix_spawn",
    "pickle.find_class",
    "socket.connect",
    "ctypes.dlopen",
)
TRIED = Path(os.environ["ASHORE_CACHE"]) / "tried"
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def watch(event: str, given: tuple[Any, ...]) -> None:
    """End the process on what no file may cause; the one program allowed is the graph's trial."""
    is_trial = event == "subprocess.Popen" and given[1][1:4] == ["-P", "-m", "ashore.policies.trial"]
    is_writing = event == "open" and isinstance(given[0], str | bytes) and given[2] & WRITING
    if is_writing and Path(os.fsdecode(given[0])).parent == TRIED:  # An empty file that says: this one was tried.
        return
    if (event.startswith((*FORBIDDEN, "subprocess.Popen")) and not is_trial) or is_writing:
        sys.stderr.write(f"forbidden: {event} {given!r}\n")
        sys.stderr.flush()
        os._exit(77)


def opened(path: Path, entry: Callable[[Path], object]) -> dict[str, str]:
    try:
        entry(path)
    except AshoreError as error:
        return {"end": "refused", "text": f"{type(error).__name__}: {error}"}
    except BaseException:  # noqa: BLE001  # Whatever it is: that is the finding.
        return {"end": "raised", "text": traceback.format_exc()}
    return {"end": "passed", "text": ""}


def peak_mb() -> int:
    """The most memory that this process held; what getrusage tells goes back to before its program was started."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) // 1024


ENTRIES: dict[str, Callable[[Path], object]] = {
    "planner": lambda path: open_bundle(path).planner(),
    "read_bundle": read_bundle,
    "check_evidence": lambda path: check_evidence(read_bundle(path)),
    "preflight": lambda path: preflight(DeployConfig(read_bundle(path), "twin/crazyflie")),
}
if __name__ == "__main__":
    load_rclpy()
    trial.CPU_S = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    sys.addaudithook(watch)
    for word in sys.argv[2:]:
        for name, entry in ENTRIES.items():
            began_s = time.monotonic()
            told = opened(Path(word), entry)
            told |= {"file": Path(word).stem, "entry": name}
            sys.stdout.write(json.dumps({**told, "wall_s": time.monotonic() - began_s, "peak_mb": peak_mb()}) + "\n")
            sys.stdout.flush()
