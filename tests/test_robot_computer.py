"""The files for a robot's computer say what they promise: no torch, no simulator, no privilege, no start by itself."""

import re
import shutil
import subprocess
import sys
import tomllib
from configparser import ConfigParser
from dataclasses import fields
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ashore.cli.deploy import Deploy
from ashore.cli.main import COMMANDS
from benchmarks.linear_bundles import circling_arm

ROOT = Path(__file__).parents[1]
CONTAINER, SYSTEMD = ROOT / "launch/container", ROOT / "launch/systemd"
HEAVY = {"torch", "mujoco", "pybullet", "onnx", "scipy", "gymnasium", "matplotlib", "accelerate", "diffusers"}
UNIT = SYSTEMD / "ashore@.service"


def unit() -> ConfigParser:
    parser = ConfigParser(interpolation=None, strict=True)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(UNIT)
    return parser


def instructions() -> list[tuple[str, str]]:
    """The Containerfile's instructions in order, lines that go on joined."""
    text = (CONTAINER / "Containerfile").read_text()
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(words[0], words[2]) for words in (line.partition(" ") for line in joined.splitlines())]


def blocks(path: Path) -> dict[str, str]:
    """{package: its lines in a lock, hashes included}."""
    found: dict[str, str] = {}
    for block in re.split(r"(?m)^(?=[a-z0-9])", path.read_text()):
        if block:
            name = canonicalize_name(re.split(r"[=<>;@ \[]", block)[0])
            found[name] = found.get(name, "") + block
    return found


def needed() -> set[str]:
    """Every package that the light install with the ros extra pulls in here."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    open_ = [Requirement(line) for line in [*project["dependencies"], *project["optional-dependencies"]["ros"]]]
    found: set[tuple[str, str]] = set()
    while open_:
        requirement = open_.pop()
        for extra in ("", *sorted(requirement.extras)):
            place = canonicalize_name(requirement.name), extra
            if place not in found:
                found.add(place)
                parts = (Requirement(line) for line in requires(requirement.name) or ())
                open_ += [part for part in parts if part.marker is None or part.marker.evaluate({"extra": extra})]
    return {name for name, _ in found}


def test_the_container_installs_what_is_needed_and_locked_and_nothing_heavy() -> None:
    lock, whole = blocks(CONTAINER / "requirements.lock"), blocks(ROOT / "requirements.lock")
    assert set(lock) == needed(), "run this file, which writes it from requirements.lock"
    assert all(lock[name] == whole[name] and "--hash=sha256:" in lock[name] for name in lock)
    assert not set(lock) & HEAVY


def test_the_container_runs_one_command_as_a_plain_user() -> None:
    found = instructions()
    names = [name for name, _ in found]
    settings = dict(found)
    assert settings["FROM"].endswith("-slim")
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", settings["USER"]) and names.index("USER") > max(
        place for place, name in enumerate(names) if name in ("RUN", "COPY")
    )
    assert settings["ENTRYPOINT"] == '["ashore"]' and settings["CMD"] == '["deploy", "--help"]'
    installs = [line for name, line in found if name == "RUN" and "pip install" in line]
    assert len(installs) == 1 and "--require-hashes" in installs[0] and "--only-binary :all:" in installs[0]
    assert "! python -c 'import torch'" in installs[0]
    assert not {"ADD", "EXPOSE", "HEALTHCHECK"} & set(names)


def test_plan_needs_nothing_that_the_container_lacks(tmp_path: Path) -> None:
    bundle = circling_arm(tmp_path / "policy.ashore")
    code = f"""
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {HEAVY!r}:
            raise ModuleNotFoundError("not on a robot: " + name)
sys.meta_path.insert(0, Refuse())
from ashore.cli.main import main
sys.exit(main(["plan", "--json", "--bundle", {str(bundle)!r}]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and '"ashore.real.nodes.guard"' in done.stdout, done.stderr


def test_the_unit_starts_only_by_hand_and_never_again_by_itself() -> None:
    parser = unit()
    assert parser.sections() == ["Unit", "Service"]
    service = parser["Service"]
    assert service["Restart"] == "no" and service["KillMode"] == "mixed" and service["KillSignal"] == "SIGTERM"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("User", "ashore"),
        ("NoNewPrivileges", "yes"),
        ("CapabilityBoundingSet", ""),
        ("AmbientCapabilities", ""),
        ("ProtectSystem", "strict"),
        ("ProtectHome", "yes"),
        ("StandardInput", "tty"),
        ("PrivateDevices", "yes"),
        ("PrivateIPC", "no"),
        ("RemoveIPC", "no"),
        ("LimitRTPRIO", "10"),
        ("RestrictRealtime", "no"),
        ("IPAddressDeny", "any"),
        ("IPAddressAllow", "localhost"),
        ("RestrictNamespaces", "yes"),
        ("SystemCallFilter", "@system-service"),
    ],
)
def test_the_unit_is_hardened_and_leaves_what_the_guard_needs(key: str, value: str) -> None:
    assert unit()["Service"][key] == value


def test_the_units_command_exists_with_every_option_of_its_environment() -> None:
    words = unit()["Service"]["ExecStart"].split()
    assert words[0].endswith("/bin/ashore") and words[1] in COMMANDS
    lines = (SYSTEMD / "ashore.env").read_text().splitlines()
    environment = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    used = {word.strip("${}") for word in words if word.startswith("$")}
    assert used == set(environment)
    options = {f"--{field.name.replace('_', '-')}" for field in fields(Deploy)}
    given = [word for word in (*words, *environment["ASHORE_OPTIONS"].split()) if word.startswith("--")]
    assert given and set(given) <= options


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_finds_no_fault_in_the_unit(tmp_path: Path) -> None:
    copy = tmp_path / "ashore@panda.service"
    copy.write_text(UNIT.read_text().replace("/opt/ashore/bin/ashore", sys.executable))
    done = subprocess.run(["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and not done.stderr, done.stderr
    broken = copy.with_name("ashore@broken.service")
    broken.write_text(copy.read_text().replace("ProtectHome=yes", "ProtectHmoe=yes"))
    done = subprocess.run(["systemd-analyze", "verify", str(broken)], capture_output=True, text=True, check=False)
    assert "ProtectHmoe" in done.stderr


if __name__ == "__main__":
    locked = blocks(ROOT / "requirements.lock")
    (CONTAINER / "requirements.lock").write_text("".join(locked[name] for name in sorted(needed())))
