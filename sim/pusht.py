"""Push-T in the published environment: its start states, keypoints and score, under the contract of the recordings.

Source: Chi et al., Diffusion Policy, RSS 2023, and its code; the environment is the package gym-pusht. A seed's start
state is drawn from numpy's RandomState in that code's order (agent, block, angle; the angle is Gaussian). It is set
position first, angle second, as the published evaluation of the state policy does: the angle then turns the block about
its centre of mass, so that its origin moves. The published test seeds are 100000 to 100049, with 300 steps each.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.formats.pusht_contract import BOARD_PX, PUSHT_CONTRACT, keypoints_from_pose
from ashore.sim.gym_spaces import Begun, Environment

Array = NDArray[Any]
PUSHT_ID = "gym_pusht/PushT-v0"
N_STEPS = 300
TEST_SEEDS = tuple(range(100_000, 100_050))


def start_state(seed: int) -> Array:
    """Draw the published start state (5,) of a seed: agent x, y px, block x, y px, angle rad."""
    rng = np.random.RandomState(seed % 2**32)
    agent_x, agent_y = rng.randint(50, 450), rng.randint(50, 450)
    block_x, block_y = rng.randint(100, 400), rng.randint(100, 400)
    return np.array([agent_x, agent_y, block_x, block_y, rng.randn() * 2 * np.pi - np.pi])


class PushTAdapter:
    """The environment gym_pusht/PushT-v0 with state observations."""

    contract = PUSHT_CONTRACT
    n_steps = N_STEPS

    def begin(self, environment: Environment, seed: int) -> Begun:
        """Reset to the published start state of this seed."""
        return Begun(*environment.reset(seed=seed % 2**32, options={"reset_to_state": start_state(seed)}))

    def measure(self, observation: Any, info: Mapping[str, Any]) -> dict[str, Array]:
        """Name the parts of a state observation (5,) and add the keypoints that the recordings hold."""
        state = np.asarray(observation, dtype=np.float64)
        return {
            "agent_pos_px": state[:2],
            "block_pos_px": state[2:4],
            "block_angle_rad": state[4:],
            "block_keypoints_px": keypoints_from_pose(state[None, 2:4], state[4:])[0],
        }

    def to_environment(self, command: Array) -> Any:
        """Clip a target (2,) px to the board."""
        return np.clip(np.asarray(command, dtype=np.float64), 0.0, BOARD_PX)

    def is_success(self, info: Mapping[str, Any], best_reward: float, total_reward: float) -> bool:
        """Say whether coverage has exceeded 0.95, which the environment reports."""
        return bool(info.get("is_success", False))
