"""A small bundle whose graph is written by hand: every action is the newest observation plus a tenth of the noise."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from io import BytesIO
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ashore.datasets.contract import Contract, Feature
from ashore.sim.robot import CommandLimits, RobotCard

TO, TP, TA, WIDTH = 2, 8, 4, 3
CONTRACT = Contract(
    robot="test/robot",
    task="test/follow",
    observations=(Feature("pos_world_m", (WIDTH,), "m", "world"),),
    actions=(Feature("target_world_m", (WIDTH,), "m", "world"),),
    control_hz=20.0,
)
CARD = RobotCard(
    name="test/robot",
    command_hz=20.0,
    commands=CONTRACT.actions,
    limits=CommandLimits((-9.0,) * WIDTH, (9.0,) * WIDTH, (100.0,) * WIDTH, (None,) * WIDTH, (None,) * WIDTH),
    interface={"kind": "direct", "actions": ["target_world_m"]},
)
HORIZONS = {"obs_horizon": TO, "prediction_horizon": TP, "action_horizon": TA}


def graph(horizons: Mapping[str, Any] = HORIZONS, shape: tuple[Any, ...] = ("batch", TP, WIDTH)) -> onnx.ModelProto:
    """Make the graph: Gather the last step of obs, Unsqueeze, Add 0.1 * noise."""
    values = {"last": np.int64(TO - 1), "axis": np.array([1], np.int64), "tenth": np.float32(0.1)}
    nodes = [
        helper.make_node("Gather", ["obs", "last"], ["newest"], axis=1),
        helper.make_node("Unsqueeze", ["newest", "axis"], ["row"]),
        helper.make_node("Mul", ["noise", "tenth"], ["small"]),
        helper.make_node("Add", ["row", "small"], ["actions"]),
    ]
    inputs = [("obs", ("batch", TO, WIDTH)), ("noise", shape)]
    content = helper.make_graph(
        nodes,
        "policy",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, sides) for name, sides in inputs],
        [helper.make_tensor_value_info("actions", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()],
    )
    model = helper.make_model(content, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    for key, value in horizons.items():
        model.metadata_props.add(key=key, value=str(value))
    return model


def vectors(**changes: np.ndarray) -> bytes:
    """Make the test vectors of the graph."""
    rng = np.random.default_rng(0)
    obs, noise = rng.normal(size=(4, TO, WIDTH)).astype("f4"), rng.normal(size=(4, TP, WIDTH)).astype("f4")
    parts = {"obs": obs, "noise": noise, "actions": obs[:, -1:] + 0.1 * noise, "tolerance": np.full(WIDTH, 1e-4, "f4")}
    buffer = BytesIO()
    np.savez(buffer, **{**parts, **changes})
    return buffer.getvalue()


def calibration(**changes: np.ndarray) -> bytes:
    """Make the windows that the policy learnt from."""
    rng, buffer = np.random.default_rng(1), BytesIO()
    parts = {name: rng.normal(size=(n, TO, WIDTH)).astype("f4") for name, n in (("obs", 10), ("fitted", 40))}
    np.savez(buffer, **{**parts, **changes})
    return buffer.getvalue()


def contents(**changes: bytes) -> dict[str, bytes]:
    """Give the files of a good bundle, some of them changed; underscores stand for dots."""
    files = {
        "policy.onnx": graph().SerializeToString(),
        "contract.json": CONTRACT.to_json().encode(),
        "robot.json": CARD.to_json().encode(),
        "limits.json": json.dumps(asdict(CARD.limits)).encode(),
        "evidence.json": b"{}",
        "card.md": b"# A policy\n",
        "vectors.npz": vectors(),
        "calibration.npz": calibration(),
    }
    return {**files, **{name.replace("_", "."): value for name, value in changes.items()}}
