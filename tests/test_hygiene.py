"""What no library file may hold: code loaded from data, prints, validation that -O removes, broad excepts."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = ("datasets", "sim", "policies", "real", "cli")
FILES = sorted(path for layer in LAYERS for path in (ROOT / layer).rglob("*.py"))
IDS = [str(path.relative_to(ROOT)) for path in FILES]
BANNED_MODULES = {"pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
BANNED_CALLS = {"eval", "exec", "compile", "__import__", "breakpoint"}
BANNED_METHODS = {"torch.load", "torch.save", "yaml.load", "yaml.unsafe_load", "yaml.full_load", "os.system"}
MAX_LINES, MAX_FUNCTION_LINES, MAX_ARGUMENTS = 400, 60, 8
Function = ast.FunctionDef | ast.AsyncFunctionDef


def nodes(path: Path) -> Iterator[ast.AST]:
    return ast.walk(ast.parse(path.read_text()))


def functions(path: Path) -> Iterator[Function]:
    return (node for node in nodes(path) if isinstance(node, Function))


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_nothing_that_runs_code_out_of_data(path: Path) -> None:
    found = []
    for node in nodes(path):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.partition(".")[0] in BANNED_MODULES]
        elif isinstance(node, ast.ImportFrom):
            found += [node.module] if (node.module or "").partition(".")[0] in BANNED_MODULES else []
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            found += [name] if name in BANNED_CALLS | BANNED_METHODS else []
            found += [f"{name}({word.arg}=True)" for word in node.keywords if allows_pickle(word)]
    assert not found


def allows_pickle(word: ast.keyword) -> bool:
    return word.arg == "allow_pickle" and not (isinstance(word.value, ast.Constant) and word.value.value is False)


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_only_the_command_line_prints(path: Path) -> None:
    calls = [node for node in nodes(path) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    assert not [node.lineno for node in calls if ast.unparse(node.func) == "print"]


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_no_assert_and_no_broad_except(path: Path) -> None:
    found = [f"assert in line {node.lineno}" for node in nodes(path) if isinstance(node, ast.Assert)]
    for node in nodes(path):
        if isinstance(node, ast.ExceptHandler) and not reraises(node):
            caught = ast.unparse(node.type) if node.type else ""
            found += [f"except {caught} in line {node.lineno}"] if caught in ("", "Exception", "BaseException") else []
    assert not found


def reraises(handler: ast.ExceptHandler) -> bool:
    last = handler.body[-1]
    return isinstance(last, ast.Raise)


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_files_functions_and_signatures_stay_small(path: Path) -> None:
    lines = len(path.read_text().splitlines())
    found = [f"{lines} lines"] if lines > MAX_LINES else []
    for function in functions(path):
        length = (function.end_lineno or 0) - function.lineno + 1 - docstring_lines(function)
        found += [f"{function.name}: {length} lines"] if length > MAX_FUNCTION_LINES else []
        arguments = [a.arg for a in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)]
        n_arguments = len([name for name in arguments if name not in ("self", "cls")])
        found += [f"{function.name}: {n_arguments} arguments"] if n_arguments > MAX_ARGUMENTS else []
    assert not found


def docstring_lines(function: Function) -> int:
    first = function.body[0]
    has_docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    return (first.end_lineno or 0) - first.lineno + 1 if has_docstring else 0


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_nothing_is_left_for_later(path: Path) -> None:
    words = ("TO" + "DO", "FIX" + "ME", "HA" + "CK:")
    assert not [word for word in words if word in path.read_text()]


def test_every_package_says_that_it_is_typed() -> None:
    assert not [layer for layer in LAYERS if not (ROOT / layer / "py.typed").is_file()]
