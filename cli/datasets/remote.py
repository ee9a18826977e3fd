"""`ashore datasets push|pull`: stores to and from object storage."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional


@dataclass(frozen=True)
class Push:
    """Send what a store has and object storage lacks; killed at any moment, what was there before stays whole.

    Credentials come from the environment: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; AWS_ENDPOINT_URL
    names a service other than Amazon's. For example:

      ashore datasets push out/arm s3://robots/arm
      ashore datasets push out/arm s3://robots/arm --check
    """

    store: Annotated[Path, Positional]
    """Folder of the store."""
    url: Annotated[str, Positional]
    """Where to: s3://BUCKET/FOLDER, or any other URL of fsspec."""
    check: bool = False
    """Read all that is there as well, and send again what is damaged."""

    def run(self) -> int:
        """Push, and say what was sent."""
        from ashore.cli.console import say
        from ashore.cli.progress import shown
        from ashore.datasets.remote import push

        with shown("push") as progress:
            pushed = push(self.store, self.url, check=self.check, progress=progress)
        for name in pushed.damaged:
            say(f"  was damaged, sent again: {name}")
        say(
            f"{pushed.n_sent} of {pushed.n_objects} object(s) sent, {pushed.sent_bytes / 1e6:.1f} MB; "
            f"{pushed.n_removed} outdated one(s) removed."
        )
        say(f"Next: ashore datasets pull {self.url} STORE")
        return 0


@dataclass(frozen=True)
class Pull:
    """Fetch what object storage has and a store lacks, every byte checked; makes the store if there is none.

    Run it again after a kill: it goes on where it stopped. For example:

      ashore datasets pull s3://robots/arm out/arm
    """

    url: Annotated[str, Positional]
    """Where a push went."""
    store: Annotated[Path, Positional]
    """Folder of the store."""

    def run(self) -> int:
        """Pull, and say what came."""
        from ashore.cli.console import say
        from ashore.cli.progress import shown
        from ashore.datasets.remote import pull

        with shown("pull") as progress:
            pulled = pull(self.url, self.store, progress)
        fetched = (
            f"{pulled.n_fetched} episode(s) fetched, {pulled.fetched_bytes / 1e6:.1f} MB, {pulled.n_edits} new edit(s)"
        )
        say(f"{fetched}. {self.store} shows {pulled.n_episodes} episode(s).")
        if pulled.n_ahead:
            say(f"{pulled.n_ahead} episode(s) and edit(s) are here only.")
            say(f"Next: ashore datasets push {self.store} {self.url}")
        return 0
