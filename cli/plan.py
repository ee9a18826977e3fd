"""`ashore plan`: the processes of a deployment, for launch files and for people."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class Plan:
    """Print which processes a deployment starts, with their arguments and environment.

    The launch files call this. Example:

      ashore plan --json --bundle out/policy.ashore --robot twin/panda
    """

    bundle: Path
    """The bundle."""
    robot: str = "twin/panda"
    """Where to: twin/panda or twin/crazyflie."""
    profile: str | None = None
    """The twin's reality profile."""
    seed: int = 0
    """Seed of the twin's first episode and of the policy's noise."""
    network: Literal["loopback", "ambient"] = "loopback"
    """Whether the processes stay on this host or take the transports of the caller's environment."""
    json: bool = False
    """Print JSON, for programs."""

    def run(self) -> int:
        """Print the plan."""
        from ashore.cli.console import say
        from ashore.real.plan import plan_json, process_plan

        processes = process_plan(self.bundle, self.robot, self.profile, self.seed, self.network)
        if self.json:
            say(plan_json(processes))
            return 0
        for process in processes:
            settings = " ".join(f"{name}={value}" for name, value in process.env.items())
            say(f"{process.namespace}/{process.name}\n  {settings} {' '.join(process.command())}")
        return 0
