"""Score LeRobot's policy in the published Push-T environment (gym-pusht): the largest reward of 300 steps, averaged."""

from pathlib import Path
from typing import Any

import gym_pusht  # noqa: F401
import gymnasium
import numpy as np
import torch
from lerobot_policy import HORIZONS, make_config, make_policy
from numpy.typing import NDArray

Array = NDArray[Any]
N_STEPS, BOARD_PX = 300, 512.0
SEED = 100_000
"""Of the samplers' noise."""


def score(loop: Any, pusht: Path, sampler: str, n_levels: int) -> dict[str, float]:
    """Play all start states with the weights of the moment; returns `score` and `success`, shares of one."""
    trained = loop.accelerator.unwrap_model(loop.policy)
    policy = make_policy(make_config(trained.config.down_dims, sampler, n_levels)).eval()
    policy.load_state_dict(trained.state_dict())
    with np.load(pusht, allow_pickle=False) as file:
        starts, local_px = file["start_states"], file["keypoints_local_px"]
    with torch.random.fork_rng():
        torch.manual_seed(SEED)
        best = play(lambda batch: plan(loop, policy, batch), starts, local_px)
    return {"score": float(best.mean()), "success": float((best >= 1.0).mean())}


def plan(loop: Any, policy: Any, windows: dict[str, Array]) -> Array:
    """Plan the actions (E, Ta, 2) px that follow observed windows (E, To, width) px."""
    batch = {name: torch.from_numpy(array.astype(np.float32)) for name, array in windows.items()}
    with torch.no_grad():
        actions = policy.diffusion.generate_actions(loop.preprocessor(batch))
    return np.asarray(loop.postprocessor(actions).numpy(), np.float64)


def play(planned: Any, starts: Array, local_px: Array) -> Array:
    """Play an episode from each start state (E, 5); returns each one's largest reward (E,)."""
    environments = [gymnasium.make("gym_pusht/PushT-v0", disable_env_checker=True).unwrapped for _ in starts]
    begun = zip(environments, starts, strict=True)
    states = np.stack([environment.reset(seed=0, options={"reset_to_state": start})[0] for environment, start in begun])
    best, is_over = np.zeros(len(starts)), np.zeros(len(starts), bool)
    history = [states] * HORIZONS[0]
    for step in range(N_STEPS):
        place = step % HORIZONS[2]
        if place == 0:
            actions = np.clip(planned(windows_of(np.stack(history[-HORIZONS[0] :], axis=1), local_px)), 0.0, BOARD_PX)
        states = states.copy()
        for index in np.flatnonzero(~is_over):
            states[index], reward, is_over[index], _, _ = environments[index].step(actions[index, place])
            best[index] = max(best[index], reward)
        history.append(states)
    return best


def windows_of(states: Array, local_px: Array) -> dict[str, Array]:
    """Turn windows of states (E, To, 5) into what the policy observes: agent (E, To, 2), keypoints (E, To, 18)."""
    x, y = local_px.T
    cosine, sine = np.cos(states[..., 4:]), np.sin(states[..., 4:])
    turned = np.stack([cosine * x - sine * y, sine * x + cosine * y], axis=-1)  # (E, To, 9, 2)
    keypoints = turned + states[..., None, 2:4]
    return {
        "observation.state": states[..., :2],
        "observation.environment_state": keypoints.reshape(*states.shape[:2], -1),
    }
