"""The Crazyflie-class quadrotor: what it is told, within which limits, and what it measures of itself."""

from pathlib import Path

import numpy as np

from ashore.datasets.contract import Feature
from ashore.sim.robot import CommandLimits, Robot, RobotCard
from ashore.sim.robots.crazyflie.drive import RateLoop, RateLoopConfig

NAME = "crazyflie"
COMMAND_HZ = 50.0
MAX_TILT_RAD = np.pi / 3
"""Tumble threshold of bitcraze/crazyflie-firmware, platform_defaults.h."""
THRUST_M_S2 = (2.0, 15.5)
"""0.2 to 1.58 times the weight; the four motors give 16.55 at most."""
TILT_RATE_RAD_S, YAW_RATE_RAD_S = 6.0, 2.0
GEOFENCE_LOW_M, GEOFENCE_HIGH_M = (-2.0, -2.0, 0.03), (2.0, 2.0, 2.5)


def _vector(name: str, unit: str, frame: str, axes: str = "xyz") -> Feature:
    return Feature(name, (len(axes),), unit, frame, tuple(f"{name}.{axis}" for axis in axes))


def commands() -> tuple[Feature, ...]:
    """What the quadrotor is told: collective thrust over mass along body z, and body rates."""
    rates = (TILT_RATE_RAD_S, TILT_RATE_RAD_S, YAW_RATE_RAD_S)
    return (
        Feature("thrust_body_m_s2", (1,), "m/s2", "body", ("thrust",), low=THRUST_M_S2[:1], high=THRUST_M_S2[1:]),
        Feature(
            "rate_body_rad_s",
            (3,),
            "rad/s",
            "body",
            ("roll_rate", "pitch_rate", "yaw_rate"),
            low=tuple(-rate for rate in rates),
            high=rates,
        ),
    )


def observations() -> tuple[Feature, ...]:
    """What the quadrotor's own estimator says of it, derived features last."""
    return (
        _vector("pos_world_m", "m", "world"),
        _vector("linvel_world_m_s", "m/s", "world"),
        _vector("quat_world_wxyz", "1", "world", "wxyz"),
        _vector("angvel_body_rad_s", "rad/s", "body"),
        Feature("rot6d_world", (6,), "1", "world", tuple(f"{column}.{axis}" for column in "xy" for axis in "xyz")),
        _vector("up_body", "1", "body"),
        _vector("linvel_body_m_s", "m/s", "body"),
    )


def _limits() -> CommandLimits:
    features = commands()
    return CommandLimits(
        low=tuple(value for feature in features for value in feature.low or ()),
        high=tuple(value for feature in features for value in feature.high or ()),
        max_rate=(300.0, 250.0, 250.0, 100.0),
        max_lead=(None,) * 4,
        lead_of=(None,) * 4,
        observed_low={"pos_world_m": GEOFENCE_LOW_M, "up_body": (-1.0, -1.0, float(np.cos(MAX_TILT_RAD)))},
        observed_high={"pos_world_m": GEOFENCE_HIGH_M},
        timeout_s=0.1,
    )


def make() -> Robot:
    """Make the quadrotor: card, MJCF, rate loop and proprioception."""
    limits = _limits()
    card = RobotCard(
        name=NAME,
        command_hz=COMMAND_HZ,
        commands=commands(),
        limits=limits,
        interface={
            "kind": "body_rate",
            "thrust": "thrust_body_m_s2",
            "rate": "rate_body_rad_s",
            "low": list(limits.low),
            "high": list(limits.high),
        },
    )
    return Robot(card, Path(__file__).with_name("crazyflie.xml"), RateLoop(RateLoopConfig()), observations())
