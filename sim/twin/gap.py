"""The gap between the two engines, measured on one scene: steps of joints, a slide, a drop, pushes, grasps.

Every trial runs the scene of arm/pick-place in MuJoCo's World and in the twin's engine through the same face
(`sim/engine.py`), without noise or delays, so that what differs is the physics and nothing else.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.rotations import matrix_from_quat
from ashore.sim.arms.task import upright
from ashore.sim.engine import Engine
from ashore.sim.experts.tool_motion import yaw_of
from ashore.sim.interfaces import make_interface
from ashore.sim.randomization import Parameter, Randomization, Target
from ashore.sim.randomization.distributions import Fixed
from ashore.sim.tasks.pick_place import HALF_SIDE_M, OBJECT, PickPlace
from ashore.sim.twin.engine import TwinEngine
from ashore.sim.twin.settings import TwinSettings
from ashore.sim.world import World

Array = NDArray[Any]
ENGINES = ("MuJoCo", "twin")
STEP_RAD, STEP_S = 0.2, 1.2
SLIDE_M_S, TABLE_FRICTION, GRAVITY_M_S2 = (0.4, 0.7, 1.0), 0.6, 9.81
DROP_M = 0.1
PUSH_OFFSETS_M, PUSH_M, PUSH_M_S = (0.0, 0.006, 0.012, 0.016), 0.12, 0.1
MASS_SCALES, FRICTION_SCALES = (1.0, 10.0, 20.0, 40.0), (0.1, 0.2, 0.4, 0.8)
HELD_M = 0.05
"""A cube lifted by this was held."""
SAMPLE_SUBSTEPS = 1
PHYSICS_S = 0.002
"""The scene's substep."""


@dataclass(frozen=True)
class Trace:
    """What both engines did from the same start under the same controls."""

    time_s: Array
    """(T,) since the start."""
    values: Mapping[str, Array]
    """{engine: (N, T, *shape)}."""

    def difference(self) -> Array:
        """The twin's minus MuJoCo's (N, T, *shape)."""
        return np.asarray(self.values["twin"] - self.values["MuJoCo"])


def joint_steps(task: PickPlace) -> Trace:
    """Step each joint's set-point by STEP_RAD, one at a time (J); values are that joint's way (J, T), rad."""
    joints, home = task.arm.spec.joints, np.array(task.arm.spec.home_rad)
    n = len(joints)
    controls = np.tile([*home, task.arm.spec.gripper.width_m], (n, 1))
    controls[np.arange(n), np.arange(n)] += STEP_RAD

    def start(engine: Engine) -> None:
        _stand(task, engine)
        engine.actuate(controls)

    def way(engine: Engine) -> Array:
        return np.asarray((engine.joint_pos(joints) - home)[np.arange(n), np.arange(n)])

    return _both(task, n, start, way, STEP_S)


def drop(task: PickPlace) -> Trace:
    """Let the cube fall by DROP_M; values are the height of its centre above where it will rest (1, T), m."""

    def start(engine: Engine) -> None:
        _stand(task, engine)
        engine.place_body(np.arange(1), OBJECT, upright(np.array([[0.5, 0.15, HALF_SIDE_M + DROP_M]])))

    return _both(task, 1, start, lambda engine: engine.body_pose(OBJECT)[:, 2] - HALF_SIDE_M, 1.0)


def slide(task: PickPlace) -> Trace:
    """Let the cube slide at each of SLIDE_M_S; values are how far it came (N, T), m."""
    n = len(SLIDE_M_S)
    velocity = np.column_stack([SLIDE_M_S, np.zeros((n, 5))])

    def start(engine: Engine) -> None:
        _stand(task, engine)
        place = np.tile([0.45, 0.25, HALF_SIDE_M], (n, 1))
        engine.place_body(np.arange(n), OBJECT, upright(place), velocity)

    return _both(task, n, start, lambda engine: engine.body_pose(OBJECT)[:, 0] - 0.45, 0.6)


def stop_distances_m() -> Array:
    """How far Coulomb's friction lets a body slide from each of SLIDE_M_S (N,)."""
    return np.asarray(np.square(SLIDE_M_S) / (2 * TABLE_FRICTION * GRAVITY_M_S2))


def push(task: PickPlace) -> Trace:
    """Push the cube with the closed fingers, off its centre by each of PUSH_OFFSETS_M.

    Values are the cube's way (N, T, 3): along the push m, across it m, yaw rad.
    """
    n, interface = len(PUSH_OFFSETS_M), make_interface(task.arm.card.interface)
    cube = np.tile([0.45, 0.0, HALF_SIDE_M], (n, 1))
    behind = cube + np.column_stack([np.full(n, -0.05), PUSH_OFFSETS_M, np.full(n, -0.005)])
    joints = _reach(task, behind)
    shut = np.zeros((n, 1))
    period_s, seconds = 1.0 / task.arm.card.command_hz, PUSH_M / PUSH_M_S + 0.8
    elapsed = {"s": 0.0}

    def start(engine: Engine) -> None:
        _stand(task, engine)
        task.arm.place(engine, np.arange(n), joints, shut)
        engine.place_body(np.arange(n), OBJECT, upright(cube))
        elapsed["s"] = 0.0

    def drive(engine: Engine) -> None:
        ahead = min(elapsed["s"] * PUSH_M_S, PUSH_M)
        observed = interface.derive(task.arm.measure(engine))
        target = behind + np.array([ahead, 0.0, 0.0])
        turn = _upright_turn(observed["tcp_quat_base_wxyz"])
        action = {"tool_pos_base_m": target, "tool_angvel_base_rad_s": turn, "gripper_target_m": shut}
        engine.actuate(interface.decode(action, observed))
        elapsed["s"] += period_s

    def way(engine: Engine) -> Array:
        pose = engine.body_pose(OBJECT)
        return np.column_stack([pose[:, :2] - cube[:, :2], yaw_of(matrix_from_quat(pose[:, 3:]))])

    return _both(task, n, start, way, seconds, drive)


