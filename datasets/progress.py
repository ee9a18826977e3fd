"""How long work tells how far it is, without knowing who listens."""

from collections.abc import Callable

Progress = Callable[[int, int, str], None]
"""Called with (done, total, note); note is one short phrase such as "412 samples/s, loss 0.031"."""


def silent(done: int, total: int, note: str) -> None:
    """Listen to nothing: the progress of work that nobody watches."""
