"""Time of one chunk beside LeRobot's with the same UNet, from start to first action, and in 8 bits.

$ASHORE_PEER_PYTHON names a Python with LeRobot 0.4.4; without it, rows stand alone.
"""

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING

import numpy as np

from ashore.datasets.progress import Progress
from benchmarks.peer_process import run_peer
from benchmarks.push_t import import_recordings
from benchmarks.row import Row

if TYPE_CHECKING:
    from ashore.policies.quantization import Precision

HORIZONS = (2, 16, 8)
WIDTHS = (128, 256, 512)
NETWORKS = {"unet": f"UNet {', '.join(map(str, WIDTHS))}", "mlp": "default MLP"}
THREADS = (1, 2)
PEER, PYTHON = "LeRobot 0.4.4", "ASHORE_PEER_PYTHON"
DDPM_GOAL, DDIM_GOAL, INT8_GOAL = 150.0, 15.0, 2.0
START_GOAL_S, MEMORY_GOAL_MB = 0.25, 130.0
WARM_PLANS = 10
CHILD = """
import json, sys, time
from pathlib import Path
import numpy as np
from ashore.policies.bundle import open_bundle
planner = open_bundle(sys.argv[1]).planner()
obs = np.zeros((1, planner.obs_horizon, planner.contract.observation_width), np.float32)
planner.plan(obs, np.zeros((1, *planner.noise_shape), np.float32))
at_s = time.time()
lines = Path("/proc/self/status").read_text().splitlines()
memory_mb = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024
print(json.dumps({"at_s": at_s, "memory_mb": memory_mb}))
"""
"""From an interpreter's start to the first action, as a robot's computer would."""


@dataclass(frozen=True)
class Sizes:
    """How often is measured."""

    rounds: int
    """Ours and the peer's take turns; the best round of each counts."""
    plans: int
    """Of ours in a round; of the peer's with its two samplers below."""
    ddpm_plans: int
    ddim_plans: int
    starts: int


FULL = Sizes(rounds=3, plans=500, ddpm_plans=8, ddim_plans=40, starts=7)
QUICK = Sizes(rounds=1, plans=10, ddpm_plans=1, ddim_plans=2, starts=1)


def run(quick: bool, folder: Path, progress: Progress) -> list[Row]:
    """Export one-step policies with fresh weights; time their chunks, the peer's in turns with ours, and their start.

    Raises:
        UnreadableFile: the recordings, whose contract the policies have, are not here.
    """
    sizes = QUICK if quick else FULL
    place = folder / ("quick" if quick else "full")
    place.mkdir(parents=True, exist_ok=True)
    store = import_recordings(folder / "store", progress)
    made = {}
    for done, name in enumerate(NETWORKS):
        progress(done, 5, f"{name}: export")
        made[name] = export_both(make_run(store, place / name))
    rows = []
    for done, threads in enumerate(THREADS, start=2):
        progress(done, 5, f"chunks on {threads} thread(s)")
        rows += _peer_rows(made["unet"], threads, sizes)
    progress(4, 5, "8 bits and start")
    for name, bundles in made.items():
        rows += [_int8_row(name, bundles, sizes), *_start_rows(name, bundles["fp32"], sizes.starts)]
    return rows


def make_run(store: Path, path: Path) -> Path:
    """Make the run of a one-step consistency policy with the network that the path is named after.

    It is one update long, since time does not depend on the weights.
    """
    from ashore.policies.generation.consistency import ConsistencyConfig
    from ashore.policies.networks.mlp import MLPConfig
    from ashore.policies.networks.unet import UNetConfig
    from ashore.policies.policy import PolicyConfig
    from ashore.policies.training import train
    from ashore.policies.training_loop import TrainingConfig

    rmtree(path, ignore_errors=True)
    network = UNetConfig(widths=WIDTHS) if path.name == "unet" else MLPConfig()
    shape = PolicyConfig(*HORIZONS, network=network, process=ConsistencyConfig(form="training"))
    return train([store], path, TrainingConfig(updates=1), shape)


def export_both(made: Path) -> dict["Precision", Path]:
    """Export a run's bundles, by precision."""
    from ashore.policies.export import export

    precisions: tuple[Precision, ...] = ("fp32", "int8")
    return {name: export(made, made.with_suffix(f".{name}.ashore"), precision=name) for name in precisions}


