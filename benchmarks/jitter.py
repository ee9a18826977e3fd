"""Jitter: how evenly commands leave the whole graph on the twin, beside a bare loop, and whether any process grows."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from tempfile import mkdtemp

from ashore.datasets.progress import Progress
from ashore.real.rate import period_error_ms
from ashore.sim.tasks import LISTED
from benchmarks import fast_tasks
from benchmarks.fault_graph import NODES, Graph
from benchmarks.linear_bundles import circling_arm, marked_hover
from benchmarks.row import Row

BUNDLES = {
    "panda": (circling_arm, fast_tasks.FastReach.title),
    "crazyflie": (marked_hover, fast_tasks.FastHover.name),
}
"""Policies that never rest, at 100 Hz."""
MINUTES, QUICK_MINUTES = 10.0, 0.2
EPISODE_S = 4.0
"""How long each stretch of commands lasts; the twin's episodes are a little longer."""
RATIO_GOAL, GROWTH_GOAL_MB, FIRST_GOAL_S = 1.3, 5.0, 3.0


def run(quick: bool, folder: Path, progress: Progress) -> list[Row]:
    """Let commands flow on each robot's twin, stretch after stretch."""
    minutes = QUICK_MINUTES if quick else MINUTES / len(BUNDLES)
    folder.mkdir(parents=True, exist_ok=True)
    # The twin's process makes the task by its name too.
    os.environ[LISTED] = fast_tasks.__name__
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    return [row for robot in BUNDLES for row in _rows(robot, folder, minutes, progress)]


def _rows(robot: str, folder: Path, minutes: float, progress: Progress) -> list[Row]:
    log_dir, periods_ms, misses = Path(mkdtemp(prefix="ashore-jitter-")), list[float](), Counter[str]()
    bare_path = log_dir / "bare.json"
    make, task_name = BUNDLES[robot]
    bundle, began_s, first_s = make(folder / f"{robot}.ashore", task_name), time.monotonic(), list[float]()
    with Graph(bundle, robot, log_dir) as graph:
        hz = graph.card.command_hz
        command = [sys.executable, "-m", "ashore.real.bare_loop", str(hz), str(bare_path)]
        bare, before, until_s = subprocess.Popen(command), dict[str, float](), time.monotonic() + 60 * minutes
        while time.monotonic() < until_s or not periods_ms:
            graph.start()
            first_s.append(graph.judge.heard[0][0] - began_s)
            time.sleep(EPISODE_S)
            graph.end()
            reports = {node: graph.conductor.ask(f"{node}/report") for node in NODES}
            periods_ms += reports["guard"]["period_ms"]
            misses.update({node: report["misses"] for node, report in reports.items()})
            before = before or graph.resident_mb()
            progress(len(periods_ms), round(60 * minutes * hz), f"{robot}: {sum(misses.values())} misses")
        grown_mb = {node: now - before[node] for node, now in graph.resident_mb().items()}
        bare.terminate()
        bare.wait()
    bare_ms, period_s = json.loads(bare_path.read_text()), 1.0 / hz
    what = f"{robot}, {hz:g} Hz, {minutes:g} min"
    bare_error = (f"a bare loop at {hz:g} Hz beside it", period_error_ms(bare_ms, period_s, 99))
    return [
        Row.against(
            f"{what}: error of the command's period, p99",
            period_error_ms(periods_ms, period_s, 99),
            "ms",
            bare_error,
            "<=",
            RATIO_GOAL,
        ),
        Row.of(f"{what}: the same, p50", period_error_ms(periods_ms, period_s, 50), "ms"),
        Row.of(f"{what}: from no process at all to the first command", first_s[0], "s", "<=", FIRST_GOAL_S),
        *(Row.of(f"{what}: missed deadlines of {node}", misses[node], "1") for node in NODES),
        *(Row.of(f"{what}: growth of {node}", grown_mb[node], "MB", "<=", GROWTH_GOAL_MB) for node in NODES),
    ]
