"""What the launch files share: `ashore plan --json` says which processes run, this file makes nodes of them.

It takes the plan's options as launch arguments, whichever are set, and is included by the files that people start.
"""

import json
import shutil
import subprocess
from pathlib import Path

OPTIONS = {
    "bundle": "The policy.ashore file.",
    "robot": "Where to: twin/panda, twin/crazyflie ..., or a robot: the name or the file of its mapping.",
    "profile": "Reality profile of a twin, a shipped name or a YAML file.",
    "seed": "Of the twin's first episode and of the policy's noise.",
    "network": "loopback keeps every process on this host; ambient takes the transports of the environment.",
    "bridge": "Address of a vehicle that speaks MAVLink: udpin:HOST:PORT, udpout:HOST:PORT or serial:DEVICE:BAUD.",
    "hover_thrust": "Share of the vehicle's largest thrust that hovers, 0 to 1.",
    "deadman_s": "Silence of the operator, in seconds, after which the guard stops; 0 needs no operator.",
    "speed": "Share of an arm's speed that the guard lets pass, over 0 to 1; 0.1 for the first motion.",
    "camera": "Cameras, with spaces between them: NAME=DEVICE[@WIDTHxHEIGHT][@HZ].",
    "record": "Store that a recorder writes to, between the marks of `ashore operate`.",
    "namespace": "ROS namespace of all nodes; the robot's name where empty.",
    "params": "ROS 2 parameter file for all nodes.",
    "remap": "ROS 2 remappings for all nodes, with spaces between them: from:=to.",
    "despite_evidence": "true lets a robot's policy propose although the ranking has a veto, or never took place.",
    "real_time_factor": "On a twin: simulated seconds a real second; unless it is 1 all nodes keep the twin's time.",
    "only": "Parts to start, with spaces between them: twin bridge camera policy guard recorder.",
}
LISTS, SWITCHES = ("camera", "remap", "only"), ("despite_evidence",)


def _ashore():
    """Find the command that was installed with this file, else the one on PATH."""
    installed = Path(__file__).resolve().parents[3] / "bin" / "ashore"
    return str(installed) if installed.is_file() else shutil.which("ashore") or "ashore"


def generate_launch_description():
    """Give launch the declared arguments, and the nodes once their values are known."""
    from launch import LaunchDescription
    from launch.actions import DeclareLaunchArgument, OpaqueFunction

    declared = [DeclareLaunchArgument(name, default_value="", description=told) for name, told in OPTIONS.items()]
    return LaunchDescription([*declared, OpaqueFunction(function=_actions)])


def _actions(context):
    """Ask for the plan and turn each process into a lifecycle node that is configured and activated."""
    from launch.actions import SetEnvironmentVariable

    words = []
    for name in OPTIONS:
        value = context.launch_configurations[name]
        if name in SWITCHES:
            words += [f"--{name.replace('_', '-')}"] if value.lower() == "true" else []
            continue
        parts = value.split() if name in LISTS else [value]
        words += [f"--{name.replace('_', '-')}", *parts] if value else []
    answer = subprocess.run([_ashore(), "plan", "--json", *words], check=False, capture_output=True, text=True)
    if answer.returncode:
        raise RuntimeError(answer.stderr.strip())
    plan = json.loads(answer.stdout)
    # launch's own node must share the transports of ours, so their settings hold for the whole launch.
    settings = {name: value for process in plan["processes"] for name, value in process["env"].items()}
    nodes = [action for process in plan["processes"] for action in _node(plan["python"], process)]
    return [*(SetEnvironmentVariable(name, value) for name, value in settings.items()), *nodes]


def _node(python, process):
    """Make one process's node with its transitions; where the others need it, its end ends the launch."""
    import lifecycle_msgs.msg
    from launch.actions import EmitEvent, LogInfo, OpaqueFunction, RegisterEventHandler
    from launch.event_handlers import OnProcessExit, OnProcessStart
    from launch.events import Shutdown, matches_action
    from launch_ros.actions import LifecycleNode
    from launch_ros.event_handlers import OnStateTransition
    from launch_ros.events.lifecycle import ChangeState

    name = process["name"]
    node = LifecycleNode(
        name=name,
        namespace=process["namespace"],
        executable=python,
        arguments=["-m", process["module"], *process["args"]],
        ros_arguments=process["ros_args"],
        output="screen",
    )

    def change(transition):
        return EmitEvent(event=ChangeState(lifecycle_node_matcher=matches_action(node), transition_id=transition))

    def end(context):
        if context.is_shutdown:
            return []
        is_needed = process["on_exit"] == "shutdown"
        return [EmitEvent(event=Shutdown(reason=f"{name} ended"))] if is_needed else [LogInfo(msg=f"{name} ended")]

    transitions = lifecycle_msgs.msg.Transition
    configure = OnProcessStart(target_action=node, on_start=[change(transitions.TRANSITION_CONFIGURE)])
    # start_state keeps a later deactivate from activating it again.
    activate = OnStateTransition(
        target_lifecycle_node=node,
        start_state="configuring",
        goal_state="inactive",
        entities=[change(transitions.TRANSITION_ACTIVATE)],
    )
    ended = OnProcessExit(target_action=node, on_exit=[OpaqueFunction(function=end)])
    handlers = (configure, *([activate] if process["activates"] else []), ended)
    return [*(RegisterEventHandler(handler) for handler in handlers), node]
