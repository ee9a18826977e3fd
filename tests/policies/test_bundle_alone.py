"""A bundle at work where numpy, ONNX Runtime and Ashore are all there is: no torch can be imported."""

import subprocess
import sysconfig
import venv
from pathlib import Path

from bundle_cases import contents

from ashore.policies.bundle import write_bundle

NEEDED = ("numpy", "numpy.libs", "onnxruntime", "flatbuffers", "google", "packaging")
CODE = """
import importlib.util, sys
assert importlib.util.find_spec("torch") is None and importlib.util.find_spec("mujoco") is None
import numpy as np
from ashore.policies.bundle import open_bundle
planner = open_bundle(sys.argv[1]).planner()
width = planner.contract.observation_width
obs = np.zeros((1, planner.obs_horizon, width), np.float32)
noise = np.zeros((1, planner.prediction_horizon, planner.contract.action_width), np.float32)
print(planner.plan(obs, noise).shape)
"""


def test_a_bundle_plans_in_an_environment_without_torch(tmp_path: Path) -> None:
    place = tmp_path / "robot"
    venv.create(place, with_pip=False, symlinks=True)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(place), "platbase": str(place)}))
    installed = Path(sysconfig.get_path("purelib"))
    for name in NEEDED:
        if (installed / name).exists():
            (packages / name).symlink_to(installed / name)
    (packages / "ashore.pth").write_text(f"{Path(__file__).parents[2] / 'src'}\n")
    bundle = write_bundle(tmp_path / "policy.ashore", contents())
    command = [str(place / "bin" / "python"), "-c", CODE, str(bundle)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.strip() == "(1, 8, 3)"
