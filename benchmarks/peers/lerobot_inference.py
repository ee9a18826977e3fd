"""Time one chunk of LeRobot's diffusion policy: `python lerobot_inference.py --sampler ddpm --levels 100 --threads 1`.

A script for a Python that has LeRobot and not Ashore. Batch 1, random weights: the time does not depend on them.
"""

import argparse
import json
import sys
import time
from typing import Any

import numpy as np
import torch
from lerobot_policy import SAMPLERS, add_down_dims, declare_torchvision, make_config, make_policy, random_batch


def time_plans(policy: Any, n_plans: int, n_warm: int) -> list[float]:
    """Plan chunk after chunk from one window, the first ones aside; returns the milliseconds of each."""
    window = {name: array for name, array in random_batch(1).items() if name.startswith("observation.")}
    walls_ms = []
    with torch.no_grad():
        for _ in range(n_warm + n_plans):
            began_s = time.perf_counter()
            policy.diffusion.generate_actions(window)
            walls_ms.append(1e3 * (time.perf_counter() - began_s))
    return walls_ms[n_warm:]


def main() -> None:
    """Time the plans and write one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_down_dims(parser, "128,256,512")
    parser.add_argument("--sampler", choices=tuple(SAMPLERS), default="ddpm")
    parser.add_argument("--levels", type=int, default=100)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--plans", type=int, default=10)
    parser.add_argument("--warm", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    declare_torchvision()
    policy = make_policy(make_config(arguments.down_dims, arguments.sampler, arguments.levels)).eval()
    walls_ms = time_plans(policy, arguments.plans, arguments.warm)
    found = {"p50_ms": float(np.percentile(walls_ms, 50)), "best_ms": min(walls_ms), "n_plans": len(walls_ms)}
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
