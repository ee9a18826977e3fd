"""Training speed beside LeRobot's with the same UNet on the same cores, and CPU time to a Push-T score of 0.90.

$ASHORE_PEER_PYTHON names a Python with LeRobot 0.4.4, gym-pusht and pymunk below 7; without it, rows stand alone.
"""

import time
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from shutil import rmtree

from ashore.datasets.progress import Progress
from benchmarks import training_peer
from benchmarks.push_t import BATCH as SMALL_BATCH
from benchmarks.push_t import LEARNING_RATE, import_recordings, score
from benchmarks.row import Row, Sense
from benchmarks.training_peer import LEROBOT, minutes_to

HORIZONS = (2, 16, 8)
WIDTHS, SMALL_WIDTHS = (128, 256, 512), (64, 128, 256)
BATCH, THREADS = 256, 2
SPEED_GOAL, LOOP_GOAL, TIME_GOAL = 3.0, 0.9, 1 / 20
SCORE = 0.9


@dataclass(frozen=True)
class Sizes:
    """How long is measured."""

    seconds: float
    """Of each timing."""
    rounds: int
    """Ours and the peer's take turns; the best of each counts."""
    budgets: tuple[float, ...]
    """Minutes of our trainings, each from the start on a schedule of its own, until one reaches the score."""
    peer_minutes: float
    """CPU time of the peer's training that is scored."""
    n_scores: int
    n_starts: int
    """Episodes of a score of ours; the peer's are from all 50 start states."""
    n_episodes: int | None = None
    """Of the peer's data; None for all."""


FULL = Sizes(20.0, 3, budgets=(1.0, 2.0, 4.0, 8.0, 16.0), peer_minutes=60.0, n_scores=8, n_starts=50)
QUICK = Sizes(1.0, 1, budgets=(0.2,), peer_minutes=0.2, n_scores=2, n_starts=2, n_episodes=8)


def run(quick: bool, folder: Path, progress: Progress) -> list[Row]:
    """Time both in turns, then train both and score them.

    Raises:
        UnreadableFile: the recordings are not here.
    """
    sizes = QUICK if quick else FULL
    place = folder / ("quick" if quick else "full")
    place.mkdir(parents=True, exist_ok=True)
    store = import_recordings(folder / "store", progress)
    data = training_peer.write_data(store, place, sizes.n_episodes)
    return _speed_rows(store, data, place, sizes, progress) + _time_rows(store, data, place, sizes, progress)


def _speed_rows(store: Path, data: Path | None, place: Path, sizes: Sizes, progress: Progress) -> list[Row]:
    from ashore.policies.networks.unet import UNetConfig
    from ashore.policies.policy import PolicyConfig
    from ashore.policies.training_loop import TrainingConfig
    from benchmarks.training_speed import MATMUL_SIZE, Speed, time_training

    shape, config = PolicyConfig(*HORIZONS, network=UNetConfig(widths=WIDTHS)), TrainingConfig(threads=THREADS)
    speeds, peers = [], []
    for done in range(sizes.rounds):
        progress(done, sizes.rounds, "samples a second")
        speeds.append(time_training(store, place / "timed", shape, config, sizes.seconds))
        if data is not None:
            peers.append(training_peer.time_training(data, WIDTHS, THREADS, sizes.seconds))
    best = reduce(Speed.best, speeds)
    loop, alone = (max((peer[name] for peer in peers), default=None) for name in ("loop", "alone"))
    network = f"UNet {', '.join(map(str, WIDTHS))}, batch {BATCH}, {THREADS} threads"
    floor = (f"3 forward passes at the rate of a {MATMUL_SIZE}-square matmul", best.floor)
    unit = "samples/s"
    rows = [
        _beside(f"{network}: whole loop", best.loop, unit, (f"{LEROBOT}: whole loop", loop), ">=", SPEED_GOAL),
        _beside(f"{network}: update alone", best.alone, unit, (f"{LEROBOT}: update alone", alone), ">="),
        Row.against(f"{network}: whole loop", best.loop, unit, ("update alone", best.alone), ">=", LOOP_GOAL),
        Row.against(f"{network}: update alone", best.alone, unit, floor, ">="),
    ]
    return rows if alone is None else [*rows, Row.against(f"{LEROBOT}: update alone", alone, unit, floor, ">=")]


def _time_rows(store: Path, data: Path | None, place: Path, sizes: Sizes, progress: Progress) -> list[Row]:
    minutes, reached = train_until(store, place, sizes, progress)
    is_there = reached >= SCORE
    more = "" if is_there else f": more, {reached:.2f} after"
    figure = f"CPU time to a Push-T score of {SCORE:g}, one thread{more}"
    goal = TIME_GOAL if is_there else None
    if data is None:
        return [_beside(figure, minutes, "min", (LEROBOT, None), "<=", goal)]
    progress(0, 1, f"{LEROBOT} trains for {sizes.peer_minutes:g} CPU-minutes")
    points = training_peer.train_scored(data, SMALL_WIDTHS, sizes.peer_minutes, sizes.n_scores)
    return [Row.against(figure, minutes, "min", peer, "<=", goal) for peer in peer_times(points)]


def peer_times(points: list[dict[str, float]]) -> list[tuple[str, float]]:
    """Say when the peer reaches the score: (how that is known, CPU-minutes), a lower bound first where it is not."""
    times, scores = ([float(point[name]) for point in points] for name in ("cpu_min", "score"))
    name, reached = f"{LEROBOT}, UNet {', '.join(map(str, SMALL_WIDTHS))}", minutes_to(SCORE, times, scores)
    if reached is not None and reached <= times[-1]:
        return [(f"{name}: reached", reached)]
    least = [(f"{name}: at least; score {scores[-1]:.2f} after", times[-1])]
    return least if reached is None else [*least, (f"{name}: extrapolated from its last scores in log time", reached)]


def train_until(store: Path, place: Path, sizes: Sizes, progress: Progress) -> tuple[float, float]:
    """Train on one thread in ever larger budgets until the score is reached.

    Returns:
        CPU-minutes of the last training, with all that belongs to it, and its score.
    """
    from ashore.policies.checkpoint import load_run
    from ashore.policies.policy import PolicyConfig
    from ashore.policies.training import train
    from ashore.policies.training_loop import TrainingConfig
    from ashore.sim.pusht import TEST_SEEDS

    minutes, reached = 0.0, 0.0
    for budget in sizes.budgets:
        path = place / f"{budget:g}_min"
        rmtree(path, ignore_errors=True)
        began_s = time.process_time()
        config = TrainingConfig(minutes=budget, batch_size=SMALL_BATCH, learning_rate=LEARNING_RATE)
        train([store], path, config, PolicyConfig(*HORIZONS), progress)
        minutes = (time.process_time() - began_s) / 60
        reached, _ = score(load_run(path), TEST_SEEDS[: sizes.n_starts], progress)
        if reached >= SCORE:
            break
    return minutes, reached


def _beside(
    figure: str, value: float, unit: str, peer: tuple[str, float | None], sense: Sense, goal: float | None = None
) -> Row:
    """Make a row beside a peer, or one that says that it was not run."""
    name, peer_value = peer
    if peer_value is None:
        return Row(
            figure, value, unit, f"{name}: peer not run", goal=None if goal is None else f"ratio {sense} {goal:g}"
        )
    return Row.against(figure, value, unit, (name, peer_value), sense, goal)
