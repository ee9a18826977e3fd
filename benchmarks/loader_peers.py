"""The peers of the loader, each run by a script under a Python of its own, on the same arrays."""

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from shutil import rmtree
from typing import Any

from ashore.datasets.errors import AshoreError

PYTHON, CHECKOUT = "ASHORE_PEER_PYTHON", "ASHORE_DIFFUSION_POLICY"
SCRIPTS = Path(__file__).parent / "peers"
LEROBOT, DIFFUSION_POLICY = "LeRobot 0.4.4", "Diffusion Policy's sampler"
WORKERS = (0, 2)
"""Both are timed, and the faster one counts."""
LIMIT_S = 1800


class PeerFailed(AshoreError):
    """A peer's script ended with a fault."""

    def __init__(self, script: str, code: int, told: str) -> None:
        super().__init__(
            f"the peer's script {script} ended with code {code}. Expected one line of JSON. Its last words:\n  {told}\n"
            f"Mend the Python that {PYTHON} names, or unset the variable to measure without peers."
        )


def run_peer(script: str, arguments: Sequence[str | Path]) -> dict[str, Any] | None:
    """Run a script under the peers' Python and return what it found, or None where none is named.

    Raises:
        PeerFailed: it ended with a fault.
    """
    python = os.environ.get(PYTHON)
    if not python:
        return None
    command = [python, str(SCRIPTS / script), *map(str, arguments)]
    quiet = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, env=os.environ | quiet, check=False)
    if done.returncode:
        last = "\n  ".join(done.stderr.strip().splitlines()[-3:])
        raise PeerFailed(script, done.returncode, last or "none")
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def lerobot(npz: Path, folder: Path, kind: str, seconds: float) -> dict[str, Any] | None:
    """Write LeRobot's data set of a kind (state, images, video) and draw from it; `workers` were the faster ones."""
    out = folder / f"lerobot_{kind}"
    rmtree(out, ignore_errors=True)
    if run_peer("lerobot_write.py", ["--npz", npz, "--out", out, "--kind", kind]) is None:
        return None
    found = []
    for workers in WORKERS:
        arguments: list[str | Path] = [
            "--data",
            out,
            "--kind",
            kind,
            "--seconds",
            str(seconds),
            "--workers",
            str(workers),
        ]
        timed = run_peer("lerobot_loader.py", arguments)
        found += [] if timed is None else [timed | {"workers": workers}]
    return max(found, key=lambda timed: float(timed["windows_per_s"]))


def diffusion_policy(npz: Path, seconds: float) -> dict[str, Any] | None:
    """Draw with Diffusion Policy's own sampler, or return None where no checkout is named."""
    if not os.environ.get(CHECKOUT):
        return None
    return run_peer("diffusion_policy_loader.py", ["--npz", npz, "--seconds", str(seconds)])
