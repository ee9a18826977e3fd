"""The processes of a deployment as plain data: `ashore deploy` runs them, the launch files ask for them as JSON."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from ashore.datasets.errors import UnknownName, UnreadableFile
from ashore.policies.bundle import Bundle
from ashore.real.cameras import CameraSpec
from ashore.real.errors import InvalidNamespace, InvalidParameter, InvalidRemapping, NothingToRun, NoTwin
from ashore.real.mapping import TOPIC, RobotMapping, is_mapping_path, mapping_names
from ashore.real.network import Network, environment
from ashore.real.nodes.simulated_time import PARAMETER
from ashore.real.nodes.twin_time import REAL_TIME_FACTOR

TWIN, BRIDGE, CAMERA, POLICY, GUARD, RECORDER = "twin", "bridge", "camera", "policy", "guard", "recorder"
PARTS = (TWIN, BRIDGE, CAMERA, POLICY, GUARD, RECORDER)
"""In the order of configure and activate: what is observed, who proposes, who commands, who writes it down."""
LOOKING_ON = (CAMERA, RECORDER)
"""Parts that move nothing: they are activated without being asked, and their ends stop nobody else."""
NO_DEADMAN_S, FULL_SPEED, REAL_SPEED = 0.0, 1.0, float(REAL_TIME_FACTOR.default)
WRITING = {"MALLOC_MMAP_THRESHOLD_": "131072"}
"""Environment of a recorder: buffers of pictures go back to the system at once; else its fullest moments stay."""
HOLD_UNFAMILIAR_S = 0.5
"""How long a robot's policy goes on with observations of another kind than its data."""


@dataclass(frozen=True)
class Process:
    """One process: how it is started, and what its end means."""

    name: str
    """The node's name."""
    namespace: str
    module: str
    """Started as `python -m module`."""
    args: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)
    """Added to the caller's environment."""
    lifecycle: bool = True
    """Whether it waits for configure and activate."""
    activates: bool = True
    """Whether it may be activated without being asked: on a robot, a person says when."""
    on_exit: Literal["shutdown", "ignore"] = "shutdown"
    """What its end means for the others."""
    ros_args: tuple[str, ...] = ()
    """What follows --ros-args: parameters, remappings, and the node's name where several run one module."""

    def command(self, python: str = sys.executable) -> list[str]:
        """Give the command line that starts it."""
        ros = ("--ros-args", *self.ros_args) if self.ros_args else ()
        return [python, "-m", self.module, *self.args, *ros]


@dataclass(frozen=True)
class Bridge:
    """Where the bridge finds its vehicle."""

    address: str
    """Such as udpin:127.0.0.1:14540; see real/nodes/bridge.py."""
    hover_thrust: float | None = None
    """Share of the largest thrust that hovers, 0 to 1, where thrust is commanded."""


def robot_names() -> tuple[str, ...]:
    """List the robots that a policy can be deployed to: twins that a reality profile serves, and robots with a file."""
    from ashore.sim.twin.profile import load_profile, profile_names

    served = {robot for name in profile_names() for robot in load_profile(name).robots}
    return (*(f"{TWIN}/{name}" for name in mapping_names() if name in served), *mapping_names())


