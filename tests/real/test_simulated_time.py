"""Real processes by simulated time: other speeds, a time that nobody tells, that stands still, that begins anew."""

import os
import re
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="the ROS 2 packages are not installed")
pytest.importorskip("pybullet", reason="pybullet is not installed")

from ashore.datasets.store import EpisodeStore
from ashore.policies.bundle import read_bundle
from ashore.real.conductor import Conductor
from ashore.real.deploy import DeployConfig, deploy
from ashore.real.errors import InvalidParameter, NoTwin, TransitionRefused
from ashore.real.mapping import RobotMapping
from ashore.real.messages import message_class
from ashore.real.network import applied, environment, own_domain
from ashore.real.nodes.link import Link
from ashore.real.nodes.simulated_time import hold
from ashore.real.own_node import OwnNode
from ashore.real.plan import Deployment, parts_of, process_plan
from ashore.real.station import Station
from ashore.real.supervision import Supervision
from ashore.real.vector import VECTOR_TYPE, proposal_names, to_vector
from benchmarks.linear_bundles import YAW_MARK

ROBOT = "twin/crazyflie"
EPISODE_S, HZ = 6.0, 50.0
STEP_S = 0.004


def wait_until(ready: Callable[[], bool], limit_s: float = 30.0) -> None:
    deadline_s = time.monotonic() + limit_s
    while not ready():
        assert time.monotonic() < deadline_s, "not in time"
        time.sleep(0.01)


@contextmanager
def started(asked: Deployment, only: tuple[str, ...], log_dir: Path) -> Iterator[tuple[Supervision, Conductor]]:
    with own_domain() as domain_id, applied(environment("loopback", domain_id)):
        plan = parts_of(process_plan(asked), only)
        with (
            Supervision(plan, log_dir) as supervision,
            Conductor(plan[0].namespace, domain_id, supervision) as conductor,
        ):
            try:
                yield supervision, conductor
            finally:
                for pid in supervision.pids.values():
                    os.kill(pid, signal.SIGCONT)  # What stands still cannot end.


@pytest.mark.parametrize("factor", [0.5, pytest.param(2.0, marks=pytest.mark.full)])
def test_an_episode_is_as_long_and_as_finely_commanded_at_any_speed(
    hover_bundle: Path, tmp_path: Path, factor: float
) -> None:
    config = DeployConfig(
        read_bundle(hover_bundle), ROBOT, None, 1, tmp_path / "store", 3, tmp_path / "logs", real_time_factor=factor
    )
    report = deploy(config)
    outcome = report.episodes[0]
    assert outcome.truncated and outcome.metrics["crashed"] == 0.0, report.summary()
    assert outcome.time_s == EPISODE_S
    assert 0.8 * HZ * EPISODE_S < outcome.guard_ticks < 1.1 * HZ * EPISODE_S, report.summary()
    summary = report.summary()
    assert summary["real_time_factor"] == factor
    assert summary["command_period_ms_p50"] == pytest.approx(1e3 / HZ, abs=0.1)
    # The bare loop beside it keeps real time.
    assert np.median(report.bare_period_ms) == pytest.approx(1e3 / HZ, abs=2.0)
    with EpisodeStore.open(tmp_path / "store", readonly=True) as store:
        episode = store.read(0)
    assert len(episode) > 0.3 * HZ * EPISODE_S, "a busy machine loses some"
    assert episode.time_s[-1] == pytest.approx(EPISODE_S, abs=0.6)
    np.testing.assert_allclose(np.median(np.diff(episode.time_s)), 1 / HZ, atol=1.5 * STEP_S)  # To a step of the clock.


