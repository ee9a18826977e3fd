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

TWIN = "twin"


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
    on_exit: Literal["shutdown", "ignore"] = "shutdown"
    """What its end means for the others."""

    def command(self, python: str = sys.executable) -> list[str]:
        """Give the command line that starts it."""
        return [python, "-m", self.module, *self.args]


def robot_names() -> tuple[str, ...]:
    """List the robots that a policy can be deployed to: those that a reality profile serves."""
    from ashore.sim.twin.profile import load_profile, profile_names

    served = {robot for name in profile_names() for robot in load_profile(name).robots}
    return tuple(f"{TWIN}/{name}" for name in mapping_names() if name in served)


def process_plan(
    bundle: Path | str,
    robot: str = "twin/panda",
    profile: str | None = None,
    seed: int = 0,
    network: Network = "loopback",
    domain_id: int | None = None,
) -> list[Process]:
    """Plan the processes of a deployment, in the order in which they are configured and activated.

    Args:
        bundle: the policy.ashore file.
        robot: such as twin/panda, or twin/my_robot.yaml for a twin behind the topics of a mapping of one's own.
        profile: reality profile of a twin, a shipped name or a YAML file; None for the robot's mild one.
        seed: of the twin's first episode and of the policy's noise.
        network: loopback keeps every process to shared memory; ambient leaves it to the caller's environment.
        domain_id: ROS domain; None leaves it to the caller's environment.

    Raises:
        UnknownName: there is no such robot; lists those that exist.
        UnreadableFile, InvalidMapping: the mapping's own file is missing or has faults.
    """
    mapping = robot.removeprefix(f"{TWIN}/")
    is_own = robot != mapping and is_mapping_path(mapping)
    if not is_own and robot not in robot_names():
        raise UnknownName("robot", robot, robot_names())
    named = RobotMapping.load(Path(mapping)).robot if is_own else mapping
    shared = ("--bundle", str(bundle), "--mapping", mapping, "--namespace", named)
    env = environment(network, domain_id)
    chosen = profile if profile is not None else default_profile(named)
    own = {
        TWIN: ("--profile", chosen, "--seed", str(seed)),
        "policy": ("--seed", str(seed)),
        "guard": (),
    }
    return [
        Process(name, named, f"ashore.real.nodes.{name}", (*shared, *extra), dict(env)) for name, extra in own.items()
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
