"""The whole way through the command line, real parts and little training: what a step makes, the next one takes."""

import json
from pathlib import Path

import pytest

from ashore.cli.main import main
from ashore.datasets.store import EpisodeStore

ROBOTS = [
    pytest.param(("quadrotor/hover", "twin/crazyflie", "quadrotor_mild"), id="crazyflie"),
    pytest.param(("arm/pick-place", "twin/panda", "arm_mild"), id="panda", marks=pytest.mark.full),
]


def ashore(*arguments: str | Path) -> None:
    assert main([str(argument) for argument in arguments]) == 0


@pytest.fixture(scope="module", params=ROBOTS)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, Path]:
    """A folder with a student, its evidence and its bundle; the robot; the profile."""
    task, robot, profile = request.param
    out = tmp_path_factory.mktemp("spine")
    ashore("collect", "--task", task, "--episodes", "10", "--out", out / "data")
    ashore(
        "train",
        out / "data",
        "--policy",
        "diffusion",
        "--updates",
        "150",
        "--batch-size",
        "128",
        "--out",
        out / "teacher",
    )
    ashore("distill", out / "teacher", "--updates", "60", "--out", out / "student")
    ashore("collect", "--task", task, "--twin", profile, "--episodes", "2", "--no-noise", "--out", out / "seen")
    runs = (out / "student", out / "teacher")
    ashore("rank", *runs, "--real", out / "seen", "--episodes", "4", "--out", out / "ranking")
    ashore("export", out / "student", "--out", out / "policy.ashore")
    return robot, profile, out


def test_the_ranking_orders_every_run_and_leaves_its_evidence(made: tuple[str, str, Path]) -> None:
    out = made[2]
    ranking = json.loads((out / "ranking/ranking.json").read_text())
    assert {row["policy"] for row in ranking["policies"]} == {"student", "teacher"}
    assert (out / "ranking/ranking.png").stat().st_size > 1000
    assert all((out / run / "evidence.json").is_file() for run in ("student", "teacher"))


def test_run_and_bundle_are_evaluated_alike(made: tuple[str, str, Path]) -> None:
    out = made[2]
    for policy in ("student", "policy.ashore"):
        ashore("evaluate", out / policy, "--episodes", "4", "--report", out / f"{policy}.json")
    run, bundle = (json.loads((out / f"{policy}.json").read_text()) for policy in ("student", "policy.ashore"))
    assert run["seeds"] == bundle["seeds"]
    assert run["draws"] == bundle["draws"]
    assert run["episodes"] == len(bundle["success"]) == 4


def test_the_bundle_runs_on_the_twin_over_ros_and_what_it_saw_is_recorded(made: tuple[str, str, Path]) -> None:
    robot, profile, out = made
    options = ("--robot", robot, "--profile", profile, "--episodes", "1", "--logs", out / "logs")
    ashore("deploy", out / "policy.ashore", *options, "--record", out / "record", "--report", out / "deploy.json")
    report = json.loads((out / "deploy.json").read_text())
    assert len(report["episodes"]) == 1
    assert report["inference_ms"]
    store = EpisodeStore.open(out / "record", readonly=True)
    assert len(store) == 1
    assert store.read_meta(0).source == "twin"
    assert len(store.read(0)) > 10
