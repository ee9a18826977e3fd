"""The processes of a deployment as plain data: `ashore deploy` runs them, the launch files ask for them as JSON."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from ashore.datasets.errors import UnknownName
from ashore.real.mapping import RobotMapping, is_mapping_path, mapping_names
from ashore.real.network import Network, environment

TWIN, BRIDGE, POLICY, GUARD = "twin", "bridge", "policy", "guard"
NO_DEADMAN_S = 0.0
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

    def command(self, python: str = sys.executable) -> list[str]:
        """Give the command line that starts it."""
        return [python, "-m", self.module, *self.args]


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


def process_plan(
    bundle: Path | str,
    robot: str = "twin/panda",
    profile: str | None = None,
    seed: int = 0,
    network: Network = "loopback",
    domain_id: int | None = None,
    bridge: Bridge | None = None,
    deadman_s: float = NO_DEADMAN_S,
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

    Raises:
        UnknownName: there is no such robot; lists those that exist.
        UnreadableFile, InvalidMapping: the mapping's own file is missing or has faults.
    """
    mapping = robot.removeprefix(f"{TWIN}/")
    is_twin, is_own = robot != mapping, is_mapping_path(mapping)
    if not is_own and robot not in robot_names():
        raise UnknownName("robot", robot, robot_names())
    named = RobotMapping.load(Path(mapping)).robot if is_own else mapping
    shared = ("--bundle", str(bundle), "--mapping", mapping, "--namespace", named)
    env = environment(network, domain_id)
    own: dict[str, tuple[str, ...]] = {}
    if is_twin:
        own[TWIN] = ("--profile", profile if profile is not None else default_profile(named), "--seed", str(seed))
    if bridge is not None:
        thrust = () if bridge.hover_thrust is None else ("--hover-thrust", str(bridge.hover_thrust))
        own[BRIDGE] = ("--address", bridge.address, *thrust)
    hold = () if is_twin else ("--ros-args", "-p", f"hold_unfamiliar_s:={HOLD_UNFAMILIAR_S}")
    own[POLICY] = ("--seed", str(seed), *hold)
    own[GUARD] = () if deadman_s == NO_DEADMAN_S else ("--ros-args", "-p", f"deadman_s:={deadman_s}")
    return [
        Process(name, named, f"ashore.real.nodes.{name}", (*shared, *extra), dict(env), activates=is_twin)
        for name, extra in own.items()
    ]


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
