"""Short clips of a run's episodes: a success, and failures around the moment when they leave the data."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.cli.film import write_film
from ashore.policies.diagnosis.diagnosis import Diagnosis
from ashore.policies.evaluation import Simulated, evaluate
from ashore.policies.planner import Planner
from ashore.sim.gym_task import GymSimulation
from ashore.sim.simulation import Simulation

Array = NDArray[Any]
SIZE_PX = (320, 240)
PICTURES_HZ = 10.0
BEFORE_S, LONGEST_S = 2.0, 8.0
"""How long a clip of a failure begins before it leaves the data, and how long a clip is at most."""
N_FAILURES = 2
EDGE_PX, EDGE_RGB = 5, (224, 122, 47)
"""The frame around pictures that were taken outside the data."""


@dataclass(frozen=True)
class Choice:
    """Which steps of an episode are shown."""

    episode: int
    steps: range
    left: int | None
    """Where it leaves the data; None where it does not, or nobody could tell."""
    success: bool


@dataclass(frozen=True)
class Clip:
    """A GIF with what there is to see."""

    body: bytes
    caption: str


def choose(diagnosis: Diagnosis) -> tuple[Choice, ...]:
    """Choose a success, best one that stays in the data, then failures, those first that leave it earliest."""
    left = [None if each is None else each.step for each in _departures(diagnosis)]
    episodes = range(len(diagnosis.rollouts))
    successes = sorted((i for i in episodes if diagnosis.rollouts[i].success), key=lambda i: left[i] is not None)
    failures = [i for i in episodes if not diagnosis.rollouts[i].success]
    failures.sort(key=lambda i: (left[i] is None, left[i]))
    period_s = diagnosis.contract.period_s
    stride, longest = max(1, round(1 / (PICTURES_HZ * period_s))), round(LONGEST_S / period_s)
    chosen = []
    for episode in (*successes[:1], *failures[:N_FAILURES]):
        n_steps, moment = len(diagnosis.rollouts[episode].plans), left[episode]
        is_success = episode in successes
        first = 0 if is_success or moment is None else max(0, moment - round(BEFORE_S / period_s))
        first = max(0, n_steps - longest) if not is_success and moment is None else first
        steps = range(first, min(n_steps, first + longest), stride)
        chosen.append(Choice(episode, steps, moment, is_success))
    return tuple(chosen)


def make_clips(diagnosis: Diagnosis, simulation: Simulated, planner: Planner) -> list[Clip]:
    """Draw the chosen episodes.

    Raises:
        NoPicture, RenderingUnavailable: the task or this machine has no pictures.
    """
    choices = choose(diagnosis)
    if isinstance(simulation, GymSimulation):
        pictures = _of_environments(diagnosis, simulation, planner, choices)
    elif isinstance(simulation, Simulation):
        pictures = _of_worlds(diagnosis, simulation, choices)
    else:
        pictures = {}
    return [_clip(diagnosis, choice, pictures[choice.episode]) for choice in choices if pictures.get(choice.episode)]


def _departures(diagnosis: Diagnosis) -> Sequence[Any]:
    return (None,) * len(diagnosis.rollouts) if diagnosis.coverage is None else diagnosis.coverage.departures


def _of_worlds(diagnosis: Diagnosis, simulation: Simulation, choices: Sequence[Choice]) -> dict[int, list[Array]]:
    """Draw what the policy observed in the task's own scene."""
    from ashore.sim.rendering import WorldCamera
    from ashore.sim.world import World

    world = World(simulation.task.scene(), 1, n_threads=1)
    camera, only = WorldCamera(world, SIZE_PX, shadows=False), np.array([0])
    pictures: dict[int, list[Array]] = {}
    for choice in choices:
        observed = diagnosis.rollouts[choice.episode].observations
        frames = []
        for step in choice.steps:
            simulation.task.show(world, only, _split(diagnosis, observed[[step]]))
            frames.append(camera.render())
        pictures[choice.episode] = frames
    camera.close()
    return pictures


def _split(diagnosis: Diagnosis, flat: Array) -> Mapping[str, Array]:
    return diagnosis.contract.split_observation(flat.astype(np.float64))


@dataclass
class _Filming:
    """A watcher that takes pictures of some rows of one batch."""

    simulation: GymSimulation
    wanted: Mapping[int, range]
    pictures: dict[int, list[Array]] = field(default_factory=dict)
    _step: int = 0

    def begin(self, kept: int) -> None:
        """Begin at step 0."""
        self._step = 0

    def step(self, observed: Array, actions: Array, plans: Array, is_running: Array) -> None:
        """Take the pictures of this step."""
        for row, steps in self.wanted.items():
            if self._step in steps:
                self.pictures.setdefault(row, []).append(_fitted(self.simulation.frame(row)))
        self._step += 1


def _of_environments(
    diagnosis: Diagnosis, simulation: GymSimulation, planner: Planner, choices: Sequence[Choice]
) -> dict[int, list[Array]]:
    """Play the batches of the chosen episodes once more, alike to the bit, and take pictures on the way."""
    evaluation, pictures = diagnosis.evaluation, dict[int, list[Array]]()
    if evaluation is None:
        return pictures
    for start in sorted({choice.episode // simulation.n * simulation.n for choice in choices}):
        rows = slice(start, start + simulation.n)
        wanted = {c.episode - start: c.steps for c in choices if 0 <= c.episode - start < simulation.n}
        filming = _Filming(simulation, wanted)
        evaluate(
            planner,
            simulation,
            evaluation.draws[rows],
            evaluation.seeds[rows],
            evaluation.latency_s,
            watcher=filming,
        )
        pictures |= {start + row: frames for row, frames in filming.pictures.items()}
    return pictures


def _fitted(picture: Array) -> Array:
    """Shrink a picture (H, W, 3) to the height of a clip."""
    import cv2

    height, width = picture.shape[:2]
    size = (max(1, round(width * SIZE_PX[1] / height)), SIZE_PX[1])
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))


def _clip(diagnosis: Diagnosis, choice: Choice, frames: Sequence[Array]) -> Clip:
    steps, cover = list(choice.steps)[: len(frames)], diagnosis.coverage
    is_out = [cover is not None and bool(cover.distances[choice.episode][step] > cover.limit) for step in steps]
    framed = [_edged(frame) if out else frame for frame, out in zip(frames, is_out, strict=True)]
    period_s = diagnosis.contract.period_s
    with tempfile.TemporaryDirectory(prefix="ashore-clip-") as folder:
        path = Path(folder) / "clip.gif"
        write_film(path, framed, 1000.0 * period_s * choice.steps.step)
        body = path.read_bytes()
    verdict = "success" if choice.success else "failure"
    left = f"; leaves the data at step {choice.left}" if choice.left is not None else ""
    shown = f"steps {steps[0]} to {steps[-1]}"
    return Clip(body, f"Episode {choice.episode}, a {verdict}, {shown}{left}.")


def _edged(frame: Array) -> Array:
    edged = np.array(frame)
    for side in (np.s_[:EDGE_PX], np.s_[-EDGE_PX:], np.s_[:, :EDGE_PX], np.s_[:, -EDGE_PX:]):
        edged[side] = EDGE_RGB
    return edged
