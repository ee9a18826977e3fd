"""What is sound, odd or broken in an arm's file and model, found by looking and by trials, and what to do about it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import mujoco
import numpy as np
from numpy.typing import NDArray

from ashore.datasets.progress import Progress
from ashore.datasets.rotations import matrix_from_quat
from ashore.sim.arms.arm import Arm
from ashore.sim.arms.spec import Box
from ashore.sim.arms.trials import Bench, Hold, Response, try_reach
from ashore.sim.errors import UnsupportedModel
from ashore.sim.kinematics import Chain
from ashore.sim.twin.model import read_servos
from ashore.sim.twin.urdf import make_urdf_trees

Array = NDArray[Any]
State = Literal["good", "odd", "broken"]
DENSITY_KG_M3 = (150.0, 12000.0)
"""Mass over drawn volume: from a hollow shell to solid steel and some that is not drawn."""
FAST_RAD_S, WIDE_RAD = 7.0, 4.1 * np.pi
TILT_RAD, SQUARE_RAD = (np.radians(3.0), np.radians(30.0)), np.radians(10.0)
PAD_M = 0.03
SAG_RAD = (0.002, 0.05)
"""Beyond the first a sag is odd, beyond the second broken; the same pair, a second on, for drift."""
RISE = (0.5, 2.0)
"""Bounds of a good rise time, as shares of servo_time_s."""
OVERSHOOT, ERROR, LOST = 0.1, 0.02, 0.5
HALF_OPEN, SLOW_S = 0.05, 1.5
"""Largest error of the gripper's width, as a share of it, and the longest time to close."""
TASK_PLACES = Box((0.4, -0.2, 0.02), (0.6, 0.2, 0.2))
"""Where the tasks of the cell put things, and the tool above them."""
TASK_WIDTH_M = 0.065
"""A gripper that has let go of the cell's 40 mm cube, and so the narrowest that serves."""
WORKSPACE_REACHED, TASKS_REACHED = (0.75, 0.4), (0.99, 0.7)
"""Shares of places: at least the first is good, below the second broken; the corners of a workspace may be out."""


@dataclass(frozen=True)
class RobotFinding:
    """One line of the examination."""

    topic: str
    subject: str
    state: State
    detail: str
    advice: str = ""


@dataclass(frozen=True)
class RobotExamination:
    """All that was found."""

    findings: tuple[RobotFinding, ...]
    responses: tuple[Response, ...]
    """The step response of each joint (J)."""

    @property
    def broken(self) -> bool:
        """Whether anything is."""
        return any(finding.state == "broken" for finding in self.findings)


def examine_robot(arm: Arm, progress: Progress) -> RobotExamination:
    """Look at an arm and try it, on the table of the cell; load_arm has refused what does not fit at all."""
    bench = Bench(arm)
    chain = Chain.from_mapping(arm.card.interface["chain"])
    joints, responses = len(bench.joints), []
    for number in range(joints):
        responses.append(bench.step(number))
        progress(number + 1, joints, "step responses")
    parts = (
        _limits(bench),
        _masses(bench),
        _order(arm),
        _chain(bench, chain),
        _tool(bench),
        _pads(bench),
        _contacts(bench),
        _hold(arm, bench.hold()),
        _steps(arm, responses),
        _gripper(bench),
        _reach(arm, chain),
        _tasks(arm),
        _twin(bench),
    )
    return RobotExamination(tuple(finding for part in parts for finding in part), tuple(responses))


def _limits(bench: Bench) -> Iterator[RobotFinding]:
    arm, torques = bench.arm, bench.torque_limits()
    for number, name in enumerate(arm.written.joints):
        low, high = bench.model.jnt_range[bench.joints[number]]
        speed, torque = arm.spec.velocity_rad_s[number], torques[number]
        detail = f"{low:.3g} to {high:.3g} rad, {speed:.3g} rad/s, {torque:.4g} N m"
        advice = "give the servo a forcerange in the model" if not np.isfinite(torque) else ""
        advice = "is velocity_rad_s in degrees?" if speed > FAST_RAD_S else advice
        advice = "is the range in degrees? (compiler angle)" if high - low > WIDE_RAD else advice
        yield RobotFinding("limits", name, "odd" if advice else "good", detail, advice)


