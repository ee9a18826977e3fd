"""Soak: an hour of the whole graph on the twin, camera and recorder included, and whether any process grows."""

import time
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.progress import Progress
from ashore.datasets.store import EpisodeStore
from ashore.real.cameras import CameraSpec
from benchmarks.fault_graph import Graph, Watching
from benchmarks.faults import bundle_of
from benchmarks.films import FILM_SIZE, film
from benchmarks.row import Row

ROBOT = "crazyflie"
MINUTES, QUICK_MINUTES = 60.0, 0.5
WARM_SHARE = 1 / 6
"""Of the time, after which growth is counted: caches fill first."""
EPISODE_S = 4.0
GROWTH_GOAL_MB = 5.0


def run(quick: bool, folder: Path, progress: Progress) -> list[Row]:
    """Play and record episode after episode, and look at the memory of each process after every one."""
    minutes = QUICK_MINUTES if quick else MINUTES
    bundle, place = bundle_of(ROBOT, folder), Path(mkdtemp(prefix="ashore-soak-"))
    camera = CameraSpec("front", str(film(place / "film.avi")), FILM_SIZE[1], FILM_SIZE[0])
    began_s, seen_mb = time.monotonic(), list[tuple[float, dict[str, float]]]()
    with Graph(bundle, ROBOT, place / "logs", watching=Watching((camera,), place / "seen")) as graph:
        while time.monotonic() - began_s < 60 * minutes:
            graph.start()
            graph.station.mark("begin")
            time.sleep(EPISODE_S)
            graph.station.mark("success")
            graph.end()
            passed_s = time.monotonic() - began_s
            seen_mb.append((passed_s, graph.resident_mb()))
            progress(round(passed_s), round(60 * minutes), f"{len(seen_mb)} episodes")
        health = graph.station.health()
        nodes = list(seen_mb[0][1])
    lost = sum(int(each.facts.get("lost_pictures", 0)) for each in health.values())
    store = EpisodeStore.open(place / "seen", readonly=True)
    what = f"{ROBOT}, {minutes:g} min, {len(seen_mb)} episodes"
    return [
        *(Row.of(f"{what}: growth of {node}", grown_mb(seen_mb, node), "MB", "<=", GROWTH_GOAL_MB) for node in nodes),
        Row.of(f"{what}: episodes in the store", len(store), "1", ">=", len(seen_mb)),
        Row.of(f"{what}: pictures that were lost", lost, "1", "<=", 0),
        Row.of(f"{what}: nodes that are not well at the end", sum(h.level != "ok" for h in health.values()), "1"),
    ]


def grown_mb(seen_mb: list[tuple[float, dict[str, float]]], node: str) -> float:
    """Compare a process's memory in the last sixth of the looks with that after warming up, both as medians."""
    n_warm = max(1, int(len(seen_mb) * WARM_SHARE))
    sizes_mb: NDArray[np.float64] = np.array([sizes[node] for _, sizes in seen_mb])
    return float(np.median(sizes_mb[-n_warm:]) - np.median(sizes_mb[n_warm : 2 * n_warm]))
