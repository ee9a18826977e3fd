"""Random transitions of policy and guard: whether a command ever leaves while the guard is not active."""

import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

import numpy as np

from ashore.datasets.progress import Progress, silent
from ashore.real.errors import TransitionRefused
from benchmarks.fault_graph import Graph

CHOICES = ("configure", "activate", "deactivate", "cleanup")
STEPS = 6
"""Transitions of a sequence, refused ones included."""
FLIGHT_S = 0.02
"""How long after a deactivate has returned a command that left before it may still be on its way."""


@dataclass(frozen=True)
class Wandered:
    """What the judge heard."""

    sequences: int
    transitions: int
    """Those that were made, of all that were asked for."""
    commands: int
    stray: int
    """Commands that came while the guard was not active."""


def wander(bundle: Path, robot: str, sequences: int, seed: int = 0, progress: Progress = silent) -> Wandered:
    """Drive policy and guard through random sequences of transitions, from whatever state the last one left."""
    rng, made, silent_spans = np.random.default_rng(seed), 0, list[tuple[float, float]]()
    with Graph(bundle, robot, Path(mkdtemp(prefix="ashore-transitions-"))) as graph:
        is_active, since_s = False, time.monotonic()
        for number in range(sequences):
            for _ in range(STEPS):
                node, what = str(rng.choice(("policy", "guard", "guard"))), str(rng.choice(CHOICES))
                asked_s = time.monotonic()
                try:
                    graph.conductor.transition(node, what)
                except TransitionRefused:
                    continue
                made += 1
                if node == "guard" and what == "activate":
                    silent_spans.append((since_s, asked_s))
                    is_active = True
                elif node == "guard" and is_active and what == "deactivate":
                    is_active, since_s = False, time.monotonic() + FLIGHT_S
                time.sleep(0.02 * float(rng.random()))
            if number % 50 == 0:
                progress(number, sequences, f"{robot}: {made} transitions")
        if not is_active:
            silent_spans.append((since_s, time.monotonic()))
        times_s = np.array([at_s for at_s, _ in graph.judge.heard])
    stray = sum(int(((times_s > low) & (times_s < high)).sum()) for low, high in silent_spans)
    return Wandered(sequences, made, len(times_s), stray)
