"""Tasks on the twin: profiles that ship, episodes of the experts, and profiles that do not fit."""

from dataclasses import replace

import numpy as np
import pytest

from ashore.sim.errors import InvalidProfile
from ashore.sim.interfaces import make_interface
from ashore.sim.randomization import draw_episodes, episode_seed
from ashore.sim.simulation import Simulation
from ashore.sim.tasks import make_task
from ashore.sim.twin.profile import RealityProfile, load_profile, matched, profile_names
from ashore.sim.twin.simulation import make_twin_simulation, require_fit, twin_randomization

TASKS = {"arm": "arm/pick-place", "quadrotor": "quadrotor/hover"}


def play_expert(simulation: Simulation, seed: int) -> np.ndarray:
    """Let the task's expert act on what is measured until all episodes end; return their success (N,)."""
    task, ids = simulation.task, range(simulation.n)
    simulation.reset(draw_episodes(simulation.randomization, seed, ids), [episode_seed(seed, i) for i in ids])
    interface = make_interface(task.robot.card.interface)
    expert = task.expert(simulation.n, np.random.default_rng(seed))
    every = round(task.robot.card.command_hz / task.contract.control_hz)
    for tick in range(simulation.n_ticks):
        observed = interface.derive(simulation.observe())
        if tick % every == 0:
            action = task.contract.split_action(expert.act(observed, simulation.time_s))
        simulation.step(interface.decode(action, observed))
        if simulation.judge.terminated().all():
            break
    return simulation.judge.success()


@pytest.mark.parametrize(
    "name", ["arm_mild", "arm_worn", "arm_hard", "quadrotor_mild", "quadrotor_stuttering", "quadrotor_hard"]
)
def test_the_expert_succeeds_in_a_reality_it_was_not_made_for(name: str) -> None:
    simulation = make_twin_simulation(TASKS[name.split("_")[0]], 2, load_profile(name))
    assert play_expert(simulation, seed=3).all()


@pytest.mark.parametrize("name", ["arm_worn", "quadrotor_stuttering"])
def test_letting_time_pass_between_physics_steps_changes_nothing_to_the_bit(name: str) -> None:
    ends, n_between = [], []
    for between in (None, lambda: n_between.append(1)):
        simulation = make_twin_simulation(TASKS[name.split("_")[0]], 1, load_profile(name))
        simulation.reset(draw_episodes(simulation.randomization, 3, [0]), [episode_seed(3, 0)])
        limits = simulation.task.robot.card.limits
        command = (np.array(limits.low) + np.array(limits.high))[None] / 2
        for _ in range(20):
            simulation.step(command, between)
        ends.append(np.concatenate([value.ravel() for value in simulation.observe().values()]))
        simulation.engine.close()
    np.testing.assert_array_equal(*ends)
    assert len(n_between) == 20 * (simulation.physics_steps - 1)


@pytest.mark.parametrize("name", profile_names())
def test_shipped_profiles_fit_their_task_and_set_its_sensors(name: str) -> None:
    task, profile = make_task(TASKS[name.split("_")[0]]), load_profile(name)
    require_fit(profile, task)
    draw = twin_randomization(task, profile).nominal()
    for observation, spec in task.sensors().items():
        if spec.noise is not None:
            assert draw[spec.noise] == matched(profile.observation_noise, [observation]).get(observation, 0.0)
    starts = {p.name for p in task.randomization("none").parameters}
    assert starts <= set(draw)


def test_the_same_seed_gives_the_same_episode() -> None:
    ends = []
    for _ in range(2):
        simulation = make_twin_simulation("quadrotor/hover", 2, load_profile("quadrotor_hard"))
        play_expert(simulation, seed=5)
        ends.append(simulation.truth()["pos_world_m"])
        simulation.engine.close()
    np.testing.assert_array_equal(*ends)


def test_an_episode_does_not_remember_the_one_before() -> None:
    simulation = make_twin_simulation("arm/pick-place", 1, load_profile("arm_mild"))
    draws, seeds = draw_episodes(simulation.randomization, 1, [0]), [episode_seed(1, 0)]
    ends = []
    for _ in range(2):
        simulation.reset(draws, seeds)
        command = np.append(simulation.observe()["joint_pos_rad"][0] + 0.1, 0.0)[None]
        for _ in range(20):
            simulation.step(command)
        ends.append(simulation.truth()["joint_pos_rad"])
    np.testing.assert_allclose(*ends, atol=1e-9)


def test_a_profile_of_another_robot_is_refused() -> None:
    with pytest.raises(InvalidProfile, match="made for 'panda', 'ur5e', given 'crazyflie'"):
        make_twin_simulation("quadrotor/hover", 1, load_profile("arm_mild"))


def test_sensors_that_cannot_be_disturbed_so_are_listed() -> None:
    profile = RealityProfile(
        "crazyflie",
        observation_bias={"pos_world_m": 0.01},
        observation_delay_s={"pos_world_m": 0.01, "quat_world_wxyz": 0.02},
    )
    with pytest.raises(InvalidProfile) as caught:
        require_fit(profile, make_task("quadrotor/hover"))
    assert "observation_bias.pos_world_m: quadrotor/hover has no such disturbance" in str(caught.value)
    assert "give both one" in str(caught.value)
    wide = replace(load_profile("arm_hard"), observation_bias={"object_pos_base_m": (0.1, 0.2)})
    with pytest.raises(InvalidProfile, match="2 numbers, expected 1 or 3"):
        require_fit(wide, make_task("arm/pick-place"))
