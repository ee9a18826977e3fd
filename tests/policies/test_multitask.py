"""One policy for several tasks: what they observe is joined, and each is planned for in its own observations."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ashore.cli.main import main
from ashore.datasets.errors import UnknownName
from ashore.datasets.store import EpisodeStore
from ashore.policies.bundle import open_bundle
from ashore.policies.checkpoint import Asked, load_run
from ashore.policies.errors import CannotMix, InvalidGoal
from ashore.policies.goals import GoalConfig
from ashore.policies.multitask import TaskMix, joined_encoding
from ashore.policies.policy import PolicyConfig
from ashore.policies.training_data import open_stores
from ashore.sim.collection import collect
from ashore.sim.tasks import make_task

TASKS = ("arm/reach", "arm/stack")
ALL = ("arm/reach", "arm/push-t", "arm/pick-place", "arm/stack", "arm/peg-insert", "arm/drawer")
CONTRACTS = {task: make_task(task).contract for task in ALL}


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    paths = []
    for task in TASKS:
        path = tmp_path_factory.mktemp("stores") / task.split("/")[1]
        with EpisodeStore.create(path, make_task(task).contract) as opened:
            collect(task, 3, opened)
        paths.append(path)
    return paths


@given(st.permutations(ALL), st.integers(2, 6), st.integers(0, 1000))
def test_any_mix_joins_and_gives_back_what_a_task_observes(order: list[str], n: int, seed: int) -> None:
    mix = TaskMix(tuple(CONTRACTS[task] for task in order[:n]))
    names = [feature.name for feature in mix.union.observations]
    assert len(set(names)) == len(names)
    rng = np.random.default_rng(seed)
    for task in mix.tasks:
        own = rng.normal(size=mix.contract(task).observation_width)
        sources = mix.sources(task)
        joined = np.append(own, 0.0)[sources]
        assert np.array_equal(joined[mix.columns(task)], own)
        assert np.count_nonzero(sources >= 0) == len(own)


def test_windows_of_every_task_lie_in_the_union(stores: list[Path]) -> None:
    shape = PolicyConfig(goal=GoalConfig(features=("tcp_pos_base_m",), tasks=TASKS))
    data = open_stores(stores, shape, 0)
    obs, actions, goals = data.gather(np.arange(len(data.windows)))
    assert obs.shape[-1] == data.contract.observation_width and goals.shape[1] == 5
    mix = TaskMix(data.tasks)
    for number, (task, store) in enumerate(zip(TASKS, stores, strict=True)):
        alone = open_stores([store], PolicyConfig(), 0)
        own, own_actions, _ = alone.gather(np.arange(len(alone.windows)))
        rows = np.flatnonzero(goals[:, 3 + number].numpy() == 1)
        assert np.array_equal(obs[rows][..., mix.columns(task)].numpy(), own.numpy())
        assert np.array_equal(actions[rows].numpy(), own_actions.numpy())
        absent = np.flatnonzero(mix.sources(task) < 0)
        assert not obs[rows][..., absent].any()


def test_a_mix_is_trained_evaluated_and_exported_task_by_task(stores: list[Path], tmp_path: Path, capsys) -> None:
    run, quick = tmp_path / "run", ["--updates", "30", "--batch-size", "64"]
    assert main(["train", *map(str, stores), "--multi-task", *quick, "--out", str(run)]) == 0
    for task in TASKS:
        contract = make_task(task).contract
        planner = load_run(run, Asked(task=task))
        assert planner.contract == contract
        assert main(["evaluate", str(run), "--task", task, "--episodes", "1", "--level", "none"]) == 0
        bundle = tmp_path / f"{contract.task.split('/')[1]}.ashore"
        assert main(["export", str(run), "--task", task, "--out", str(bundle)]) == 0
        shipped = open_bundle(bundle).planner()
        assert shipped.contract == contract
        rng = np.random.default_rng(0)
        obs = rng.normal(size=(3, 2, contract.observation_width)).astype(np.float32)
        noise = rng.normal(size=(3, *planner.noise_shape)).astype(np.float32)
        assert np.allclose(shipped.plan(obs, noise)[..., :3], planner.plan(obs, noise)[..., :3], atol=1e-4)
    capsys.readouterr()
    page = ["--episodes", "1", "--level", "none", "--out", str(tmp_path / "page.html")]
    assert main(["doctor", "run", str(run), "--task", "arm/stack", *page]) == 1
    told = capsys.readouterr()
    assert "arm/stack" in (tmp_path / "page.html").read_text() and "an episode that is held back" in told.out + told.err
    assert main(["evaluate", str(run), "--episodes", "1"]) == 2
    assert "task: not given" in capsys.readouterr().err
    with pytest.raises(InvalidGoal, match="valid: 'arm/reach', 'arm/stack'"):
        load_run(run, Asked(task="arm/drawer"))


def test_tasks_that_do_not_fit_are_refused_with_every_reason(stores: list[Path]) -> None:
    arm, other = make_task("arm/reach").contract, make_task("quadrotor/hover").contract
    with pytest.raises(CannotMix, match=r"(?s)robot differ.*actions differ.*control_hz differ"):
        TaskMix((arm, other))
    moved = replace(arm, task="arm/other", observations=(replace(arm.observations[3], frame="world"),))
    with pytest.raises(CannotMix, match="observation tcp_pos_base_m differs"):
        TaskMix((arm, moved))
    with pytest.raises(UnknownName, match="arm/drawer"):
        TaskMix((arm,)).sources("arm/drawer")
    with pytest.raises(InvalidGoal, match="none of the stores is of it"):
        open_stores(stores, PolicyConfig(goal=GoalConfig(tasks=("arm/drawer",))), 0)


def test_encodings_are_joined_part_by_part() -> None:
    joined = joined_encoding([make_task(task).encoding() for task in ("arm/stack", "arm/peg-insert")])
    assert joined["fine_scale"] == 0.01 and joined["snap"] == ("gripper_target_m",)
    assert ("object_pos_base_m", "tcp_pos_base_m") in joined["relative"] and len(joined["relative"]) == 5
    assert joined_encoding([{}, {"snap": ["gripper_target_m"]}])["snap"] == ()
