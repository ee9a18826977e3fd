"""The contract of Push-T, shared by the recorded demonstrations and the Gymnasium environment a policy is tried in.

Units are pixels of the 512 x 512 board; y points as the recording has it.
Source: Chi et al., Diffusion Policy, RSS 2023.
"""

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.contract import Contract, Feature, ImageFeature

BOARD_PX = 512.0
KEYPOINTS_LOCAL_PX = np.array(
    [
        [9.2698, 90.0410],
        [-60.9835, -1.1867],
        [60.9128, -1.3934],
        [-0.2705, 25.5436],
        [-14.0649, 122.8159],
        [39.0027, 32.8574],
        [-39.9664, 32.7297],
        [-16.8243, 62.8632],
        [23.5415, -1.7003],
    ]
)
"""Keypoints in the block's own frame (9, 2), px: the median over the 25,650 recorded steps, which it fits within
0.04 px at 99 % of them (the recording's first frames of an episode differ by up to 2 px)."""
_KEYPOINT_NAMES = tuple(f"{axis}{index}" for index in range(len(KEYPOINTS_LOCAL_PX)) for axis in "xy")

PUSHT_ENCODING = {
    "observations": ("agent_pos_px", "block_keypoints_px"),
    "relative": (("block_keypoints_px", "agent_pos_px"),),
    "fine_scale": 30.0,
}
"""How a policy should see it: the state as published (pointer and keypoints), and each keypoint from the pointer, once
more on the scale of a contact. The block's angle wraps around and says nothing that the keypoints do not."""

PUSHT_CONTRACT = Contract(
    robot="pusht/pointer",
    task="gym/gym_pusht/PushT-v0",
    observations=(
        Feature("agent_pos_px", (2,), "px", "world", ("x", "y"), low=(0.0, 0.0), high=(BOARD_PX, BOARD_PX)),
        Feature("block_pos_px", (2,), "px", "world", ("x", "y")),
        Feature("block_angle_rad", (1,), "rad", "world", ("angle",)),
        Feature("block_keypoints_px", (2 * len(KEYPOINTS_LOCAL_PX),), "px", "world", _KEYPOINT_NAMES),
    ),
    actions=(
        Feature(
            "agent_target_px",
            (2,),
            "px",
            "world",
            ("x", "y"),
            low=(0.0, 0.0),
            high=(BOARD_PX, BOARD_PX),
            relative_to="agent_pos_px",
        ),
    ),
    control_hz=10.0,
)
PUSHT_CAMERA = ImageFeature("camera", (96, 96, 3), "camera")
"""The board from above, as recordings show it; the environment gives no picture."""


def keypoints_from_pose(
    block_pos_px: NDArray[np.floating], block_angle_rad: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Compute the block's keypoints from its pose.

    Args:
        block_pos_px: (N, 2) origin of the T's frame.
        block_angle_rad: (N,) or (N, 1) its angle.

    Returns:
        (N, 18) x and y of each keypoint in turn, as `block_keypoints_px` has them.
    """
    angle = np.asarray(block_angle_rad, dtype=np.float64).reshape(-1)
    cosine, sine = np.cos(angle)[:, None], np.sin(angle)[:, None]
    x, y = KEYPOINTS_LOCAL_PX.T
    turned = np.stack([cosine * x - sine * y, sine * x + cosine * y], axis=-1)  # (N, 9, 2)
    keypoints = turned + np.asarray(block_pos_px, dtype=np.float64)[:, None, :]
    return keypoints.reshape(len(angle), -1)
