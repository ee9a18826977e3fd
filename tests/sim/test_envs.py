"""Gymnasium's own checker passes, a vector environment is its single ones to the bit, rewards pay results."""

import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from absurd import absurd
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

from ashore.datasets.errors import InvalidSample, UnknownName
from ashore.sim.control_steps import ControlSteps
from ashore.sim.envs import environment_id
from ashore.sim.errors import InvalidEnvironment, NoSimulations, ViewerUnavailable
from ashore.sim.randomization import draw_episodes, episode_seed
from ashore.sim.simulation import Simulation, make_simulation
from ashore.sim.tasks import TASKS
from ashore.sim.tasks.pick_place import PickPlace

Array = np.ndarray
ARM, QUADROTOR = "ashore/arm-pick-place-v0", "ashore/quadrotor-hover-v0"
EXPECTED = ("normalized space", "value is infinity", "value is -infinity")
"""Actions are in SI units, and noisy measurements have no bounds."""


def bits(observation: dict[str, Array], row: int | None = None) -> dict[str, bytes]:
    """Observations as bytes, of one row where it is given."""
    return {key: np.array(value if row is None else value[row]).tobytes() for key, value in observation.items()}


def experts_action(env: Any) -> Array:
    """What the task's expert would do in a single environment now."""
    episodes = env.unwrapped._episodes
    simulation: Simulation = episodes.simulation
    if not hasattr(env, "expert") or simulation.time_s == 0:
        env.expert = simulation.task.expert(1, np.random.default_rng(0))
    return env.expert.act(episodes.steps.truth(), simulation.time_s)[0].astype(np.float32)


