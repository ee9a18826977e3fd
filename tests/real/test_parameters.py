"""Parameters that a caller's file gives to the nodes of a plan."""

from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="the ROS 2 packages are not installed")

from ashore.policies.bundle import read_bundle
from ashore.real.conductor import Conductor
from ashore.real.errors import TransitionRefused
from ashore.real.network import applied, environment, own_domain
from ashore.real.plan import Deployment, parts_of, process_plan
from ashore.real.supervision import Supervision
from benchmarks.linear_bundles import circling_arm


@pytest.fixture(scope="module")
def circling_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return circling_arm(tmp_path_factory.mktemp("parameters") / "circling.ashore")


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ("speed: 2.0", r"parameter 'speed' cannot be used: .*\(2\.0\).* Expected a number from 0\.01 to 1\.0"),
        ("speed: fast", r"parameter 'speed' cannot be used: .*'fast' of type 'STRING', expecting type 'DOUBLE'"),
        ("deadman_s: .nan", "parameter 'deadman_s' cannot be used"),
        ("speed: .inf", "parameter 'speed' cannot be used"),
        ("deadman_s: -1.0", r"parameter 'deadman_s' cannot be used: .*\(-1\.0\)"),
    ],
)
def test_what_a_node_cannot_do_is_refused_at_configure(
    circling_bundle: Path, tmp_path: Path, parameters: str, told: str
) -> None:
    params = tmp_path / "params.yaml"
    params.write_text(f"/**:\n  ros__parameters:\n    {parameters}\n")
    with own_domain() as domain_id, applied(environment("loopback", domain_id)):
        plan = process_plan(
            Deployment(read_bundle(circling_bundle), "panda", domain_id=domain_id, namespace="cell", params=params)
        )
        plan = parts_of(plan, ("guard",))
        with (
            Supervision(plan, tmp_path / "logs") as supervision,
            Conductor("cell", domain_id, supervision) as conductor,
            pytest.raises(TransitionRefused, match=told),
        ):
            conductor.transition("guard", "configure")


def test_what_is_given_by_name_wins_over_a_file(circling_bundle: Path, tmp_path: Path) -> None:
    params = tmp_path / "params.yaml"
    params.write_text("/**:\n  ros__parameters:\n    speed: 0.5\n")
    with own_domain() as domain_id, applied(environment("loopback", domain_id)):
        plan = process_plan(
            Deployment(read_bundle(circling_bundle), "panda", domain_id=domain_id, speed=0.0001, params=params)
        )
        plan = parts_of(plan, ("guard",))
        with (
            Supervision(plan, tmp_path / "logs") as supervision,
            Conductor("panda", domain_id, supervision) as conductor,
            pytest.raises(TransitionRefused, match=r"0\.0001"),
        ):
            conductor.transition("guard", "configure")
