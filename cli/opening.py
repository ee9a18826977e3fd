"""Opens what a path on the command line names: a policy, a store."""

from pathlib import Path

from ashore.cli.errors import NotAPolicy
from ashore.datasets.contract import Contract
from ashore.datasets.store import EpisodeStore
from ashore.policies.planner import Planner


def open_planner(path: Path) -> Planner:
    """Open a run's folder or a bundle as a planner.

    Raises:
        NotAPolicy: there is nothing at the path.
        NotARun, UnreadableFile: it is neither, or damaged.
    """
    if path.is_dir():
        from ashore.policies.checkpoint import load_run

        return load_run(path)
    if not path.exists():
        raise NotAPolicy(path)
    from ashore.policies.bundle import load_bundle

    return load_bundle(path)


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
