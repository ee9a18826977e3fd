"""Record beside a deployment that runs: `ros2 launch ashore record.launch.py bundle:=... robot:=fr3 record:=out/seen`.

Cameras may be added (camera:="wrist=/dev/video0"); the marks of `ashore operate` begin and end episodes.

plan.launch.py, beside this file, declares further arguments and makes the nodes.
"""

from pathlib import Path


def generate_launch_description():
    """Give launch this file's own arguments, and the plan."""
    from launch import LaunchDescription
    from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
    from launch.launch_description_sources import PythonLaunchDescriptionSource

    plan = Path(__file__).resolve().parent / "plan.launch.py"
    return LaunchDescription(
        [
            DeclareLaunchArgument("bundle", description="The policy.ashore file."),
            DeclareLaunchArgument("only", default_value="camera recorder"),
            IncludeLaunchDescription(PythonLaunchDescriptionSource(str(plan))),
        ]
    )