@pytest.mark.parametrize("task", sorted(TASKS))
def test_gymnasiums_checker_passes(task: str) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_env(gymnasium.make(environment_id(task)).unwrapped, skip_render_check=True)
    assert [str(each.message) for each in caught if not any(known in str(each.message) for known in EXPECTED)] == []


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
@pytest.mark.parametrize("env_id", [ARM, QUADROTOR])
def test_a_vector_environment_is_its_single_ones_to_the_bit(
    env_id: str, mode: AutoresetMode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # MuJoCo writes its warnings into the working folder.
    monkeypatch.setattr(PickPlace, "episode_s", 0.6)
    # Some arms break at once, and quadrotors crash when they will: rows end at different times.
    monkeypatch.setattr(PickPlace, "randomization", absurd)
    n, n_steps = 4, 45
    alike = gymnasium.make_vec(
        env_id, num_envs=n, vectorization_mode="sync", vector_kwargs={"autoreset_mode": mode}, level="wide"
    )
    batched = gymnasium.make_vec(env_id, num_envs=n, level="wide", autoreset_mode=mode)
    assert batched.metadata["autoreset_mode"] is mode
    assert batched.single_observation_space == alike.single_observation_space
    one, many = alike.reset(seed=7), batched.reset(seed=7)
    alike.action_space.seed(0)
    n_ends, n_apart = 0, 0
    for _ in range(n_steps):
        assert bits(one[0]) == bits(many[0])
        assert_same_infos(one[-1], many[-1])
        action = alike.action_space.sample()
        action[0, :] = alike.single_action_space.low
        one, many = alike.step(action), batched.step(action)
        for left, right in zip(one[1:4], many[1:4], strict=True):
            assert left.tobytes() == right.tobytes()
        over = one[2] | one[3]
        n_ends, n_apart = n_ends + over.sum(), n_apart + (over.any() and not over.all())
    assert n_ends >= n and n_apart >= 2


def assert_same_infos(left: dict[str, Any], right: dict[str, Any]) -> None:
    # Gymnasium leaves a key out that no row has.
    named = {key for key in right if not key.startswith("_") and right[f"_{key}"].any()}
    assert {key for key in left if not key.startswith("_")} == named
    for key in sorted(named | {f"_{key}" for key in named}):
        value = left[key]
        if isinstance(value, dict):
            assert_same_infos(value, right[key])
        elif value.dtype == object:
            for one, other in zip(value, right[key], strict=True):
                assert (one is None) == (other is None)
                assert one is None or bits(one) == bits(other)
        else:
            np.testing.assert_array_equal(value, right[key], key)


def test_a_reset_with_a_seed_is_episode_zero_of_that_seed_and_the_next_ones_count_up() -> None:
    env = gymnasium.make(ARM, level="narrow")
    simulation = make_simulation("arm/pick-place", 1, "narrow")
    for number in range(3):
        observation, info = env.reset(seed=11) if number == 0 else env.reset()
        assert (info["seed"], info["episode"]) == (11, number)
        draw = draw_episodes(simulation.randomization, 11, [number])
        for name, value in draw[0].items():
            np.testing.assert_array_equal(info["draw"][name], value)
        simulation.reset(draw, [episode_seed(11, number)])
        expected = ControlSteps(simulation).observe()
        assert bits(observation) == {name: value[0].astype(np.float32).tobytes() for name, value in expected.items()}


def test_without_a_seed_two_environments_differ_and_one_goes_on() -> None:
    starts = [gymnasium.make(QUADROTOR).reset()[1]["seed"] for _ in range(2)]
    assert starts[0] != starts[1]
    vector = gymnasium.make_vec(QUADROTOR, num_envs=3)
    _, first = vector.reset()
    _, second = vector.reset()
    assert len(set(first["seed"])) == 3
    np.testing.assert_array_equal(first["seed"], second["seed"])
    np.testing.assert_array_equal(second["episode"], [1, 1, 1])


@pytest.mark.parametrize("reward", ["shaped", "sparse"])
def test_an_episodes_return_is_what_it_achieved(reward: str) -> None:
    env = gymnasium.make(ARM, level="none", reward=reward)
    env.reset(seed=1)
    judge = env.unwrapped._episodes.simulation.judge
    first, total, terminated, info = float(judge.progress()[0]), 0.0, False, {}
    while not terminated:
        _, gained, terminated, truncated, info = env.step(experts_action(env))
        total += gained
        assert not truncated
    assert info["success"] and not info["diverged"]
    assert info["metrics"]["placing_error_m"] < 0.03
    assert total == pytest.approx(1.0 if reward == "sparse" else 1.0 - first)


def test_time_truncates_and_what_is_over_stands_still_and_earns_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PickPlace, "episode_s", 0.2)
    env = gymnasium.make(ARM).unwrapped
    env.reset(seed=0)
    middle = 0.5 * (env.action_space.low + env.action_space.high)
    ends = [env.step(middle) for _ in range(6)]
    assert [each[3] for each in ends] == [False] * 4 + [True] * 2
    assert not any(each[2] for each in ends)
    assert ends[5][1] == 0.0
    place = env._episodes.simulation.truth()["joint_pos_rad"]
    env.step(middle)
    np.testing.assert_array_equal(env._episodes.simulation.truth()["joint_pos_rad"], place)


def test_actions_beyond_the_limits_are_clipped_to_the_robots() -> None:
    env = gymnasium.make(QUADROTOR, level="none")
    far, at = 1e6 * np.ones(4, np.float32), env.action_space.high
    ways = []
    for action in (far, at):
        env.reset(seed=0)
        ways.append([bits(env.step(action)[0]) for _ in range(5)])
    assert ways[0] == ways[1]


def test_a_diverging_row_is_truncated_alone_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # MuJoCo writes its warnings into the working folder.
    monkeypatch.setattr(PickPlace, "randomization", absurd)
    envs = gymnasium.make_vec(ARM, num_envs=8, level="none")
    _, start = envs.reset(seed=0)
    stiff = start["draw"]["stiffness"] > 1
    assert 0 < stiff.sum() < 8
    middle = np.tile(0.5 * (envs.single_action_space.low + envs.single_action_space.high), (8, 1))
    observation, reward, terminated, truncated, infos = envs.step(middle)
    np.testing.assert_array_equal(truncated, stiff)
    np.testing.assert_array_equal(infos["diverged"], stiff)
    assert not terminated.any() and not reward[stiff].any()
    assert all(np.isfinite(values).all() for values in observation.values())
    np.testing.assert_array_equal(infos["draw"]["stiffness"][stiff], 1e9)
    _, _, _, _, infos = envs.step(middle)
    np.testing.assert_array_equal(infos["episode"], stiff.astype(int))


