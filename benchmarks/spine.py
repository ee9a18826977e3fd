"""The spine: inference of a one-step bundle, parity with torch, command period on the twin, import and help time."""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ashore.datasets.progress import Progress
from ashore.policies.planner import Planner
from benchmarks.row import Row

TASK = "arm/pick-place"
ROBOT = "twin/panda"
INFERENCE_GOAL_MS, PARITY_GOAL, HELP_GOAL_S, PERIOD_GOAL_RATIO = 5.0, 1e-4, 0.5, 1.5
HELP = (sys.executable, "-m", "ashore.cli.main", "--help")
EMPTY = (sys.executable, "-c", "pass")
HEAVY = ("torch", "mujoco", "pybullet", "zarr", "matplotlib", "rclpy")
COUNT_HEAVY = f"""
import contextlib, io, sys
from ashore.cli.main import main
with contextlib.redirect_stdout(io.StringIO()):
    main(["--help"])
sys.stdout.write(str(sum(name in sys.modules for name in {HEAVY!r})))
"""


@dataclass(frozen=True)
class Sizes:
    """How much is done for the figures; how well the policy acts does not matter to them, only its shape does."""

    demonstrations: int
    teacher_updates: int
    student_updates: int
    plans: int
    starts: int
    episodes: int
    """On the twin, in real time."""


FULL = Sizes(demonstrations=40, teacher_updates=600, student_updates=150, plans=3000, starts=15, episodes=3)
QUICK = Sizes(demonstrations=12, teacher_updates=200, student_updates=60, plans=500, starts=5, episodes=1)


def run(quick: bool, folder: Path, progress: Progress) -> list[Row]:
    """Make a bundle of the demo's shape and measure it; ROS 2 must be installed for the command period."""
    sizes = QUICK if quick else FULL
    student, bundle = make_bundle(folder / ("quick" if quick else "full"), sizes, progress)
    rows = inference_rows(student, bundle, sizes.plans)
    rows.append(parity_row(student))
    progress(0, 1, "start-up")
    rows += start_rows(sizes.starts)
    return rows + period_rows(bundle, sizes.episodes, progress)


def make_bundle(folder: Path, sizes: Sizes, progress: Progress) -> tuple[Path, Path]:
    """Collect, train, distil and export, or take what is there; returns the student's run and its bundle."""
    from ashore.datasets.store import EpisodeStore
    from ashore.policies.distillation import DISTILLATION, distill
    from ashore.policies.export import export
    from ashore.policies.training import train
    from ashore.policies.training_loop import TrainingConfig
    from ashore.sim.collection import collect
    from ashore.sim.tasks import make_task

    store, student, bundle = folder / "store", folder / "student", folder / "policy.ashore"
    if not bundle.exists():
        contract = make_task(TASK).contract
        with EpisodeStore.open(store) if store.exists() else EpisodeStore.create(store, contract) as opened:
            collect(TASK, sizes.demonstrations, opened, progress=progress)
        train([store], folder / "teacher", TrainingConfig(updates=sizes.teacher_updates), progress=progress)
        short = replace(DISTILLATION, updates=sizes.student_updates)
        distill(folder / "teacher", student, short, progress)
        export(student, bundle)
    return student, bundle


