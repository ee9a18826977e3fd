"""A bundle's graph is opened and run first in a process of its own, which may crash, swell or hang without harm.

The runtime is native code that a file from elsewhere drives: what the scan of the graph lets pass may still divide by
zero, ask for more memory than there is, or compute for an hour.
"""

import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
CPU_S = 60
"""For opening the graph and running its vectors; the slowest sampler of a large network takes half of it on a
small computer."""
MEMORY_BYTES = 2 * 1024**3
"""Besides eight times the graph's own size."""
ANSWER_BYTES = 64 * 1024**2
OPENED = b"opened\n"
REFUSED = 3


@dataclass(frozen=True)
class Tried:
    """How a graph did."""

    is_opened: bool
    actions: Array | None
    """(n, Tp, Da) float32; None where it could not be run."""
    problem: str
    """Why there are no actions."""


def try_graph(graph: bytes, obs: Array, noise: Array) -> Tried:
    """Open a graph and run it on float32 windows and noise, in a process with limits on time and memory."""
    command = [sys.executable, "-P", "-m", __name__, str(CPU_S), str(MEMORY_BYTES + 8 * len(graph)), str(len(graph))]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    given = BytesIO()
    np.savez(given, obs=obs, noise=noise)
    try:
        ended = subprocess.run(
            command,
            input=graph + given.getvalue(),
            env=environment,
            capture_output=True,
            timeout=3 * CPU_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Tried(False, None, f"it did not answer within {3 * CPU_S} s")
    is_opened = ended.stdout.startswith(OPENED)
    if ended.returncode == 0 and is_opened:
        return Tried(True, np.load(BytesIO(ended.stdout.removeprefix(OPENED)), allow_pickle=False), "")
    return Tried(is_opened, None, _told(ended.returncode, ended.stderr.decode(errors="replace"), is_opened))


def _told(code: int, said: str, is_opened: bool) -> str:
    if code == REFUSED:
        return said.strip()
    doing = "run" if is_opened else "opened"
    end = f"signal {-code}" if code < 0 else f"code {code}"
    last = said.strip().splitlines()[-1:] or ["no word"]
    return f"it ended the process in which it was {doing}, by {end}, within {CPU_S} s of computing: {last[0]}"


def main(argv: Sequence[str]) -> int:
    """Limit this process, then open and run the graph from stdin: the program of try_graph's process."""
    cpu_s, memory_bytes, graph_bytes = map(int, argv)
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s))
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    for kind in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE):
        resource.setrlimit(kind, (0, 0))
    content = sys.stdin.buffer.read()
    from ashore.policies.session import open_session, session_faults

    faults = session_faults()
    try:
        session = open_session(content[:graph_bytes])
        sys.stdout.buffer.write(OPENED)
        sys.stdout.buffer.flush()
        with np.load(BytesIO(content[graph_bytes:]), allow_pickle=False) as given:
            actions = session.run(["actions"], {name: given[name] for name in ("obs", "noise")})[0]
        if not isinstance(actions, np.ndarray) or actions.dtype != np.float32 or actions.nbytes > ANSWER_BYTES:
            raise ValueError("it gave something other than a chunk of float32 a window")
    except faults as error:
        sys.stderr.write(f"{error or type(error).__name__}\n")
        return REFUSED
    np.save(sys.stdout.buffer, actions)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
