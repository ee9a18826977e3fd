"""Motors at sites in the twin: a flying body beside MuJoCo's."""

from pathlib import Path

import mujoco
import numpy as np
import pytest

from ashore.sim.twin.engine import TwinEngine
from ashore.sim.twin.settings import TwinSettings

ONE = np.array([0])
START = np.array([[0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0]])
FLYER_XML = """
<mujoco>
  <option timestep="0.0005" integrator="implicitfast"/>
  <worldbody>
    <geom type="plane" size="4 4 0.1"/>
    <body name="flyer" pos="0 0 1">
      <freejoint/>
      <inertial pos="0.002 -0.001 0.003" quat="0.9 0.1 0.2 0.3" mass="0.03" diaginertia="1.6e-5 1.9e-5 2.9e-5"/>
      <geom type="cylinder" size="0.06 0.015"/>
      <site name="a" pos="0.03 -0.03 0.01"/><site name="b" pos="-0.03 0.03 0.01" quat="0.99 0.1 0 0"/>
    </body>
  </worldbody>
  <actuator>
    <general site="a" gear="0 0 1 0 0 -0.006" ctrllimited="true" ctrlrange="0 0.3" dyntype="filterexact" dynprm="0.05"/>
    <general site="b" gear="0 0 2 0 0 0.006" ctrllimited="true" ctrlrange="0 0.3"/>
  </actuator>
</mujoco>
"""


@pytest.fixture(scope="module")
def flyer_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The MJCF file of a body with two motors."""
    path = tmp_path_factory.mktemp("flyer") / "flyer.xml"
    path.write_text(FLYER_XML)
    return path


def test_a_flight_is_mujocos(flyer_path: Path) -> None:
    model = mujoco.MjModel.from_xml_path(str(flyer_path))
    data = mujoco.MjData(model)
    speed = np.array([[0.3, 0.1, 0.0, 0.5, -0.4, 0.3]])
    data.qpos[:], data.qvel[:], data.ctrl[:] = START[0], speed[0], [0.16, 0.08]
    with TwinEngine(flyer_path, 1) as twin:
        twin.place_body(ONE, "flyer", START, speed)
        twin.actuate(data.ctrl[None])
        twin.advance(240)
        mujoco.mj_step(model, data, 240)
        assert data.qpos[3] > 0.0
        np.testing.assert_allclose(twin.body_pose("flyer")[0], data.qpos, atol=2e-3)
        np.testing.assert_allclose(twin.body_velocity("flyer")[0], data.qvel, rtol=0.01, atol=0.05)


def test_thrust_and_lag_are_scaled_by_the_settings(flyer_path: Path) -> None:
    height = {}
    for label, settings in {
        "nominal": TwinSettings(),
        "weak": TwinSettings(thrust_scale=0.8),
        "slow": TwinSettings(motor_lag_scale=3.0),
    }.items():
        with TwinEngine(flyer_path, 1, settings) as twin:
            twin.place_body(ONE, "flyer", START)
            twin.actuate(np.array([[0.2, 0.1]]))
            twin.advance(200)
            height[label] = twin.body_pose("flyer")[0, 2]
    assert height["weak"] < height["nominal"] - 1e-3
    assert height["slow"] < height["nominal"] - 1e-3


def test_motors_start_from_rest_after_each_placing(flyer_path: Path) -> None:
    with TwinEngine(flyer_path, 1) as twin:
        flights = []
        for _ in range(2):
            twin.place_body(ONE, "flyer", START)
            twin.actuate(np.array([[0.2, 0.1]]))
            twin.advance(30)
            flights.append(twin.body_pose("flyer")[0])
        np.testing.assert_array_equal(*flights)
