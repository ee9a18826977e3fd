"""A small arm with a gripper, a table and a cube, for the twin's tests."""

from pathlib import Path

import pytest

ARM_JOINTS = ["turn", "raise", "bend", "left", "right"]
ARM_XML = """
<mujoco>
  <compiler angle="radian"/>
  <option timestep="0.002" integrator="implicitfast" cone="elliptic" impratio="10"/>
  <default><geom contype="0" conaffinity="0"/>
    <default class="solid"><geom contype="1" conaffinity="1"/></default></default>
  <worldbody>
    <geom class="solid" name="table" type="plane" size="0.6 0.6 0.1" friction="1.0" rgba="0.8 0.7 0.6 1"/>
    <camera name="front" pos="0.9 -0.9 0.7" xyaxes="0.707 0.707 0 -0.3 0.3 0.9" fovy="45"/>
    <body name="column" pos="-0.3 0 0" gravcomp="1">
      <joint name="turn" axis="0 0 1" armature="0.1" damping="0.5" range="-3 3"/>
      <geom type="capsule" fromto="0 0 0 0 0 0.3" size="0.05" mass="4"/>
      <body name="boom" pos="0 0 0.3" gravcomp="1">
        <joint name="raise" axis="0 1 0" armature="0.1" damping="0.5" range="-3 3"/>
        <geom type="capsule" fromto="0 0 0 0.3 0 0" size="0.05" mass="3"/>
        <body name="hand" pos="0.3 0 0" quat="0.98 0.1 0 0.17" gravcomp="1">
          <joint name="bend" axis="0 1 0" pos="0 0 0.01" armature="0.1" damping="0.5" range="-3 3"/>
          <geom type="box" size="0.03 0.06 0.03" mass="1"/>
          <body name="left_finger" pos="0 0 -0.06" gravcomp="1">
            <joint name="left" type="slide" axis="0 1 0" range="0 0.04" armature="0.01"/>
            <geom class="solid" type="box" size="0.01 0.005 0.03" pos="0 0.005 0" mass="0.02" friction="1.2"/>
          </body>
          <body name="right_finger" pos="0 0 -0.06" gravcomp="1">
            <joint name="right" type="slide" axis="0 -1 0" range="0 0.04" armature="0.01"/>
            <geom class="solid" type="box" size="0.01 0.005 0.03" pos="0 -0.005 0" mass="0.02" friction="1.2"/>
          </body>
        </body>
      </body>
    </body>
    <body name="cube" pos="0 0 0.02">
      <freejoint/>
      <geom class="solid" type="box" size="0.02 0.02 0.02" mass="0.05" friction="0.3" rgba="0.9 0.1 0.1 1"/>
    </body>
  </worldbody>
  <equality><joint joint1="right" joint2="left"/></equality>
  <actuator>
    <position name="turn" joint="turn" kp="450" kv="45" forcerange="-87 87"/>
    <position name="raise" joint="raise" kp="450" kv="45" forcerange="-87 87"/>
    <position name="bend" joint="bend" kp="200" kv="20" forcerange="-50 50"/>
    <position name="grip" joint="left" kp="400" kv="20" forcerange="-20 20"/>
  </actuator>
</mujoco>
"""


@pytest.fixture(scope="session")
def arm_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The MJCF file of the small arm."""
    path = tmp_path_factory.mktemp("scene") / "arm.xml"
    path.write_text(ARM_XML)
    return path
