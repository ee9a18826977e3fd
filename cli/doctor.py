"""`ashore doctor`: what this machine has, and what to do about what it lacks; or a store, an arm, a mapping, a run."""

import platform
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib import metadata, util
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import OmitArgPrefixes, subcommand

from ashore.cli.doctor_data import Data
from ashore.cli.doctor_mapping import MappingCheck
from ashore.cli.doctor_robot import RobotCheck
from ashore.cli.doctor_run.command import RunCheck

State = Literal["good", "absent", "broken"]
DISTRIBUTIONS = {
    "PIL": "pillow",
    "cv2": "opencv-python",
    "yaml": "pyyaml",
    "importlinter": "import-linter",
    "gym_pusht": "gym-pusht",
}
"""Names of distributions that differ from what is imported."""
LIGHT = ("numpy", "onnxruntime", "rich", "tyro", "yaml", "zarr")


@dataclass(frozen=True)
class Finding:
    """One line of the examination."""

    topic: str
    name: str
    state: State
    detail: str


@dataclass(frozen=True)
class Machine:
    """Look at this machine: Python, packages by extra, ROS 2, rendering. Exit code 1 where something is broken.

    What is merely not installed is no fault: each extra is needed by some commands only.
    """

    def run(self) -> int:
        """Examine, and show the findings."""
        from ashore.cli.console import show_table

        findings = [finding for part in (_python, _packages, _ros, _rendering) for finding in part()]
        rows = [(finding.topic, finding.name, finding.state, finding.detail) for finding in findings]
        show_table("doctor", ("what", "name", "state", "detail"), rows)
        return 1 if any(finding.state == "broken" for finding in findings) else 0


@dataclass(frozen=True)
class Doctor:
    """Look at this machine, a store's data, an arm, a robot's mapping or a run. Exit code 1 where a thing is wrong.

    For example:

      ashore doctor
      ashore doctor data out/arm
      ashore doctor robot my_arm/robot.yaml
      ashore doctor robot-mapping my_robot.yaml
      ashore doctor out/student
    """

    what: OmitArgPrefixes[
        Annotated[Machine, subcommand("machine", prefix_name=False)]
        | Annotated[Data, subcommand("data", prefix_name=False)]
        | Annotated[RobotCheck, subcommand("robot", prefix_name=False)]
        | Annotated[MappingCheck, subcommand("robot-mapping", prefix_name=False)]
        | Annotated[RunCheck, subcommand("run", prefix_name=False)]
    ] = field(default_factory=Machine)

    @classmethod
    def prepared(cls, arguments: Sequence[str]) -> "tuple[Sequence[str], None]":
        """Let `ashore doctor RUN` stand for `ashore doctor run RUN`."""
        is_run = bool(arguments) and (Path(arguments[0]) / "config.json").is_file()
        return (["run", *arguments] if is_run else arguments), None

    def run(self) -> int:
        """Examine what was asked for."""
        return self.what.run()


def _python() -> Iterator[Finding]:
    state: State = "good" if sys.version_info >= (3, 11) else "broken"
    yield Finding(
        "python", platform.python_version(), state, f"{platform.system()} {platform.machine()}; 3.11 or newer"
    )
    yield Finding("ashore", metadata.version("ashore"), "good", "")


def _packages() -> Iterator[Finding]:
    from ashore.cli.errors import EXTRAS

    for extra, names in {"light": LIGHT, **EXTRAS}.items():
        for name in names:
            yield _package(extra, name)


def _package(extra: str, name: str) -> Finding:
    if util.find_spec(name) is None:
        way_out = "pip install ashore" if extra == "light" else f"pip install 'ashore[{extra}]'"
        return Finding(extra, name, "broken" if extra == "light" else "absent", way_out)
    try:
        version = metadata.version(DISTRIBUTIONS.get(name, name))
    except metadata.PackageNotFoundError:
        version = "without a version"
    return Finding(extra, name, "good", version)


def _ros() -> Iterator[Finding]:
    import os

    if util.find_spec("rclpy") is None:
        yield Finding(
            "ROS 2", "rclpy", "absent", "pip install 'ashore[ros]', or source a ROS 2 of this Python's version"
        )
        return
    origin = Path(util.find_spec("rclpy").origin or "")  # type: ignore[union-attr]
    sourced = os.environ.get("ROS_DISTRO")
    wheels = origin.is_relative_to(sys.prefix)
    if sourced and wheels:
        problem = f"wheels in {sys.prefix} and a sourced {sourced} at once; use one of them"
        yield Finding("ROS 2", "rclpy", "broken", problem)
        return
    try:
        import rclpy  # noqa: F401
        from rclpy.type_support import check_for_type_support
        from sensor_msgs.msg import JointState

        check_for_type_support(JointState)
    except ImportError as error:
        yield Finding("ROS 2", "rclpy", "broken", str(error).splitlines()[0])
        return
    yield Finding("ROS 2", "rclpy", "good", "from wheels" if wheels else f"installation {sourced or origin}")


def _rendering() -> Iterator[Finding]:
    if util.find_spec("mujoco") is None:
        yield Finding("rendering", "MuJoCo", "absent", "pip install 'ashore[sim]'")
        return
    from ashore.sim.rendering import use_headless_rendering

    backend = use_headless_rendering()
    import mujoco

    model = mujoco.MjModel.from_xml_string("<mujoco><worldbody><light/><geom size='.1'/></worldbody></mujoco>")
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    try:
        with mujoco.Renderer(model, 32, 32) as renderer:
            renderer.update_scene(data)
            bright = int(renderer.render().max())
    except (RuntimeError, mujoco.FatalError) as error:
        yield Finding("rendering", f"MuJoCo with {backend}", "broken", f"{error}; install libegl1 or libosmesa6")
        return
    yield Finding("rendering", f"MuJoCo with {backend}", "good" if bright else "broken", f"brightest pixel {bright}")