def test_while_time_stands_still_nothing_is_sent_and_everything_ends(marked_bundle: Path, tmp_path: Path) -> None:
    channel = RobotMapping.named("crazyflie").commands[0]
    heard: list[float] = []
    asked = Deployment(read_bundle(marked_bundle), ROBOT, real_time_factor=1.25)
    with started(asked, (), tmp_path) as (supervision, conductor):
        pids = supervision.pids
        conductor.link.subscribe(channel.topic, channel.type, "order", lambda message: heard.append(time.monotonic()))
        conductor.configure(("twin", "policy", "guard"))
        for node in ("twin", "policy", "guard"):
            conductor.transition(node, "activate")
        wait_until(lambda: len(heard) > 20)
        with Station(int(os.environ["ROS_DOMAIN_ID"]), "crazyflie") as station:
            stand_still(pids["twin"], heard)
            for node in ("policy", "guard"):
                said = "simulated time stands still for [0-9]+ s; before: "
                wait_until(lambda: is_said(station, node, said), 10.0)  # noqa: B023
            os.kill(pids["twin"], signal.SIGCONT)
            n_before = len(heard)
            wait_until(lambda: len(heard) > n_before + 20)
        stand_still(pids["twin"], heard)
        conductor.transition("policy", "deactivate")
        os.kill(pids["guard"], signal.SIGTERM)
        assert ends(pids["guard"], 5.0)
        # Its end is the robot's stop, as ever.
        assert time.monotonic() - heard[-1] < 5.0


@pytest.mark.parametrize("factor", [1.0, 0.5])
def test_the_last_word_of_a_guard_is_the_robots_stop(marked_bundle: Path, tmp_path: Path, factor: float) -> None:
    channel, rates = RobotMapping.named("crazyflie").commands[-1], list[float]()
    asked = Deployment(read_bundle(marked_bundle), ROBOT, real_time_factor=factor)
    with started(asked, (), tmp_path) as (_, conductor):

        def take(message: object) -> None:
            rates.extend(float(np.ravel(value)[2]) for n, value in channel.read(message).items() if "rate" in n)

        conductor.link.subscribe(channel.topic, channel.type, "order", take)
        conductor.configure(("twin", "policy", "guard"))
        conductor.transition("twin", "activate")
        for _ in range(12):  # At half speed, every second deactivation comes within the period of the last tick.
            rates.clear()
            for node in ("policy", "guard"):
                conductor.transition(node, "activate")
            wait_until(lambda: len(rates) > 3 and abs(rates[-1] - YAW_MARK) < 1e-6)
            for node in ("guard", "policy"):
                conductor.transition(node, "deactivate")
            time.sleep(0.1)
            assert rates[-1] == 0.0, rates[-5:]


def stand_still(pid: int, heard: list[float]) -> None:
    """Let the twin, and so the time, stand still, and see that nothing is sent."""
    os.kill(pid, signal.SIGSTOP)
    time.sleep(0.3)
    n_before = len(heard)
    time.sleep(0.7)
    assert len(heard) == n_before


def is_said(station: Station, node: str, pattern: str) -> bool:
    health = station.health().get(f"crazyflie/{node}")
    return health is not None and health.level != "ok" and re.match(pattern, health.text) is not None


def ends(pid: int, limit_s: float) -> bool:
    until_s = time.monotonic() + limit_s
    while time.monotonic() < until_s:
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.01)
    return False


def test_time_that_nobody_tells_is_refused_before_anything_moves(hover_bundle: Path, tmp_path: Path) -> None:
    params = tmp_path / "params.yaml"
    params.write_text("/**:\n  ros__parameters:\n    use_sim_time: true\n")
    asked = Deployment(read_bundle(hover_bundle), ROBOT, params=params)
    with started(asked, ("twin", "guard"), tmp_path) as (_, conductor):
        conductor.transition("guard", "configure")
        told = r"use_sim_time is true for '/crazyflie/guard', and no message came on '/clock' .*\(0 publishers\)"
        with pytest.raises(TransitionRefused, match=told):
            conductor.transition("guard", "activate")
        own = "use_sim_time is true for '/crazyflie/twin', which keeps real time at the real_time_factor 1"
        with pytest.raises(TransitionRefused, match=own):
            conductor.transition("twin", "configure")
        # Refused is not broken: with the time told, it starts.
        telling = threading.Thread(target=Simulator(hover_bundle, conductor.link).run, args=(5.0, 2.0, False))
        telling.start()
        conductor.transition("guard", "activate")
        telling.join()


def test_a_configured_node_keeps_the_time_that_it_has() -> None:
    from rclpy.parameter import Parameter

    with (
        own_domain() as domain_id,
        applied(environment("loopback", domain_id)),
        OwnNode("test", "", domain_id) as own,
    ):
        end = hold(own.node)
        (told,) = own.node.set_parameters([Parameter("use_sim_time", value=True)])
        assert not told.successful and "read when the node is configured" in told.reason
        end()
        assert own.node.set_parameters([Parameter("use_sim_time", value=True)])[0].successful


