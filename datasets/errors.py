"""The root of every error that Ashore raises on purpose, and the faults of data.

One class a fault. Callers pass facts; the class composes the sentence in four parts: what was given, what was
expected, the valid choices, the way out. The command line prints the sentence and exits with code 2.
"""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path


class AshoreError(Exception):
    """Root of all errors that a user can cause and mend."""


def closest(name: str, choices: Iterable[str]) -> str:
    """Return " Did you mean 'x'?" for the nearest choice, or an empty string."""
    match = get_close_matches(name, list(choices), n=1)
    return f" Did you mean {match[0]!r}?" if match else ""


def quoted(names: Iterable[str]) -> str:
    """List names for an error text: 'a', 'b', 'c'."""
    return ", ".join(repr(name) for name in names) or "none"


class UnknownName(AshoreError):
    """A name that is not in a registry."""

    def __init__(self, kind: str, name: str, choices: Sequence[str]) -> None:
        super().__init__(f"there is no {kind} {name!r}. Valid: {quoted(choices)}.{closest(name, choices)}")


class InvalidContract(AshoreError):
    """A contract that contradicts itself; lists every fault."""

    def __init__(self, faults: Sequence[str]) -> None:
        lines = "\n".join(f"  {fault}" for fault in faults)
        super().__init__(f"the contract has {len(faults)} fault(s):\n{lines}\nCorrect these fields and build it again.")


class ContractMismatch(AshoreError):
    """Two contracts that must agree do not; lists every differing field and what to do."""

    def __init__(self, left: str, right: str, differences: Sequence[object]) -> None:
        lines = "\n".join(f"  {difference}" for difference in differences)
        super().__init__(f"{left} and {right} disagree on {len(differences)} field(s):\n{lines}")


class InvalidSample(AshoreError):
    """A sample that breaks its contract; lists every fault."""

    def __init__(self, where: str, faults: Sequence[str]) -> None:
        lines = "\n".join(f"  {fault}" for fault in faults)
        super().__init__(f"{where} breaks the contract in {len(faults)} place(s):\n{lines}")


class UnreadableFile(AshoreError):
    """A file that is missing, or is not what its name says."""

    def __init__(self, path: Path | str, expected: str, problem: str, way_out: str) -> None:
        super().__init__(f"cannot read {path}: {problem}. Expected {expected}. {way_out}")
