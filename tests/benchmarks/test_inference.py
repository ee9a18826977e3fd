"""The benchmark of inference: a chunk's time, and rows without a peer."""

import pytest
from onnx import TensorProto, helper

from benchmarks import inference


def test_the_time_of_a_chunk_grows_with_the_work() -> None:
    def graph(n: int) -> bytes:
        inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", n, n])]
        outputs = [helper.make_tensor_value_info("actions", TensorProto.FLOAT, ["batch", n, n])]
        made = helper.make_graph([helper.make_node("MatMul", ["x", "x"], ["actions"])], "square", inputs, outputs)
        model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
        content: bytes = model.SerializeToString()
        return content

    small, large = (inference.time_chunk(graph(n), threads=1, n_plans=5) for n in (4, 512))
    assert 0 < small < large


def test_without_a_peer_a_row_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(inference.PYTHON, raising=False)
    peer_ms = inference._peer_ms("ddpm", 100, plans=1, threads=1)
    row = inference._beside("chunks", 100.0, "LeRobot, DDPM-100", peer_ms, inference.DDPM_GOAL)
    assert row.peer == "LeRobot, DDPM-100: peer not run"
    assert (row.value, row.ratio, row.met, row.goal) == (100.0, None, None, "ratio >= 150")
    timed = inference._beside("chunks", 100.0, "LeRobot, DDPM-100", [2000.0, 1000.0], inference.DDPM_GOAL)
    assert (timed.peer_value, timed.ratio, timed.met) == (1.0, 100.0, False)
