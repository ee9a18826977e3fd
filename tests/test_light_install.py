"""What a light install and a robot's computer rely on: nothing heavy is imported before it is needed."""

import json
import subprocess
import sys

import pytest

HEAVY = {"accelerate", "diffusers", "fsspec", "gymnasium", "matplotlib", "mujoco", "pybullet", "scipy", "torch", "zarr"}
PROBE = """
import importlib, json, sys
importlib.import_module({module!r})
print(json.dumps(sorted({{name.partition(".")[0] for name in sys.modules}})))
"""
ROBOT_PATH = (
    "ashore.datasets.contract",
    "ashore.datasets.errors",
    "ashore.datasets.progress",
    "ashore.datasets.store",
    "ashore.policies.bundle",
    "ashore.policies.execution.executor",
    "ashore.policies.execution.guard",
    "ashore.policies.planner",
    "ashore.policies.ranking.gate",
    "ashore.real.deploy",
    "ashore.real.mapping",
    "ashore.real.examination.examine",
    "ashore.real.nodes.bridge",
    "ashore.real.nodes.guard",
    "ashore.real.nodes.policy",
    "ashore.real.plan",
    "ashore.sim.interfaces",
    "ashore.sim.kinematics",
    "ashore.sim.robot",
)


def imported_by(module: str) -> set[str]:
    answer = subprocess.run(
        [sys.executable, "-c", PROBE.format(module=module)], capture_output=True, text=True, check=True
    )
    return set(json.loads(answer.stdout.splitlines()[-1]))


@pytest.mark.parametrize("module", ROBOT_PATH)
def test_the_robots_path_imports_nothing_heavy(module: str) -> None:
    assert not imported_by(module) & HEAVY


def test_help_imports_not_even_numpy() -> None:
    probe = (
        "import sys\nfrom ashore.cli.main import main\nassert main(['--help']) == 0\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} "
        f"& {HEAVY | {'numpy', 'onnxruntime', 'rclpy'}!r}))"
    )
    answer = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    "command", ["collect", "train", "evaluate", "rank", "export", "deploy", "replay", "plan", "datasets"]
)
def test_a_commands_help_imports_nothing_heavy(command: str) -> None:
    probe = (
        "import sys\nfrom ashore.cli.main import main\n"
        f"try:\n    main([{command!r}, '--help'])\nexcept SystemExit as ended:\n    assert ended.code in (0, None)\n"
        f"print(sorted({{name.partition('.')[0] for name in sys.modules}} & {HEAVY!r}))"
    )
    answer = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines()[-1] == "[]"
