"""A bundle is exactly what was exported, or one clear error that names the file."""

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from bundle_cases import CARD, CONTRACT, HORIZONS, TO, TP, WIDTH, calibration, contents, graph, vectors
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from ashore.datasets.errors import StorageFailed, UnreadableFile
from ashore.policies.bundle import Bundle, open_bundle, read_bundle, write_bundle
from ashore.policies.errors import InvalidBundle, OtherBundle
from ashore.policies.graph_scan import graph_faults
from ashore.policies.trial import try_graph


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("bundle") / "policy.ashore", contents())


def test_what_was_written_plans(bundle: Path) -> None:
    planner = open_bundle(bundle).planner()
    assert planner.contract == CONTRACT and planner.card == CARD and planner.evidence == {}
    assert (planner.obs_horizon, planner.prediction_horizon, planner.action_horizon) == (2, 8, 4)
    obs, noise = np.ones((5, TO, WIDTH)), np.ones((5, TP, WIDTH))
    assert planner.plan(obs, noise) == pytest.approx(np.full((5, TP, WIDTH), 1.1))
    assert read_bundle(bundle) == Bundle(bundle, hashlib.sha256(bundle.read_bytes()).hexdigest(), CONTRACT, CARD, {})


def test_all_of_an_opened_bundle_is_of_the_bytes_that_were_read_then(bundle: Path, tmp_path: Path) -> None:
    path, other = tmp_path / "policy.ashore", tmp_path / "other.ashore"
    path.write_bytes(bundle.read_bytes())
    slower = replace(CARD, command_hz=CARD.command_hz / 2)
    write_bundle(other, contents(robot_json=slower.to_json().encode(), evidence_json=b'{"place": 1}'))
    opened = open_bundle(path)
    os.replace(other, path)
    assert opened.planner().card == opened.card == CARD and opened.planner().evidence == opened.evidence == {}
    assert read_bundle(path).card == slower and read_bundle(path).sha256 != opened.sha256
    path.unlink()
    assert opened.planner().plan(np.ones((1, TO, WIDTH)), np.ones((1, TP, WIDTH))).shape == (1, TP, WIDTH)


def test_another_file_than_the_expected_one_is_refused_whatever_it_holds(bundle: Path, tmp_path: Path) -> None:
    sha256, path = read_bundle(bundle).sha256, tmp_path / "policy.ashore"
    assert open_bundle(bundle, sha256).sha256 == sha256
    for content in (bundle.read_bytes()[:-1], b"hello", b""):
        path.write_bytes(content)
        found = hashlib.sha256(content).hexdigest()
        with pytest.raises(OtherBundle, match=rf"policy\.ashore .* SHA-256 is {found}\. Expected {sha256}"):
            open_bundle(path, sha256)
    with pytest.raises(OtherBundle, match="Expected : every process"):
        open_bundle(bundle, "")


def test_a_graph_is_tried_once_and_anew_where_anything_of_it_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASHORE_CACHE", str(tmp_path / "cache"))
    path = write_bundle(tmp_path / "policy.ashore", contents())
    tries: list[bytes] = []

    def counting(graph: bytes, obs: np.ndarray, noise: np.ndarray) -> object:
        tries.append(graph)
        return try_graph(graph, obs, noise)

    monkeypatch.setattr("ashore.policies.bundle.try_graph", counting)
    open_bundle(path).planner()
    assert not tries
    other = contents(**{"vectors.npz": vectors(obs=np.full((4, TO, WIDTH), 0.5, np.float32))})
    with pytest.raises(InvalidBundle, match="tolerances away"):
        write_bundle(tmp_path / "other.ashore", other)
    with pytest.raises(InvalidBundle, match="tolerances away"):
        write_bundle(tmp_path / "other.ashore", other)
    assert len(tries) == 2  # What did not do well is not remembered.
    monkeypatch.setenv("ASHORE_CACHE", "/proc/nowhere")
    open_bundle(path).planner()
    assert len(tries) == 3


def test_writing_twice_gives_the_same_bytes_and_leaves_nothing_else(tmp_path: Path, bundle: Path) -> None:
    again = write_bundle(tmp_path / "new" / "policy.ashore", contents())
    assert again.read_bytes() == bundle.read_bytes()
    assert [path.name for path in again.parent.iterdir()] == ["policy.ashore"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300, deadline=None)
@given(st.data())
def test_one_changed_byte_anywhere_is_one_clear_error(bundle: Path, tmp_path: Path, data: st.DataObject) -> None:
    raw = bytearray(bundle.read_bytes())
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    (tmp_path / "changed.ashore").write_bytes(raw)
    with pytest.raises((InvalidBundle, UnreadableFile), match=r"changed\.ashore"):
        open_bundle(tmp_path / "changed.ashore").planner()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(st.data())
