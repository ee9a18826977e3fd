"""A small contract and synthetic windows that the tests of learning share."""

import numpy as np

from ashore.datasets.contract import Contract, Feature
from ashore.policies.training_data import TrainingData

CONTRACT = Contract(
    robot="test/arm",
    task="test/reach",
    observations=(
        Feature("tcp_pos_base_m", (3,), "m", "base"),
        Feature("tcp_quat_base_wxyz", (4,), "1", "base"),
        Feature("object_pos_base_m", (3,), "m", "base"),
        Feature("object_quat_base_wxyz", (4,), "1", "base"),
    ),
    actions=(
        Feature("tool_pos_base_m", (3,), "m", "base", relative_to="tcp_pos_base_m"),
        Feature("gripper_target_m", (1,), "m", "none"),
    ),
    control_hz=20.0,
)
ENCODING = {
    "rot6d": ["tcp_quat_base_wxyz"],
    "relative": [["object_pos_base_m", "tcp_pos_base_m"]],
    "fine_scale": 0.02,
    "yaw": [["object_quat_base_wxyz", "tcp_quat_base_wxyz", 4]],
    "snap": ["gripper_target_m"],
}


class ArrayWindows:
    """Windows that were gathered beforehand."""

    def __init__(self, obs: np.ndarray, actions: np.ndarray) -> None:
        self.obs, self.actions = obs, actions

    def __len__(self) -> int:
        return len(self.obs)

    def batch(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self.obs[indices], self.actions[indices]


def random_quaternions(rng: np.random.Generator, *lead: int) -> np.ndarray:
    """Draw unit quaternions (*lead, 4)."""
    raw = rng.normal(size=(*lead, 4))
    return raw / np.linalg.norm(raw, axis=-1, keepdims=True)


def reach_data(n: int = 2000, seed: int = 0) -> TrainingData:
    """Make windows (To 2, Tp 8) in which the tool goes straight to the object and grips when it is near."""
    rng = np.random.default_rng(seed)
    tcp, thing = rng.uniform(-0.3, 0.3, (2, n, 1, 3))
    tcp = tcp + rng.normal(0, 0.002, (n, 2, 3))
    thing = np.repeat(thing, 2, axis=1)
    obs = np.concatenate((tcp, random_quaternions(rng, n, 2), thing, random_quaternions(rng, n, 2)), axis=-1)
    share = np.linspace(0, 1, 8)[None, :, None]
    path = tcp[:, -1:] + share * (thing[:, -1:] - tcp[:, -1:])
    near = np.linalg.norm(path - thing[:, -1:], axis=-1, keepdims=True) < 0.05
    actions = np.concatenate((path, np.where(near, 0.0, 0.08)), axis=-1)
    windows = ArrayWindows(obs.astype(np.float32), actions.astype(np.float32))
    return TrainingData(CONTRACT, windows, np.repeat(np.arange(n // 20), 20), seed=seed)
