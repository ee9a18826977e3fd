"""The nodes of a deployment in one process: the same works, driven by the same conductor."""

import time
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="the ROS 2 packages are not installed")
pytest.importorskip("pybullet", reason="pybullet is not installed")

from ashore.policies.execution.guard import STOPS
from ashore.real.conductor import Conductor
from ashore.real.errors import TransitionRefused
from ashore.real.mapping import RobotMapping
from ashore.real.network import applied, environment, own_domain
from ashore.real.nodes.composed import composed
from ashore.real.nodes.guard import GuardWork
from ashore.real.nodes.policy import PolicyWork
from ashore.real.nodes.told import BundleFile
from ashore.real.nodes.twin import TwinConfig, TwinWork
from ashore.real.supervision import Supervision

NODES = ("twin", "policy", "guard")


def test_twin_policy_and_guard_fly_in_one_process(hover_bundle: Path, tmp_path: Path) -> None:
    bundle, mapping = BundleFile(hover_bundle), RobotMapping.named("crazyflie")
    works = {
        "twin": TwinWork(TwinConfig(bundle, mapping, "quadrotor_mild", 3)),
        "policy": PolicyWork(bundle, mapping, 0),
        "guard": GuardWork(bundle, mapping),
    }
    with (
        own_domain() as domain_id,
        applied(environment("loopback", domain_id)),
        composed(works, "crazyflie", domain_id),
        Supervision([], tmp_path) as nobody,
        Conductor("crazyflie", domain_id, nobody) as conductor,
    ):
        conductor.configure(NODES)
        for node in NODES:
            conductor.transition(node, "activate")
        time.sleep(2.0)
        for node in reversed(NODES):
            conductor.transition(node, "deactivate")
        told = conductor.ask("guard/report")
    assert told["ticks"] > 20 and not set(told["reasons"]) & set(STOPS) - {"stale"}


def test_what_one_refuses_leaves_the_others_as_they_are(
    hover_bundle: Path, slower_bundle: Path, tmp_path: Path
) -> None:
    mapping = RobotMapping.named("crazyflie")
    works = {
        "twin": TwinWork(TwinConfig(BundleFile(slower_bundle), mapping, "quadrotor_mild", 3)),
        "guard": GuardWork(BundleFile(hover_bundle), mapping),
    }
    with (
        own_domain() as domain_id,
        applied(environment("loopback", domain_id)),
        composed(works, "crazyflie", domain_id),
        Supervision([], tmp_path) as nobody,
        Conductor("crazyflie", domain_id, nobody) as conductor,
    ):
        conductor.configure(["guard"])
        with pytest.raises(TransitionRefused, match="twin"):
            conductor.configure(["twin"])
        conductor.transition("guard", "activate")