class Simulator:
    """Tells the time, and stands in for a robot and for a policy, all by that time."""

    def __init__(self, bundle: Path, link: Link) -> None:
        self.card, mapping = read_bundle(bundle).card, RobotMapping.named("crazyflie")
        self._names, self._number, self._now_ns = proposal_names(self.card.commands), 0, 0
        self._tell = link.publisher("/clock", "rosgraph_msgs/Clock", "order")
        self._propose = link.publisher("proposal", VECTOR_TYPE, "order")
        self._publish = [(each, link.publisher(each.topic, each.type, "stream")) for each in mapping.observations]

    def run(self, from_s: float, seconds: float, is_sending: bool = True) -> None:
        """Let so many seconds pass, from this time on, about as quickly as real ones."""
        for index in range(round(seconds / STEP_S)):
            self._now_ns = round(1e9 * (from_s + index * STEP_S))
            self._tell(message_class("rosgraph_msgs/Clock")(clock=self._stamp()))
            if is_sending and index % 5 == 0:
                self._send()
            time.sleep(STEP_S)

    def _stamp(self) -> object:
        seconds, nanoseconds = divmod(self._now_ns, 1_000_000_000)
        return message_class("builtin_interfaces/Time")(sec=seconds, nanosec=nanoseconds)

    def _send(self) -> None:
        self._number += 1
        still: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(3))
        still |= {"quat_world_wxyz": np.array([1.0, 0.0, 0.0, 0.0]), "pos_world_m": np.array([0.0, 0.0, 1.0])}
        for channel, publish in self._publish:
            publish(channel.write({each.feature: still[each.feature] for each in channel.bindings}, self._stamp()))
        command = {"rate_body_rad_s": np.array([0.0, 0.0, YAW_MARK])}
        lows = {each.name: np.full(each.size, 8.0) for each in self.card.commands}
        values = np.concatenate([(lows | command)[each.name] for each in self.card.commands])
        self._propose(to_vector(self._names, np.append(values, [0.0, self._number, 7.0]), self._stamp()))


def test_a_simulator_that_begins_anew_is_a_stop_until_what_is_heard_is_fresh_again(
    marked_bundle: Path, tmp_path: Path
) -> None:
    channel = RobotMapping.named("crazyflie").commands[0]
    heard: list[float] = []

    def take(message: object) -> None:
        heard.append(float(channel.read(message)["rate_body_rad_s"][2]))

    params = tmp_path / "params.yaml"
    params.write_text("/**:\n  ros__parameters:\n    use_sim_time: true\n")
    with started(Deployment(read_bundle(marked_bundle), "crazyflie", params=params), ("guard",), tmp_path) as (
        _,
        conductor,
    ):
        conductor.link.subscribe(channel.topic, channel.type, "order", take)
        simulator = Simulator(marked_bundle, conductor.link)
        conductor.transition("guard", "configure")
        simulator.run(100.0, 0.4, is_sending=False)
        conductor.transition("guard", "activate")
        simulator.run(101.0, 1.0)
        assert heard[-1] == pytest.approx(YAW_MARK)
        simulator.run(1.0, 0.6, is_sending=False)
        n_before = len(heard)
        time.sleep(0.2)
        # It had commands in between, and the last of them are the stop.
        assert len(heard) == n_before and heard[-1] == 0.0
        simulator.run(2.0, 1.0)
        assert heard[-1] == pytest.approx(YAW_MARK)
        conductor.transition("guard", "deactivate")


def test_a_speed_that_cannot_be_is_refused_before_a_process_starts(hover_bundle: Path) -> None:
    for robot in ("fr3", "crazyflie"):
        with pytest.raises(NoTwin, match=f"real_time_factor 0.5 was given for '{robot}'"):
            process_plan(Deployment(read_bundle(hover_bundle), robot, real_time_factor=0.5))
    for factor in (0.0, -1.0, 0.01, 50.0, float("nan"), float("inf")):
        with pytest.raises(InvalidParameter, match=r"parameter 'real_time_factor' cannot be used: .* from 0.1 to 10.0"):
            deploy(DeployConfig(read_bundle(hover_bundle), ROBOT, real_time_factor=factor))
