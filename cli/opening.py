"""Opens what a path on the command line names: a policy, a store."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ashore.cli.errors import FixedInBundle, InvalidGoalText, NotAPolicy
from ashore.datasets.contract import Contract
from ashore.datasets.store import EpisodeStore
from ashore.policies.planner import Planner

if TYPE_CHECKING:
    from ashore.policies.checkpoint import Asked
    from ashore.policies.evaluation import Simulated

SamplerName = Literal["auto", "euler", "heun", "dpm", "ddim", "ddpm", "consistency", "regression"]


def open_planner(path: Path, asked: "Asked | None" = None) -> Planner:
    """Open a run's folder or a bundle as a planner; a run may be asked in another way than it was trained for.

    Raises:
        NotAPolicy: there is nothing at the path.
        FixedInBundle: a bundle cannot be asked otherwise than it was exported.
        NotARun, UnreadableFile: it is neither, or damaged.
    """
    if path.is_dir():
        from ashore.policies.checkpoint import AS_TRAINED, load_run

        return load_run(path, asked or AS_TRAINED)
    if not path.exists():
        raise NotAPolicy(path)
    if asked is not None and any(value is not None for value in vars(asked).values()):
        raise FixedInBundle(path)
    from ashore.policies.bundle import open_bundle

    return open_bundle(path).planner()


def asked_of(
    sampler: SamplerName, steps: int | None, guidance: float | None, goal: Sequence[str], task: str | None = None
) -> "Asked":
    """Compose how a run's policy is asked from options of the command line; goals are NAME=NUMBER,NUMBER...

    Raises:
        InvalidGoalText: a goal is none of this form.
    """
    from ashore.policies.checkpoint import Asked
    from ashore.policies.generation.samplers import SamplerConfig

    chosen = None if sampler == "auto" and steps is None else SamplerConfig(sampler, steps)
    wanted = dict(_goal(text) for text in goal if text != "none")
    return Asked(chosen, guidance, wanted if goal else None, task)


def _goal(text: str) -> tuple[str, list[float]]:
    name, _, numbers = text.partition("=")
    try:
        return name, [float(number) for number in numbers.split(",")]
    except ValueError as error:
        raise InvalidGoalText(text) from error


def open_or_create(path: Path, contract: Contract, whose: str) -> EpisodeStore:
    """Open the store at a path for more episodes of this contract, or make it.

    Raises:
        ContractMismatch: it holds episodes of another contract.
    """
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return EpisodeStore.create(path, contract)
    store = EpisodeStore.open(path)
    contract.require_same(store.contract, whose, f"the store {path}")
    return store


def open_simulation(task: str, n: int, level: str = "wide") -> "Simulated":
    """Make n simulations of a task, or n of a Gymnasium environment, gym/ID."""
    if task.startswith("gym/"):
        from ashore.sim.gym_task import make_gym_simulation

        return make_gym_simulation(task, n)
    from ashore.sim.simulation import make_simulation

    return make_simulation(task, n, level)