def test_cut_short_or_lengthened_is_one_clear_error(bundle: Path, tmp_path: Path, data: st.DataObject) -> None:
    raw = bundle.read_bytes()
    size = data.draw(st.integers(0, len(raw) - 1))
    (tmp_path / "cut.ashore").write_bytes(data.draw(st.sampled_from([raw[:size], raw + raw[:1], raw[:1] + raw])))
    with pytest.raises((InvalidBundle, UnreadableFile), match=r"cut\.ashore"):
        read_bundle(tmp_path / "cut.ashore")


def test_the_changed_file_is_named(bundle: Path, tmp_path: Path) -> None:
    raw = bundle.read_bytes()
    for name, mark in (("card.md", b"# A policy"), ("contract.json", b'"control_hz"'), ("manifest.json", b'"sha256"')):
        (tmp_path / "p.ashore").write_bytes(raw.replace(mark, mark.swapcase(), 1))
        with pytest.raises(InvalidBundle, match=rf"p\.ashore cannot be used: {name}"):
            open_bundle(tmp_path / "p.ashore")


def repacked(bundle: Path, out: Path, how: str) -> Path:
    """Write the bundle's files as another zip file."""
    with zipfile.ZipFile(bundle) as old, zipfile.ZipFile(out, "w") as new:
        for info in old.infolist():
            if how == "missing" and info.filename == "limits.json":
                continue
            deflated = zipfile.ZIP_DEFLATED if how == "compressed" else zipfile.ZIP_STORED
            name = f"../{info.filename}" if how == "outside" and info.filename == "card.md" else info.filename
            made = zipfile.ZipInfo(name, date_time=(2020 if how == "dated" else 1980, 1, 1, 0, 0, 0))
            if how == "linked" and name == "card.md":
                made.external_attr = 0o120777 << 16
            new.writestr(made, old.read(info), compress_type=deflated)
        if how == "extra":
            new.writestr("setup.py", b"")
        if how == "duplicate":
            with pytest.warns(UserWarning):
                new.writestr("card.md", b"# Another\n")
    return out


@pytest.mark.parametrize("how", ["missing", "compressed", "outside", "dated", "linked", "extra", "duplicate"])
def test_an_archive_of_any_other_form_is_refused(bundle: Path, tmp_path: Path, how: str) -> None:
    with pytest.raises(InvalidBundle):
        open_bundle(repacked(bundle, tmp_path / "other.ashore", how))


@pytest.mark.parametrize("make", [lambda p: None, lambda p: p.mkdir(), lambda p: p.write_bytes(b"hello")])
def test_what_is_no_bundle_is_told_so(tmp_path: Path, make: object) -> None:
    make(tmp_path / "x.ashore")  # type: ignore[operator]
    with pytest.raises(UnreadableFile, match=r"x\.ashore"):
        open_bundle(tmp_path / "x.ashore")


FAULTS = {
    "contract.json": lambda: contents(contract_json=b"[]"),
    "of robot 'other'": lambda: contents(robot_json=replace(CARD, name="other").to_json().encode()),
    "limits.json: other limits": lambda: contents(limits_json=b"{}"),
    "robot.json: command_hz": lambda: contents(robot_json=replace(CARD, command_hz=0.0).to_json().encode()),
    "evidence.json": lambda: contents(evidence_json=b"\xff"),
    "not an ONNX file": lambda: contents(policy_onnx=b"\x00\x01 no graph"),
    "lacks .* 'obs_horizon'": lambda: contents(policy_onnx=graph({}).SerializeToString()),
    "do not fit": lambda: contents(policy_onnx=graph({**HORIZONS, "action_horizon": 9}).SerializeToString()),
    r"noise has 5 rows; expected 1 to 101 times the 8": lambda: contents(
        policy_onnx=graph(shape=("batch", 5, WIDTH)).SerializeToString()
    ),
    r"\[1, 8, 3\]; the contract needs": lambda: contents(policy_onnx=graph(shape=(1, TP, WIDTH)).SerializeToString()),
    "tolerances away": lambda: contents(vectors_npz=vectors(actions=np.zeros((4, TP, WIDTH), "f4"))),
    "vectors.npz: Object arrays": lambda: contents(vectors_npz=vectors(obs=np.array([{}], object))),
    "calibration.npz: obs has shape": lambda: contents(calibration_npz=calibration(obs=np.zeros((3, TO, 9), "f4"))),
    "calibration.npz: fitted has shape": lambda: contents(calibration_npz=calibration(fitted=np.zeros((0, TO, WIDTH)))),
    "calibration.npz: Object arrays": lambda: contents(calibration_npz=calibration(obs=np.array([{}], object))),
    "vectors.npz: tolerance": lambda: contents(vectors_npz=vectors(tolerance=np.ones(1))),
    "vectors.npz: actions": lambda: contents(vectors_npz=vectors(actions=np.full((4, TP, WIDTH), np.nan))),
}
"""{what the error says: files of a bundle that nothing should write}"""


@pytest.mark.parametrize("said", FAULTS)
def test_nothing_is_written_that_could_not_be_run(tmp_path: Path, said: str) -> None:
    with pytest.raises(InvalidBundle, match=said):
        write_bundle(tmp_path / "policy.ashore", FAULTS[said]())
    assert not list(tmp_path.iterdir())


