"""Small real bundles: linear policies as ONNX graphs, for a quadrotor that hovers and an arm that circles."""

import json
from dataclasses import asdict
from io import BytesIO
from pathlib import Path

import numpy as np
import onnx

from ashore.datasets.contract import Contract
from ashore.policies.bundle import write_bundle
from ashore.sim.robot import RobotCard
from ashore.sim.tasks import make_task

OBS_HORIZON, PREDICTION_HORIZON, ACTION_HORIZON = 1, 8, 1
YAW_MARK = 0.125
"""A yaw rate that no stop ever gives: where it stands, the policy spoke."""
CENTRE_M, TURN_RAD_S, SERVO_S = (0.5, 0.0, 0.25), 2.0, 0.1
"""The circle that the arm's tool is led around, and the lag of its servos."""


def linear_bundle(path: Path, contract: Contract, card: RobotCard, weights: np.ndarray, bias: np.ndarray) -> Path:
    """Write the bundle of the policy actions = clip(newest obs @ weights + bias), the same for the whole chunk."""
    rng = np.random.default_rng(0)
    obs = rng.standard_normal((4, OBS_HORIZON, contract.observation_width)).astype(np.float32)
    noise = np.zeros((4, PREDICTION_HORIZON, contract.action_width), np.float32)
    low, high = (
        np.concatenate([np.asarray(getattr(action, side), np.float32) for action in contract.actions])
        for side in ("low", "high")
    )
    actions = np.clip(obs[:, -1:] @ weights + bias, low, high).repeat(PREDICTION_HORIZON, axis=1)
    vectors = BytesIO()
    np.savez(vectors, obs=obs, noise=noise, actions=actions, tolerance=np.full(len(low), 1e-3, np.float32))
    calibration, shape = BytesIO(), (50, 2, contract.observation_width)  # Of everywhere: nothing is strange to it.
    windows = {name: rng.uniform(-100, 100, shape).astype(np.float32) for name in ("obs", "fitted")}
    np.savez(calibration, obs=windows["obs"], fitted=windows["fitted"])
    files = {
        "policy.onnx": _graph(contract, {"weights": weights, "bias": bias, "low": low, "high": high}),
        "contract.json": contract.to_json().encode(),
        "robot.json": card.to_json().encode(),
        "limits.json": json.dumps(asdict(card.limits)).encode(),
        "evidence.json": b"{}",
        "card.md": b"# A linear policy for tests\n",
        "vectors.npz": vectors.getvalue(),
        "calibration.npz": calibration.getvalue(),
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
    chunk: list[str | int | None] = ["batch", PREDICTION_HORIZON, contract.action_width]
    window: list[str | int | None] = ["batch", OBS_HORIZON, contract.observation_width]
    graph = onnx.helper.make_graph(
        nodes,
        "linear",
        [info("obs", 1, window), info("noise", 1, chunk)],
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
    weights[error + 2, 0], weights[speed + 2, 0] = 4.0, -4.0
    for axis, rate, sign in ((1, 1, -1.0), (0, 2, 1.0)):
        weights[error + axis, rate], weights[speed + axis, rate] = sign * 0.8, sign * -1.0
        weights[up + axis, rate] = sign * 5.0
    return weights, np.array([9.81, 0, 0, 0], np.float32)


def circling_gains(contract: Contract) -> tuple[np.ndarray, np.ndarray]:
    """Give weights and bias that lead an arm's tool around CENTRE_M, so that no two commands are the same."""
    weights = np.zeros((contract.observation_width, contract.action_width), np.float32)
    bias = np.zeros(contract.action_width, np.float32)
    tool, target = contract.observation_slices["tcp_pos_base_m"].start, contract.action_slices["tool_pos_base_m"].start
    step = SERVO_S * TURN_RAD_S
    for axis, other, sign in ((0, 1, -1.0), (1, 0, 1.0)):
        weights[tool + axis, target + axis] = 1.0 - step**2 / 2  # What the servos' lag would make of a tangent.
        weights[tool + other, target + axis] = sign * step
        bias[target + axis] = CENTRE_M[axis] * step**2 / 2 - CENTRE_M[other] * sign * step
    bias[target + 2] = CENTRE_M[2]
    bias[contract.action_slices["gripper_target_m"]] = 0.04
    return weights, bias


def marked_hover(path: Path, task_name: str = "quadrotor/hover") -> Path:
    """Write a policy that hovers and turns at YAW_MARK, so that its commands can be told from the guard's own."""
    task = make_task(task_name)
    weights, bias = hover_gains(task.contract)
    bias[3] = YAW_MARK
    return linear_bundle(path, task.contract, task.robot.card, weights, bias)


def circling_arm(path: Path, task_name: str = "arm/reach") -> Path:
    """Write a policy that leads the tool of a Panda around a circle."""
    task = make_task(task_name)
    return linear_bundle(path, task.contract, task.robot.card, *circling_gains(task.contract))
