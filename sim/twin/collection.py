"""Record on the twin: episodes of a task's expert in another reality, as a stand-in for recordings of the robot."""

import time
from dataclasses import replace

from ashore.datasets.progress import Progress, silent
from ashore.datasets.store import EpisodeStore
from ashore.sim.collection import ENOUGH_ATTEMPTS, LEAST_SHARE, Collected, demonstrate, next_attempt
from ashore.sim.errors import ExpertFails
from ashore.sim.twin.profile import RealityProfile
from ashore.sim.twin.simulation import make_twin_simulation

PARALLEL = 8
"""PyBullet clients at once; they run one after the other."""


def collect_on_twin(
    task_name: str,
    n_episodes: int,
    store: EpisodeStore,
    profile: RealityProfile,
    seed: int = 0,
    noise: bool = False,
    progress: Progress = silent,
) -> Collected:
    """Fill a store up to n_episodes successful episodes that the task's expert plays on the twin.

    Args:
        task_name: the task whose expert plays.
        n_episodes: episodes that the store shall hold in the end; those it holds already count.
        store: opened for writing, with the task's contract.
        profile: the reality of the twin.
        seed: the attempts' numbers and this seed decide everything.
        noise: whether the task's noise is injected into the commands.
        progress: told after each batch.

    Raises:
        UnknownName: there is no such task.
        InvalidProfile: the profile is for another robot.
        ExpertFails: hardly any attempt succeeds.
    """
    began_s, n_before, n_tried = time.monotonic(), len(store), 0
    if n_before >= n_episodes:
        return Collected(0, 0, 0.0)
    simulation = make_twin_simulation(task_name, min(PARALLEL, n_episodes - n_before), profile)
    first = next_attempt(store)
    with store:
        while len(store) < n_episodes:
            numbers = range(first + n_tried, first + n_tried + simulation.n)
            for episode in demonstrate(simulation, seed, numbers, noise)[: n_episodes - len(store)]:
                store.append(replace(episode, meta=replace(episode.meta, source="twin")))
            n_tried += simulation.n
            n_kept = len(store) - n_before
            if n_tried >= ENOUGH_ATTEMPTS and n_kept < LEAST_SHARE * n_tried:
                raise ExpertFails(task_name, n_kept, n_tried)
            progress(len(store), n_episodes, f"{n_kept} of {n_tried} attempts kept")
    return Collected(n_kept, n_tried, time.monotonic() - began_s)
