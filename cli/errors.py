"""Faults of the command line, and the extra that a missing package belongs to."""

from collections.abc import Sequence
from pathlib import Path

from ashore.datasets.errors import AshoreError, closest, quoted

EXTRAS = {
    "train": ("accelerate", "diffusers", "onnx", "onnxscript", "safetensors", "scipy", "tensorboard", "torch"),
    "sim": ("cv2", "gymnasium", "imageio", "matplotlib", "mujoco", "PIL", "pybullet"),
    "formats": ("apsw", "av", "h5py", "pyarrow", "rosbags"),
    "s3": ("fsspec", "s3fs"),
    "ros": (
        "diagnostic_msgs",
        "geometry_msgs",
        "lifecycle_msgs",
        "nav_msgs",
        "rclpy",
        "sensor_msgs",
        "std_msgs",
        "std_srvs",
        "trajectory_msgs",
    ),
    "mavlink": ("pymavlink",),
    "bench": ("gym_pusht", "pymunk"),
    "dev": ("build", "hypothesis", "importlinter", "mypy", "pytest", "ruff"),
}
"""Importable names of each extra of pyproject.toml; the light install needs none of them."""


class MissingExtra(AshoreError):
    """A command that needs packages which the light install leaves out."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"this command needs the package {package!r}, which is not installed. It belongs to the extra {extra!r}; "
            f"the extras are {quoted(sorted(EXTRAS))}. Install it with: pip install 'ashore[{extra}]'"
        )


class UnknownCommand(AshoreError):
    """A command that does not exist."""

    def __init__(self, name: str, commands: Sequence[str]) -> None:
        super().__init__(
            f"there is no command {name!r}. Commands: {', '.join(commands)}.{closest(name, commands)} "
            "See `ashore --help`."
        )


class BadOptions(AshoreError):
    """A file of options with some that do not exist or do not fit; lists every fault."""

    def __init__(self, path: Path | str, faults: Sequence[str], options: Sequence[str]) -> None:
        lines = "\n".join(f"  {fault}" for fault in faults)
        super().__init__(
            f"{path} has {len(faults)} fault(s):\n{lines}\nValid options: {quoted(options)}. Correct these lines."
        )


class NoStores(AshoreError):
    """A training without data."""

    def __init__(self) -> None:
        super().__init__(
            "no episode store was given. Expected at least one folder, such as out/arm, or `stores` in the file of "
            "--config. Collect one with `ashore collect`, or import one with `ashore datasets import`."
        )


class InvalidGoalText(AshoreError):
    """A goal on the command line that cannot be read."""

    def __init__(self, text: str) -> None:
        super().__init__(
            f"{text!r} is no goal. Expected NAME=NUMBERS with an observation's name, such as "
            "object_pos_base_m=0.5,0.1,0.02, or `none` to plan without one. Correct --goal."
        )


class FileTrouble(AshoreError):
    """The operating system refused a file."""

    def __init__(self, path: Path | str, problem: str) -> None:
        super().__init__(
            f"cannot use {path}: {problem}. Expected a path that this user may read and write, on a disk with space. "
            "Check the path and its permissions, or give another one."
        )


class NotAPolicy(AshoreError):
    """A path that is neither a training run nor a bundle."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} does not exist. Expected a run's folder, as `ashore train` or `ashore distill` makes it, "
            "or a bundle, as `ashore export` makes it. Check the path."
        )


class FixedInBundle(AshoreError):
    """A bundle that is asked for another sampler or goal than the one in its graph."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} is a bundle, whose sampler, steps, guidance and goal are built in. Expected a run's folder with "
            "these options. Leave them out, or export the run again with them."
        )


def missing_extra(error: ModuleNotFoundError) -> MissingExtra | None:
    """Tell which extra a failed import belongs to; None where it belongs to none."""
    package = (error.name or "").split(".")[0]
    for extra, names in EXTRAS.items():
        if package in names:
            return MissingExtra(package, extra)
    return None
