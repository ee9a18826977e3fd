"""Faults of the robot side: ROS, mappings, messages, processes."""

from collections.abc import Sequence
from pathlib import Path

from ashore.datasets.errors import AshoreError, printable, quoted


class MissingRos(AshoreError):
    """The ROS 2 packages are not installed, or one of them does not load."""

    def __init__(self, package: str, problem: str) -> None:
        super().__init__(
            f"cannot load {package!r}: {problem}. Deploying needs the ROS 2 packages. "
            "Install them with: pip install 'ashore[ros]', or source a ROS 2 installation of this Python's version."
        )


class MissingMavlink(AshoreError):
    """The package that speaks MAVLink is not installed."""

    def __init__(self, problem: str) -> None:
        super().__init__(
            f"cannot load 'pymavlink': {problem}. The bridge to PX4 and ArduPilot needs it. "
            "Install it with: pip install 'ashore[mavlink]'"
        )


class InvalidCamera(AshoreError):
    """A camera that is told in another form."""

    def __init__(self, text: str, problem: str) -> None:
        super().__init__(
            f"cannot use the camera {text!r}: {problem}. Expected NAME=DEVICE, then @WIDTHxHEIGHT and @HZ where they "
            "are not 640x480 at 30 Hz, such as wrist=/dev/video0@1280x720@30, each name once. Correct --camera."
        )


class NoCamera(AshoreError):
    """A camera that gives no pictures, or others than it shall."""

    def __init__(self, name: str, device: str, problem: str, found: Sequence[str]) -> None:
        super().__init__(
            f"camera {name!r} at {device!r}: {problem}. Expected a device or a video file that OpenCV can open, with "
            f"pictures of the size that is told. Devices here: {quoted(found) or 'none'}. Correct --camera, or free "
            "the device where another process holds it."
        )


class InvalidRemapping(AshoreError):
    """A remapping that ROS 2 would not take."""

    def __init__(self, rule: str) -> None:
        super().__init__(
            f"{rule!r} is no remapping. Expected FROM:=TO, each a topic's name such as joint_states or "
            "/arm/joint_states. Correct --remap."
        )


class NothingToRun(AshoreError):
    """Parts of a deployment that lack what they need."""

    def __init__(self, only: Sequence[str]) -> None:
        super().__init__(
            f"nothing to run for {quoted(only)}. Expected what each part needs: a recorder a store (--record), a "
            "camera its device (--camera), a bridge its vehicle's address (--bridge), a twin a robot twin/... Give it, "
            "or leave --only out."
        )


class InvalidParameter(AshoreError):
    """A node's parameter of another type, or outside of its range."""

    def __init__(self, name: str, problem: str, low: float, high: float, description: str) -> None:
        super().__init__(
            f"parameter {name!r} cannot be used: {problem}. Expected a number from {low} to {high}. {description} "
            "Correct it in the file of parameters, or where it is given."
        )


class SimulatedTime(AshoreError):
    """The parameter use_sim_time for a node that keeps a time of its own."""

    def __init__(self, node: str, why: str, way_out: str) -> None:
        super().__init__(f"use_sim_time is true for {node!r}, {why}. Expected false. {way_out}")


class NoClock(AshoreError):
    """Simulated time that nobody tells."""

    def __init__(self, node: str, topic: str, n_publishers: int, waited_s: float) -> None:
        super().__init__(
            f"use_sim_time is true for {node!r}, and no message came on {topic!r} within {waited_s:g} s "
            f"({n_publishers} publishers). Expected the time from a simulator. Start the simulator and let it run, or "
            "remove use_sim_time from the parameters; on a robot, remove it."
        )


class NoTwin(AshoreError):
    """A speed of time that was asked for where no twin makes it."""

    def __init__(self, robot: str, factor: float) -> None:
        super().__init__(
            f"real_time_factor {factor:g} was given for {robot!r}, which keeps a time of its own. Expected 1, or a "
            "twin, such as twin/panda. Leave it out; for another simulator, give its speed to it, and use_sim_time in "
            "--params."
        )


class InvalidNamespace(AshoreError):
    """A ROS namespace that cannot be one."""

    def __init__(self, namespace: str) -> None:
        super().__init__(
            f"{namespace!r} is no ROS namespace. Expected names of letters, digits and _ with / between them, such as "
            "lab/arm, or / for none. Correct --namespace."
        )


class InvalidAddress(AshoreError):
    """An address at which no vehicle is looked for."""

    def __init__(self, address: str, problem: str) -> None:
        super().__init__(
            f"cannot use the vehicle's address {address!r}: {problem}. Expected udpin:HOST:PORT, udpout:HOST:PORT with "
            "HOST in numbers and on this host, or serial:DEVICE:BAUD, such as udpin:127.0.0.1:14540 or "
            "serial:/dev/ttyACM0:921600. Correct --address."
        )


class NoVehicle(AshoreError):
    """No heartbeat of the vehicle came."""

    def __init__(self, address: str, system: int, waited_s: float, others: Sequence[str]) -> None:
        came = f" What came instead: {', '.join(others)}." if others else ""
        super().__init__(
            f"no heartbeat of vehicle {system} at {address} within {waited_s:g} s.{came} Expected one a second. "
            "See that the autopilot is on and sends MAVLink there, and that --system is its system id."
        )


class UnfitForBridge(AshoreError):
    """A mapping or a setting with which the bridge cannot fly a vehicle."""

    def __init__(self, robot: str, given: str, expected: str) -> None:
        super().__init__(
            f"the bridge cannot serve robot {robot!r}: {given}. Expected {expected}. "
            "Start from real/robots/mavlink.yaml or mavros.yaml."
        )