def _masses(bench: Bench) -> Iterator[RobotFinding]:
    model, prefix = bench.model, bench.arm.spec.name + "_"
    total = 0.0
    for body in (b for b in range(1, model.nbody) if model.body(b).name.startswith(prefix) and model.body_mass[b] > 0):
        mass, inertia = float(model.body_mass[body]), model.body_inertia[body]
        total += mass
        volume, extent = _volume(model, body), _extent(model, body)
        gyration = float(np.sqrt(np.max(inertia) / mass))
        advice = ""
        if volume and not DENSITY_KG_M3[0] <= mass / volume <= DENSITY_KG_M3[1]:
            advice = f"its shapes have {mass / volume:.0f} kg/m3: is its mass in kg, are its shapes in m?"
        elif extent and gyration > extent:
            advice = (
                f"its mass lies {gyration:.2g} m from its centre, its shapes end at {extent:.2g} m: look at its inertia"
            )
        elif 2.0 * np.max(inertia) > np.sum(inertia) * (1.0 + 1e-6):
            advice = "no rigid body has these inertias: the largest is above the sum of the others"
        if advice:
            yield RobotFinding("masses", model.body(body).name.removeprefix(prefix), "odd", f"{mass:.3g} kg", advice)
    yield RobotFinding("masses", "whole arm", "good", f"{total:.3g} kg")


def _order(arm: Arm) -> Iterator[RobotFinding]:
    yield RobotFinding(
        "joints", f"{len(arm.written.joints)} hinges", "good", "base to tool: " + ", ".join(arm.written.joints)
    )


def _chain(bench: Bench, chain: Chain) -> Iterator[RobotFinding]:
    model, data = bench.model, bench.start()
    low, high = model.jnt_range[bench.joints].T
    poses = np.random.default_rng(0).uniform(low, high, (50, len(low)))
    pos, quat = chain.forward(poses)
    matrix, worst = matrix_from_quat(quat), 0.0
    for row, pose in enumerate(poses):
        data.qpos[model.jnt_qposadr[bench.joints]] = pose
        mujoco.mj_kinematics(model, data)
        site = data.site(bench.arm.spec.tool)
        worst = max(worst, float(np.abs(site.xpos - pos[row]).max()))
        worst = max(worst, float(np.abs(site.xmat.reshape(3, 3) - matrix[row]).max()))
    state: State = "good" if worst < 1e-6 else "broken"
    advice = "" if state == "good" else "the base must stand at the world's origin, unturned"
    yield RobotFinding("kinematics", "chain and MuJoCo", state, f"differ by {worst:.1g} in 50 poses", advice)


def _tool(bench: Bench) -> Iterator[RobotFinding]:
    spec, site = bench.arm.spec, bench.start().site(bench.arm.spec.tool)
    pos, matrix = site.xpos, site.xmat.reshape(3, 3)
    tilt = float(np.arccos(np.clip(-matrix[2, 2], -1.0, 1.0)))
    state: State = "good"
    advice = ""
    if np.any(pos < spec.stop_outside_m.low) or np.any(pos > spec.stop_outside_m.high):
        state, advice = "broken", "it is outside stop_outside_m: the guard stops at once"
    elif tilt > TILT_RAD[0]:
        state = "odd" if tilt < TILT_RAD[1] else "broken"
        advice = f"{np.degrees(tilt):.0f} degrees off straight down: correct home_rad or tool_offset"
    detail = f"at {_numbers(pos)} m, x along {_numbers(matrix[:, 0])}, z along {_numbers(matrix[:, 2])}"
    yield RobotFinding("tool", "at home", state, detail, advice)


def _pads(bench: Bench) -> Iterator[RobotFinding]:
    data = bench.start()
    site, pads = data.site(bench.arm.spec.tool), bench.arm.spec.gripper.pads
    matrix, places = site.xmat.reshape(3, 3), np.array([data.geom(name).xpos for name in pads])
    off, across = matrix.T @ (places.mean(axis=0) - site.xpos), matrix.T @ (places[0] - places[-1])
    apart = float(np.linalg.norm(across))
    skew = float(np.arccos(np.clip(abs(across[1]) / max(apart, 1e-9), 0.0, 1.0)))
    detail = (
        f"their middle {_numbers(off)} m from the tool, {apart:.3g} m apart along {_numbers(across / max(apart, 1e-9))}"
    )
    state: State = "good"
    advice = ""
    if skew > SQUARE_RAD:
        state, advice = "broken", "the fingers must close along the tool's y axis: turn tool_offset"
    elif np.max(np.abs(off)) > PAD_M:
        state, advice = "odd", "the tool's origin should lie between the pads: move tool_offset"
    yield RobotFinding("tool", "pads", state, detail, advice)