def inference_rows(student: Path, bundle: Path, n_plans: int) -> list[Row]:
    """Time single plans of the bundle on one thread, beside torch on one thread with the same weights."""
    import torch

    from ashore.policies.bundle import open_bundle
    from ashore.policies.checkpoint import load_run

    torch.set_num_threads(1)
    with np.load(student / "calibration.npz", allow_pickle=False) as calibration:
        windows = np.asarray(calibration["obs"], dtype=np.float32)
    ours = plan_times_ms(open_bundle(bundle).planner(), windows, n_plans)
    torchs = plan_times_ms(load_run(student), windows, n_plans // 3)
    return [
        Row.against("inference of the bundle, p50", _p(ours, 50), "ms", ("torch, one thread", _p(torchs, 50))),
        Row.of("inference of the bundle, p99", _p(ours, 99), "ms", "<=", INFERENCE_GOAL_MS),
        Row.against("the same beside torch", _p(ours, 99), "ms", ("torch, one thread", _p(torchs, 99))),
    ]


def plan_times_ms(planner: Planner, windows: np.ndarray, n_plans: int) -> list[float]:
    """Plan for one robot again and again; durations in ms, warm-up left out."""
    rng = np.random.default_rng(0)
    shape = (1, *planner.noise_shape)
    times = []
    for index in range(n_plans + 50):
        obs, noise = windows[index % len(windows)][None], rng.standard_normal(shape, dtype=np.float32)
        began_s = time.perf_counter()
        planner.plan(obs, noise)
        times.append(1e3 * (time.perf_counter() - began_s))
    return times[50:]


def parity_row(student: Path) -> Row:
    """Compare the exported graph with torch on observed windows, in normalized actions."""
    from ashore.policies.checkpoint import load_run
    from ashore.policies.graph import export_graph
    from ashore.policies.parity import make_vectors, worst_difference

    planner = load_run(student)
    with np.load(student / "calibration.npz", allow_pickle=False) as calibration:
        vectors = make_vectors(planner.policy, calibration["obs"])
    worst = worst_difference(export_graph(planner.policy, planner.contract.observation_width), vectors)
    return Row.of("largest difference of ONNX and torch, normalized actions", worst, "1", "<=", PARITY_GOAL)


def start_rows(n_starts: int) -> list[Row]:
    """Time `ashore --help` and the imports that a robot's computer needs, and count the heavy packages in the help."""
    robot = (
        sys.executable,
        "-c",
        "import ashore.policies.bundle, ashore.policies.execution.guard, ashore.sim.interfaces",
    )
    empty_s, help_s, robot_s = (_median_s(command, n_starts) for command in (EMPTY, HELP, robot))
    counted = subprocess.run((sys.executable, "-c", COUNT_HEAVY), capture_output=True, text=True, check=True)
    return [
        Row.of("ashore --help, median", help_s, "s", "<=", HELP_GOAL_S),
        Row.against("ashore --help beside an empty Python", help_s, "s", ("python -c pass", empty_s)),
        Row.against("imports of a robot's computer", robot_s, "s", ("python -c pass", empty_s)),
        Row.of("heavy packages that the help imports", float(counted.stdout), "packages", "<=", 0.0),
    ]


def period_rows(bundle: Path, n_episodes: int, progress: Progress) -> list[Row]:
    """Deploy on the twin over ROS 2 and compare the command period with a bare loop that ran beside it."""
    from ashore.policies.bundle import read_bundle
    from ashore.real.deploy import DeployConfig, deploy

    summary = deploy(DeployConfig(read_bundle(bundle), ROBOT, episodes=n_episodes), progress).summary()
    bare = "bare loop with deadlines, beside it"
    rows = []
    for percentile, goal in (("p50", None), ("p99", PERIOD_GOAL_RATIO)):
        ours, peer = (summary[f"{name}_period_error_ms_{percentile}"] for name in ("command", "bare"))
        figure = f"error of the command period at 50 Hz on the twin, {percentile}"
        rows.append(Row.against(figure, float(ours), "ms", (bare, float(peer)), "<=", goal))
    rows.append(Row.of("inference on the twin, p99", float(summary["inference_ms_p99"]), "ms", "<=", INFERENCE_GOAL_MS))
    return rows


def _median_s(command: tuple[str, ...], n_starts: int) -> float:
    def once() -> float:
        began_s = time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        return time.perf_counter() - began_s

    return _median(once, n_starts)


def _median(measure: Callable[[], float], n: int) -> float:
    measure()
    return statistics.median(measure() for _ in range(n))


def _p(values: list[float], percentile: float) -> float:
    return float(np.percentile(values, percentile))
