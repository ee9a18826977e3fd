"""Faults of the running graph on the twin: what the guard does about each, and how soon.

A reaction is the time from the fault to the last command that still followed the policy, as the judge heard it. The
operator's stop is then pressed during every fault, and must be obeyed as if there were none.
"""

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.progress import Progress
from ashore.real.cameras import CameraSpec
from benchmarks.fault_graph import NOBODY, Graph, Judge, Watching
from benchmarks.fault_relay import Faults
from benchmarks.fault_transitions import wander
from benchmarks.films import FILM_SIZE, film
from benchmarks.linear_bundles import YAW_MARK, circling_arm, marked_hover
from benchmarks.row import Row, write_rows

Array = NDArray[Any]
Expected = Literal["stops", "goes on"]
BUNDLES: dict[str, Callable[[Path], Path]] = {"panda": circling_arm, "crazyflie": marked_hover}
OBSERVED = {"panda": "joint_states", "crazyflie": "odometry"}
"""The topic that is harmed."""
AFTER_S = 1.2
"""How long is watched after a fault."""
PRESSED_S = 0.3
"""How long is watched after the operator's stop is pressed during a fault."""
PRESS_MS = 50.0
CRUISE = 0.5
"""Share of the change of an arm's command before the fault, below which it no longer follows the policy."""
SEQUENCES, QUICK_SEQUENCES = 1000, 5
STALE_MS = {"panda": 150.0, "crazyflie": 250.0}


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong, and what must become of it."""

    name: str
    do: Callable[[Graph], None]
    expected: Expected = "stops"
    within_ms: float | None = None
    """Largest reaction; None for that to a stale observation."""
    trials: int = 5
    is_final: bool = False
    """Whether the graph is broken afterwards."""
    is_watched: bool = False
    """Whether a camera and a recorder look on."""

    def limit_ms(self, robot: str) -> float:
        """Give the largest reaction on a robot."""
        return STALE_MS[robot] if self.within_ms is None else self.within_ms


def on_observations(**faults: Any) -> Callable[[Graph], None]:
    """Harm the robot's own state."""
    return lambda graph: graph.harm({OBSERVED[graph.robot]: Faults(**faults)})


def on_proposals(**faults: Any) -> Callable[[Graph], None]:
    """Harm what the policy proposes."""
    return lambda graph: graph.harm({"proposal": Faults(**faults)})


def pressed(graph: Graph) -> None:
    """Press the operator's stop."""
    graph.station.press(True)


def signalled(node: str, number: int) -> Callable[[Graph], None]:
    """Send a signal to a process."""
    return lambda graph: graph.kill(node, number)


FAULTS = (
    Fault("nothing happens", lambda graph: None, "goes on"),
    Fault("policy killed", signalled("policy", signal.SIGKILL), within_ms=200.0, trials=50, is_final=True),
    Fault("policy frozen", signalled("policy", signal.SIGSTOP), within_ms=200.0, trials=50, is_final=True),
    Fault("guard killed", signalled("guard", signal.SIGKILL), within_ms=50.0, is_final=True),
    Fault("twin frozen", signalled("twin", signal.SIGSTOP), is_final=True),
    Fault("stop pressed", pressed, within_ms=50.0, trials=100),
    Fault("proposals 300 ms late", on_proposals(delay_s=0.3), within_ms=200.0),
    Fault("proposals hold NaN", on_proposals(nan=True), within_ms=100.0),
    Fault("a second commander", on_proposals(second=True), within_ms=100.0),
    Fault("proposals twice", on_proposals(duplicate=1.0), "goes on"),
    Fault("proposals out of order", on_proposals(reorder=0.3), "goes on"),
    Fault("30 % of proposals lost", on_proposals(drop=0.3), "goes on"),
    Fault("observations lost", on_observations(drop=1.0), trials=20),
    Fault("observations 200 ms late", on_observations(delay_s=0.2)),
    Fault("observations hold NaN", on_observations(nan=True)),
    Fault("a joint is missing", on_observations(missing=True)),
    Fault("the robot's clock jumps back 1 s", on_observations(stamp_offset_s=-1.0)),
    Fault("the robot's clock jumps ahead 1 s", on_observations(stamp_offset_s=1.0), "goes on"),
    Fault("observations twice", on_observations(duplicate=1.0), "goes on"),
    Fault("observations out of order", on_observations(reorder=0.3), "goes on"),
    Fault("30 % of observations lost", on_observations(drop=0.3), "goes on"),
    Fault("camera killed", signalled("camera_front", signal.SIGKILL), "goes on", is_final=True, is_watched=True),
    Fault("recorder killed", signalled("recorder", signal.SIGKILL), "goes on", is_final=True, is_watched=True),
    Fault("joints in another order", on_observations(shuffle=True), "goes on"),
)
ONLY_WITH_JOINTS = ("a joint is missing", "joints in another order")


@dataclass(frozen=True)
class Reaction:
    """What a trial showed."""

    ms: float
    """From the fault to the last command that followed the policy."""
    followed: float
    """Share of the commands in the second half of what was watched that followed the policy."""
    not_finite: int
    """Commands that held NaN or infinity."""
    press_ms: float
    """From the operator's stop, pressed during the fault, to the last command that followed the policy."""

    def is_as(self, expected: Expected) -> bool:
        """Say whether that became of it; a busy machine may make the guard stop now and then where it shall go on."""
        # A third, since an arm stands for as long as the proposal that would move it on is lost.
        return self.followed > 1 / 3 if expected == "goes on" else self.followed == 0.0


