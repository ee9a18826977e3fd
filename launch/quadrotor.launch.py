"""Start policy, guard and twin of a quadrotor: `ros2 launch ashore quadrotor.launch.py bundle:=policy.ashore`.

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
            DeclareLaunchArgument("robot", default_value="twin/crazyflie"),
            IncludeLaunchDescription(PythonLaunchDescriptionSource(str(plan))),
        ]
    )
