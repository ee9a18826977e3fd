"""The peers of the loader, each run by a script under a Python of its own, on the same arrays."""

import os
from pathlib import Path
from shutil import rmtree
from typing import Any

from benchmarks.peer_process import run_peer

PYTHON, CHECKOUT = "ASHORE_PEER_PYTHON", "ASHORE_DIFFUSION_POLICY"
LEROBOT, DIFFUSION_POLICY = "LeRobot 0.4.4", "Diffusion Policy's sampler"
WORKERS = (0, 2)
"""Both are timed, and the faster one counts."""


def lerobot(npz: Path, folder: Path, kind: str, seconds: float) -> dict[str, Any] | None:
    """Write LeRobot's data set of a kind (state, images, video) and draw from it; `workers` were the faster ones."""
    out = folder / f"lerobot_{kind}"
    rmtree(out, ignore_errors=True)
    if run_peer("lerobot_write.py", ["--npz", npz, "--out", out, "--kind", kind], PYTHON) is None:
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
        timed = run_peer("lerobot_loader.py", arguments, PYTHON)
        found += [] if timed is None else [timed | {"workers": workers}]
    return max(found, key=lambda timed: float(timed["windows_per_s"]))


def diffusion_policy(npz: Path, seconds: float) -> dict[str, Any] | None:
    """Draw with Diffusion Policy's own sampler, or return None where no checkout is named."""
    if not os.environ.get(CHECKOUT):
        return None
    return run_peer("diffusion_policy_loader.py", ["--npz", npz, "--seconds", str(seconds)], PYTHON)