def _peer_rows(bundles: Mapping["Precision", Path], threads: int, sizes: Sizes) -> list[Row]:
    graph = graph_of(bundles["fp32"])
    ours_ms, ddpm_ms, ddim_ms = [], [], []
    for _ in range(sizes.rounds):
        ours_ms.append(time_chunk(graph, threads, sizes.plans))
        ddpm_ms += _peer_ms("ddpm", 100, sizes.ddpm_plans, threads)
        ddim_ms += _peer_ms("ddim", 10, sizes.ddim_plans, threads)
    figure, ours = f"{NETWORKS['unet']}, one step, {threads} thread(s)", 1e3 / min(ours_ms)
    return [
        _beside(figure, ours, f"{PEER}, the same UNet, DDPM-100", ddpm_ms, DDPM_GOAL),
        _beside(figure, ours, f"{PEER}, the same UNet, DDIM-10", ddim_ms, DDIM_GOAL),
    ]


def _int8_row(name: str, bundles: Mapping["Precision", Path], sizes: Sizes) -> Row:
    fastest_ms = {
        precision: min(time_chunk(graph_of(bundle), 1, sizes.plans) for _ in range(sizes.rounds))
        for precision, bundle in bundles.items()
    }
    figure = f"{NETWORKS[name]}, one step, 1 thread(s), int8"
    fp32 = ("fp32", 1e3 / fastest_ms["fp32"])
    return Row.against(figure, 1e3 / fastest_ms["int8"], "chunks/s", fp32, ">=", INT8_GOAL)


def graph_of(bundle: Path) -> bytes:
    """Read a bundle's graph."""
    from ashore.policies.bundle import open_bundle

    return open_bundle(bundle).files["policy.onnx"]


def time_chunk(graph: bytes, threads: int, n_plans: int) -> float:
    """Run a graph on one window, some runs aside; returns the median milliseconds of a chunk."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    shapes = {each.name: (1, *each.shape[1:]) for each in session.get_inputs()}
    given = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    walls_s = []
    for _ in range(WARM_PLANS + n_plans):
        began_s = time.perf_counter()
        session.run(["actions"], given)
        walls_s.append(time.perf_counter() - began_s)
    return 1e3 * float(np.median(walls_s[WARM_PLANS:]))


def _peer_ms(sampler: str, levels: int, plans: int, threads: int) -> list[float]:
    """Time the peer's chunks: one median, or none where no peer is named."""
    widths = ",".join(map(str, WIDTHS))
    given = ["--down-dims", widths, "--sampler", sampler, "--levels", levels, "--plans", plans, "--threads", threads]
    found = run_peer("lerobot_inference.py", [str(part) for part in given], PYTHON)
    return [] if found is None else [float(found["p50_ms"])]


def _beside(figure: str, chunks_per_s: float, peer: str, walls_ms: list[float], goal: float) -> Row:
    """Make a row beside a peer, or one that says that it was not run."""
    if not walls_ms:
        return Row(figure, chunks_per_s, "chunks/s", f"{peer}: peer not run", goal=f"ratio >= {goal:g}")
    return Row.against(figure, chunks_per_s, "chunks/s", (peer, 1e3 / min(walls_ms)), ">=", goal)


def _start_rows(name: str, bundle: Path, n_starts: int) -> list[Row]:
    """Start a process again and again; the fastest start counts."""
    starts = [_start(bundle) for _ in range(n_starts)]
    wall_s, memory_mb = (min(start[i] for start in starts) for i in (0, 1))
    return [
        Row.of(f"{NETWORKS[name]}: from start to first action", wall_s, "s", "<=", START_GOAL_S),
        Row.of(f"{NETWORKS[name]}: resident memory then", memory_mb, "MB", "<=", MEMORY_GOAL_MB),
    ]


def _start(bundle: Path) -> tuple[float, float]:
    """Start a process; returns seconds to its first action and its resident megabytes then."""
    began_s = time.time()
    command = [sys.executable, "-c", CHILD, str(bundle)]
    told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return told["at_s"] - began_s, told["memory_mb"]
