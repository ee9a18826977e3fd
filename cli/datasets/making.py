"""`ashore datasets filter|merge|split`: choose episodes, and make new stores of old ones."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional

from ashore.cli.datasets.curating import login_name

if TYPE_CHECKING:
    from ashore.datasets.selection import Selection


@dataclass(frozen=True)
class Criteria:
    """What an episode must be; all that is given must hold."""

    success: Literal["yes", "no", "unjudged"] | None = None
    """The task's own verdict."""
    operator: tuple[str, ...] = ()
    """Names, one of which it must be."""
    source: Literal["simulation", "twin", "real", "human"] | None = None
    """Where it was recorded."""
    instruction: str | None = None
    """Words that its instruction holds."""
    draw: tuple[str, ...] = ()
    """Ranges of draws, NAME=LOW:HIGH each; an end may be left out."""
    min_steps: int | None = None
    """Fewest steps."""
    max_steps: int | None = None
    """Most steps."""
    since: str | None = None
    """Recorded at this ISO date or later, UTC where it names no zone."""
    until: str | None = None
    """Recorded by this ISO date; a date without time includes its day."""

    def selection(self) -> "Selection":
        """Read the ranges.

        Raises:
            InvalidSelection: one is none.
        """
        from ashore.datasets.errors import InvalidSelection
        from ashore.datasets.selection import Selection, parse_range

        draw = dict(parse_range(text) for text in self.draw)
        if len(draw) < len(self.draw):
            raise InvalidSelection(["draw: a name is given twice; expected one range each"])
        return Selection(**{**vars(self), "draw": draw})


@dataclass(frozen=True)
class Filter:
    """List the episodes that meet all criteria; or delete these, or copy them into a new store.

    For example:

      ashore datasets filter out/arm --success yes --draw friction=0.5:1.0 --out out/slippery
      ashore datasets filter out/arm --success no --delete --why "failed"
    """

    store: Annotated[Path, Positional]
    """Folder of the store."""
    criteria: Criteria = field(default_factory=Criteria)
    out: Path | None = None
    """Copy what was found into this new store."""
    delete: bool = False
    """Delete what was found; `undo` brings it back."""
    why: str = ""
    """The reason for the deletion, in words."""
    who: str = field(default_factory=login_name)
    """Who decides."""

    def run(self) -> int:
        """Choose, and do with it what was asked."""
        from ashore.cli.console import say
        from ashore.cli.progress import shown
        from ashore.datasets.curating import copy, delete
        from ashore.datasets.edits import ranges
        from ashore.datasets.errors import InvalidSelection
        from ashore.datasets.selection import select
        from ashore.datasets.store import EpisodeStore

        if self.delete and self.out is not None:
            raise InvalidSelection(["--delete and --out: expected one of them, or none to list what is found"])
        store = EpisodeStore.open(self.store, readonly=not self.delete)
        chosen = select(store, self.criteria.selection())
        say(f"{len(chosen)} of {len(store)} episode(s): {ranges(chosen) or 'none'}")
        if self.delete and chosen:
            number = delete(store, chosen, self.who, self.why)
            say(f"Deleted; {len(store)} left. Back: ashore datasets undo {self.store} {number} --why ...")
        elif self.out is not None:
            with shown("copy") as progress:
                copy(store, chosen, self.out, progress)
            say(f"Copied into {self.out}.")
        return 0


@dataclass(frozen=True)
class Merge:
    """Join stores of one contract into a new one; each episode keeps where it came from.

    For example:

      ashore datasets merge out/monday out/tuesday --out out/both
    """

    stores: Annotated[tuple[Path, ...], Positional]
    """Folders of the stores, in order."""
    out: Path
    """Folder of the new store."""

    def run(self) -> int:
        """Join them."""
        from ashore.cli.console import say
        from ashore.cli.progress import shown
        from ashore.datasets.curating import merge
        from ashore.datasets.store import EpisodeStore

        with shown("merge") as progress:
            n_episodes = merge([EpisodeStore.open(path, readonly=True) for path in self.stores], self.out, progress)
        say(f"{n_episodes} episodes of {len(self.stores)} store(s) in {self.out}.")
        return 0


@dataclass(frozen=True)
class Split:
    """Divide a store by chance into new ones, whole episodes; the same seed gives the same division.

    For example:

      ashore datasets split out/arm --parts train=0.8 check=0.2 --out out/parts
    """

    store: Annotated[Path, Positional]
    """Folder of the store."""
    out: Path
    """Folder of the new stores, one a part."""
    parts: tuple[str, ...] = ("train=0.9", "check=0.1")
    """NAME=SHARE each; the shares add up to 1."""
    seed: int = 0
    """Seed of the division."""

    def run(self) -> int:
        """Divide it."""
        from ashore.cli.console import say
        from ashore.cli.progress import shown
        from ashore.datasets.curating import split
        from ashore.datasets.store import EpisodeStore

        store = EpisodeStore.open(self.store, readonly=True)
        with shown("split") as progress:
            made = split(store, _shares(self.parts), self.seed, self.out, progress)
        for name, indices in made.items():
            say(f"{self.out / name}: {len(indices)} episodes")
        return 0


def _shares(texts: tuple[str, ...]) -> dict[str, float]:
    from ashore.datasets.errors import InvalidSelection

    shares: dict[str, float] = {}
    for text in texts:
        name, _, share = text.partition("=")
        try:
            value = float(share)
        except ValueError as error:
            raise InvalidSelection([f"part {text!r}: expected NAME=SHARE, such as train=0.9"]) from error
        if name in shares:
            raise InvalidSelection([f"part {name!r}: given twice"])
        shares[name] = value
    return shares
