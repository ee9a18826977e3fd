"""A trained policy as one ONNX graph: normalisers and sampler inside, with proof that it computes the same."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ashore.policies.errors import ParityFailed
from ashore.policies.policy import Policy

Array = NDArray[Any]
TOLERANCE = 1e-4
"""Largest accepted difference between graph and policy, on normalised actions."""
SNAP_MARGIN = 0.02
"""Vectors keep this far from the threshold of actions with two settings, where rounding would decide."""


@dataclass(frozen=True)
class Vectors:
    """Inputs with the outputs that torch gave for them."""

    obs: Array
    """(B, To, Do) float32."""
    noise: Array
    """(B, Tp, Da) float32."""
    actions: Array
    """(B, Tp, Da) float32, contract units."""
    tolerance: Array
    """(Da,) what 1e-4 on normalised actions is in contract units."""

    def to_bytes(self) -> bytes:
        """Write the vectors as the bytes of an .npz file."""
        buffer = BytesIO()
        np.savez_compressed(buffer, obs=self.obs, noise=self.noise, actions=self.actions, tolerance=self.tolerance)
        return buffer.getvalue()


def export_graph(policy: Policy, obs_width: int) -> bytes:
    """Export a policy, on the CPU, as one ONNX file without external data.

    Inputs `obs` (B, To, Do) and `noise` (B, Tp, Da), output `actions` (B, Tp, Da), all float32 and in contract units;
    B is free. The sampler's few levels are unrolled; its weights are stored once.

    Args:
        policy: the policy with the weights to ship.
        obs_width: Do.
    """
    config = policy.config
    width = policy.action_scale.mean.shape[-1]
    # Two rows, because the exporter would take a batch of one for a constant.
    example = (torch.zeros(2, config.obs_horizon, obs_width), torch.zeros(2, config.prediction_horizon, width))
    batch = torch.export.Dim("batch", min=1, max=4096)
    with torch.no_grad(), _quiet():
        program = torch.onnx.export(
            policy.eval(),
            example,
            dynamo=True,
            input_names=["obs", "noise"],
            output_names=["actions"],
            dynamic_shapes={"obs": {0: batch}, "noise": {0: batch}},
            external_data=False,
            verbose=False,
        )
    if program is None:
        raise ParityFailed(float("inf"), TOLERANCE)
    model = program.model_proto
    for part in (*model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output, model.graph):
        del part.metadata_props[:]  # Stack traces of the exporting machine.
        part.ClearField("doc_string")
    facts = {
        "obs_horizon": config.obs_horizon,
        "prediction_horizon": config.prediction_horizon,
        "action_horizon": config.action_horizon,
        "sampler": config.sampler,
        "levels": config.levels,
    }
    for key, value in facts.items():
        model.metadata_props.add(key=key, value=str(value))
    content: bytes = model.SerializeToString()
    return content


def make_vectors(policy: Policy, obs: Array, count: int = 32, seed: int = 0) -> Vectors:
    """Choose observed windows and noise, and compute what the policy plans for them.

    Args:
        policy: the policy on the CPU.
        obs: (M, To, Do) windows to choose from.
        count: how many; fewer where fewer are clear of the thresholds of two-setting actions.
        seed: decides choice and noise.
    """
    rng = np.random.default_rng(seed)
    chosen = obs[rng.choice(len(obs), min(4 * count, len(obs)), replace=False)].astype(np.float32)
    width = policy.action_scale.mean.shape[-1]
    noise = rng.standard_normal((len(chosen), policy.config.prediction_horizon, width)).astype(np.float32)
    with torch.no_grad():
        windows, start = torch.from_numpy(chosen), torch.from_numpy(noise)
        is_clear = (policy.clearance(windows, start) > SNAP_MARGIN).all(-1).all(-1).numpy()
        kept = np.flatnonzero(is_clear)[:count] if is_clear.any() else np.arange(min(count, len(chosen)))
        actions = policy(windows[kept], start[kept]).numpy()
    tolerance = TOLERANCE * policy.action_scale.half_range().numpy()
    return Vectors(chosen[kept], noise[kept], actions, tolerance)


def worst_difference(graph: bytes, vectors: Vectors) -> float:
    """Run a graph on vectors, in batches of one and all at once; give the largest difference on normalised actions."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    singles = [
        session.run(["actions"], {"obs": vectors.obs[i : i + 1], "noise": vectors.noise[i : i + 1]})[0]
        for i in range(len(vectors.obs))
    ]
    together = session.run(["actions"], {"obs": vectors.obs, "noise": vectors.noise})[0]
    half_range = vectors.tolerance / TOLERANCE
    differences = [np.abs(result - vectors.actions) / half_range for result in (np.concatenate(singles), together)]
    return float(np.max(differences))


def require_parity(graph: bytes, vectors: Vectors) -> float:
    """Give the worst difference on normalised actions.

    Raises:
        ParityFailed: it exceeds the tolerance, or is not a number.
    """
    worst = worst_difference(graph, vectors)
    if not worst <= TOLERANCE:
        raise ParityFailed(worst, TOLERANCE)
    return worst


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
