"""What every task of an arm on a table shares: the cell, the arm's senses, objects by name, and what varies.

A task of an arm adds its objects' MJCF, where they start, its judge and its expert. The arm is any (`sim/arms/arm.py`).
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import mujoco
import numpy as np
from numpy.typing import NDArray

from ashore.datasets.contract import Contract, Feature
from ashore.datasets.errors import UnknownName
from ashore.datasets.rotations import upper_half
from ashore.sim.arms.arm import Arm, vector
from ashore.sim.engine import Engine
from ashore.sim.injection import Injection
from ashore.sim.randomization import LEVELS, Draw, Parameter, Randomization, Target, stack
from ashore.sim.randomization.distributions import Scattered, Uniform
from ashore.sim.robots import DEFAULT_ARM, make_arm
from ashore.sim.scene import load_spec
from ashore.sim.sensors import SensorSpec
from ashore.sim.task import Task

Array = NDArray[Any]
CONTROL_HZ = 25.0
START_OFFSET_RAD = 0.08
TABLE = ("table",)
SCENES = Path(__file__).parents[1] / "tasks"


class ArmTask(Task):
    """An arm at the world's origin, on a table whose top is at z = 0; so the base's frame is the world's."""

    title: ClassVar[str]
    """Registry name such as arm/pick-place; with another arm than the usual one `@arm` is added to it."""
    scene_file: ClassVar[str] = "cell.xml"
    """MJCF in sim/tasks that includes cell.xml and adds the objects."""
    objects: ClassVar[tuple[str, ...]] = ("object",)
    """Bodies whose poses perception gives, as NAME_pos_base_m and NAME_quat_base_wxyz; their masses vary."""

    def __init__(self, arm: Arm | None = None) -> None:
        self.arm = make_arm(DEFAULT_ARM) if arm is None else arm
        self.robot = self.arm
        self.name = self.title if self.arm.reference == DEFAULT_ARM else f"{self.title}@{self.arm.reference}"
        self.contract = Contract(
            robot=self.arm.card.name,
            task=self.name,
            observations=(*self.arm.observations, *self._seen(), *self.given()),
            actions=self.arm.actions(),
            control_hz=CONTROL_HZ,
        )

    @abstractmethod
    def starts(self) -> tuple[Parameter, ...]:
        """What is drawn of objects and goals at every level."""

    def given(self) -> tuple[Feature, ...]:
        """What is told of the task and not perceived, such as its goal; exact."""
        return ()

    @abstractmethod
    def place_objects(self, engine: Engine, ids: Array, draws: Sequence[Draw]) -> None:
        """Place objects and goals of the simulations ids (K,) as their draws say."""

    def measure_given(self, draws: Sequence[Draw]) -> dict[str, Array]:
        """The values of the given observations {name: (N, *shape)}."""
        return {}

    def show_given(self, engine: Engine, ids: Array, observed: Mapping[str, Array]) -> None:
        """Place what marks the given observations, for pictures."""

    def surroundings(self) -> mujoco.MjSpec:
        """The cell with the task's objects, without the arm; a task may add them to cell() instead of writing MJCF."""
        return load_spec(SCENES / self.scene_file)

    def scene(self) -> mujoco.MjSpec:
        """The cell with the task's objects and the arm."""
        return self.arm.stand_in(self.surroundings())

    def randomization(self, level: str) -> Randomization:
        """Give the start states and what this level varies beside them.

        Raises:
            UnknownName: the level is not none, narrow or wide.
        """
        if level not in LEVELS:
            raise UnknownName("randomization level", level, LEVELS)
        share = {"none": 0.0, "narrow": 0.35, "wide": 1.0}[level]
        offset = (START_OFFSET_RAD,) * len(self.arm.spec.joints)
        start = Parameter("start_joint_offset_rad", Uniform(tuple(-o for o in offset), offset), "start")
        return Randomization((*self.starts(), start, *(self.disturbances(share) if share else ())))

    def sensors(self) -> Mapping[str, SensorSpec]:
        """Encoders are good and soon there; the objects' poses come from a camera, noisy, biased and late."""
        specs = {
            "joint_pos_rad": SensorSpec("joint_pos_noise_rad", "joint_delay_s"),
            "joint_vel_rad_s": SensorSpec("joint_vel_noise_rad_s", "joint_delay_s"),
            "gripper_width_m": SensorSpec("gripper_noise_m", "joint_delay_s"),
        }
        for name in self.objects:
            specs[f"{name}_pos_base_m"] = SensorSpec("object_pos_noise_m", "object_delay_s", bias="object_bias_base_m")
            specs[f"{name}_quat_base_wxyz"] = SensorSpec("object_angle_noise_rad", "object_delay_s", kind="quaternion")
        return specs

    def reset(self, engine: Engine, ids: Array, draws: Sequence[Draw]) -> None:
        """Place arm, objects and goals of the simulations ids (K,) as their draws say; the gripper is open."""
        home = np.array(self.arm.spec.home_rad) + stack(draws, "start_joint_offset_rad")
        self.arm.place(engine, ids, home, np.full((len(draws), 1), self.arm.spec.gripper.width_m))
        self.place_objects(engine, ids, draws)

    def measure(self, engine: Engine, draws: Sequence[Draw]) -> dict[str, Array]:
        """The true state {name: (N, *shape)}."""
        measured = self.arm.measure(engine)
        for name in self.objects:
            pose = engine.body_pose(name)
            measured[f"{name}_pos_base_m"] = pose[:, :3]
            measured[f"{name}_quat_base_wxyz"] = upper_half(pose[:, 3:])
        return {**measured, **self.measure_given(draws)}

    def injection(self) -> Injection:
        """Push the joint targets aside in bursts, so that demonstrations show recovery; the gripper stays as told."""
        joints = len(self.arm.spec.joints)
        return Injection(burst_std=(*(0.04,) * joints, 0.0), white_std=(*(0.002,) * joints, 0.0))

    def show(self, engine: Engine, ids: Array, observed: Mapping[str, Array]) -> None:
        """Place arm, objects and goals of the simulations ids (K,) as observations {name: (K, *shape)} say."""
        self.arm.place(engine, ids, observed["joint_pos_rad"], observed["gripper_width_m"])
        for name in self.objects:
            pose = np.column_stack([observed[f"{name}_pos_base_m"], observed[f"{name}_quat_base_wxyz"]])
            self.show_object(engine, ids, name, pose)
        self.show_given(engine, ids, observed)

    def show_object(self, engine: Engine, ids: Array, name: str, pose: Array) -> None:
        """Place one object at a pose (K, 7), for pictures; a task whose object hangs on a joint places that."""
        engine.place_body(ids, name, pose)

    def disturbances(self, share: float) -> tuple[Parameter, ...]:
        """What varies beside the start, at a share of the wide ranges.

        MuJoCo takes the larger friction of two, so that pads and table are varied and the objects' own stays low.
        """

        def around(low: float, high: float) -> Uniform:
            return Uniform(1.0 + (low - 1.0) * share, 1.0 + (high - 1.0) * share, middle=1.0)

        def up_to(most: float) -> Uniform:
            return Uniform(0.0, most * share, middle=0.0)

        servos, pads = self.arm.servos, self.arm.spec.gripper.pads
        stiffness = (Target("actuator_gainprm", servos, (0,)), Target("actuator_biasprm", servos, (1,)))
        damping = (Target("actuator_biasprm", servos, (2,)),)
        masses = tuple(
            Parameter(
                f"{name}_mass",
                around(0.5, 2.5),
                "dynamics",
                (Target("body_mass", (name,)), Target("body_inertia", (name,))),
                "scale",
            )
            for name in self.objects
        )
        return (
            *masses,
            Parameter("pad_friction", around(0.6, 1.3), "dynamics", (Target("geom_friction", pads, (0,)),), "scale"),
            Parameter("table_friction", around(0.5, 1.5), "dynamics", (Target("geom_friction", TABLE, (0,)),), "scale"),
            Parameter(
                "joint_damping", around(0.3, 3.0), "dynamics", (Target("dof_damping", self.arm.spec.joints),), "scale"
            ),
            Parameter("servo_stiffness", around(0.75, 1.15), "actuation", stiffness, "scale"),
            Parameter("servo_damping", around(0.85, 1.15), "actuation", damping, "scale"),
            Parameter("joint_pos_noise_rad", up_to(0.002), "sensing"),
            Parameter("joint_vel_noise_rad_s", up_to(0.02), "sensing"),
            Parameter("gripper_noise_m", up_to(0.0005), "sensing"),
            *(self._perception(share) if self.objects else ()),
            Parameter("joint_delay_s", up_to(0.02), "timing"),
            *((Parameter("object_delay_s", up_to(0.06), "timing"),) if self.objects else ()),
        )

    def _perception(self, share: float) -> tuple[Parameter, ...]:
        bias = (0.002 * share,) * 3
        return (
            Parameter("object_pos_noise_m", Uniform(0.0, 0.004 * share, middle=0.0), "sensing"),
            Parameter("object_angle_noise_rad", Uniform(0.0, 0.03 * share, middle=0.0), "sensing"),
            Parameter("object_bias_base_m", Uniform(tuple(-b for b in bias), bias, middle=(0.0,) * 3), "sensing"),
        )

    def _seen(self) -> tuple[Feature, ...]:
        return tuple(
            feature
            for name in self.objects
            for feature in (vector(f"{name}_pos_base_m", "m"), vector(f"{name}_quat_base_wxyz", "1", "wxyz"))
        )


def two_places(apart_m: float) -> Parameter:
    """Two places anywhere in 0.2 x 0.4 m of the table, (2, 2) m of the base's x and y, no nearer than apart."""
    middle = ((0.5, -0.1), (0.5, 0.1))
    return Parameter("places_base_m", Scattered((0.40, -0.20), (0.60, 0.20), 2, apart_m, middle), "start")


def any_yaw(name: str) -> Parameter:
    """A turn about the vertical by anything, rad."""
    return Parameter(name, Uniform(-np.pi, np.pi), "start")


def cell() -> mujoco.MjSpec:
    """The table, lights and camera of every arm task, to add objects to."""
    return load_spec(SCENES / "cell.xml")


def upright(pos_base_m: Array, yaw_rad: Array | None = None) -> Array:
    """Poses (K, 7) at positions (K, 3), turned about the vertical by yaws (K,)."""
    half = np.zeros(len(pos_base_m)) if yaw_rad is None else np.asarray(yaw_rad) / 2
    zero = np.zeros(len(pos_base_m))
    return np.column_stack([pos_base_m, np.cos(half), zero, zero, np.sin(half)])
