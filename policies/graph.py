"""A trained policy as one ONNX graph: encoder, network and decoder exported once each, and a loop over a table.

    obs ─► encode ─► observation ─┐
    noise ─► draws ─► x ─► Loop over the sampler's rows: clean, x ─► conclude ─► actions

The loop's body holds the network once, so that the file and the time to export do not grow with the steps.
"""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from onnxscript.optimizer import fold_constants
from torch import Tensor, nn

from ashore.policies.errors import ParityFailed
from ashore.policies.generation.scaling import guided
from ashore.policies.policy import Policy
from ashore.policies.quantization import Precision, quantized

FLOAT, INT, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
ALL = 10**9
COLUMNS = ("into", "skip", "out", "keep", "take", "before", "noise")


def export_graph(policy: Policy, obs_width: int, precision: Precision = "fp32") -> bytes:
    """Export a policy, on the CPU, as one ONNX file without external data.

    Inputs `obs` (B, To, Do) and `noise` (B, n * Tp, Da), output `actions` (B, Tp, Da), all float32 and in contract
    units; B is free.

    Args:
        policy: the policy with the weights to ship, aimed at its goal.
        obs_width: Do.
        precision: of the network's weights.
    """
    policy = policy.eval()
    config = policy.config
    rows, width = policy.action_scale.shape
    obs = torch.zeros(2, config.obs_horizon, obs_width)
    chunk = torch.zeros(2, rows, width)
    level = torch.zeros(2, policy.n_levels)
    observation = torch.zeros(2, config.obs_horizon, policy.encoder.width)
    encode = _exported(_Encode(policy), {"obs": obs}, "observation")
    denoise = _exported(_Denoise(policy), {"x": chunk, "level": level, "observation": observation}, "predicted")
    conclude = _exported(_Conclude(policy), {"chunk": chunk, "obs": obs}, "actions")
    denoise = quantized(denoise, precision)
    graph = _joined(policy, encode, denoise, conclude)
    model = helper.make_model(graph, opset_imports=encode.opset_import, ir_version=encode.ir_version)
    facts = {
        "obs_horizon": config.obs_horizon,
        "prediction_horizon": config.prediction_horizon,
        "action_horizon": config.action_horizon,
        "sampler": config.sampler.name,
        "evaluations": len(policy.table.rows),
        "precision": precision,
    }
    for key, value in facts.items():
        model.metadata_props.add(key=key, value=str(value))
    content: bytes = model.SerializeToString()
    return content


class _Encode(nn.Module):
    def __init__(self, policy: Policy) -> None:
        super().__init__()
        self.policy = policy

    def forward(self, obs: Tensor) -> Tensor:
        return self.policy.observe(self.policy.joined(obs))


class _Denoise(nn.Module):
    """The network with its goal and guidance built in."""

    def __init__(self, policy: Policy) -> None:
        super().__init__()
        self.policy = policy

    def forward(self, x: Tensor, level: Tensor, observation: Tensor) -> Tensor:
        goal = self.policy.goal(x)
        return guided(self.policy.network, self.policy.config.goal.guidance)(x, level, observation, goal)


class _Conclude(nn.Module):
    def __init__(self, policy: Policy) -> None:
        super().__init__()
        self.policy = policy

    def forward(self, chunk: Tensor, obs: Tensor) -> Tensor:
        return self.policy.conclude(chunk, self.policy.joined(obs))


def _exported(module: nn.Module, inputs: dict[str, Tensor], output: str) -> onnx.ModelProto:
    """Export one part with a free batch; its examples have two rows, because one would be taken for a constant."""
    batch = torch.export.Dim("batch", min=1, max=4096)
    with torch.no_grad(), _quiet():
        program = torch.onnx.export(
            module.eval(),
            tuple(inputs.values()),
            dynamo=True,
            input_names=list(inputs),
            output_names=[output],
            dynamic_shapes={name: {0: batch} for name in inputs},
            external_data=False,
            verbose=False,
        )
    if program is None:
        raise ParityFailed(float("inf"), 0.0)
    model = program.model_proto
    # Weights that the network rearranges are stored as it uses them: quicker to start, and the quantizer finds them.
    fold_constants(model, input_size_limit=ALL, output_size_limit=ALL)
    for part in (*model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output, model.graph):
        del part.metadata_props[:]  # Stack traces of the exporting machine.
        part.ClearField("doc_string")
    return model


def _joined(
    policy: Policy, encode: onnx.ModelProto, denoise: onnx.ModelProto, conclude: onnx.ModelProto
) -> onnx.GraphProto:
    encode_nodes, encode_weights = _renamed(encode.graph, "encode.", {"obs": "obs", "observation": "observation"})
    inside = {"x": "scaled", "level": "level", "observation": "observation", "predicted": "predicted"}
    body_nodes, body_weights = _renamed(denoise.graph, "network.", inside)
    outside = {"chunk": "sampled", "obs": "obs", "actions": "actions"}
    last_nodes, last_weights = _renamed(conclude.graph, "conclude.", outside)
    rows, width = policy.noise_shape
    obs_width = encode.graph.input[0].type.tensor_type.shape.dim[2].dim_value
    shapes: dict[str, list[str | int | None]] = {
        "obs": ["batch", policy.config.obs_horizon, obs_width],
        "noise": ["batch", rows, width],
        "actions": ["batch", *policy.action_scale.shape],
    }
    faces = {name: helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in shapes.items()}
    return helper.make_graph(
        [*encode_nodes, *_loop(policy, body_nodes), *last_nodes],
        "policy",
        [faces["obs"], faces["noise"]],
        [faces["actions"]],
        [*encode_weights, *body_weights, *last_weights, *_constants(policy)],
    )