def _contacts(bench: Bench) -> Iterator[RobotFinding]:
    model, data = bench.model, bench.start()
    pairs = {
        tuple(model.body(int(model.geom_bodyid[geom])).name or "world" for geom in data.contact.geom[i])
        for i in range(data.ncon)
        if data.contact.dist[i] < 0.0
    }
    for first, second in sorted(pairs):
        where = "the table" if "world" in (first, second) else "itself"
        advice = "move home_rad, shrink the shapes, or <exclude> the pair" if where == "itself" else "move home_rad"
        yield RobotFinding("contacts", f"{first} and {second}", "broken", f"touches {where} at home", advice)
    if not pairs:
        shapes = sum(bool(model.geom_contype[g] or model.geom_conaffinity[g]) for g in range(model.ngeom))
        yield RobotFinding("contacts", "at home", "good", f"none; {shapes} shapes can touch, table and floor included")


def _hold(arm: Arm, hold: Hold) -> Iterator[RobotFinding]:
    sag, drift = float(np.max(np.abs(hold.sag_rad))), float(np.max(np.abs(hold.drift_rad_s)))
    name = arm.written.joints[int(np.argmax(np.abs(hold.sag_rad)))]
    detail = f"{sag:.2g} rad, drifts {drift:.2g} rad/s, spends {float(np.max(hold.effort)):.0%} of a torque"
    worst = max(sag, drift) if np.isfinite(sag + drift) else np.inf
    state: State = "good" if worst < SAG_RAD[0] else "odd" if worst < SAG_RAD[1] else "broken"
    advice = "" if state == "good" else "gravity_compensation: true if its controller has that, or stiffer servos"
    yield RobotFinding("gravity", f"{name} sags most in 1 s", state, detail, advice)


def _steps(arm: Arm, responses: list[Response]) -> Iterator[RobotFinding]:
    wanted = arm.spec.servo_time_s
    for response in responses:
        detail = (
            f"63 % in {response.rise_s:.3g} s, overshoot {response.overshoot:.1%}, error {response.error:.1%},"
            f" {response.saturated:.0%} at the torque limit"
        )
        state: State = "good"
        advice = ""
        if not response.error < LOST:
            state, advice = "broken", "it does not follow: look at kp, at the torque limit, at what it touches"
        elif response.overshoot > OVERSHOOT:
            state, advice = "odd", f"it swings: raise kv (servo_time_s {wanted:g} is kv / kp)"
        elif response.error > ERROR:
            state, advice = "odd", "it does not arrive: raise kp, or compensate gravity"
        elif not RISE[0] <= response.rise_s / wanted <= RISE[1]:
            state, advice = "odd", f"servo_time_s says {wanted:g} s: set it to kv / kp, or raise kp and kv together"
        yield RobotFinding("servos", response.joint, state, detail, advice)


def _gripper(bench: Bench) -> Iterator[RobotFinding]:
    half, closing_s = bench.half_open(), bench.close_gripper_s()
    state: State = "good"
    advice = ""
    if not abs(half - 0.5) < HALF_OPEN:
        state, advice = "broken", "its control is not its width in m: leave gripper.actuator out, and one is made"
    elif not np.isfinite(closing_s):
        state, advice = "broken", "it does not close: raise its force, or look at what blocks its fingers"
    elif closing_s > SLOW_S:
        state, advice = "odd", "raise its force, or lower its fingers' damping"
    detail = f"closes by 90 % in {closing_s:.3g} s; told to be half open, it is {half:.0%} open"
    yield RobotFinding("servos", "gripper", state, detail, advice)


