"""One YAML file says what varies: it is read whole, written back, and every fault in it is listed at once."""

from pathlib import Path

import numpy as np
import pytest

from ashore.cli.main import main
from ashore.datasets.errors import UnknownName, UnreadableFile
from ashore.datasets.store import EpisodeStore
from ashore.sim.errors import InvalidRandomization
from ashore.sim.randomization import draw_to_json
from ashore.sim.randomization.distributions import LogUniform
from ashore.sim.randomization.files import load_randomization, randomization_of, to_yaml
from ashore.sim.simulation import make_simulation
from ashore.sim.tasks import TASKS, make_task

TASK = make_task("arm/pick-place")
GOOD = """
task: arm/pick-place
base: wide
parameters:
  object_mass:
    group: dynamics
    distribution: {kind: log_uniform, low: 0.5, high: 2.5}
    how: scale
    targets: [{field: body_mass, names: [object]}, {field: body_inertia, names: [object]}]
  key_light:
    group: appearance
    distribution: {kind: uniform, low: [0.3, 0.3, 0.3], high: [0.7, 0.7, 0.7]}
    targets: [{field: light_diffuse, names: [key]}]
  command_delay_s: {group: timing, distribution: {kind: uniform, low: 0.0, high: 0.03, middle: 0.0}}
remove: [pad_friction]
correlated: [{names: [servo_stiffness, servo_damping], rho: 0.6}]
"""


def _file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "cell.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_starts_from_a_level_replaces_adds_and_removes(tmp_path: Path) -> None:
    made = load_randomization(_file(tmp_path, GOOD), TASK)
    wide = TASK.randomization("wide")
    names, table = [p.name for p in made.parameters], [p.name for p in wide.parameters]
    assert names == [name for name in table if name != "pad_friction"] + ["key_light", "command_delay_s"]
    assert isinstance(made.parameter("object_mass").distribution, LogUniform)
    starts = [p.name for p in wide.parameters if p.group == "start"]
    here, there = made.draw(np.random.default_rng(0)), wide.draw(np.random.default_rng(0))
    assert all(np.array_equal(here[name], there[name]) for name in starts)


@pytest.mark.parametrize("task_name", sorted(TASKS))
def test_every_tasks_table_survives_being_written_down(task_name: str, tmp_path: Path) -> None:
    task = make_task(task_name)
    wide = task.randomization("wide")
    back = load_randomization(_file(tmp_path, to_yaml(wide, task.name)), task)
    assert back == wide
    assert draw_to_json(back.draw(np.random.default_rng(2))) == draw_to_json(wide.draw(np.random.default_rng(2)))


def test_a_file_with_a_correlation_survives_too(tmp_path: Path) -> None:
    made = load_randomization(_file(tmp_path, GOOD), TASK)
    assert load_randomization(_file(tmp_path, to_yaml(made, TASK.name)), TASK) == made


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tsk: x", "tsk: no such key.*Did you mean 'task'"),
        ("task: arm/stack", "made for 'arm/stack', used with 'arm/pick-place'"),
        ("base: widest", "base: 'widest'; valid: 'none', 'narrow', 'wide'"),
        ("remove: [pad_fiction]", "Did you mean 'pad_friction'"),
        ("remove: [object_yaw_rad]", "a start state, which always stays"),
        ("parameters: {a: {group: timing, distribution: {kind: unifrom, low: 0, high: 1}}}", "Did you mean 'uniform'"),
        ("parameters: {a: {group: tming, distribution: {kind: fixed, value: 1}}}", "Did you mean 'timing'"),
        ("parameters: {a: {group: timing, distribution: {kind: uniform, low: 0}}}", r"distribution\.high: missing"),
        (
            "parameters: {a: {group: timing, distribution: {kind: uniform, low: 3, high: 1}}}",
            "a.distribution.low, high: low 3 is above high 1",
        ),
        ("parameters: {a: {group: timing, distribution: {kind: fixed, value: x}}}", "expected a number"),
        (
            "parameters: {a: {group: timing, distribution: {kind: fixed, value: 1}, targets: [3]}}",
            "targets.0.: expected",
        ),
        ("parameters: {a: {group: timing, distribution: {kind: [x]}}}", "kind .'x'."),
        ("parameters: {a: {group: timing, distribution: {kind: beta, a: [1, 2], b: 1}}}", "give one number each"),
        ("parameters: {a: {group: timing, distribution: {kind: uniform, low: 0, high: 1, middle: 2}}}", "lies outside"),
        ("parameters: {a: {group: timing, distribution: {kind: categorical, values: 5}}}", "give a list"),
        (
            "parameters: {a: {group: start, distribution: "
            "{kind: scattered, low: [0, 0], high: [1, 1], n_points: 9, apart: 0.9, middle: [[0, 0]]}}}",
            "middle: give 9 points of 2 numbers",
        ),
        ("correlated: [{names: [object_mass, pad_friction], rho: [[1, 2], [3]]}]", "rho"),
        ("correlated: [{names: [object_mass, nothing], rho: 0.5}]", "no parameter 'nothing'"),
        ("correlated: [{names: [object_mass]}]", "expected a mapping of names and rho"),
    ],
)
def test_every_fault_is_told_in_words(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidRandomization, match=words):
        load_randomization(_file(tmp_path, text), TASK)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="it holds a list"):
        load_randomization(_file(tmp_path, "[1, 2]"), TASK)
    with pytest.raises(UnreadableFile):
        randomization_of(TASK, str(tmp_path / "absent.yaml"))
    with pytest.raises(UnknownName, match="Did you mean 'wide'"):
        randomization_of(TASK, "wid")