class InvalidMapping(AshoreError):
    """A robot's mapping file that contradicts itself; lists every fault."""

    def __init__(self, path: Path | str, faults: Sequence[str]) -> None:
        lines = "\n".join(f"  {printable(fault)}" for fault in faults)
        super().__init__(f"the mapping {path} has {len(faults)} fault(s):\n{lines}\nCorrect these keys.")


class InvalidMessage(AshoreError):
    """A message that does not hold what the mapping expects of its topic."""

    def __init__(self, where: str, problem: str, expected: str) -> None:
        super().__init__(f"a message on {where} was refused: {problem}. Expected {expected}.")


class RobotMismatch(AshoreError):
    """A bundle that was made for another robot than the one it meets."""

    def __init__(self, bundle_robot: str, robot: str) -> None:
        super().__init__(
            f"the bundle was made for robot {bundle_robot!r} and meets robot {robot!r}. "
            "Deploy it on its own robot, or train a policy for this one."
        )


class NotReady(AshoreError):
    """A policy shall start on observations that it was not made for; lists all that is wrong."""

    def __init__(self, faults: Sequence[str]) -> None:
        lines = "\n".join(f"  {fault}" for fault in faults)
        super().__init__(
            f"the robot is not ready for this policy, {len(faults)} finding(s):\n{lines}\n"
            "Bring the robot and its scene to where the demonstrations were; ashore doctor robot-mapping looks for "
            "wrong units, frames and rates. Or collect data there and train again."
        )


class StopPressed(AshoreError):
    """The guard shall be activated while the operator's stop is pressed."""

    def __init__(self) -> None:
        super().__init__(
            "the operator's stop is pressed: nothing may move. Find out why it was pressed, let go of it "
            "(ashore operate: key r), then activate again."
        )


class NoOperator(AshoreError):
    """A guard that needs an operator shall be activated without one."""

    def __init__(self, silent_s: float, deadman_s: float) -> None:
        heard = (
            "no operator was heard of yet"
            if silent_s == float("inf")
            else f"the operator is silent for {silent_s:.1f} s"
        )
        super().__init__(
            f"{heard}, and this guard stops after {deadman_s:g} s of silence. Expected a sign of life: it comes from "
            "the session of ashore deploy, or from ashore operate; a moment after their start, activate again."
        )


class ProcessEnded(AshoreError):
    """A process of a deployment ended although it was still needed."""

    def __init__(self, name: str, code: int, log_path: Path, tail: str) -> None:
        how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
        super().__init__(
            f"the process {name!r} {how} during the deployment; all others were stopped. "
            f"Its log is {log_path}; the last lines:\n{tail or '  (empty)'}"
        )


class SecurityNotEnforced(AshoreError):
    """ROS 2's security is switched on in a way that lets nodes without keys run all the same."""

    def __init__(self, strategy: str | None) -> None:
        super().__init__(
            f"ROS_SECURITY_ENABLE is true and ROS_SECURITY_STRATEGY is {strategy!r}. Expected 'Enforce': with any "
            "other value a node without keys runs unsecured. Set ROS_SECURITY_STRATEGY=Enforce, with the keys in "
            "ROS_SECURITY_KEYSTORE, or unset ROS_SECURITY_ENABLE."
        )


class TransitionRefused(AshoreError):
    """A node refused a lifecycle transition; carries the reason that it logged."""

    def __init__(self, node: str, transition: str, reason: str) -> None:
        super().__init__(f"the node {node!r} refused to {transition}:\n{reason or '  it logged no reason'}")


class NoAnswer(AshoreError):
    """Something of a deployment did not answer in time."""

    def __init__(self, what: str, waited_s: float, log_dir: Path) -> None:
        super().__init__(
            f"no answer from {what} within {waited_s:.0f} s. Expected one well before. "
            f"Look into the logs in {log_dir}; on a busy machine, close other programs and try again."
        )


class OpenToNetwork(AshoreError):
    """A node that must stay on this host has a socket that others can reach."""

    def __init__(self, sockets: Sequence[str]) -> None:
        super().__init__(
            f"the node has sockets beyond this host: {quoted(sockets)}. Expected shared memory or loopback alone. "
            "Unset ROS_AUTOMATIC_DISCOVERY_RANGE and FASTDDS_DEFAULT_PROFILES_FILE, or allow it with --network ambient."
        )


class NothingRuns(AshoreError):
    """There is not exactly one deployment on this host, and none was named."""

    def __init__(self, domains: Sequence[int]) -> None:
        found = f"{len(domains)} deployments run on this host, in the ROS domains {list(domains)}"
        super().__init__(
            f"{found if domains else 'no deployment runs on this host'}. Expected one, or its domain. "
            + (
                "Name one: --domain NUMBER."
                if domains
                else "Start one with ashore deploy, or name it: --domain NUMBER."
            )
        )


class RobotTaken(AshoreError):
    """A second session wants to command a robot."""

    def __init__(self, namespace: str, domain_id: int) -> None:
        super().__init__(
            f"another session commands {namespace!r} in ROS domain {domain_id}. A robot has one commander. "
            "End that one with its key q, or name the other robot's domain: --domain NUMBER."
        )


class NoNode(AshoreError):
    """A node of a deployment is not there."""

    def __init__(self, node: str, namespace: str, heard: Sequence[str]) -> None:
        super().__init__(
            f"no node {node!r} in the namespace {namespace!r}. Heard of: {quoted(heard) or 'nobody'}. "
            "Correct --robot, or start the deployment."
        )


class NoFreeDomain(AshoreError):
    """Every ROS domain of this host is taken by another deployment."""

    def __init__(self, tried: range) -> None:
        super().__init__(
            f"no free ROS domain: {tried.start} to {tried.stop - 1} are all taken by running deployments. "
            "Stop one of them, or name a domain yourself."
        )