def test_flattened_it_is_the_contracts_flat_observation() -> None:
    env = gymnasium.wrappers.FlattenObservation(gymnasium.make(ARM))
    flat, _ = env.reset(seed=0)
    contract = env.unwrapped._episodes.simulation.task.contract
    named = env.unwrapped._episodes.steps.observe()
    np.testing.assert_array_equal(flat, contract.flatten_observation({k: v[0] for k, v in named.items()}))


def test_without_copy_the_same_arrays_are_written_again() -> None:
    envs = gymnasium.make_vec(QUADROTOR, num_envs=2, copy=False)
    first, _ = envs.reset(seed=0)
    kept = {name: values.copy() for name, values in first.items()}
    second = envs.step(envs.action_space.sample())[0]
    assert all(first[name] is second[name] for name in first)
    assert any(not np.array_equal(kept[name], second[name]) for name in kept)


DRAW = """
import ashore.sim.envs, gymnasium
from gymnasium.utils.env_checker import env_render_passive_checker
from ashore.sim.errors import RenderingUnavailable
try:
    env = gymnasium.make("ashore/arm-pick-place-v0", render_mode="rgb_array")
except RenderingUnavailable:
    raise SystemExit("no OpenGL here")
env.reset(seed=0)
env_render_passive_checker(env.unwrapped)
print(env.metadata["render_fps"], env.render().shape)
env.close()
env.close()
envs = gymnasium.make_vec("ashore/arm-pick-place-v0", num_envs=2, render_mode="rgb_array")
envs.reset(seed=0)
one, other = envs.render()
print(one.shape, (one != other).any())
envs.close()
"""


def test_pictures_are_drawn_of_every_row() -> None:
    done = subprocess.run([sys.executable, "-c", DRAW], capture_output=True, text=True)
    if "no OpenGL here" in done.stderr:
        pytest.skip("no OpenGL here")
    assert done.stdout.splitlines() == ["25.0 (240, 320, 3)", "(240, 320, 3) True"], done.stderr


def test_a_window_without_a_screen_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(ViewerUnavailable, match="there is no display"):
        gymnasium.make(ARM, render_mode="human")


def test_what_does_not_exist_is_refused_with_what_does() -> None:
    with pytest.raises(InvalidEnvironment, match="reward: 'dense'; valid: 'shaped', 'sparse'"):
        gymnasium.make(ARM, reward="dense")
    with pytest.raises(InvalidEnvironment, match=r"autoreset_mode: .*; valid: 'NextStep', 'SameStep'"):
        gymnasium.make_vec(ARM, autoreset_mode=AutoresetMode.DISABLED)
    with pytest.raises(UnknownName, match="level 'wilde'"):
        gymnasium.make(ARM, level="wilde")
    with pytest.raises(NoSimulations):
        gymnasium.make_vec(ARM, num_envs=0)
    with pytest.raises(InvalidEnvironment, match="options: 'reset_mask'"):
        gymnasium.make_vec(QUADROTOR).reset(options={"reset_mask": np.array([True])})


def test_seeds_and_actions_that_do_not_fit_are_refused() -> None:
    envs = gymnasium.make_vec(QUADROTOR, num_envs=3)
    for wrong in ([1, 2], [-1, 0, 1], -5):
        with pytest.raises(InvalidSample, match="expected one number or 3, none below 0"):
            envs.reset(seed=wrong)
    envs.reset(seed=np.int64(4))
    with pytest.raises(InvalidSample, match=r"actions: shape \(4,\), expected \(3, 4\)"):
        envs.step(np.zeros(4))
    with pytest.raises(InvalidSample, match="NaN or infinity in row 1, 1 row"):
        envs.step(np.array([[0.0] * 4, [np.nan] * 4, [0.0] * 4]))


def test_the_module_in_the_id_registers_every_task_and_loads_no_engine() -> None:
    probe = (
        "import gymnasium, sys, ashore.sim.envs\n"
        "print(sorted(name for name in gymnasium.registry if name.startswith('ashore/')), 'mujoco' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True).stdout
    assert answer.strip() == f"{sorted(environment_id(task) for task in TASKS)} False"
    assert gymnasium.make(f"ashore.sim.envs:{QUADROTOR}").unwrapped.spec.id == QUADROTOR
