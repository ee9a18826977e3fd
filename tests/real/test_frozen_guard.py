"""A guard that was frozen at any moment sends nothing of before: its first word is judged anew."""

import os
import signal
import time
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="the ROS 2 packages are not installed")
pytest.importorskip("pybullet", reason="pybullet is not installed")

from benchmarks.fault_graph import Graph
from benchmarks.faults import follower

FLIGHTS, TRIALS = 6, 5
"""The moments between judging and sending are few: what one run misses, the next may catch. Each stop lets it sink, so
that it begins anew."""


def test_a_guard_that_was_frozen_begins_with_the_stop(marked_bundle: Path, tmp_path: Path) -> None:
    with Graph(marked_bundle, "crazyflie", tmp_path) as graph:
        pids, follows, heard = graph.supervision.pids, follower("crazyflie", graph.judge), graph.judge.heard
        for trial in range(FLIGHTS * TRIALS):
            if trial % TRIALS == 0:
                graph.start()
            for node in ("guard", "policy"):
                os.kill(pids[node], signal.SIGSTOP)
            time.sleep(0.2)
            heard.clear()
            os.kill(pids["guard"], signal.SIGCONT)
            graph.conductor.wait_for("stops", lambda: len(heard) > 3, 10.0)
            commands = [command for _, command in heard]
            assert not any(follows(command, command) for command in commands), commands
            os.kill(pids["policy"], signal.SIGCONT)
            graph.conductor.wait_for("commands that follow", lambda: follows(heard[-1][1], heard[-1][1]), 10.0)
            time.sleep(0.1 + 0.0023 * trial)
            if trial % TRIALS == TRIALS - 1:
                graph.end()
