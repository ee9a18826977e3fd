"""A bundle's file that is replaced after the plan was made: no process of the deployment takes it."""

import shutil
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="the ROS 2 packages are not installed")
pytest.importorskip("pybullet", reason="pybullet is not installed")

from ashore.policies.bundle import read_bundle
from ashore.real.conductor import Conductor
from ashore.real.errors import TransitionRefused
from ashore.real.network import applied, environment, own_domain
from ashore.real.plan import Bridge, Deployment, parts_of, process_plan
from ashore.real.supervision import Supervision


def test_every_process_refuses_a_file_that_was_swapped_and_takes_the_one_of_the_plan(
    hover_bundle: Path, marked_bundle: Path, tmp_path: Path
) -> None:
    path = Path(shutil.copy(hover_bundle, tmp_path / "policy.ashore"))
    planned, other = read_bundle(path), read_bundle(marked_bundle)
    with own_domain() as domain_id, applied(environment("loopback", domain_id)):
        plan = process_plan(Deployment(planned, "twin/crazyflie", domain_id=domain_id, record=tmp_path / "seen"))
        flown = Deployment(planned, "mavlink", domain_id=domain_id, namespace=plan[0].namespace, bridge=Bridge("none"))
        plan += parts_of(process_plan(flown), ("bridge",))
        assert {process.name for process in plan} == {"twin", "policy", "guard", "recorder", "bridge"}
        with (
            Supervision(plan, tmp_path / "logs") as supervision,
            Conductor(plan[0].namespace, domain_id, supervision) as conductor,
        ):
            shutil.copy(marked_bundle, path)
            told = rf"refused to configure(.|\n)*{path}(.|\n)*{other.sha256}(.|\n)*Expected {planned.sha256}"
            for process in plan:
                with pytest.raises(
                    TransitionRefused, match=f"'{process.name}' {told}(.|\n)*Start the deployment again"
                ):
                    conductor.transition(process.name, "configure")
            shutil.copy(hover_bundle, path)
            conductor.configure(["twin", "policy", "guard", "recorder"])
