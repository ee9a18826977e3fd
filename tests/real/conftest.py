"""Small real bundles for tests of processes: linear policies as ONNX graphs, for the quadrotor that hovers."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from io import BytesIO
from pathlib import Path

import numpy as np
import onnx
import pytest

from ashore.datasets.contract import Contract
from ashore.policies.bundle import write_bundle
from ashore.sim.robot import RobotCard
from ashore.sim.tasks import make_task

OBS_HORIZON, PREDICTION_HORIZON, ACTION_HORIZON = 1, 8, 1
YAW_MARK = 0.125
"""A yaw rate that no stop ever gives: where it stands, the policy spoke."""


def linear_bundle(path: Path, contract: Contract, card: RobotCard, weights: np.ndarray, bias: np.ndarray) -> Path:
    """Write the bundle of the policy actions = clip(newest obs @ weights + bias), the same for the whole chunk."""
    rng = np.random.default_rng(0)
    obs = rng.standard_normal((4, OBS_HORIZON, contract.observation_width)).astype(np.float32)
    noise = np.zeros((4, PREDICTION_HORIZON, contract.action_width), np.float32)
    low, high = np.float32(card.limits.low), np.float32(card.limits.high)
    actions = np.clip(obs[:, -1:] @ weights + bias, low, high).repeat(PREDICTION_HORIZON, axis=1)
    vectors = BytesIO()
    np.savez(vectors, obs=obs, noise=noise, actions=actions, tolerance=np.full(len(low), 1e-3, np.float32))
    files = {
        "policy.onnx": _graph(contract, {"weights": weights, "bias": bias, "low": low, "high": high}),
        "contract.json": contract.to_json().encode(),
        "robot.json": card.to_json().encode(),
        "limits.json": json.dumps(asdict(card.limits)).encode(),
        "evidence.json": b"{}",
        "card.md": b"# A linear policy for tests\n",
        "vectors.npz": vectors.getvalue(),
    }
    return write_bundle(path, files)


def _graph(contract: Contract, constants: dict[str, np.ndarray]) -> bytes:
    node, info = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    nodes = [
        node("MatMul", ["obs", "weights"], ["product"]),
        node("Add", ["product", "bias"], ["sum"]),
        node("Max", ["sum", "low"], ["above"]),
        node("Min", ["above", "high"], ["action"]),
        node("MatMul", ["ones", "action"], ["actions"]),
    ]
    constants = {**constants, "ones": np.ones((PREDICTION_HORIZON, 1), np.float32)}
    chunk = ["batch", PREDICTION_HORIZON, contract.action_width]
    graph = onnx.helper.make_graph(
        nodes,
        "linear",
        [info("obs", 1, ["batch", OBS_HORIZON, contract.observation_width]), info("noise", 1, chunk)],
        [info("actions", 1, chunk)],
        [onnx.numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in constants.items()],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9)
    horizons = {
        "obs_horizon": OBS_HORIZON,
        "prediction_horizon": PREDICTION_HORIZON,
        "action_horizon": ACTION_HORIZON,
    }
    onnx.helper.set_model_props(model, {name: str(value) for name, value in horizons.items()})
    return bytes(model.SerializeToString())


def hover_gains(contract: Contract) -> tuple[np.ndarray, np.ndarray]:
    """Give weights (Do, Da) and bias (Da,) that hold a goal: thrust from height, lean from the level errors."""
    weights = np.zeros((contract.observation_width, contract.action_width), np.float32)
    error, speed, up = (
        contract.observation_slices[name].start for name in ("goal_error_body_m", "linvel_body_m_s", "up_body")
    )
    weights[error + 2, 0], weights[speed + 2, 0] = 8.0, -5.0
    for axis, rate, sign in ((1, 1, -1.0), (0, 2, 1.0)):
        weights[error + axis, rate], weights[speed + axis, rate] = sign * 1.5, sign * -1.5
        weights[up + axis, rate] = sign * 5.0
    return weights, np.array([9.81, 0, 0, 0], np.float32)


@pytest.fixture(scope="session")
def hover_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy that hovers."""
    task = make_task("quadrotor/hover")
    folder = tmp_path_factory.mktemp("hover")
    return linear_bundle(folder / "hover.ashore", task.contract, task.robot.card, *hover_gains(task.contract))


@pytest.fixture(scope="session")
def marked_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy that hovers and turns at YAW_MARK, so that its commands can be told from the guard's own."""
    task = make_task("quadrotor/hover")
    weights, bias = hover_gains(task.contract)
    bias[3] = YAW_MARK
    folder = tmp_path_factory.mktemp("marked")
    return linear_bundle(folder / "marked.ashore", task.contract, task.robot.card, weights, bias)


@pytest.fixture(scope="session")
def slower_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy at half the rate of the task that the twin plays."""
    task = make_task("quadrotor/hover")
    contract = replace(task.contract, control_hz=25.0)
    folder = tmp_path_factory.mktemp("slower")
    return linear_bundle(folder / "slower.ashore", contract, task.robot.card, *hover_gains(contract))
