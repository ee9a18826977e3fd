"""`ashore plan`: the processes of a deployment, for launch files and for people."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class Plan:
    """Print which processes a deployment starts, with their arguments and environment.

    The launch files call this. Example:

      ashore plan --json --bundle out/policy.ashore --robot twin/panda
      ashore plan --bundle out/policy.ashore --robot fr3 --only camera recorder --camera wrist=0 --record out/seen
    """

    bundle: Path
    """The bundle."""
    robot: str = "twin/panda"
    """Where to: twin/panda, twin/crazyflie ..., or a robot: the name or the file of its mapping."""
    profile: str | None = None
    """The twin's reality profile."""
    seed: int = 0
    """Seed of the twin's first episode and of the policy's noise."""
    network: Literal["loopback", "ambient"] = "loopback"
    """Whether the processes stay on this host or take the transports of the caller's environment."""
    bridge: str | None = None
    """Address of a vehicle that speaks MAVLink: udpin:HOST:PORT, udpout:HOST:PORT or serial:DEVICE:BAUD."""
    hover_thrust: float | None = None
    """Share of the vehicle's largest thrust that hovers, 0 to 1."""
    deadman_s: float = 0.0
    """Silence of the operator, in seconds, after which the guard stops; 0 needs no operator."""
    speed: float = 1.0
    """Share of an arm's speed that the guard lets pass, over 0 to 1."""
    camera: tuple[str, ...] = ()
    """Cameras: NAME=DEVICE[@WIDTHxHEIGHT][@HZ]."""
    record: Path | None = None
    """Store that a recorder writes to."""
    namespace: str | None = None
    """ROS namespace of all nodes; the robot's name where not given."""
    params: Path | None = None
    """ROS 2 parameter file for all nodes."""
    remap: tuple[str, ...] = ()
    """ROS 2 remappings for all nodes, such as joint_states:=/arm/joint_states."""
    real_time_factor: float = 1.0
    """On a twin: simulated seconds a real second; with another one than 1 all nodes keep the twin's time."""
    only: tuple[str, ...] = ()
    """Parts to plan: twin, bridge, camera, policy, guard, recorder; all that apply where not given."""
    despite_evidence: bool = False
    """Let a robot's policy propose although the ranking has a veto, or the bundle was never ranked."""
    json: bool = False
    """Print JSON, for programs."""

    def run(self) -> int:
        """Print the plan."""
        from ashore.cli.console import say
        from ashore.policies.bundle import read_bundle
        from ashore.real.cameras import parse_cameras
        from ashore.real.plan import Bridge, Deployment, parts_of, plan_json, process_plan

        processes = process_plan(
            Deployment(
                read_bundle(self.bundle),
                self.robot,
                self.profile,
                self.seed,
                self.network,
                bridge=Bridge(self.bridge, self.hover_thrust) if self.bridge is not None else None,
                deadman_s=self.deadman_s,
                speed=self.speed,
                cameras=parse_cameras(self.camera),
                record=self.record,
                namespace=self.namespace,
                params=self.params,
                remap=self.remap,
                despite_evidence=self.despite_evidence,
                real_time_factor=self.real_time_factor,
            )
        )
        processes = parts_of(processes, self.only)
        if self.json:
            say(plan_json(processes))
            return 0
        for process in processes:
            settings = " ".join(f"{name}={value}" for name, value in process.env.items())
            say(f"{process.namespace}/{process.name}\n  {settings} {' '.join(process.command())}")
        return 0
