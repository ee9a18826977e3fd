"""A peer of a benchmark: a script of `peers/`, run under a Python of its own that a variable names."""

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ashore.datasets.errors import AshoreError

SCRIPTS = Path(__file__).parent / "peers"
LIMIT_S = 1800
QUIET = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}


class PeerFailed(AshoreError):
    """A peer's script ended with a fault."""

    def __init__(self, script: str, code: int, told: str, variable: str) -> None:
        super().__init__(
            f"the peer's script {script} ended with code {code}. Expected one line of JSON. Its last words:\n  {told}\n"
            f"Mend the Python that {variable} names, or unset the variable to measure without peers."
        )


def run_peer(
    script: str, arguments: Sequence[str | Path], variable: str, limit_s: float = LIMIT_S
) -> dict[str, Any] | None:
    """Run a script under the Python that a variable names; return what it found, or None where none is named.

    Raises:
        PeerFailed: it ended with a fault.
        subprocess.TimeoutExpired: it took longer than the limit.
    """
    python = os.environ.get(variable)
    if not python:
        return None
    command = [python, str(SCRIPTS / script), *map(str, arguments)]
    # Ashore's folder `datasets`, if on the path, would hide the package of that name.
    given = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=limit_s, env=given | QUIET, check=False)
    if done.returncode:
        last = "\n  ".join(done.stderr.strip().splitlines()[-3:])
        raise PeerFailed(script, done.returncode, last or "none", variable)
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found
