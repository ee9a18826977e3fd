"""Joint torques, which no policy sees: where a robot measures them, the guard stops beyond the arm's limits."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

pytest.importorskip("rclpy", reason="the ROS 2 packages are not installed")
pytest.importorskip("pybullet", reason="pybullet is not installed")

from ashore.policies.bundle import read_bundle
from ashore.real.conductor import Conductor
from ashore.real.errors import TransitionRefused
from ashore.real.mapping import ROBOTS_DIR
from ashore.real.messages import message_class
from ashore.real.network import applied, environment, own_domain
from ashore.real.plan import Deployment, parts_of, process_plan
from ashore.real.station import Station
from ashore.real.supervision import Supervision
from benchmarks.linear_bundles import circling_arm


@pytest.fixture(scope="module")
def circling_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return circling_arm(tmp_path_factory.mktemp("torques") / "circling.ashore")


@pytest.fixture
def measuring(tmp_path: Path) -> Path:
    """The mapping of a robot that tells its torques on a topic."""
    raw = yaml.safe_load((ROBOTS_DIR / "panda.yaml").read_text())
    names = raw["observations"]["joint_states"]["features"]["joint_pos_rad"]["names"]
    # A list of its own: one that stands twice would be written as an alias, which settings may not have.
    bound = {"joint_torque_n_m": {"field": "effort", "names": list(names)}}
    raw["observations"]["torques"] = {"type": "sensor_msgs/JointState", "features": bound}
    path = tmp_path / "measuring.yaml"
    path.write_text(yaml.safe_dump(raw))
    return path


def until(is_so: Callable[[], bool], limit_s: float = 15.0) -> bool:
    until_s = time.monotonic() + limit_s
    while not is_so() and time.monotonic() < until_s:
        time.sleep(0.05)
    return is_so()


def test_a_torque_beyond_the_limit_stops_the_arm(circling_bundle: Path, measuring: Path, tmp_path: Path) -> None:
    names = yaml.safe_load(measuring.read_text())["observations"]["torques"]["features"]["joint_torque_n_m"]["names"]
    torques_n_m, ended = [1.0] * len(names), threading.Event()
    with own_domain() as domain_id, applied(environment("loopback", domain_id)):
        plan = process_plan(Deployment(read_bundle(circling_bundle), "twin/panda", domain_id=domain_id))
        args = tuple(
            str(measuring) if word == "panda" and before == "--mapping" else word
            for before, word in zip(("", *plan[-1].args), plan[-1].args, strict=False)
        )
        plan[-1] = replace(plan[-1], args=args)
        with (
            Supervision(plan, tmp_path / "logs") as supervision,
            Conductor("panda", domain_id, supervision) as conductor,
            Station(domain_id, "panda") as station,
        ):
            publish = conductor.link.publisher("torques", "sensor_msgs/JointState", "stream")

            def tell() -> None:
                while not ended.wait(0.02):
                    message = message_class("sensor_msgs/JointState")(name=names, effort=torques_n_m)
                    message.header.stamp = conductor.link.stamp()
                    publish(message)

            thread = threading.Thread(target=tell)
            thread.start()
            try:
                conductor.configure([process.name for process in plan])
                for process in plan:
                    conductor.transition(process.name, "activate")

                def said() -> str:
                    health = station.health().get("panda/guard")
                    return health.text if health is not None else ""

                assert until(lambda: said() == "commands pass"), said()
                torques_n_m[0] = -90.0
                assert until(lambda: "observed_out_of_bounds" in said()), said()
                torques_n_m[0] = 1.0
                time.sleep(2.5)
                assert "observed_out_of_bounds" in said(), "the stop is latched"
            finally:
                ended.set()
                thread.join()


def test_a_twin_that_measures_no_torques_refuses_a_mapping_of_them(
    circling_bundle: Path, measuring: Path, tmp_path: Path
) -> None:
    with own_domain() as domain_id, applied(environment("loopback", domain_id)):
        plan = process_plan(Deployment(read_bundle(circling_bundle), f"twin/{measuring}", domain_id=domain_id))
        plan = parts_of(plan, ("twin",))
        with (
            Supervision(plan, tmp_path / "logs") as supervision,
            Conductor("panda", domain_id, supervision) as conductor,
            pytest.raises(TransitionRefused, match="joint_torque_n_m: not measured against on a topic"),
        ):
            conductor.transition("twin", "configure")
