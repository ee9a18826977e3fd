"""Scenes: MJCF files, and what is put together from several; every engine compiles the same one."""

from pathlib import Path
from typing import TypeAlias
from xml.etree.ElementTree import ParseError

import mujoco

from ashore.datasets.errors import UnreadableFile
from ashore.sim.arms.urdf import load_urdf

Scene: TypeAlias = "mujoco.MjSpec | Path | str"
"""A scene that is put together, or the MJCF (or URDF) of one."""


def load_spec(path: Path | str) -> mujoco.MjSpec:
    """Read a model, to be changed, attached and compiled.

    Raises:
        UnreadableFile: there is no such file, or MuJoCo cannot read it.
    """
    try:
        return load_urdf(Path(path)) if Path(path).suffix == ".urdf" else mujoco.MjSpec.from_file(str(path))
    except (OSError, ValueError, ParseError) as error:
        raise _unreadable(path, error) from error


def compiled(spec: mujoco.MjSpec, path: Path | str) -> mujoco.MjModel:
    """Compile what was read from a path.

    Raises:
        UnreadableFile: MuJoCo finds it wrong: a mesh that is not there, an inertia that cannot be.
    """
    try:
        return spec.compile()
    except ValueError as error:
        raise _unreadable(path, error) from error


def as_spec(scene: Scene) -> mujoco.MjSpec:
    """The scene as a spec of the caller's own."""
    return scene.copy() if isinstance(scene, mujoco.MjSpec) else load_spec(scene)


def stand_in(surroundings: mujoco.MjSpec, robot: mujoco.MjSpec, prefix: str) -> mujoco.MjSpec:
    """Stand a robot at the origin of a scene; the robot's names get a prefix, so that nothing clashes.

    The scene's options hold: the robot's own, such as a timestep, are forgotten.
    """
    usual = mujoco.MjSpec()
    for name in (name for name in dir(usual.option) if not name.startswith("_")):
        setattr(robot.option, name, getattr(usual.option, name))
    robot.memory = usual.memory
    surroundings.attach(robot, prefix=prefix, frame=surroundings.worldbody.add_frame())
    return surroundings


def _unreadable(path: Path | str, error: Exception) -> UnreadableFile:
    problem = " ".join(str(error).split())
    return UnreadableFile(path, "an MJCF or URDF model", problem, "Correct the path, or the model.")
