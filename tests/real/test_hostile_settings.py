"""Hostile mappings and reality profiles: each is one clear error that names the file; none runs code or hangs."""

import os
import re
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ashore.datasets.errors import AshoreError
from ashore.real.mapping import RobotMapping
from ashore.sim.twin.profile import load_profile

pytestmark = pytest.mark.timeout(60)
MAPPING = """
robot: toy
observations:
  joint_states:
    type: sensor_msgs/JointState
    frame_id: base
    features:
      joint_pos_rad: {field: position, names: [a, b]}
commands:
  targets:
    type: std_msgs/Float64MultiArray
    features:
      joint_target_rad: {field: data, names: [a, b]}
"""
PROFILE = "robot: panda\ncommand_delay_s: 0.02\nobservation_noise: {tcp_pos_base_m: 0.001}\n"
GOOD = {"mapping": MAPPING, "profile": PROFILE}
LOADERS: dict[str, Callable[[Path], object]] = {"mapping": RobotMapping.load, "profile": load_profile}
ANYWHERE = {
    "call": "!!python/object/apply:os.system ['touch {canary}']",
    "new": "a: !!python/object/new:subprocess.Popen [['touch', '{canary}']]",
    "name": "a: !!python/name:os.system",
    "module": "a: !!python/module:os",
    "tuple": "a: !!python/tuple [1]",
    "custom_tag": "a: !include /etc/passwd",
    "environment": "a: !ENV ${{HOME}}",
    "bomb": "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nd: [*c, *c]",
    "cycle": "a: &a [*a]",
    "merge": "<<: {{robot: other}}\nrobot: toy",
    "merge_of_many": "<<: [{{a: 1}}, {{b: 2}}]",
    "deep_lists": "a: " + "[" * 100_000,
    "deep_maps": "{{a: " * 5000 + "1" + "}}" * 5000,
    "key_twice": "robot: toy\nrobot: other",
    "key_is_a_list": "? [a, b]\n: 1",
    "key_is_null": "~: 1",
    "two_documents": "robot: toy\n---\nrobot: other",
    "nothing": "",
    "a_number": "5",
    "a_list": "[1, 2]",
    "a_text": "hello",
    "a_set": "!!set {{robot, b}}",
    "control_characters": "robot: \x00\x07",
    "terminal_codes": '"\\e[2J": 1',
    "unclosed": "robot: {{a",
    "tabs": "robot:\n\t- a",
    "many_digits": "robot: " + "9" * 400,
    "very_many_digits": "robot: " + "9" * 10_000,
    "unknown_keys": "robot: toy\nexec: rm\n__class__: x",
    "a_date": "robot: 2026-01-01",
    "large": "# " + "x" * 300_000 + "\nrobot: toy",
}
CHANGED = {
    "mapping": {
        "robot_is_a_path": ("robot: toy", "robot: [a]"),
        "topic_is_a_number": ("  targets:", "  5:"),
        "topic_with_spaces": ("  targets:", "  'a b; rm':"),
        "topic_of_another_tree": ("  targets:", "  '../../rosout':"),
        "topic_with_terminal_codes": ("  targets:", '  "\\e[2J":'),
        "topics_as_a_list": ("  targets:", "  - targets:"),
        "frame_is_a_number": ("frame_id: base", "frame_id: 5"),
        "frame_is_a_list": ("frame_id: base", "frame_id: [base]"),
        "type_of_another_module": ("std_msgs/Float64MultiArray", "os/system"),
        "type_is_a_list": ("type: std_msgs/Float64MultiArray", "type: [a]"),
        "features_is_a_number": ("features:\n      joint_target_rad: {field: data, names: [a, b]}", "features: 5"),
        "features_is_a_list": ("features:\n      joint_target_rad: {field: data, names: [a, b]}", "features: [[a]]"),
        "feature_is_a_number": ("joint_target_rad:", "7:"),
        "field_is_an_attribute": ("field: data", "field: __class__"),
        "names_as_numbers": ("names: [a, b]", "names: [1, 2]"),
        "names_as_text": ("names: [a, b]", "names: ab"),
        "scale_is_zero": ("field: data", "scale: 0, field: data"),
        "scale_is_tiny": ("field: data", "scale: 1.0e-300, field: data"),
        "scale_is_nan": ("field: data", "scale: .nan, field: data"),
        "scale_is_text": ("field: data", "scale: 1e-3x, field: data"),
        "scale_of_many_digits": ("field: data", f"scale: 1{'0' * 400}, field: data"),
        "rate_is_infinite": ("frame_id: base", "rate_hz: .inf"),
    },
    "profile": {
        "robot_is_a_number": ("robot: panda", "robot: 5"),
        "robot_is_empty": ("robot: panda", "robot: []"),
        "delay_is_nan": ("0.02", ".nan"),
        "delay_is_infinite": ("0.02", ".inf"),
        "delay_is_negative": ("0.02", "-1"),
        "delay_is_text": ("0.02", "1e-3"),
        "delay_is_a_list": ("0.02", "[0.02]"),
        "delay_is_a_flag": ("0.02", "true"),
        "delay_of_many_digits": ("0.02", "1" + "0" * 400),
        "noise_is_a_list": ("{tcp_pos_base_m: 0.001}", "[1]"),
        "noise_of_a_number": ("{tcp_pos_base_m: 0.001}", "{5: 0.001}"),
        "noise_is_nan": ("0.001", ".nan"),
        "probability_of_7": ("command_delay_s: 0.02", "dropped_commands: 7"),
        "mass_of_zero": ("command_delay_s: 0.02", "body_mass_scale: {object: 0}"),
    },
}
CASES = [(kind, name, text) for kind in LOADERS for name, text in ANYWHERE.items()] + [
    (kind, name, GOOD[kind].replace(*change)) for kind, changes in CHANGED.items() for name, change in changes.items()
]