def test_a_missing_or_unknown_file_is_refused_before_writing(tmp_path: Path) -> None:
    files = contents()
    del files["card.md"]
    with pytest.raises(InvalidBundle, match=r"card\.md: missing"):
        write_bundle(tmp_path / "policy.ashore", files)
    with pytest.raises(InvalidBundle, match=r"notes\.txt"):
        write_bundle(tmp_path / "policy.ashore", {**contents(), "notes.txt": b""})


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageFailed):
        write_bundle(tmp_path / "file" / "policy.ashore", contents())


def test_graphs_that_reach_outside_or_loop_are_refused() -> None:
    assert graph_faults(graph().SerializeToString()) == []
    outside = graph()
    weight = outside.graph.initializer[0]
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="../../secret")
    assert "another file" in graph_faults(outside.SerializeToString())[0]
    custom = graph()
    custom.graph.node[0].domain = "evil"
    assert "domain 'evil'" in graph_faults(custom.SerializeToString())[0]
    hidden = graph()
    branch = helper.make_graph([helper.make_node("If", ["x"], [])], "body", [], [])
    hidden.graph.node[0].attribute.append(helper.make_attribute("body", branch))
    assert "'If'" in graph_faults(hidden.SerializeToString())[0]
    function = graph()
    function.functions.append(onnx.FunctionProto(name="f", domain="x"))
    assert "functions" in graph_faults(function.SerializeToString())[0]


def looped(turns: object = 5, begin: str = "", n: int = 1, inner: bool = False) -> bytes:
    """A graph with loops: `turns` is a constant, or the name of something that is computed."""
    model = graph()
    inside = [helper.make_node("Loop", ["turns"], ["y"], body=helper.make_graph([], "deep", [], []))] if inner else []
    body = helper.make_graph(inside, "body", [], [])
    if isinstance(turns, int):
        model.graph.initializer.append(numpy_helper.from_array(np.array(turns, np.int64), "turns"))
    for _ in range(n):
        name = "turns" if isinstance(turns, int) else str(turns)
        model.graph.node.append(helper.make_node("Loop", [name, begin], ["z"], body=body))
    return model.SerializeToString()


def test_only_one_loop_of_a_fixed_number_of_turns_is_run() -> None:
    assert graph_faults(looped(1)) == graph_faults(looped(200)) == []
    for endless in (looped(0), looped(-1), looped(201), looped(2**62), looped("obs"), looped(""), looped(5, "go_on")):
        assert "fixed number of turns" in " ".join(graph_faults(endless))
    doubled = onnx.load_from_string(looped(5))
    doubled.graph.initializer.append(numpy_helper.from_array(np.array(2**62, np.int64), "turns"))
    hidden = onnx.load_from_string(looped(5))
    hidden.graph.node.insert(0, helper.make_node("Constant", [], ["turns"], value_int=2**62))
    for ambiguous in (doubled, hidden):
        assert "fixed number of turns" in " ".join(graph_faults(ambiguous.SerializeToString()))
    assert "2 loops" in " ".join(graph_faults(looped(5, n=2)))
    assert "a loop within a loop" in " ".join(graph_faults(looped(5, inner=True)))


@given(st.binary(max_size=400))
def test_any_bytes_are_either_outlined_or_named_no_graph(content: bytes) -> None:
    assert isinstance(graph_faults(content), list)


@settings(max_examples=200)
@given(st.data())
def test_a_damaged_graph_never_breaks_the_scan(data: st.DataObject) -> None:
    raw = bytearray(graph().SerializeToString())
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    assert isinstance(graph_faults(bytes(raw)), list)


def test_a_robot_needs_numpy_and_onnxruntime_alone(bundle: Path) -> None:
    code = f"""
import sys, json
HEAVY = ("torch", "mujoco", "pybullet", "zarr", "matplotlib", "onnx", "scipy", "gymnasium", "diffusers")
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in HEAVY:
            raise ImportError("not on a robot: " + name)
sys.meta_path.insert(0, Refuse())
import numpy as np
from ashore.policies.bundle import open_bundle
from ashore.policies.execution.executor import ChunkExecutor
from ashore.policies.execution.guard import Guard
from ashore.policies.ranking.gate import check_evidence
bundle = open_bundle({str(bundle)!r})
check_evidence(bundle, is_overridden=True)
planner = bundle.planner()
executor, guard = ChunkExecutor(planner.contract, 2, 4, 1), Guard(planner.card, 1)
obs = {{"pos_world_m": np.zeros((1, 3))}}
executor.observe(planner.contract.flatten_observation(obs), 0.0)
executor.accept(np.array([0]), planner.plan(executor.history(), np.zeros((1, 8, 3))), np.zeros(1), 0.0)
action, age_s = executor.action(0.0)
verdict = guard.filter(action, obs, 0.0, age_s)
print(json.dumps([bool(verdict.stopped[0]), sorted(set(HEAVY) & set(sys.modules))]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [False, []]
