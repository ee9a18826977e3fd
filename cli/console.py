"""What commands print with: sentences and tables for people, on standard output."""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table


def say(text: str) -> None:
    """Print plain text as it is, without wrapping, so that a path stays one word."""
    Console(soft_wrap=True).print(text, markup=False, highlight=False)


def show_table(title: str, headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows of figures under headings; all but the first column are set to the right."""
    table = Table(title=title, title_justify="left")
    for index, heading in enumerate(headings):
        table.add_column(heading, justify="left" if index == 0 else "right", overflow="fold")
    for row in rows:
        table.add_row(*(figure(value) for value in row))
    Console().print(table, markup=False, highlight=False)


def figure(value: object) -> str:
    """Write one value for a table: floats with four digits, nothing for None."""
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