def run(quick: bool, folder: Path, progress: Progress) -> list[Row]:
    """Harm both robots' graphs in every way, again and again."""
    rows = []
    for robot in BUNDLES:
        bundle = bundle_of(robot, folder)
        for number, fault in enumerate(faults_of(robot)):
            trials = 1 if quick else fault.trials
            progress(number, len(FAULTS), f"{robot}: {fault.name}, {trials} time(s)")
            rows += rows_of(robot, fault, react(robot, bundle, fault, trials))
            write_rows(folder / "so_far.json", rows)
        found = wander(bundle, robot, QUICK_SEQUENCES if quick else SEQUENCES, progress=progress)
        name = f"{robot}: {found.sequences:,} random sequences of transitions"
        rows.append(Row.of(f"{name}: commands while the guard is not active", found.stray, "1", "<=", 0))
        rows.append(Row.of(f"{name}: commands in all", found.commands, "1"))
    return rows


def faults_of(robot: str) -> list[Fault]:
    """List what can happen to a robot."""
    return [fault for fault in FAULTS if robot == "panda" or fault.name not in ONLY_WITH_JOINTS]


def bundle_of(robot: str, folder: Path) -> Path:
    """Write the bundle of a policy that never rests."""
    folder.mkdir(parents=True, exist_ok=True)
    return BUNDLES[robot](folder / f"{robot}.ashore")


def rows_of(robot: str, fault: Fault, found: list[Reaction]) -> list[Row]:
    """Compare reactions with what is expected; the slowest counts."""
    as_expected = sum(each.is_as(fault.expected) for each in found)
    name = f"{robot}: {fault.name}"
    rows = [Row.of(f"{name}: {fault.expected}, of {len(found)}", as_expected, "1", ">=", len(found))]
    if fault.expected == "stops":
        slowest = max(each.ms for each in found)
        rows.append(Row.of(f"{name}: slowest reaction", slowest, "ms", "<=", fault.limit_ms(robot)))
    slowest = max(each.press_ms for each in found)
    rows.append(Row.of(f"{name}: stop pressed meanwhile, slowest", slowest, "ms", "<=", PRESS_MS))
    rows.append(Row.of(f"{name}: commands that are not finite", sum(each.not_finite for each in found), "1", "<=", 0))
    return rows


def react(robot: str, bundle: Path, fault: Fault, trials: int) -> list[Reaction]:
    """Try a fault again and again, with a new graph for each where it breaks one."""
    found: list[Reaction] = []
    while len(found) < trials:
        place = Path(mkdtemp(prefix="ashore-faults-"))
        watching = watched(place) if fault.is_watched else NOBODY
        with Graph(bundle, robot, place, (OBSERVED[robot], "proposal"), watching=watching) as graph:
            for _ in range(1 if fault.is_final else trials):
                graph.start()
                found.append(one_reaction(graph, fault))
                if not fault.is_final:
                    graph.harm({})
                    graph.station.press(False)
                    graph.end()
    return found


def one_reaction(graph: Graph, fault: Fault) -> Reaction:
    """Harm a graph whose commands flow, and watch."""
    follows = follower(graph.robot, graph.judge)
    began_s = time.monotonic()
    fault.do(graph)
    time.sleep(max(0.0, began_s + AFTER_S - time.monotonic()))
    heard = graph.judge.followed(follows)
    last_s = max((at_s for at_s, followed in heard if followed), default=-np.inf)
    late = [followed for at_s, followed in heard if at_s > began_s + AFTER_S / 2]
    share = float(np.mean(late)) if late else 0.0
    return Reaction(1e3 * max(0.0, last_s - began_s), share, graph.judge.not_finite, press_ms(graph, follows))


def press_ms(graph: Graph, follows: Callable[[Array, Array], bool]) -> float:
    """Press the operator's stop, and give the time to the last command that followed the policy; 0 without any."""
    pressed_s = time.monotonic()
    graph.station.tell_stop(True)
    time.sleep(PRESSED_S)
    late = [at_s for at_s, followed in graph.judge.followed(follows) if followed and at_s > pressed_s]
    return 1e3 * (max(late) - pressed_s) if late else 0.0


def watched(place: Path) -> Watching:
    """Give a camera, whose part a film plays, and a recorder."""
    camera = CameraSpec("front", str(film(place / "film.avi")), FILM_SIZE[1], FILM_SIZE[0])
    return Watching((camera,), place / "seen")


def follower(robot: str, judge: Judge) -> Callable[[Array, Array], bool]:
    """Make the test of whether a command follows the policy, given the one before it.

    The quadrotor's policy turns as no stop does; the arm's moves on, which a stop brakes.
    """
    if robot == "crazyflie":
        return lambda before, command: bool(np.isclose(command[2], YAW_MARK, atol=1e-6))
    commands = np.array([command for _, command in judge.heard[-40:]])
    cruise = float(np.median(np.linalg.norm(np.diff(commands, axis=0), axis=1)))
    return lambda before, command: bool(np.linalg.norm(command - before) > CRUISE * cruise)
