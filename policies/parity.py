"""Proof that an exported graph computes what the trained policy computes."""

from dataclasses import dataclass, replace
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
    """(B, n * Tp, Da) float32."""
    actions: Array
    """(B, Tp, Da) float32, contract units."""
    tolerance: Array
    """(Da,) what 1e-4 on normalised actions is in contract units."""

    def to_bytes(self) -> bytes:
        """Write the vectors as the bytes of an .npz file."""
        buffer = BytesIO()
        np.savez_compressed(buffer, obs=self.obs, noise=self.noise, actions=self.actions, tolerance=self.tolerance)
        return buffer.getvalue()


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
    noise = rng.standard_normal((len(chosen), *policy.noise_shape)).astype(np.float32)
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


def loosened(vectors: Vectors, worst: float) -> Vectors:
    """Accept twice the difference that a graph of lower precision was found to have, for CPUs that round otherwise."""
    return replace(vectors, tolerance=vectors.tolerance * max(2 * worst / TOLERANCE, 1.0))


def require_parity(graph: bytes, vectors: Vectors) -> float:
    """Give the worst difference on normalised actions.

    Raises:
        ParityFailed: it exceeds the tolerance, or is not a number.
    """
    worst = worst_difference(graph, vectors)
    if not worst <= TOLERANCE:
        raise ParityFailed(worst, TOLERANCE)
    return worst
