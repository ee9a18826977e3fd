"""The files and commands of docs/own_robot.md, as a reader would copy them."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "own_robot.md"
FILE = re.compile(r"^`([\w./]+)`:\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMANDS = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def write_files(folder: Path) -> list[Path]:
    """Write every file of the page below a folder."""
    written = []
    for name, text in FILE.findall(PAGE.read_text(encoding="utf-8")):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        written.append(path)
    return written


def commands() -> list[list[str]]:
    """Every command of the page, split into words."""
    blocks = COMMANDS.findall(PAGE.read_text(encoding="utf-8"))
    return [line.split() for block in blocks for line in block.splitlines() if line]
