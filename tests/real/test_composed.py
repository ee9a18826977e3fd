"""The nodes of a deployment in one process: the same works, driven by the same conductor."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="the ROS 2 packages are not installed")
pytest.importorskip("pybullet", reason="pybullet is not installed")

from ashore.policies.execution.guard import STOPS


def told_by(bundle: Path, twins_bundle: Path) -> tuple[dict[str, Any], str]:
    script = Path(__file__).with_name("composed_process.py")
    command = [sys.executable, str(script), str(bundle), str(twins_bundle)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told, done.stdout + done.stderr


def test_twin_policy_and_guard_fly_in_one_process(hover_bundle: Path) -> None:
    told, _ = told_by(hover_bundle, hover_bundle)
    assert told["ticks"] > 20 and not set(told["reasons"]) & (set(STOPS) - {"stale"})


def test_what_one_refuses_leaves_the_others_as_they_are(hover_bundle: Path, slower_bundle: Path) -> None:
    told, logged = told_by(hover_bundle, slower_bundle)
    assert "twin" in told["refused"] and "control_hz" in logged