@pytest.mark.parametrize("kind", LOADERS)
def test_the_unchanged_file_is_read(tmp_path: Path, kind: str) -> None:
    (tmp_path / "good.yaml").write_text(GOOD[kind])
    LOADERS[kind](tmp_path / "good.yaml")


@pytest.mark.parametrize(("kind", "name", "text"), CASES, ids=[f"{kind}-{name}" for kind, name, _ in CASES])
def test_each_hostile_file_is_one_clear_error(tmp_path: Path, kind: str, name: str, text: str) -> None:
    path, canary = tmp_path / "hostile.yaml", tmp_path / "canary"
    content = text.format(canary=canary) if name in ANYWHERE else text
    assert content != GOOD[kind]
    path.write_text(content)
    with pytest.raises(AshoreError, match=re.escape("hostile.yaml")) as caught:
        LOADERS[kind](path)
    assert not canary.exists() and "\x1b" not in str(caught.value)


@pytest.mark.parametrize("kind", LOADERS)
def test_what_is_no_plain_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "device.yaml").symlink_to("/dev/zero")
    (tmp_path / "nowhere.yaml").symlink_to(tmp_path / "absent")
    (tmp_path / "itself.yaml").symlink_to("itself.yaml")
    (tmp_path / "utf16.yaml").write_bytes(GOOD[kind].encode("utf-16"))
    (tmp_path / "sparse.yaml").touch()
    os.truncate(tmp_path / "sparse.yaml", 2**40)
    for path in sorted(tmp_path.iterdir()):
        with pytest.raises(AshoreError, match=path.name):
            LOADERS[kind](path)
    assert threading.active_count() == 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(st.sampled_from(sorted(LOADERS)), st.data())
def test_a_damaged_file_is_harmless_or_one_clear_error(tmp_path: Path, kind: str, data: st.DataObject) -> None:
    raw = bytearray(GOOD[kind].encode())
    for _ in range(data.draw(st.integers(1, 6))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "damaged.yaml").write_bytes(raw[: data.draw(st.integers(1, len(raw)))])
    try:
        LOADERS[kind](tmp_path / "damaged.yaml")
    except AshoreError as error:
        assert "damaged.yaml" in str(error)
