"""The report: one self-contained HTML page, made of named sections."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path


@dataclass(frozen=True)
class Tile:
    """One headline figure."""

    value: str
    label: str


@dataclass(frozen=True)
class Picture:
    """One chart (SVG text), clip (GIF bytes) or picture (PNG bytes) with the sentence below it."""

    body: str | bytes
    caption: str


@dataclass(frozen=True)
class Grid:
    """A table: a heading a column, cells as text; columns named in numbers are set to the right."""

    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    numbers: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Section:
    """One part of the page: a heading, what to see in it, pictures and a table."""

    heading: str
    text: str
    pictures: Sequence[Picture] = ()
    grid: Grid | None = None
    note: str = ""
    is_wide: bool = False
    """Whether each picture takes the whole width, one below the other."""


@dataclass(frozen=True)
class Page:
    """The whole report."""

    title: str
    lead: str
    tiles: Sequence[Tile]
    sections: Sequence[Section]


def write_page(path: Path, page: Page) -> None:
    """Write the page as one HTML file that needs no other file and no network."""
    style = files("ashore.cli.demo").joinpath("page.css").read_text(encoding="utf-8")
    tiles = "".join(
        f'<div class="tile"><b>{escape(t.value)}</b><span>{escape(t.label)}</span></div>' for t in page.tiles
    )
    body = "".join(_section(section) for section in page.sections)
    path.write_text(
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{escape(page.title)}</title>'
        f"<style>{style}</style></head><body><main><h1>{escape(page.title)}</h1>"
        f'<p class="lead">{escape(page.lead)}</p><div class="tiles">{tiles}</div>{body}</main></body></html>\n',
        encoding="utf-8",
    )


def _section(section: Section) -> str:
    pictures = "".join(_figure(picture) for picture in section.pictures)
    parts = [f"<h2>{escape(section.heading)}</h2>"]
    if section.text:
        parts.append(f"<p>{escape(section.text)}</p>")
    if pictures and section.is_wide:
        parts.append(f'<div class="wide">{pictures}</div>')
    elif pictures:
        parts.append(f'<div class="pair">{pictures}</div>' if len(section.pictures) > 1 else pictures)
    if section.grid is not None:
        parts.append(_table(section.grid))
    if section.note:
        parts.append(f'<p class="note">{escape(section.note)}</p>')
    return f"<section>{''.join(parts)}</section>"


def _figure(picture: Picture) -> str:
    if isinstance(picture.body, bytes):
        data = base64.b64encode(picture.body).decode()
        kind = "png" if picture.body.startswith(b"\x89PNG") else "gif"
        body = f'<img alt="{escape(picture.caption)}" src="data:image/{kind};base64,{data}">'
    else:
        body = picture.body
    return f"<figure>{body}<figcaption>{escape(picture.caption)}</figcaption></figure>"


def _table(grid: Grid) -> str:
    classes = ['class="number"' if index in grid.numbers else "" for index in range(len(grid.columns))]
    head = "".join(f"<th {cls}>{escape(name)}</th>" for name, cls in zip(grid.columns, classes, strict=True))
    rows = "".join(
        "<tr>" + "".join(f"<td {cls}>{_cell(text)}</td>" for text, cls in zip(row, classes, strict=True)) + "</tr>"
        for row in grid.rows
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _cell(text: str) -> str:
    return f"<code>{escape(text)}</code>" if text.startswith("ashore ") else escape(text)
