"""Every fault's exact text; run this file to write tests/errors.json anew, and read what changed."""

import ast
import importlib
import inspect
import json
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from error_cases import CASES

from ashore.datasets.errors import AshoreError

ROOT = Path(__file__).parents[1]
GOLDEN = Path(__file__).with_name("errors.json")
LAYERS = ("datasets", "sim", "policies", "real", "cli")


def fault_classes() -> Iterator[type[AshoreError]]:
    for layer in LAYERS:
        package = importlib.import_module(f"ashore.{layer}")
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if module.name.rpartition(".")[2] == "errors":
                yield from own_faults(module.name)


def own_faults(module: str) -> Iterator[type[AshoreError]]:
    for kind in vars(importlib.import_module(module)).values():
        if inspect.isclass(kind) and issubclass(kind, AshoreError) and kind.__module__ == module:
            yield kind


def texts() -> dict[str, str]:
    return {f"{type(case).__module__}.{type(case).__name__}": str(case) for case in CASES}


def test_every_fault_has_a_case() -> None:
    named = {type(case) for case in CASES} | {AshoreError}
    missing = sorted(kind.__name__ for kind in fault_classes() if kind not in named)
    assert not missing, f"add these to tests/error_cases.py: {missing}"


def test_each_text_is_the_one_on_file() -> None:
    assert texts() == json.loads(GOLDEN.read_text())


@pytest.mark.parametrize("case", CASES, ids=lambda case: type(case).__name__)
def test_a_text_is_whole_sentences_and_says_more_than_what_is_wrong(case: AshoreError) -> None:
    text = str(case)
    assert len(text.split()) >= 8
    assert "None" not in text
    assert "  " not in text.replace("\n  ", "\n")


def test_faults_stand_in_the_files_that_are_named_for_them() -> None:
    names = {kind.__name__ for kind in fault_classes()}
    strays = []
    for layer in LAYERS:
        for path in (ROOT / layer).rglob("*.py"):
            classes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ClassDef)]
            bases = [(node.name, base.id) for node in classes for base in node.bases if isinstance(base, ast.Name)]
            strays += [f"{path.name}: {name}" for name, base in bases if base in names and path.name != "errors.py"]
    assert not strays


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(texts(), indent=2, sort_keys=True, ensure_ascii=False) + "\n")
