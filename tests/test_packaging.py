"""The wheel, installed as a user would, away from the checkout: commands, packages, data, and the ROS package in it."""

import os
import subprocess
import sys
import sysconfig
import tomllib
import venv
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = ("datasets", "sim", "policies", "real", "cli")
DATA = {"*.xml", "*.yaml", "*.css", "py.typed"}


def run(command: Sequence[str | Path], where: Path) -> str:
    """Run a command that sees neither this checkout nor this environment's variables, and give its output."""
    dropped = ("PYTHONPATH", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "_ROS_WHEELS_BOOTSTRAP_COMPLETE")
    environment = {name: value for name, value in os.environ.items() if name not in dropped}
    done = subprocess.run([str(part) for part in command], cwd=where, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy, so that the checkout stays clean."""
    source = tmp_path_factory.mktemp("source")
    tracked = [*LAYERS, "src", "launch", "pyproject.toml", "README.md", "LICENSE"]
    subprocess.run(["cp", "-a", *tracked, str(source)], cwd=ROOT, check=True)
    out = tmp_path_factory.mktemp("dist")
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--wheel-dir", out)
    run([sys.executable, "-m", "pip", "wheel", *options, source], source)
    (built,) = out.glob("ashore-*.whl")
    return built


@pytest.fixture(scope="module")
def prefix(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel in it; the packages that it depends on are lent by this one."""
    prefix = tmp_path_factory.mktemp("fresh") / "venv"
    venv.create(prefix, with_pip=False, symlinks=True)
    pip = (sys.executable, "-m", "pip", "--python", prefix / "bin/python")
    run([*pip, "install", "--no-deps", "--no-index", "--quiet", wheel], prefix)
    site = next((prefix / "lib").glob("python3*")) / "site-packages"
    (site / "lent.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return prefix


def test_the_wheel_holds_every_file_of_every_layer(wheel: Path) -> None:
    held = set(ZipFile(wheel).namelist())
    wanted = {
        f"ashore/{path.relative_to(ROOT)}"
        for layer in LAYERS
        for pattern in ("*.py", *DATA)
        for path in (ROOT / layer).rglob(pattern)
    }
    assert not wanted - held


def test_the_wheel_holds_no_tests_and_no_bytecode(wheel: Path) -> None:
    held = ZipFile(wheel).namelist()
    assert not [name for name in held if name.startswith(("tests/", "benchmarks/")) or name.endswith(".pyc")]


def test_the_installed_command_runs_outside_the_checkout(prefix: Path, tmp_path: Path) -> None:
    assert "usage: ashore COMMAND" in run([prefix / "bin/ashore", "--help"], tmp_path)
    assert run([prefix / "bin/ashore", "--version"], tmp_path).strip() == "ashore 0.1.0"


@pytest.mark.parametrize("layer", LAYERS)
def test_each_layer_is_imported_from_the_wheel(prefix: Path, tmp_path: Path, layer: str) -> None:
    probe = f"import ashore.{layer} as layer; print(layer.__file__)"
    assert run([prefix / "bin/python", "-c", probe], tmp_path).startswith(str(prefix))


def test_the_installed_tasks_find_their_scenes(prefix: Path, tmp_path: Path) -> None:
    probe = (
        "from ashore.sim.tasks import TASKS, make_task\n"
        "import mujoco\n"
        "for name in TASKS: print(make_task(name).scene().compile().nbody > 1)"
    )
    assert set(run([prefix / "bin/python", "-c", probe], tmp_path).split()) == {"True"}


def test_a_pip_install_is_a_ros_package(prefix: Path) -> None:
    share = prefix / "share"
    assert (share / "ament_index/resource_index/packages/ashore").is_file()
    package = ElementTree.parse(share / "ashore/package.xml").getroot()
    assert package.findtext("name") == "ashore"
    installed = {path.name for path in (share / "ashore/launch").glob("*.py")}
    assert installed == {path.name for path in (ROOT / "launch").glob("*.launch.py")} != set()


@pytest.mark.parametrize("name", ["policy", "guard", "twin", "bridge", "camera", "recorder"])
def test_ros2_run_finds_each_node_and_may_execute_it(prefix: Path, tmp_path: Path, name: str) -> None:
    wrapper = prefix / "lib/ashore" / name
    assert wrapper.stat().st_mode & 0o777 == 0o755
    assert f"usage: ashore-{name}" in run([wrapper, "--help"], tmp_path)


def test_package_xml_and_pyproject_tell_one_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    package = ElementTree.parse(ROOT / "launch/ros/package.xml").getroot()
    assert package.findtext("version") == project["version"]


@pytest.mark.parametrize("folder", ["container", "systemd"])
def test_what_a_robots_computer_needs_comes_with_the_wheel(prefix: Path, folder: str) -> None:
    installed = {path.name: path.read_bytes() for path in (prefix / "share/ashore" / folder).iterdir()}
    assert installed == {path.name: path.read_bytes() for path in (ROOT / "launch" / folder).iterdir()} != {}


def test_the_lock_holds_every_dependency_but_torch_and_names_no_place() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [
        *project["dependencies"],
        *(line for name in ("train", "sim", "ros", "bench", "dev") for line in extras[name]),
    ]
    text = (ROOT / "requirements.lock").read_text()
    locked = {line.partition("==")[0] for line in text.splitlines() if line[:1].isalnum()}
    names = {bare_name(requirement) for requirement in wanted}
    assert names - locked == {"torch"}
    assert not [name for name in locked if name.startswith(("nvidia", "cuda", "triton"))]
    assert "://" not in text
    assert "--index" not in text


def bare_name(requirement: str) -> str:
    """The normalized name in a requirement such as `PyYAML>=6`."""
    end = next((i for i, letter in enumerate(requirement) if letter in "<>=!~;[ "), len(requirement))
    return requirement[:end].lower().replace("_", "-")


def test_the_extras_of_the_fault_text_are_those_of_pyproject() -> None:
    from ashore.cli.errors import EXTRAS

    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(EXTRAS) <= set(extras)