@pytest.mark.parametrize(
    ("parameter", "words"),
    [
        (
            "{kind: uniform, low: -0.2, high: 1}|scale|{field: body_mass, names: [object]}",
            "could become -0.01.*above 0",
        ),
        (
            "{kind: uniform, low: -0.1, high: 1}|shift|{field: geom_friction, names: [object], columns: [1]}",
            "at least 0",
        ),
        ("{kind: uniform, low: 0, high: 2}|set|{field: mat_rgba, names: [cube]}", "at most 1"),
        ("{kind: uniform, low: 0.5, high: 2}|scale|{field: body_mas, names: [object]}", "Did you mean 'body_mass'"),
        ("{kind: uniform, low: 0.5, high: 2}|scale|{field: body_mass, names: [objekt]}", "Did you mean 'object'"),
        ("{kind: uniform, low: 0.5, high: 2}|scale|{field: body_mass}", "tell which objects vary"),
        ("{kind: uniform, low: [1, 1], high: [2, 2]}|scale|{field: body_mass, names: [object]}", "2 numbers are drawn"),
        (
            "{kind: uniform, low: 0.001, high: 0.002}|set|{field: opt.timestep}",
            "no model field 'opt.timestep' can vary",
        ),
        ("{kind: uniform, low: 1, high: 2}|set|{field: geom_bodyid, names: [object]}", "no model field 'geom_bodyid'"),
        (
            "{kind: uniform, low: 1, high: 2}|scale|{field: geom_rbound, names: [object]}",
            "no model field 'geom_rbound'",
        ),
        (
            "{kind: fixed, value: -5}|set|{field: actuator_gainprm, names: [panda_servo1], columns: [0]}",
            "change its sign",
        ),
        ("{kind: fixed, value: -1}|scale|{field: actuator_forcerange, names: [panda_servo1]}", "change its sign"),
        ("{kind: fixed, value: 2}|scale|{field: cam_quat, names: [overview]}", "cannot be scaled"),
        ("{kind: categorical, values: [flor]}|set|{field: mat_texid, names: [table]}", "no texture 'flor'.*'floor'"),
    ],
)
def test_a_parameter_that_fits_no_field_is_refused_before_anything_runs(
    parameter: str, words: str, tmp_path: Path
) -> None:
    distribution, how, target = parameter.split("|")
    text = f"parameters: {{a: {{group: dynamics, how: {how}, distribution: {distribution}, targets: [{target}]}}}}"
    with pytest.raises(InvalidRandomization, match=words):
        make_simulation("arm/pick-place", 1, str(_file(tmp_path, text)))


