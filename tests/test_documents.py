"""What is written about the project is true of it: dependencies, commands and make's targets."""

import re
import tomllib
from pathlib import Path

from ashore.cli.main import COMMANDS

ROOT = Path(__file__).parents[1]


def test_every_dependency_is_explained() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    requirements = [
        *project["dependencies"],
        *(line for extra in project["optional-dependencies"].values() for line in extra),
    ]
    names = {re.split(r"[<>=!~;\[ ]", requirement)[0] for requirement in requirements}
    text = (ROOT / "docs/dependencies.md").read_text()
    assert not [name for name in sorted(names) if name.removeprefix("ros") not in text]


def test_the_readme_names_only_targets_and_commands_that_exist() -> None:
    text = (ROOT / "README.md").read_text()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"^make ([a-z-]+)", text, re.MULTILINE)) <= targets
    assert set(re.findall(r"^ashore ([a-z]+)", text, re.MULTILINE)) <= set(COMMANDS)


def test_the_pages_name_only_commands_and_files_that_exist() -> None:
    for path in (ROOT / "docs").glob("*.md"):
        text = path.read_text()
        named = re.findall(r"(?:^ {4}|`)(?:sudo )?ashore ([a-z]+)", text, re.MULTILINE)
        assert set(named) <= set(COMMANDS), f"{path.name}: {sorted(set(named) - set(COMMANDS))}"
        files = re.findall(r"`((?:launch|tests|real|policies|sim|datasets|docs)/[^`\s*{]+\.[a-z]+)`", text)
        assert not [name for name in files if not (ROOT / name).exists()], path.name


def test_help_texts_name_only_commands_and_options_that_exist() -> None:
    for path in (ROOT / "cli").glob("*.py"):
        for name in re.findall(r"^ {6}ashore ([a-z]+)", path.read_text(), re.MULTILINE):
            assert name in COMMANDS, f"{path.name}: ashore {name}"


def test_the_changelog_has_a_place_for_what_is_new() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    assert "## Unreleased" in text
    assert "### Added" in text
