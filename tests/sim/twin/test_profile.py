"""Reality profiles: what is read, what is refused, and in which words."""

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ashore.datasets.errors import AshoreError, UnknownName, UnreadableFile
from ashore.sim.errors import InvalidProfile
from ashore.sim.twin.profile import RealityProfile, load_profile, matched, profile_names

NAMES = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=12)
AMOUNTS = st.floats(0.0, 1e3, allow_nan=False)
FACTORS = st.floats(1e-3, 1e3, allow_nan=False)
BIASES = st.one_of(st.floats(-10, 10), st.lists(st.floats(-10, 10), min_size=1, max_size=4).map(tuple))
PROFILES = st.builds(
    RealityProfile,
    robot=NAMES,
    description=st.text(max_size=40),
    body_mass_scale=st.dictionaries(NAMES, FACTORS, max_size=3),
    friction_scale=FACTORS,
    position_gain_scale=FACTORS,
    velocity_gain_scale=FACTORS,
    joint_damping_n_m_s_rad=AMOUNTS,
    thrust_scale=FACTORS,
    motor_lag_scale=FACTORS,
    command_delay_s=AMOUNTS,
    dropped_commands=st.floats(0.0, 1.0),
    observation_noise=st.dictionaries(NAMES, AMOUNTS, max_size=3),
    observation_bias=st.dictionaries(NAMES, BIASES, max_size=3),
    observation_delay_s=st.dictionaries(NAMES, AMOUNTS, max_size=3),
)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(PROFILES)
def test_what_is_written_is_read_back(profile: RealityProfile) -> None:
    assert RealityProfile.from_yaml(profile.to_yaml()) == profile


@given(st.text(max_size=60))
def test_any_text_is_a_profile_or_one_clear_fault(text: str) -> None:
    try:
        RealityProfile.from_yaml(text)
    except AshoreError as error:
        assert "profile" in str(error)


@given(st.sampled_from([name for name in RealityProfile.__dataclass_fields__ if name != "robot"]), PLAIN)
def test_any_value_is_accepted_as_finite_numbers_or_refused_by_name(field: str, value: object) -> None:
    try:
        profile = RealityProfile(robot="panda", **{field: value})  # type: ignore[arg-type]
    except InvalidProfile as error:
        assert field in str(error)
        return
    kept = getattr(profile, field)
    assert isinstance(kept, str | dict) or math.isfinite(kept)


def test_every_fault_is_listed_at_once_with_the_closest_name() -> None:
    text = "friction_scal: 0.5\nposition_gain_scale: -1\ndropped_commands: 2\nobservation_noise: {object: 1e-3}\n"
    with pytest.raises(InvalidProfile) as caught:
        RealityProfile.from_yaml(text, "arm.yaml")
    words = str(caught.value)
    assert "arm.yaml has 5 fault(s)" in words
    assert "friction_scal: no such field" in words
    assert "Did you mean 'friction_scale'?" in words
    assert "robot: missing" in words
    assert "position_gain_scale: expected a finite number above 0, given -1" in words
    assert "dropped_commands: 2 is no probability; give 0 to 1" in words
    assert "YAML reads 1e-3 as text, write 0.001" in words


def test_a_profile_of_another_robot_is_refused_for_that_and_else_with_every_unknown_name() -> None:
    profile = RealityProfile("panda", body_mass_scale={"cub": 2.0}, observation_delay_s={"cube_pos": 0.1})
    with pytest.raises(InvalidProfile) as caught:
        profile.require_names("panda", ("cube", "hand"), ("joint_pos",))
    words = str(caught.value)
    assert "body_mass_scale.cub: no such name; valid: 'cube', 'hand'. Did you mean 'cube'?" in words
    assert "observation_delay_s.cube_pos" in words
    with pytest.raises(InvalidProfile, match=r"has 1 fault(.|\n)*made for 'panda', given 'crazyflie'"):
        profile.require_names("crazyflie", ("cube", "hand"), ("joint_pos",))


def test_shipped_profiles_load_by_name() -> None:
    arms = [name for name in profile_names() if {"panda", "ur5e"} <= set(load_profile(name).robots)]
    quadrotors = [name for name in profile_names() if "crazyflie" in load_profile(name).robots]
    assert len(arms) >= 4 and len(quadrotors) >= 4 and len(profile_names()) == len(arms) + len(quadrotors)
    for name in profile_names():
        assert load_profile(name).description


def test_a_name_goes_before_patterns_and_patterns_may_match_nothing() -> None:
    table = {"object*": 1.0, "object": 2.0, "lid": 3.0}
    assert matched(table, ["object", "object_b", "base"]) == {"object": 2.0, "object_b": 1.0}
    profile = RealityProfile("panda", body_mass_scale={"none_such_*": 2.0})
    profile.require_names("panda", ("object",), ())
    with pytest.raises(InvalidProfile, match=r"body_mass_scale\.objekt: no such name"):
        RealityProfile("panda", body_mass_scale={"objekt": 2.0}).require_names("panda", ("object",), ())


def test_one_profile_serves_several_robots_and_names_those_that_fit_another() -> None:
    profile = RealityProfile.from_yaml("robot: [panda, ur5e]")
    profile.require_names("ur5e", (), ())
    with pytest.raises(InvalidProfile, match="'panda', 'ur5e', given 'crazyflie'; of those that ship 'quadrotor_mild'"):
        profile.require_names("crazyflie", (), ())
    with pytest.raises(InvalidProfile, match="robot: expected a robot card's name or a list"):
        RealityProfile.from_yaml("robot: [3]")


def test_a_file_loads_by_its_path_and_a_missing_one_is_told(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("robot: panda\nfriction_scale: 0.5\n")
    assert load_profile(path).friction_scale == 0.5
    with pytest.raises(UnreadableFile, match="arm_mild"):
        load_profile(tmp_path / "none.yaml")
    with pytest.raises(UnknownName, match="Did you mean 'arm_mild'"):
        load_profile("arm_mid")
    path.write_text("- robot\n")
    with pytest.raises(UnreadableFile, match="it holds a list"):
        load_profile(path)


def test_a_tag_that_runs_code_is_refused() -> None:
    with pytest.raises(UnreadableFile):
        RealityProfile.from_yaml("robot: !!python/object/apply:os.getcwd []")
