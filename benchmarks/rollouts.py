"""Closed-loop rollouts: steps a second beside the bare engine, robosuite and worker processes; memory and resets."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import gymnasium
import mujoco
import numpy as np

import ashore.sim.envs  # noqa: F401
from ashore.datasets.progress import Progress
from ashore.sim.interfaces import make_interface
from ashore.sim.randomization import draw_episodes, episode_seed
from ashore.sim.robots import DEFAULT_ARM, make_arm
from ashore.sim.simulation import Simulation
from ashore.sim.tasks import make_task
from ashore.sim.world import World
from benchmarks.peer_process import run_peer
from benchmarks.row import Row

TASK, ENVIRONMENT = "arm/pick-place", "ashore/arm-pick-place-v0"
N, CORES, ROUNDS = 64, 2, 5
ROBOSUITE = "ASHORE_ROBOSUITE_PYTHON"
MB = 1e6


def run(quick: bool, folder: Path, progress: Progress) -> list[Row]:
    """Measure in turns, so that whatever else runs here slows all alike; every figure is the best of its rounds."""
    seconds, rounds = (0.5, 2) if quick else (3.0, ROUNDS)
    ours, floor = Rollout(N), Floor()
    best = {"ours": 0.0, "tool": 0.0, "floor": 0.0}
    for done in range(rounds):
        ours.start()
        best["ours"] = max(best["ours"], _rate(ours.command, seconds, N))
        ours.start()
        best["tool"] = max(best["tool"], _rate(ours.act, seconds, N))
        best["floor"] = max(best["floor"], floor.rate(seconds))
        progress(done + 1, rounds, "rollouts and floor")
    native, workers = _vector_rate(N, "vector_entry_point", seconds), _vector_rate(N, "async", seconds)
    progress(1, 1, "environments")
    period_s = ours.simulation.command_period_s
    return [
        Row.against(
            f"{TASK}, n = {N}: randomized command steps/s, observations out and commands in at each",
            best["ours"],
            "steps/s",
            (f"bare mj_step of the same substeps, {CORES} threads", best["floor"]),
            ">=",
            0.9,
        ),
        Row.against(
            "the same with an arm's tool targets in place of joint targets",
            best["tool"],
            "steps/s",
            ("the bare mj_step", best["floor"]),
        ),
        *_robosuite(best["ours"] / CORES, period_s, seconds),
        Row.against(
            f"{ENVIRONMENT}: control steps/s of the VectorEnv, n = {N}",
            native,
            "steps/s",
            (f"AsyncVectorEnv, n = {CORES}", workers),
            ">=",
            3.0,
        ),
        Row.of("memory of one more simulation", _memory_mb(), "MB", "<=", 2.0),
        Row.of("reset with fresh draws, of an episode's wall time", _reset_share(ours), "share", "<=", 0.05),
    ]


class Rollout:
    """N randomized episodes under random commands."""

    def __init__(self, n: int) -> None:
        task = make_task(TASK)
        self.simulation = Simulation(task, World(task.scene(), n, CORES), task.randomization("wide"))
        self._interface = make_interface(task.robot.card.interface)
        limits = task.robot.card.limits
        rng = np.random.default_rng(0)
        self.offsets = rng.uniform(-0.02, 0.02, (50, n, len(limits.low)))
        self._turn = 0

    def start(self) -> None:
        """Reset all of them."""
        n = self.simulation.n
        draws = draw_episodes(self.simulation.randomization, 0, range(n))
        self.simulation.reset(draws, [episode_seed(0, number) for number in range(n)])

    def command(self) -> None:
        """One command period: read what was measured, and send joint targets near it."""
        observed = self.simulation.observe()
        here = np.concatenate([observed["joint_pos_rad"], observed["gripper_width_m"]], axis=1)
        self.simulation.step(here + self._offset())

    def act(self) -> None:
        """One command period: read, derive the tool's pose, and send what tool targets become."""
        contract = self.simulation.task.contract
        observed = self._interface.derive(self.simulation.observe())
        pos, zero = observed["tcp_pos_base_m"], np.zeros((self.simulation.n, 3))
        action = np.concatenate([pos + self._offset()[:, :3], zero, observed["gripper_width_m"]], axis=1)
        self.simulation.step(self._interface.decode(contract.split_action(action), observed))

    def _offset(self) -> Any:
        self._turn += 1
        return self.offsets[self._turn % len(self.offsets)]


