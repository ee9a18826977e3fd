"""Start policy, guard and twin of a quadrotor: `ros2 launch ashore quadrotor.launch.py bundle:=policy.ashore`.

The processes are those of `ashore plan --json`; this file only maps them to actions.
"""

import json
import shutil
import subprocess
from pathlib import Path

DEFAULTS = {"robot": "twin/crazyflie", "profile": "quadrotor_mild", "seed": "0", "network": "loopback"}


def _ashore():
    """Find the command that was installed with this file, else the one on PATH."""
    installed = Path(__file__).resolve().parents[3] / "bin" / "ashore"
    return str(installed) if installed.is_file() else shutil.which("ashore") or "ashore"


def generate_launch_description():
    """Give launch the declared arguments, and the nodes once their values are known."""
    from launch import LaunchDescription
    from launch.actions import DeclareLaunchArgument, OpaqueFunction

    return LaunchDescription(
        [
            DeclareLaunchArgument("bundle", description="The policy.ashore file."),
            DeclareLaunchArgument("robot", default_value=DEFAULTS["robot"]),
            DeclareLaunchArgument("profile", default_value=DEFAULTS["profile"]),
            DeclareLaunchArgument("seed", default_value=DEFAULTS["seed"]),
            DeclareLaunchArgument("network", default_value=DEFAULTS["network"], choices=["loopback", "ambient"]),
            OpaqueFunction(function=_actions),
        ]
    )


def _actions(context):
    """Ask for the plan and turn each process into a lifecycle node that is configured and activated."""
    from launch.actions import SetEnvironmentVariable

    names = ("bundle", "robot", "profile", "seed", "network")
    options = [f"--{name}={context.launch_configurations[name]}" for name in names]
    answer = subprocess.run([_ashore(), "plan", "--json", *options], check=True, capture_output=True, text=True)
    plan = json.loads(answer.stdout)
    # launch's own node must share the transports of ours, so their settings hold for the whole launch.
    settings = {name: value for process in plan["processes"] for name, value in process["env"].items()}
    nodes = [action for process in plan["processes"] for action in _node(plan["python"], process)]
    return [*(SetEnvironmentVariable(name, value) for name, value in settings.items()), *nodes]


def _node(python, process):
    """Make one process's node with its transitions; its end ends the launch."""
    import lifecycle_msgs.msg
    from launch.actions import EmitEvent, OpaqueFunction, RegisterEventHandler
    from launch.event_handlers import OnProcessExit, OnProcessStart
    from launch.events import Shutdown, matches_action
    from launch_ros.actions import LifecycleNode
    from launch_ros.event_handlers import OnStateTransition
    from launch_ros.events.lifecycle import ChangeState

    node = LifecycleNode(
        name=process["name"],
        namespace=process["namespace"],
        executable=python,
        arguments=["-m", process["module"], *process["args"]],
        output="screen",
    )

    def change(transition):
        return EmitEvent(event=ChangeState(lifecycle_node_matcher=matches_action(node), transition_id=transition))

    def end(context):
        return [] if context.is_shutdown else [EmitEvent(event=Shutdown(reason=f"{process['name']} ended"))]

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