@pytest.mark.parametrize(
    ("name", "distribution", "words"),
    [
        ("comand_delay_s", "{kind: uniform, low: 0, high: 0.1}", "nothing reads it.*Did you mean 'command_delay_s'"),
        ("command_delay_s", "{kind: uniform, low: 0, high: 3}", "could become 3; it must stay at most 0.5"),
        ("command_loss", "{kind: uniform, low: -0.5, high: 0.5}", "must stay at least 0"),
        ("command_bias", "{kind: uniform, low: [0, 0], high: [1, 1]}", "expected a single number or a list of 8"),
        ("object_pos_noise_m", "{kind: uniform, low: -1, high: 1}", "must stay at least 0"),
        ("object_yaw_rad", "{kind: uniform, low: [0, 0], high: [1, 1]}", "the task reads a single number"),
    ],
)
def test_a_parameter_that_nothing_reads_or_that_makes_no_sense_to_its_reader_is_refused(
    name: str, distribution: str, words: str, tmp_path: Path
) -> None:
    text = f"parameters: {{{name}: {{group: timing, distribution: {distribution}}}}}"
    with pytest.raises(InvalidRandomization, match=words):
        make_simulation("arm/pick-place", 1, str(_file(tmp_path, text)))


@pytest.mark.parametrize(
    "target",
    [
        "{kind: uniform, low: 0.5, high: 2}|scale|{field: geom_size, names: [object, table]}",
        "{kind: uniform, low: 0.5, high: 2}|scale|{field: body_mass, names: ['*']}",
        "{kind: uniform, low: [-0.1, -0.001, -0.00005], high: [0, 0, 0]}|shift|{field: geom_friction, names: [object]}",
    ],
)
def test_what_makes_sense_element_by_element_is_taken(target: str, tmp_path: Path) -> None:
    distribution, how, field = target.split("|")
    text = f"parameters: {{a: {{group: dynamics, how: {how}, distribution: {distribution}, targets: [{field}]}}}}"
    simulation = make_simulation("arm/pick-place", 2, str(_file(tmp_path, text)))
    draws = [simulation.randomization.draw(np.random.default_rng(seed)) for seed in range(2)]
    simulation.reset(draws, [0, 1])
    first, second = (getattr(simulation.engine.view(i)[0], field.split(",")[0].split()[-1]) for i in range(2))
    assert not np.array_equal(first, second)


def test_every_sensor_has_parameters_of_its_own_name(tmp_path: Path) -> None:
    text = """
base: none
parameters:
  joint_pos_rad_dropout: {group: sensing, distribution: {kind: fixed, value: 1.0}}
  object_pos_base_m_quantization: {group: sensing, distribution: {kind: fixed, value: 0.25}}
"""
    simulation = make_simulation("arm/pick-place", 1, str(_file(tmp_path, text)))
    simulation.reset([simulation.randomization.nominal()], [0])
    first = simulation.observe()["joint_pos_rad"]
    simulation.step(np.array([[*np.array(TASK.arm.spec.home_rad) + 0.2, 0.08]]))
    np.testing.assert_array_equal(simulation.observe()["joint_pos_rad"], first)
    np.testing.assert_allclose(np.mod(simulation.observe()["object_pos_base_m"], 0.25), 0.0, atol=1e-12)


def test_a_key_that_stands_twice_and_an_alias_are_refused(tmp_path: Path) -> None:
    for text, words in (("base: none\nbase: wide", "stands there twice"), ("remove: &x [*x]", "alias")):
        with pytest.raises(UnreadableFile, match=words):
            load_randomization(_file(tmp_path, text), TASK)


def test_one_file_serves_collecting_and_replaying(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = _file(tmp_path, GOOD), tmp_path / "out"
    asked = ["collect", "--task", "arm/pick-place", "--episodes", "2", "--level", str(path), "--out", str(out)]
    assert main(asked) == 0
    episode = EpisodeStore.open(out, readonly=True).read(0)
    assert "key_light" in episode.meta.draw and "pad_friction" not in episode.meta.draw
    assert main(["replay", str(out), "--check"]) == 0
    assert "bit-identical" in capsys.readouterr().out
    path.write_text("base: widest", encoding="utf-8")
    assert main([*asked[:-1], str(tmp_path / "other")]) == 2
    assert "base: 'widest'" in capsys.readouterr().err
