"""Twin, policy and guard in this one process: `composed_process.py BUNDLE TWINS_BUNDLE` prints what came of it."""

import json
import sys
import time
from pathlib import Path
from tempfile import mkdtemp

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
FLIGHT_S = 2.0


def main(bundle: str, twins_bundle: str) -> None:
    """Fly for a while and print the guard's report, or what was refused."""
    mapping, own = RobotMapping.named("crazyflie"), BundleFile(Path(bundle))
    works = {
        "twin": TwinWork(TwinConfig(BundleFile(Path(twins_bundle)), mapping, "quadrotor_mild", 3)),
        "policy": PolicyWork(own, mapping, 0),
        "guard": GuardWork(own, mapping),
    }
    with (
        own_domain() as domain_id,
        applied(environment("loopback", domain_id)),
        composed(works, "crazyflie", domain_id),
        Supervision([], Path(mkdtemp())) as nobody,
        Conductor("crazyflie", domain_id, nobody) as conductor,
    ):
        try:
            conductor.configure(NODES)
        except TransitionRefused as error:
            conductor.transition("guard", "activate")
            sys.stdout.write(json.dumps({"refused": str(error)}) + "\n")
            return
        for node in NODES:
            conductor.transition(node, "activate")
        time.sleep(FLIGHT_S)
        for node in reversed(NODES):
            conductor.transition(node, "deactivate")
        sys.stdout.write(json.dumps(conductor.ask("guard/report")) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
