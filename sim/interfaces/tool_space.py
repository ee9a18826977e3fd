"""Arms told by tool targets: the tool's pose from the joints, joint targets from tool targets, and the stop that holds.

Stateless: q_target = q + J^+ (tool target - tool) + servo_time * J^+_w * angular velocity, damped least squares, with the
posture in the null space. Since a joint servo behaves as a first-order lag of servo_time, the tool then moves at
(target - tool) / servo_time, and a stationary target is one Newton step of inverse kinematics, whatever the measured
joints' age.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ashore.sim.kinematics import Chain
from ashore.sim.rotations import upper_half

Array = NDArray[Any]


@dataclass(frozen=True)
class ToolSpaceConfig:
    """The names that meet and the numbers of the inverse kinematics."""

    joints: str
    """Observation (J,): measured joint positions, rad."""
    gripper: str
    """Observation: measured gripper width, m."""
    tool_pos: str
    """Derived observation (3,): the tool's position in the base, m."""
    tool_quat: str
    """Derived observation (4,): the tool's orientation in the base, wxyz, w >= 0."""
    target_pos: str
    """Action (3,): where the tool shall go in the base, m."""
    target_angvel: str
    """Action (3,): how the tool shall turn in base axes, rad/s."""
    target_gripper: str
    """Action (1,): gripper width, m."""
    servo_time_s: float
    """Time constant kv / kp of the joint servos."""
    posture_rad: tuple[float, ...]
    """Joint positions (J,) that the null space is drawn to."""
    max_step_rad: tuple[float, ...]
    """Largest distance of a joint target from the measured joint (J,)."""
    damping: float = 0.03
    """Damping of the least squares, in units of the Jacobian."""
    posture_gain: float = 0.2


class ToolSpace:
    """Turn tool targets into joint targets for N arms at once."""

    def __init__(self, config: ToolSpaceConfig, chain: Chain) -> None:
        self._config = config
        self._chain = chain
        self.derived: tuple[str, ...] = (config.tool_pos, config.tool_quat)

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> Self:
        """Make one from a card's interface entry."""
        fields = {key: tuple(value) if isinstance(value, list) else value for key, value in spec.items()}
        fields.pop("kind", None)
        chain = Chain.from_mapping(fields.pop("chain"))
        return cls(ToolSpaceConfig(**fields), chain)

    def derive(self, measured: Mapping[str, Array]) -> dict[str, Array]:
        """Add the tool's position (N, 3) and orientation (N, 4) in the base to the measurements."""
        position, quat = self._chain.forward(measured[self._config.joints])
        return {**measured, self._config.tool_pos: position, self._config.tool_quat: upper_half(quat)}

    def decode(self, action: Mapping[str, Array], observed: Mapping[str, Array]) -> Array:
        """Turn tool targets into commands (N, J + 1): joint targets rad, then gripper width m."""
        config = self._config
        joints = np.asarray(observed[config.joints], dtype=np.float64)
        position, _, jacobian = self._chain.jacobian(joints)
        turn = config.servo_time_s * np.asarray(action[config.target_angvel], dtype=np.float64)
        wanted = np.concatenate([action[config.target_pos] - position, turn], axis=1)
        step = damped_step(jacobian, wanted, config.damping, config.posture_gain * (config.posture_rad - joints))
        step *= np.minimum(1.0, np.min(config.max_step_rad / np.maximum(np.abs(step), 1e-9), axis=1))[:, None]
        return np.concatenate([joints + step, action[config.target_gripper]], axis=1)

    def stop(self, observed: Mapping[str, Array], last_command: Array) -> Array:
        """Hold: stay with the last command (N, Dc), where it is finite, else at the measured joints and gripper."""
        config = self._config
        here = np.concatenate([observed[config.joints], observed[config.gripper].reshape(len(last_command), -1)[:, :1]], axis=1)
        return np.where(np.all(np.isfinite(last_command), axis=1, keepdims=True), last_command, here)


def damped_step(jacobian: Array, wanted: Array, damping: float, posture: Array) -> Array:
    """Solve for joint steps (N, J) that move the tool by wanted (N, 6), drawn to a posture step (N, J) in the null space.

    Source: Buss, Introduction to Inverse Kinematics with Jacobian Transpose, Pseudoinverse and Damped Least Squares
    Methods (2009), equations 11 and 12.
    """
    transpose = jacobian.transpose(0, 2, 1)
    gram = jacobian @ transpose + damping**2 * np.eye(6)
    pulled = wanted - np.einsum("nij,nj->ni", jacobian, posture)
    return np.asarray(posture + np.einsum("nij,nj->ni", transpose, np.linalg.solve(gram, pulled[..., None])[..., 0]))