@dataclass(frozen=True)
class Deployment:
    """What a plan is asked for."""

    bundle: Bundle
    """What every process runs; one that finds another file in its place refuses it."""
    robot: str = "twin/panda"
    """Such as twin/panda, or twin/my_robot.yaml for a twin behind the topics of a mapping of one's own; fr3 or
    my_robot.yaml for a robot."""
    profile: str | None = None
    """Reality profile of a twin, a shipped name or a YAML file; None for the robot's mild one."""
    seed: int = 0
    """Of the twin's first episode and of the policy's noise."""
    network: Network = "loopback"
    """loopback keeps every process to shared memory; ambient leaves it to the caller's environment."""
    domain_id: int | None = None
    """ROS domain; None leaves it to the caller's environment."""
    bridge: Bridge | None = None
    """Where a vehicle is that speaks no ROS."""
    deadman_s: float = NO_DEADMAN_S
    """Silence of the operator after which the guard stops; 0 needs no operator."""
    speed: float = FULL_SPEED
    """Share of an arm's speed that the guard lets pass, over 0 to 1."""
    cameras: Sequence[CameraSpec] = ()
    """One process each; their ends stop nobody else."""
    record: Path | str | None = None
    """Store that a recorder writes to, between marks; its end stops nobody else."""
    namespace: str | None = None
    """ROS namespace of all nodes; the robot's name where None."""
    params: Path | str | None = None
    """ROS 2 parameter file for all nodes."""
    remap: Sequence[str] = ()
    """ROS 2 remappings for all nodes, such as joint_states:=/arm/joint_states."""
    despite_evidence: bool = False
    """Let a robot's policy propose although the ranking has a veto, or the bundle was never ranked."""
    real_time_factor: float = REAL_SPEED
    """Simulated seconds a real second, on a twin; with another one than 1 all nodes keep the twin's time."""

    @property
    def is_twin(self) -> bool:
        """Whether a twin stands in for the robot."""
        return self.robot.startswith(f"{TWIN}/")

    @property
    def mapping(self) -> str:
        """The mapping's name or file."""
        return self.robot.removeprefix(f"{TWIN}/")


def process_plan(asked: Deployment) -> list[Process]:
    """Plan the processes of a deployment, in the order in which they are configured and activated.

    Raises:
        UnknownName: there is no such robot; lists those that exist.
        UnreadableFile, InvalidMapping: the mapping's own file, or that of the parameters, is missing or has faults.
        InvalidNamespace, InvalidRemapping: ROS 2 would not take it.
        NoTwin, InvalidParameter: a speed of time where no twin makes it, or one out of range.
    """
    _check(asked)
    named = RobotMapping.load(Path(asked.mapping)).robot if is_mapping_path(asked.mapping) else asked.mapping
    namespace = asked.namespace if asked.namespace is not None else named
    env = environment(asked.network, asked.domain_id)
    return [
        Process(
            name,
            namespace,
            f"ashore.real.nodes.{part_of(name)}",
            args,
            env | WRITING if part_of(name) == RECORDER else dict(env),
            activates=asked.is_twin or part_of(name) in LOOKING_ON,
            on_exit="ignore" if part_of(name) in LOOKING_ON else "shutdown",
            ros_args=_ros_args(name, asked),
        )
        for name, args in _arguments(asked, named, namespace).items()
    ]


def part_of(name: str) -> str:
    """Say which of PARTS a node of this name is."""
    return name.split("_")[0]


def check_factor(robot: str, factor: float) -> None:
    """Check that time can pass at this speed.

    Raises:
        NoTwin: no twin makes it.
        InvalidParameter: it is out of range.
    """
    if factor != REAL_SPEED and not robot.startswith(f"{TWIN}/"):
        raise NoTwin(robot, factor)
    low, high = REAL_TIME_FACTOR.low, REAL_TIME_FACTOR.high
    if not low <= factor <= high:
        raise InvalidParameter("real_time_factor", f"it is {factor}", low, high, REAL_TIME_FACTOR.description)


def _check(asked: Deployment) -> None:
    if not is_mapping_path(asked.mapping) and asked.robot not in robot_names():
        raise UnknownName("robot", asked.robot, robot_names())
    check_factor(asked.robot, asked.real_time_factor)
    if asked.namespace is not None and asked.namespace != "/" and not TOPIC.fullmatch(asked.namespace):
        raise InvalidNamespace(asked.namespace)
    for rule in asked.remap:
        if not all(TOPIC.fullmatch(side) for side in rule.partition(":=")[::2]):
            raise InvalidRemapping(rule)
    if asked.params is not None and not Path(asked.params).is_file():
        way_out = "Correct --params."
        raise UnreadableFile(Path(asked.params), "a ROS 2 parameter file", "it is not there", way_out)


