"""What commands print with: sentences and tables for people, on standard output."""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table


def say(text: str) -> None:
    """Print plain text as it is, without wrapping, so that a path stays one word."""
    Console(soft_wrap=True).print(text, markup=False, highlight=False)


PIPED_WIDTH = 200
"""Columns of a table that goes into a file or a pipe, so that names stay whole there."""


def show_table(title: str, headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows under headings; columns that hold a number are set to the right."""
    table = Table(title=title, title_justify="left")
    lines = [tuple(row) for row in rows]
    for index, heading in enumerate(headings):
        is_numeric = any(isinstance(line[index], int | float) for line in lines)
        table.add_column(heading, justify="right" if is_numeric else "left", overflow="fold")
    for line in lines:
        table.add_row(*(figure(value) for value in line))
    wide_console().print(table, markup=False, highlight=False)


def wide_console() -> Console:
    """Give the console of standard output, wide where it is a file or a pipe."""
    console = Console()
    return console if console.is_terminal else Console(width=max(console.width, PIPED_WIDTH))


def figure(value: object) -> str:
    """Write one value for a table: floats with four digits, nothing for None."""
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
