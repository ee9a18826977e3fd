"""The processes of a deployment as plain data: `ashore deploy` runs them, the launch files ask for them as JSON."""

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal, TypedDict, Unpack

from ashore.datasets.errors import UnknownName
from ashore.real.cameras import CameraSpec
from ashore.real.errors import NothingToRun
from ashore.real.mapping import RobotMapping, is_mapping_path, mapping_names
from ashore.real.network import Network, environment

TWIN, BRIDGE, CAMERA, POLICY, GUARD, RECORDER = "twin", "bridge", "camera", "policy", "guard", "recorder"
PARTS = (TWIN, BRIDGE, CAMERA, POLICY, GUARD, RECORDER)
"""In the order of configure and activate: what is observed, who proposes, who commands, who writes it down."""
NO_DEADMAN_S, FULL_SPEED = 0.0, 1.0
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


class Options(TypedDict, total=False):
    """What a plan may be asked for besides; see process_plan."""

    speed: float
    cameras: Sequence[CameraSpec]
    record: Path | str | None
    namespace: str | None
    params: Path | str | None
    remap: Sequence[str]
    despite_evidence: bool


def process_plan(
    bundle: Path | str,
    robot: str = "twin/panda",
    profile: str | None = None,
    seed: int = 0,
    network: Network = "loopback",
    domain_id: int | None = None,
    bridge: Bridge | None = None,
    deadman_s: float = NO_DEADMAN_S,
    **asked: Unpack[Options],
) -> list[Process]:
    """Plan the processes of a deployment, in the order in which they are configured and activated.

    Args:
        bundle: the policy.ashore file.
        robot: such as twin/panda, or twin/my_robot.yaml for a twin behind the topics of a mapping of one's own; fr3 or
            my_robot.yaml for a robot.
        profile: reality profile of a twin, a shipped name or a YAML file; None for the robot's mild one.
        seed: of the twin's first episode and of the policy's noise.
        network: loopback keeps every process to shared memory; ambient leaves it to the caller's environment.
        domain_id: ROS domain; None leaves it to the caller's environment.
        bridge: where a vehicle is that speaks no ROS.
        deadman_s: silence of the operator after which the guard stops; 0 needs no operator.
        asked: the rest, by name.
        speed: share of the robot's speed that the guard lets pass, over 0 to 1; of arms.
        cameras: one process each; their ends stop nobody else.
        record: store that a recorder writes to, between marks; its end stops nobody else.
        namespace: ROS namespace of all nodes; the robot's name where None.
        params: ROS 2 parameter file for all nodes.
        remap: ROS 2 remappings for all nodes, such as joint_states:=/arm/joint_states.
        despite_evidence: let a robot's policy propose although the ranking has a veto, or the bundle was never ranked.

    Raises:
        UnknownName: there is no such robot; lists those that exist.
        UnreadableFile, InvalidMapping: the mapping's own file is missing or has faults.
    """
    cameras, record, namespace = asked.get("cameras", ()), asked.get("record"), asked.get("namespace")
    mapping = robot.removeprefix(f"{TWIN}/")
    is_twin, is_own = robot != mapping, is_mapping_path(mapping)
    if not is_own and robot not in robot_names():
        raise UnknownName("robot", robot, robot_names())
    named = RobotMapping.load(Path(mapping)).robot if is_own else mapping
    placed = ("--namespace", namespace if namespace is not None else named)
    known = ("--bundle", str(bundle), "--mapping", mapping, *placed)
    own: dict[str, tuple[str, ...]] = {}
    if is_twin:
        played = profile if profile is not None else default_profile(named)
        own[TWIN] = (*known, "--profile", played, "--seed", str(seed))
    if bridge is not None:
        thrust = () if bridge.hover_thrust is None else ("--hover-thrust", str(bridge.hover_thrust))
        own[BRIDGE] = (*known, "--address", bridge.address, *thrust)
    for camera in cameras:
        own[f"{CAMERA}_{camera.name}"] = ("--camera", camera.text, *placed)
    own[POLICY] = (*known, "--seed", str(seed), *(() if is_twin or asked.get("despite_evidence") else ("--ranked",)))
    own[GUARD] = known
    if record is not None:
        seen = [word for camera in cameras for word in ("--camera", camera.text)]
        own[RECORDER] = (*known, "--store", str(record), "--source", TWIN if is_twin else "real", *seen)
    ros = _ros_args(own, is_twin, deadman_s, asked)
    env, planned = environment(network, domain_id), []
    for name, args in own.items():
        part = name.split("_")[0]
        looks_on = part in (CAMERA, RECORDER)
        process = Process(
            name,
            placed[1],
            f"ashore.real.nodes.{part}",
            args,
            dict(env),
            activates=is_twin or looks_on,
            on_exit="ignore" if looks_on else "shutdown",
            ros_args=ros[name],
        )
        planned.append(process)
    return planned


def parts_of(plan: Sequence[Process], only: Sequence[str]) -> list[Process]:
    """Choose parts of a plan, of PARTS; all where none is named. Cameras may be none.

    Raises:
        UnknownName: there is no such part; lists those that exist.
        NothingToRun: a part was asked for without what it needs, such as a recorder without a store.
    """
    for part in only:
        if part not in PARTS:
            raise UnknownName("part of a deployment", part, PARTS)
    found = {part: [each for each in plan if each.name.split("_")[0] == part] for part in only or PARTS}
    if not any(found.values()) or any(not found[part] for part in only if part != CAMERA):
        raise NothingToRun(only)
    return [each for part in PARTS if part in found for each in found[part]]


def _ros_args(names: Iterable[str], is_twin: bool, deadman_s: float, asked: Options) -> dict[str, tuple[str, ...]]:
    """Give each node's remappings and parameters; what was given by name comes last, and so wins over the file."""
    params, speed = asked.get("params"), asked.get("speed", FULL_SPEED)
    every = [word for rule in asked.get("remap", ()) for word in ("-r", rule)]
    every += ["--params-file", str(params)] if params is not None else []
    found = {name: every + (["-r", f"__node:={name}"] if name.startswith(f"{CAMERA}_") else []) for name in names}
    if not is_twin:
        # Before the file: a caller may allow more time, or less.
        found[POLICY] = ["-p", f"hold_unfamiliar_s:={HOLD_UNFAMILIAR_S}", *found[POLICY]]
    if deadman_s != NO_DEADMAN_S:
        found[GUARD] += ["-p", f"deadman_s:={deadman_s}"]
    if speed != FULL_SPEED:
        found[GUARD] += ["-p", f"speed:={speed}"]
    return {name: tuple(args) for name, args in found.items()}


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