def _arguments(asked: Deployment, named: str, namespace: str) -> dict[str, tuple[str, ...]]:
    """Give the nodes of a deployment, in order, with what each is told."""
    placed = ("--namespace", namespace)
    shipped = ("--bundle", str(asked.bundle.path.resolve()), "--bundle-sha256", asked.bundle.sha256)
    known = (*shipped, "--mapping", asked.mapping, *placed)
    own: dict[str, tuple[str, ...]] = {}
    if asked.is_twin:
        profile = asked.profile if asked.profile is not None else default_profile(named)
        own[TWIN] = (*known, "--profile", profile, "--seed", str(asked.seed))
    if asked.bridge is not None:
        thrust = asked.bridge.hover_thrust
        own[BRIDGE] = (
            *known,
            "--address",
            asked.bridge.address,
            *(() if thrust is None else ("--hover-thrust", str(thrust))),
        )
    for camera in asked.cameras:
        own[f"{CAMERA}_{camera.name}"] = ("--camera", camera.text, *placed)
    must_be_ranked = not (asked.is_twin or asked.despite_evidence)
    own[POLICY] = (*known, "--seed", str(asked.seed), *(("--ranked",) if must_be_ranked else ()))
    own[GUARD] = known
    if asked.record is not None:
        seen = [word for camera in asked.cameras for word in ("--camera", camera.text)]
        own[RECORDER] = (*known, "--store", str(asked.record), "--source", TWIN if asked.is_twin else "real", *seen)
    return own


def _ros_args(name: str, asked: Deployment) -> tuple[str, ...]:
    """Give a node's remappings and parameters; what was asked for by name comes last, and so wins over the file."""
    words = [word for rule in asked.remap for word in ("-r", rule)]
    if part_of(name) == CAMERA:
        words += ["-r", f"__node:={name}"]
    if name == POLICY and not asked.is_twin:
        # Before the file: a caller may allow more time, or less.
        words += ["-p", f"hold_unfamiliar_s:={HOLD_UNFAMILIAR_S}"]
    if asked.params is not None:
        words += ["--params-file", str(asked.params)]
    if name == GUARD and asked.deadman_s != NO_DEADMAN_S:
        words += ["-p", f"deadman_s:={asked.deadman_s}"]
    if name == GUARD and asked.speed != FULL_SPEED:
        words += ["-p", f"speed:={asked.speed}"]
    if asked.real_time_factor != REAL_SPEED:
        # The twin makes the time that the others keep.
        own = ("real_time_factor", float(asked.real_time_factor)) if name == TWIN else (PARAMETER, "true")
        words += ["-p", f"{own[0]}:={own[1]}"]
    return tuple(words)


def parts_of(plan: Sequence[Process], only: Sequence[str]) -> list[Process]:
    """Choose parts of a plan, of PARTS; all where none is named. Cameras may be none.

    Raises:
        UnknownName: there is no such part; lists those that exist.
        NothingToRun: a part was asked for without what it needs, such as a recorder without a store.
    """
    for part in only:
        if part not in PARTS:
            raise UnknownName("part of a deployment", part, PARTS)
    found = {part: [each for each in plan if part_of(each.name) == part] for part in only or PARTS}
    if not any(found.values()) or any(not found[part] for part in only if part != CAMERA):
        raise NothingToRun(only)
    return [each for part in PARTS if part in found for each in found[part]]


def default_profile(mapping: str) -> str:
    """Name the mild reality profile that ships for a robot.

    Raises:
        UnknownName: none ships for it.
    """
    from ashore.sim.twin.profile import load_profile, profile_names

    names = [name for name in profile_names() if name.endswith("_mild")]
    for name in names:
        if mapping in load_profile(name).robots:
            return name
    raise UnknownName("mild reality profile for robot", mapping, names)


def plan_json(processes: Sequence[Process]) -> str:
    """Write a plan as JSON, with the interpreter that must run it."""
    return json.dumps({"python": sys.executable, "processes": [asdict(each) for each in processes]}, indent=2)
