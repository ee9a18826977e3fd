"""The quadrotor's rate loop and mixer, its card, and its MJCF."""

import json

import mujoco
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ashore.sim.robot import RobotCard
from ashore.sim.robots.crazyflie.drive import RateLoop, RateLoopConfig
from ashore.sim.robots.crazyflie.robot import COMMAND_HZ, commands, make, observations

CONFIG = RateLoopConfig()
LOOP = RateLoop(CONFIG)
collectives = arrays(np.float64, (3,), elements=st.floats(0.0, 0.6))
torques = arrays(np.float64, (3, 3), elements=st.floats(-0.01, 0.01))


def wrench(thrust_n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Collective thrust (N,) and body torques (N, 3) of motor thrusts (N, 4), from the positions in the MJCF."""
    model = mujoco.MjModel.from_xml_path(str(make().mjcf_path))
    position = np.array([model.site(f"crazyflie_m{i}").pos for i in (1, 2, 3, 4)])
    reaction = model.actuator_gear[:, 5]
    force = thrust_n[..., None] * np.array([0.0, 0.0, 1.0])
    torque = np.cross(position, force).sum(axis=1)
    torque[:, 2] += thrust_n @ reaction
    return thrust_n.sum(axis=1), torque


@settings(max_examples=50, deadline=None)
@given(collectives, torques)
def test_thrusts_stay_within_the_motors_limits(collective_n: np.ndarray, torque_n_m: np.ndarray) -> None:
    thrust = LOOP.mix(collective_n, torque_n_m)
    assert np.all(thrust >= 0.0)
    assert np.all(thrust <= CONFIG.max_thrust_n)


def test_the_mixer_inverts_the_layout_of_the_mjcf() -> None:
    rng = np.random.default_rng(0)
    collective = rng.uniform(0.2, 0.3, 20)
    torque = rng.uniform(-1, 1, (20, 3)) * [5e-4, 5e-4, 2e-4]
    thrust, torque_back = wrench(LOOP.mix(collective, torque))
    np.testing.assert_allclose(thrust, collective, atol=1e-9)
    np.testing.assert_allclose(torque_back, torque, atol=1e-9)


def test_roll_and_pitch_win_over_thrust_and_yaw_when_the_motors_saturate() -> None:
    torque = np.array([[2e-3, -1e-3, 1e-2]])
    thrust, torque_back = wrench(LOOP.mix(np.array([0.48]), torque))
    np.testing.assert_allclose(torque_back[0, :2], torque[0, :2], atol=1e-9)
    assert thrust[0] < 0.48
    assert 0.0 <= torque_back[0, 2] < 1e-2


def test_the_loops_airframe_is_that_of_the_mjcf() -> None:
    model = mujoco.MjModel.from_xml_path(str(make().mjcf_path))
    assert model.body("crazyflie").mass[0] == pytest.approx(CONFIG.mass_kg)
    np.testing.assert_allclose(model.body("crazyflie").inertia, CONFIG.inertia_kg_m2)
    np.testing.assert_allclose(model.actuator_ctrlrange, [[0.0, CONFIG.max_thrust_n]] * 4)
    np.testing.assert_allclose(np.abs(model.site("crazyflie_m1").pos[:2]), CONFIG.arm_m)
    np.testing.assert_allclose(np.abs(model.actuator_gear[:, 5]), CONFIG.torque_per_thrust_m)
    np.testing.assert_allclose(model.actuator_dynprm[:, 0], 0.07)


def test_thrust_to_weight_is_the_published_one_and_the_card_stays_below_it() -> None:
    most_m_s2 = 4 * CONFIG.max_thrust_n / CONFIG.mass_kg
    assert 1.6 < most_m_s2 / 9.81 < 1.75
    assert make().card.limits.high[0] < most_m_s2


def test_the_card_survives_json_and_its_limits_are_those_of_its_commands() -> None:
    card = make().card
    back = RobotCard.from_json(card.to_json())
    assert back.commands == card.commands
    assert json.loads(back.to_json()) == json.loads(card.to_json())
    assert card.command_hz == COMMAND_HZ
    assert card.limits.low == tuple(v for f in commands() for v in f.low or ())
    widths = {len(values) for values in (card.limits.low, card.limits.high, card.limits.max_rate)}
    assert widths == {card.command_width}


def test_bounds_on_observations_name_observations_of_their_size() -> None:
    sizes = {feature.name: feature.size for feature in observations()}
    limits = make().card.limits
    for name, bound in (*limits.observed_low.items(), *limits.observed_high.items()):
        assert len(bound) == sizes[name]


def test_the_drive_period_divides_the_command_period() -> None:
    periods = 1.0 / (COMMAND_HZ * make().drive.period_s)
    assert periods == pytest.approx(round(periods))
