"""The one face of all benchmarks: `python -m benchmarks NAME [--quick]` and `python -m benchmarks --list`."""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from rich.console import Console

from ashore.datasets.errors import AshoreError, UnknownName
from ashore.datasets.progress import Progress
from benchmarks.row import Row, table_of, write_rows

BENCHMARKS = {
    "consistency": "benchmarks.consistency",
    "experts": "benchmarks.experts",
    "import": "benchmarks.imports",
    "faults": "benchmarks.faults",
    "guard": "benchmarks.guard",
    "inference": "benchmarks.inference",
    "jitter": "benchmarks.jitter",
    "loader": "benchmarks.loader",
    "push_t": "benchmarks.push_t",
    "recording": "benchmarks.recording",
    "rollouts": "benchmarks.rollouts",
    "seams": "benchmarks.seams",
    "soak": "benchmarks.soak",
    "spine": "benchmarks.spine",
    "training": "benchmarks.training",
    "twin_gap": "benchmarks.twin_gap",
}


LOG_WIDTH = 160
"""Columns of the table where no terminal says how many it has."""


class Benchmark(Protocol):
    """What each benchmark's module has."""

    __doc__: str | None

    def run(self, quick: bool, folder: Path, progress: Progress) -> list[Row]:
        """Measure; put what is worth keeping, such as runs, under the folder."""


def benchmark(name: str) -> Benchmark:
    """Import a benchmark by its name.

    Raises:
        UnknownName: there is none of this name.
    """
    if name not in BENCHMARKS:
        raise UnknownName("benchmark", name, sorted(BENCHMARKS))
    return cast(Benchmark, import_module(BENCHMARKS[name]))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0, or 2 for a fault that the text explains."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", nargs="?", help="which benchmark; --list names them")
    parser.add_argument("--quick", action="store_true", help="a small version, for a look at the face")
    parser.add_argument("--list", action="store_true", help="name the benchmarks")
    parser.add_argument("--out", type=Path, default=Path("out/benchmarks"), help="where NAME.json goes")
    chosen = parser.parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else LOG_WIDTH)
    if chosen.list or chosen.name is None:
        for name in sorted(BENCHMARKS):
            first = (benchmark(name).__doc__ or "").splitlines()[0]
            console.print(f"{name:12} {first}", highlight=False, soft_wrap=True)
        return 0
    try:
        rows = _measure(chosen.name, chosen.quick, chosen.out, console)
    except AshoreError as error:
        Console(stderr=True).print(f"{type(error).__name__}: {error}", markup=False, highlight=False, soft_wrap=True)
        return 2
    console.print(table_of(chosen.name, rows))
    path = chosen.out / f"{chosen.name}.json"
    write_rows(path, rows)
    console.print(f"written to {path}", highlight=False, soft_wrap=True)
    return 0


def _measure(name: str, quick: bool, out: Path, console: Console) -> list[Row]:
    chosen = benchmark(name)
    with console.status(f"{name}: starting") as status:

        def progress(done: int, total: int, note: str) -> None:
            status.update(f"{name}: {note} {done}/{total}")

        return chosen.run(quick, out / name, progress)


if __name__ == "__main__":
    sys.exit(main())
