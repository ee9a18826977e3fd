"""What the twin's engine must know of a reality: the part of a profile that physics feels."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class TwinSettings:
    """Departures of the engine from the MJCF; the defaults change nothing."""

    body_mass_scale: Mapping[str, float] = field(default_factory=dict)
    friction_scale: float = 1.0
    position_gain_scale: float = 1.0
    velocity_gain_scale: float = 1.0
    joint_damping_n_m_s_rad: float = 0.0
    """Added to every hinge."""
    thrust_scale: float = 1.0
    motor_lag_scale: float = 1.0
