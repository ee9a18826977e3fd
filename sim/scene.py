"""Scenes: MJCF files, and what is put together from several; every engine compiles the same one."""

from pathlib import Path
from typing import TypeAlias

import mujoco

from ashore.datasets.errors import UnreadableFile

Scene: TypeAlias = "mujoco.MjSpec | Path | str"
"""A scene that is put together, or the MJCF (or URDF) of one."""


def load_spec(path: Path | str) -> mujoco.MjSpec:
    """Read a model, to be changed, attached and compiled.

    Raises:
        UnreadableFile: there is no such file, or MuJoCo cannot read it.
    """
    try:
        return mujoco.MjSpec.from_file(str(path))
    except (OSError, ValueError) as error:
        problem = " ".join(str(error).split())
        raise UnreadableFile(path, "an MJCF or URDF model", problem, "Correct the path, or the model.") from error


def as_spec(scene: Scene) -> mujoco.MjSpec:
    """The scene as a spec of the caller's own."""
    return scene.copy() if isinstance(scene, mujoco.MjSpec) else load_spec(scene)


def stand_in(surroundings: mujoco.MjSpec, robot: mujoco.MjSpec, prefix: str) -> mujoco.MjSpec:
    """Stand a robot at the origin of a scene; the robot's names get a prefix, so that nothing clashes."""
    surroundings.attach(robot, prefix=prefix, frame=surroundings.worldbody.add_frame())
    return surroundings
