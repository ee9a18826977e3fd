"""What becomes of the journal of a recorder that died."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from ashore.datasets.contract import Contract
from ashore.datasets.episode import Episode
from ashore.datasets.journal import read_journal


@dataclass(frozen=True)
class Recovered:
    """What became of one abandoned journal."""

    journal: str
    n_steps: int
    torn_bytes: int
    """Bytes of a step that had not been written whole, dropped."""
    episode_index: int | None
    """The episode it is now, or None where it held no step."""
    was_committed: bool = False
    """Whether the recorder died after the commit, so that only the journal was left to delete."""


class Recoverer(Protocol):
    """What recovering needs of a store."""

    contract: Contract
    contract_sha256: str

    def append(self, episode: Episode) -> int:
        """Commit an episode and return its index."""

    def holds(self, index: int, episode: Episode) -> bool:
        """Whether this very episode was committed at an index."""


def recover_journal(store: Recoverer, journal: Path) -> Recovered:
    """Commit the whole steps of a journal, unless that was done already, and delete it; needs the writer's lock."""
    content = read_journal(journal, store.contract, store.contract_sha256)
    index, was_committed = None, False
    if content is not None and len(content.rows):
        seal = content.seal
        episode = content.episode(store.contract, seal.meta if seal else replace(content.meta, truncated=True))
        was_committed = seal is not None and store.holds(seal.episode_index, episode)
        index = seal.episode_index if seal is not None and was_committed else store.append(episode)
    journal.unlink()
    n_steps, torn = (len(content.rows), content.torn_bytes) if content else (0, 0)
    return Recovered(journal.name, n_steps, torn, index, was_committed)
