"""Arms told by tool targets: the tool's pose from the joints, joint targets from tool targets, and the stop that holds.

Stateless: q_target = q + J+ (tool target - tool, servo_time * angular velocity), damped least squares, with the posture
in the null space. A joint servo behaves as a first-order lag of servo_time, so the tool moves at
(target - tool) / servo_time and turns at the angular velocity; a target that stands still is where the tool will rest.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ashore.sim.kinematics import Chain

Array = NDArray[Any]


@dataclass(frozen=True)
class ToolSpaceConfig:
    """The names that meet and the numbers of the inverse kinematics."""

    joints: str
    """Observation (J,): measured joint positions, rad."""
    gripper: str
    """Observation (1,): measured gripper width, m."""
    tool_pos: str
    """Derived observation (3,): the tool's position in the base, m."""
    tool_quat: str
    """Derived observation (4,): the tool's orientation in the base, wxyz."""
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
    low: tuple[float, ...]
    high: tuple[float, ...]
    """Bounds of the commands (J + 1,), those of the card."""
    max_step_rad: tuple[float, ...]
    """Largest distance of a joint target from the measured joint (J,); a longer step keeps its direction."""
    tool_down_wxyz: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0)
    """The orientation (4,) on whose side of the sphere tool_quat is told, so that its sign does not jump near it."""
    damping: float = 0.02
    """Damping of the least squares, in the Jacobian's units."""
    posture_gain: float = 0.1
    """Share of the way to the posture that one step asks for."""


class ToolSpace:
    """Turn tool targets into joint targets for N arms at once."""

    def __init__(self, config: ToolSpaceConfig, chain: Chain) -> None:
        self._config = config
        self._chain = chain
        self.derived: tuple[str, ...] = (config.tool_pos, config.tool_quat)

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> Self:
        """Make one from a card's interface entry; its "kind" is left aside."""
        fields: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in spec.items()
        }
        fields.pop("kind", None)
        chain = Chain.from_mapping(fields.pop("chain"))
        return cls(ToolSpaceConfig(**fields), chain)

    def derive(self, measured: Mapping[str, Array]) -> dict[str, Array]:
        """Add the tool's position (N, 3) and orientation (N, 4) in the base to the measurements {name: (N, *shape)}."""
        pos, quat = self._chain.forward(measured[self._config.joints])
        side = np.where(np.sum(quat * np.array(self._config.tool_down_wxyz), axis=-1) < 0, -1.0, 1.0)
        return {**measured, self._config.tool_pos: pos, self._config.tool_quat: side[:, None] * quat}

    def decode(self, action: Mapping[str, Array], observed: Mapping[str, Array]) -> Array:
        """Turn tool targets {name: (N, *shape)} into commands (N, J + 1): joint targets rad, then gripper width m."""
        config = self._config
        joints = np.asarray(observed[config.joints], dtype=np.float64)
        pos, _, jacobian = self._chain.jacobian(joints)
        turn = config.servo_time_s * np.asarray(action[config.target_angvel], dtype=np.float64)
        wanted = np.concatenate([action[config.target_pos] - pos, turn], axis=1)
        posture = config.posture_gain * (np.array(config.posture_rad) - joints)
        step = damped_step(jacobian, wanted, posture, config.damping)
        excess = np.max(np.abs(step) / np.array(config.max_step_rad), axis=1, keepdims=True)
        command = np.concatenate([joints + step / np.maximum(excess, 1.0), action[config.target_gripper]], axis=1)
        return np.asarray(np.clip(command, config.low, config.high))

    def stop(self, observed: Mapping[str, Array], last_command: Array) -> Array:
        """Hold: keep the last command (N, J + 1); where it is not finite, the measured joints and gripper."""
        config = self._config
        last = np.asarray(last_command, dtype=np.float64)
        here = np.concatenate([observed[config.joints], observed[config.gripper]], axis=1)
        return np.where(np.all(np.isfinite(last), axis=1, keepdims=True), last, here)


def damped_step(jacobian: Array, wanted: Array, posture: Array, damping: float) -> Array:
    """Solve for joint steps that move the tool as wanted, and in the null space as the posture asks.

    Args:
        jacobian: (N, 6, J).
        wanted: (N, 6) displacement and rotation vector of the tool.
        posture: (N, J) step of the joints that the null space is drawn to.
        damping: lambda of the least squares, in the Jacobian's units.

    Returns:
        (N, J).

    Source: Buss, Introduction to Inverse Kinematics with Jacobian Transpose, Pseudoinverse and Damped Least Squares
    Methods (2004), equations 10 and 11; the null-space term is solved together with the step, so that it costs nothing.
    """
    transpose = jacobian.transpose(0, 2, 1)
    gram = jacobian @ transpose + damping**2 * np.eye(6)
    rest = wanted[..., None] - jacobian @ posture[..., None]
    return np.asarray(posture + (transpose @ np.linalg.solve(gram, rest))[..., 0])