def _reach(arm: Arm, chain: Chain) -> Iterator[RobotFinding]:
    boxes = (
        ("workspace_m", arm.spec.workspace_m, WORKSPACE_REACHED, "shrink workspace_m"),
        ("where tasks put things", TASK_PLACES, TASKS_REACHED, "tasks of this cell want a longer arm, or another base"),
    )
    for subject, box, (good, odd), way_out in boxes:
        reach = try_reach(arm, chain, box)
        state: State = "good" if reach.share >= good else "odd" if reach.share >= odd else "broken"
        detail = f"{reach.share:.0%} of {reach.n_places} places, tool straight down; least singular value "
        detail += f"{reach.singular:.2g}"
        advice = ""
        if state != "good":
            low, high = reach.missed.min(axis=0), reach.missed.max(axis=0)
            advice = f"{way_out}; out of reach lie {_numbers(low)} to {_numbers(high)} m"
        yield RobotFinding("reach", subject, state, detail, advice)


def _tasks(arm: Arm) -> Iterator[RobotFinding]:
    """Yield whether what the arm's file allows is enough for the tasks of the cell; an arm may be meant for others."""
    width = arm.spec.gripper.width_m
    wide = width >= TASK_WIDTH_M
    advice = "" if wide else "the cell's cubes are 40 mm: open it wider, or take tasks of your own"
    yield RobotFinding("tasks", "gripper", "good" if wide else "odd", f"opens to {width:.3g} m", advice)
    box = arm.spec.workspace_m
    low, high = np.array(TASK_PLACES.low) - box.low, np.array(box.high) - TASK_PLACES.high
    inside = bool(np.all(low >= 0) and np.all(high >= 0))
    advice = "" if inside else f"tasks put things at {_numbers(TASK_PLACES.low)} to {_numbers(TASK_PLACES.high)} m"
    detail = f"{_numbers(box.low)} to {_numbers(box.high)} m"
    yield RobotFinding("tasks", "workspace_m", "good" if inside else "odd", detail, advice)


def _twin(bench: Bench) -> Iterator[RobotFinding]:
    try:
        trees = make_urdf_trees(bench.model)
        servos = read_servos(bench.model)
    except UnsupportedModel as error:
        _, first, *more = str(error).splitlines()
        detail = first.strip() + (f"; and {len(more)} more" if more else "")
        advice = "MuJoCo runs it, the PyBullet twin does not, until its model is changed so"
        yield RobotFinding("twin", "scene", "odd", detail, advice)
        return
    yield RobotFinding("twin", "scene", "good", f"{len(trees)} trees and {len(servos)} servos can be put into PyBullet")


def _volume(model: mujoco.MjModel, body: int) -> float:
    """Volume of a body's shapes, m3: of the drawn ones, overlaps twice, else of those that touch; 0 with a mesh."""
    geoms = range(int(model.body_geomadr[body]), int(model.body_geomadr[body]) + int(model.body_geomnum[body]))
    drawn = [g for g in geoms if int(model.geom_group[g]) <= 2] or list(geoms)
    volumes = []
    for geom in drawn:
        kind, (a, b, c) = int(model.geom_type[geom]), model.geom_size[geom]
        round_m3 = 4.0 / 3.0 * np.pi * a**3
        shapes = {
            int(mujoco.mjtGeom.mjGEOM_BOX): 8.0 * a * b * c,
            int(mujoco.mjtGeom.mjGEOM_SPHERE): round_m3,
            int(mujoco.mjtGeom.mjGEOM_CYLINDER): 2.0 * np.pi * a * a * b,
            int(mujoco.mjtGeom.mjGEOM_CAPSULE): 2.0 * np.pi * a * a * b + round_m3,
            int(mujoco.mjtGeom.mjGEOM_ELLIPSOID): 4.0 / 3.0 * np.pi * a * b * c,
        }
        volumes.append(shapes.get(kind, np.nan))
    total = float(np.sum(volumes)) if volumes else 0.0
    return total if np.isfinite(total) else 0.0


def _extent(model: mujoco.MjModel, body: int) -> float:
    """Largest distance of a body's shapes from its centre of mass, m; 0 where it has none."""
    first, count = int(model.body_geomadr[body]), int(model.body_geomnum[body])
    centre = model.body_ipos[body]
    ends = [
        float(np.linalg.norm(model.geom_pos[g] - centre) + model.geom_rbound[g]) for g in range(first, first + count)
    ]
    return max(ends, default=0.0)


def _numbers(values: Array | tuple[float, ...]) -> str:
    return "(" + ", ".join(f"{0.0 if abs(value) < 5e-4 else value:.3g}" for value in values) + ")"
