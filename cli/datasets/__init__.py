"""`ashore datasets`: look at episode stores, curate them, make new ones, and exchange them."""

from dataclasses import dataclass
from typing import Annotated

from tyro.conf import OmitArgPrefixes, subcommand

from ashore.cli.datasets.curating import Compact, Delete, Recover, Trim, Undo
from ashore.cli.datasets.exchange import Export, Import
from ashore.cli.datasets.looking import Info, Log, Plot, Show, Stats, Verify
from ashore.cli.datasets.making import Filter, Merge, Split
from ashore.cli.datasets.remote import Pull, Push

__all__ = ["Datasets"]


@dataclass(frozen=True)
class Datasets:
    """Look at, verify, curate, divide, join, import, export, push or pull episode stores."""

    action: OmitArgPrefixes[
        Annotated[Info, subcommand("info", prefix_name=False)]
        | Annotated[Show, subcommand("show", prefix_name=False)]
        | Annotated[Stats, subcommand("stats", prefix_name=False)]
        | Annotated[Plot, subcommand("plot", prefix_name=False)]
        | Annotated[Verify, subcommand("verify", prefix_name=False)]
        | Annotated[Recover, subcommand("recover", prefix_name=False)]
        | Annotated[Filter, subcommand("filter", prefix_name=False)]
        | Annotated[Delete, subcommand("delete", prefix_name=False)]
        | Annotated[Trim, subcommand("trim", prefix_name=False)]
        | Annotated[Undo, subcommand("undo", prefix_name=False)]
        | Annotated[Log, subcommand("log", prefix_name=False)]
        | Annotated[Compact, subcommand("compact", prefix_name=False)]
        | Annotated[Merge, subcommand("merge", prefix_name=False)]
        | Annotated[Split, subcommand("split", prefix_name=False)]
        | Annotated[Import, subcommand("import", prefix_name=False)]
        | Annotated[Export, subcommand("export", prefix_name=False)]
        | Annotated[Push, subcommand("push", prefix_name=False)]
        | Annotated[Pull, subcommand("pull", prefix_name=False)]
    ]

    def run(self) -> int:
        """Run the chosen action."""
        return self.action.run()
