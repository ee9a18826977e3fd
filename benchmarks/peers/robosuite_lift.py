"""robosuite's Lift with a Panda, state only, random actions: control steps a second of one process."""

import argparse
import json
import time

import numpy as np
import robosuite


def main() -> None:
    """Step for the asked time and tell the rate as one line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=10.0)
    seconds = parser.parse_args().seconds
    env = robosuite.make(
        "Lift",
        robots="Panda",
        has_renderer=False,
        has_offscreen_renderer=False,
        use_camera_obs=False,
        use_object_obs=True,
        control_freq=20,
        horizon=10**9,
    )
    env.reset()
    low, high = env.action_spec
    rng = np.random.default_rng(0)
    for _ in range(20):
        env.step(rng.uniform(low, high))
    steps, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        env.step(rng.uniform(low, high))
        steps += 1
    rate = steps / (time.perf_counter() - began)
    began = time.perf_counter()
    env.reset()
    told = {"steps_per_s": rate, "sim_s_per_s": rate / 20, "reset_s": time.perf_counter() - began}
    print(json.dumps({**told, "version": robosuite.__version__}))  # noqa: T201


if __name__ == "__main__":
    main()
