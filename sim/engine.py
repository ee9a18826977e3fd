"""The face of a physics engine: what a task, a robot and the sensors need, whether MuJoCo or PyBullet steps it.

MuJoCo's batched World and the PyBullet twin both have it, so that one task, one judge and one sensor model serve both.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from numpy.typing import NDArray

Array = NDArray[Any]


class Engine(Protocol):
    """N simulations of one scene, stepped together; arrays are float64, batch first."""

    n: int
    """Number of simulations."""
    timestep_s: float
    """One physics substep."""

    def joint_pos(self, names: Sequence[str]) -> Array:
        """Joint positions (N, J), rad or m, in the order of names."""

    def joint_vel(self, names: Sequence[str]) -> Array:
        """Joint velocities (N, J), rad/s or m/s, in the order of names."""

    def body_pose(self, name: str) -> Array:
        """Pose of a body's frame in the world (N, 7): position m, quaternion wxyz."""

    def body_velocity(self, name: str) -> Array:
        """Velocity of a body's frame origin (N, 6): linear m/s in world axes, angular rad/s in body axes."""

    def contact(self, body: str) -> Array:
        """Whether a body touches anything (N,) bool."""

    def place_joints(self, ids: Array, names: Sequence[str], values: Array) -> None:
        """Set joint positions (K, J) of the simulations ids (K,) and zero those joints' velocities."""

    def place_body(self, ids: Array, name: str, pose: Array, velocity: Array | None = None) -> None:
        """Set a free body's pose (K, 7) and velocity (K, 6, as body_velocity; zero if None) of the simulations ids."""

    def actuate(self, controls: Array) -> None:
        """Set the actuators' controls (N, Nu) in the order of the MJCF; held until the next call."""

    def advance(self, n_substeps: int) -> None:
        """Step every simulation."""

    def diverged(self) -> Array:
        """Which simulations became unstable since their last reset (N,) bool."""