def grasps(task: PickPlace) -> Mapping[str, Array]:
    """Let the expert lift the cube at each mass and friction; {engine: highest lift (masses, frictions), m}."""
    pairs = [(mass, friction) for mass in MASS_SCALES for friction in FRICTION_SCALES]
    world = World(task.scene(), len(pairs))
    randomization = Randomization(
        (
            Parameter(
                "mass",
                Fixed(1.0),
                "dynamics",
                (Target("body_mass", (OBJECT,)), Target("body_inertia", (OBJECT,))),
                "scale",
            ),
            Parameter("friction", Fixed(1.0), "dynamics", (Target("geom_friction", ("*",), (0,)),), "scale"),
        )
    )
    world.check(randomization)
    draws = [{"mass": np.asarray(mass), "friction": np.asarray(friction)} for mass, friction in pairs]
    world.randomize(np.arange(len(pairs)), draws, randomization)
    shape = len(MASS_SCALES), len(FRICTION_SCALES)
    found = {"MuJoCo": _lift(task, world).reshape(shape)}
    lifts = []
    for mass, friction in pairs:
        with TwinEngine(task.scene(), 1, TwinSettings({OBJECT: mass}, friction_scale=friction)) as twin:
            lifts.append(_lift(task, twin)[0])
    return {**found, "twin": np.reshape(lifts, shape)}


def _lift(task: PickPlace, engine: Engine) -> Array:
    """Let the expert play for four seconds and return how high it lifted each cube (N,)."""
    start = task.randomization("none").nominal()
    ids, interface = np.arange(engine.n), make_interface(task.arm.card.interface)
    task.reset(engine, ids, [start] * engine.n)
    expert = task.expert(engine.n, np.random.default_rng(0))
    draws, highest = [start] * engine.n, np.zeros(engine.n)
    for tick in range(round(4.0 * task.arm.card.command_hz)):
        truth = interface.derive(task.measure(engine, draws))
        if tick % 2 == 0:
            action = task.contract.split_action(expert.act(truth, 0.0))
        engine.actuate(interface.decode(action, truth))
        engine.advance(round(1.0 / (task.arm.card.command_hz * engine.timestep_s)))
        highest = np.fmax(highest, truth["object_pos_base_m"][:, 2] - HALF_SIDE_M)
    return highest


def _both(
    task: PickPlace,
    n: int,
    start: Callable[[Engine], None],
    look: Callable[[Engine], Array],
    seconds: float,
    drive: Callable[[Engine], None] | None = None,
) -> Trace:
    """Run a trial in both engines; drive is called once a command period."""
    values: dict[str, Array] = {}
    times = np.arange(0, round(seconds / PHYSICS_S) + 1, SAMPLE_SUBSTEPS)
    twin = TwinEngine(task.scene(), n)
    engines: tuple[Engine, Engine] = (World(task.scene(), n), twin)
    for name, engine in zip(ENGINES, engines, strict=True):
        every = round(1.0 / (task.arm.card.command_hz * PHYSICS_S))
        start(engine)
        rows = [look(engine)]
        for substep in times[:-1].tolist():
            if drive is not None and substep % every == 0:
                drive(engine)
            engine.advance(SAMPLE_SUBSTEPS)
            rows.append(look(engine))
        values[name] = np.stack(rows, axis=1)
    twin.close()
    return Trace(times * PHYSICS_S, values)


def _stand(task: PickPlace, engine: Engine) -> None:
    """Put the arm at home, open, and the cube out of its way."""
    n = engine.n
    home = np.tile(task.arm.spec.home_rad, (n, 1))
    task.arm.place(engine, np.arange(n), home, np.full((n, 1), task.arm.spec.gripper.width_m))
    engine.place_body(np.arange(n), OBJECT, upright(np.tile([0.5, 0.3, HALF_SIDE_M], (n, 1))))
    engine.actuate(np.column_stack([home, np.full(n, task.arm.spec.gripper.width_m)]))


def _reach(task: PickPlace, pos_base_m: Array) -> Array:
    """Joint positions (N, J) that bring the tool to positions (N, 3), pointing down."""
    interface = make_interface(task.arm.card.interface)
    joints = np.tile(task.arm.spec.home_rad, (len(pos_base_m), 1))
    width = np.zeros((len(pos_base_m), 1))
    for _ in range(300):
        observed = interface.derive({"joint_pos_rad": joints, "gripper_width_m": width})
        turn = _upright_turn(observed["tcp_quat_base_wxyz"])
        action = {"tool_pos_base_m": pos_base_m, "tool_angvel_base_rad_s": turn, "gripper_target_m": width}
        joints = joints + 0.5 * (interface.decode(action, observed)[:, :-1] - joints)
    return joints


def _upright_turn(quat_wxyz: Array) -> Array:
    """Angular velocity (N, 3) that brings the tool back to pointing down, its fingers along the base's y axis."""
    rotation = matrix_from_quat(quat_wxyz)
    axis = rotation[..., 2]
    turn = np.cross(axis, np.broadcast_to([0.0, 0.0, -1.0], axis.shape))
    turn[:, 2] = -yaw_of(rotation)
    return np.asarray(3.0 * turn)


def settled(values: Sequence[float] | Array) -> float:
    """The mean of the last tenth of a signal (T,)."""
    row = np.asarray(values)
    return float(np.mean(row[-max(1, len(row) // 10) :]))
