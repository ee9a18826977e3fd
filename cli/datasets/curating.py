"""`ashore datasets recover|delete|trim|undo|compact`: edits of a store, noted with who and why."""

from dataclasses import dataclass, field
from getpass import getuser
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional


def login_name() -> str:
    """Give the name of who runs this command, as the system knows it."""
    try:
        return getuser()
    except (KeyError, OSError):  # A user without an entry and without LOGNAME, as in some containers.
        return ""


@dataclass(frozen=True)
class Recover:
    """Commit the episodes whose recorder died, as far as they were written, marked as truncated.

    For example:

      ashore datasets recover out/arm
    """

    store: Annotated[Path, Positional]
    """Folder of the store."""

    def run(self) -> int:
        """Recover, and say what became of each journal."""
        from ashore.cli.console import say
        from ashore.datasets.store import EpisodeStore

        recovered = EpisodeStore.open(self.store).recover()
        for item in recovered:
            if item.episode_index is None:
                fate = "held no whole step and was dropped"
            else:
                state = "had been committed already" if item.was_committed else "committed as truncated"
                fate = f"episode {item.episode_index}, {item.n_steps} steps, {state}"
            say(f"{item.journal}: {fate}; {item.torn_bytes} torn byte(s) dropped")
        say(f"{self.store}: {len(recovered)} journal(s) recovered.")
        return 0


@dataclass(frozen=True)
class Delete:
    """Hide episodes from every reader; `undo` brings them back until `compact`.

    For example:

      ashore datasets delete out/arm 3 17 --why "the gripper slipped"
    """

    store: Annotated[Path, Positional]
    """Folder of the store."""
    episodes: Annotated[tuple[int, ...], Positional]
    """Their indices."""
    why: str
    """The reason, in words."""
    who: str = field(default_factory=login_name)
    """Who decides."""

    def run(self) -> int:
        """Delete them."""
        from ashore.cli.console import say
        from ashore.datasets.curating import delete
        from ashore.datasets.store import EpisodeStore

        store = EpisodeStore.open(self.store)
        number = delete(store, self.episodes, self.who, self.why)
        say(f"{len(set(self.episodes))} episode(s) deleted, {len(store)} left. {_way_back(self.store, number)}")
        return 0


@dataclass(frozen=True)
class Trim:
    """Cut steps off both ends of an episode; `undo` brings them back until `compact`.

    For example:

      ashore datasets trim out/arm 3 --start 40 --why "waits for the operator"
    """

    store: Annotated[Path, Positional]
    """Folder of the store."""
    episode: Annotated[int, Positional]
    """Its index."""
    why: str
    """The reason, in words."""
    start: int = 0
    """First step to keep, counted in the episode as it is shown now."""
    stop: int | None = None
    """One past the last step to keep; left out, the end is kept."""
    who: str = field(default_factory=login_name)
    """Who decides."""

    def run(self) -> int:
        """Trim it."""
        from ashore.cli.console import say
        from ashore.datasets.curating import trim
        from ashore.datasets.store import EpisodeStore

        store = EpisodeStore.open(self.store)
        number = trim(store, self.episode, self.start, self.stop, self.who, self.why)
        n_steps = len(store.read(self.episode, on_disk=True))
        say(f"Episode {self.episode} keeps {n_steps} step(s). {_way_back(self.store, number)}")
        return 0


@dataclass(frozen=True)
class Undo:
    """Take a deletion or a trim back; `ashore datasets log` has the numbers.

    For example:

      ashore datasets undo out/arm 2 --why "it was the other episode"
    """

    store: Annotated[Path, Positional]
    """Folder of the store."""
    edit: Annotated[int, Positional]
    """Number of the edit."""
    why: str
    """The reason, in words."""
    who: str = field(default_factory=login_name)
    """Who decides."""

    def run(self) -> int:
        """Undo it."""
        from ashore.cli.console import say
        from ashore.datasets.curating import undo
        from ashore.datasets.store import EpisodeStore

        store = EpisodeStore.open(self.store)
        undo(store, self.edit, self.who, self.why)
        say(f"Edit {self.edit} undone; {self.store} has {len(store)} episode(s).")
        return 0


@dataclass(frozen=True)
class Compact:
    """Make all deletions and trims permanent and give their space back; this cannot be undone.

    For example:

      ashore datasets compact out/arm --why "reviewed by two of us"
    """

    store: Annotated[Path, Positional]
    """Folder of the store."""
    why: str
    """The reason, in words."""
    who: str = field(default_factory=login_name)
    """Who decides."""

    def run(self) -> int:
        """Compact it."""
        from ashore.cli.console import say
        from ashore.datasets.curating import compact
        from ashore.datasets.store import EpisodeStore

        store = EpisodeStore.open(self.store)
        gone = compact(store, self.who, self.why)
        say(f"{len(gone)} episode(s) removed for good; {self.store} has {len(store)}.")
        return 0


def _way_back(store: Path, number: int) -> str:
    return f"Back: ashore datasets undo {store} {number} --why ..."