class Floor:
    """The bare engine: one thread a core, each stepping one randomized model of the scene under the same commands."""

    def __init__(self) -> None:
        self._rollout = Rollout(CORES)
        self._rollout.start()
        world, spec = self._rollout.simulation.engine, make_arm(DEFAULT_ARM).spec
        if not isinstance(world, World):
            raise TypeError("the floor is measured on MuJoCo")
        self._pairs = [world.view(index) for index in range(CORES)]
        self._joints = [int(world.model.joint(name).qposadr[0]) for name in spec.joints]
        self._fingers = [int(world.model.joint(name).qposadr[0]) for name in spec.gripper.fingers]
        self._substeps = round(self._rollout.simulation.command_period_s / world.timestep_s)

    def rate(self, seconds: float) -> float:
        """Command steps/s of all threads together."""
        with ThreadPoolExecutor(CORES) as pool:
            return sum(pool.map(lambda pair: self._one(pair, seconds), self._pairs))

    def _one(self, pair: tuple[Any, Any], seconds: float) -> float:
        model, data = pair
        offsets, turn = self._rollout.offsets[:, 0], iter(range(10**9))

        def step() -> None:
            offset = offsets[next(turn) % len(offsets)]
            data.ctrl[:-1] = data.qpos[self._joints] + offset[:-1]
            data.ctrl[-1] = data.qpos[self._fingers].sum() + offset[-1]
            mujoco.mj_step(model, data, self._substeps)

        return _rate(step, seconds, 1)


def _rate(step: Callable[[], None], seconds: float, n: int) -> float:
    for _ in range(5):
        step()
    steps, began_s = 0, time.perf_counter()
    while time.perf_counter() - began_s < seconds:
        step()
        steps += 1
    return n * steps / (time.perf_counter() - began_s)


def _vector_rate(n: int, mode: str, seconds: float) -> float:
    """Control steps/s of a vector environment under random actions; worker processes get one environment a core."""
    n = n if mode != "async" else CORES
    envs = gymnasium.make_vec(ENVIRONMENT, num_envs=n, vectorization_mode=mode)
    envs.reset(seed=0)
    actions = [envs.action_space.sample() for _ in range(20)]
    turn = iter(range(10**9))
    rate = _rate(lambda: void(envs.step(actions[next(turn) % len(actions)])), seconds, n)
    envs.close()
    return rate


def void(_: object) -> None:
    """Drop a result."""


def _robosuite(steps_per_core: float, period_s: float, seconds: float) -> list[Row]:
    found = run_peer("robosuite_lift.py", ["--seconds", str(2 * seconds)], ROBOSUITE)
    steps, simulated = "steps/s of one core", "simulated time over wall time of one core"
    if found is None:
        name = "robosuite Lift, peer not run"
        return [
            Row(steps, steps_per_core, "steps/s", name),
            Row(simulated, steps_per_core * period_s, "s/s", name),
        ]
    name = f"robosuite {found['version']} Lift, state only"
    return [
        Row.against(steps, steps_per_core, "steps/s", (name, found["steps_per_s"]), ">=", 20.0),
        Row.against(simulated, steps_per_core * period_s, "s/s", (name, found["sim_s_per_s"]), ">=", 20.0),
    ]


def _memory_mb() -> float:
    """Growth of this process for one more simulation, from a few hundred of them."""
    few, many = 32, 288
    held = [Rollout(few)]
    held[0].start()
    before = _resident_mb()
    held.append(Rollout(many))
    held[1].start()
    return (_resident_mb() - before) / many


def _resident_mb() -> float:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return float(line.split()[1]) * 1024 / MB


def _reset_share(rollout: Rollout) -> float:
    """Wall time of drawing and resetting all episodes, over that and of stepping through them."""
    began_s = time.perf_counter()
    rollout.start()
    reset_s = time.perf_counter() - began_s
    for _ in range(rollout.simulation.n_ticks):
        rollout.command()
    return reset_s / (time.perf_counter() - began_s)