def _loop(policy: Policy, network: Sequence[onnx.NodeProto]) -> list[onnx.NodeProto]:
    """Split the noise, start from it, and go down the table; see table.follow for the same in torch."""
    node = helper.make_node
    body = [
        node("Squeeze", ["number"], ["row"]),
        *(node("Gather", [f"table.{name}", "row"], [name], axis=0) for name in COLUMNS),
        node("Gather", ["table.level", "row"], ["one_level"], axis=0),
        node("Expand", ["one_level", "level_shape"], ["level"]),
        node("Mul", ["x", "into"], ["scaled"]),
        *network,
        node("Mul", ["x", "skip"], ["skipped"]),
        node("Mul", ["predicted", "out"], ["corrected"]),
        node("Add", ["skipped", "corrected"], ["unclipped"]),
        *_clip(policy),
        node("Mul", ["x", "keep"], ["kept"]),
        node("Mul", ["clean", "take"], ["taken"]),
        node("Mul", ["above", "before"], ["recalled"]),
        node("Gather", ["table.draw", "row"], ["draw"], axis=0),
        node("Gather", ["draws", "draw"], ["drawn"], axis=1),
        node("Mul", ["drawn", "noise_size"], ["added"]),
        node("Sum", ["kept", "taken", "recalled", "added"], ["x_next"]),
        node("Identity", ["clean"], ["above_next"]),
        node("Identity", ["go_on"], ["go_on_next"]),
    ]
    for part in body:  # The column and the graph's input would share a name.
        part.output[:] = ["noise_size" if name == "noise" else name for name in part.output]
    shape: list[str | int | None] = ["batch", *policy.action_scale.shape]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        body,
        "row",
        [value("number", INT, []), value("go_on", BOOL, []), value("x", FLOAT, shape), value("above", FLOAT, shape)],
        [value("go_on_next", BOOL, []), value("x_next", FLOAT, shape), value("above_next", FLOAT, shape)],
    )
    return [
        node("Reshape", ["noise", "draws_shape"], ["draws"]),
        node("Gather", ["draws", "zero"], ["first"], axis=1),
        node("Mul", ["first", "start_std"], ["start"]),
        node("Mul", ["first", "nothing"], ["no_chunk"]),
        node("Shape", ["noise"], ["batch_size"], start=0, end=1),
        node("Concat", ["batch_size", "n_levels"], ["level_shape"], axis=0),
        node("Loop", ["n_rows", "", "start", "no_chunk"], ["sampled", "last_clean"], body=graph),
    ]


def _clip(policy: Policy) -> list[onnx.NodeProto]:
    if not policy.table.is_clipped:
        return [helper.make_node("Identity", ["unclipped"], ["clean"])]
    return [
        helper.make_node("Max", ["unclipped", "least"], ["raised"]),
        helper.make_node("Min", ["raised", "greatest"], ["clean"]),
    ]


def _constants(policy: Policy) -> list[onnx.TensorProto]:
    table = policy.table
    rows, width = policy.action_scale.shape
    arrays: dict[str, Any] = {
        f"table.{name}": np.array([getattr(row, name) for row in table.rows], np.float32) for name in COLUMNS
    }
    arrays["table.level"] = np.array([row.level for row in table.rows], np.float32)
    arrays["table.draw"] = np.array(table.draws, np.int64)
    arrays["draws_shape"] = np.array([-1, table.n_draws, rows, width], np.int64)
    arrays["n_levels"] = np.array([policy.n_levels], np.int64)
    arrays["n_rows"], arrays["zero"] = np.array(len(table.rows), np.int64), np.array(0, np.int64)
    arrays["start_std"], arrays["nothing"] = np.array(table.start_std, np.float32), np.array(0, np.float32)
    if table.is_clipped:
        arrays["least"], arrays["greatest"] = (bound.numpy() for bound in policy.action_scale.bounds())
    return [numpy_helper.from_array(np.array(array, order="C"), name) for name, array in arrays.items()]


def _renamed(
    graph: onnx.GraphProto, prefix: str, faces: dict[str, str]
) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Give a part's nodes and weights with names of their own, its inputs and outputs named as the whole has them."""

    def name(old: str) -> str:
        return faces.get(old, prefix + old) if old else old

    for node in graph.node:
        node.input[:] = [name(old) for old in node.input]
        node.output[:] = [name(old) for old in node.output]
        node.name = prefix + node.name
    for tensor in graph.initializer:
        tensor.name = name(tensor.name)
    return list(graph.node), list(graph.initializer)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's remarks on its own internals and on absent packages from the user."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
