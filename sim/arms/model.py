"""Any model made an arm's: what its file asks for and the model lacks is added, as servos, tool frame and gripper."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import mujoco
import numpy as np
from numpy.typing import NDArray

from ashore.datasets.errors import closest, quoted
from ashore.datasets.rotations import matrix_from_quat, quat_multiply
from ashore.sim.arms.spec import ArmSpec

Array = NDArray[np.float64]

MARGIN_RAD = 0.05
"""Joint targets stay this far inside the joint limits."""
VALUES_A_JOINT = (
    "home_rad",
    "velocity_rad_s",
    "acceleration_rad_s2",
    "jerk_rad_s3",
    "link_radius_m",
    "torque_n_m",
    "servo_kp_n_m_rad",
)
STIFFNESS_SHARE, DAMPING_SHARE = 8.0, 4.0
"""A servo that is made has kp = 8 inertia / servo_time^2 + 4 damping / servo_time, and kv = kp servo_time - damping, so
that its first-order lag hides the inertia's own, and stays where it is when the damping is not what it should be."""
ROTOR_SHARE = 0.02
"""A joint without armature gets that of a rotor which full torque brings to full speed in this share of servo_time."""
# Choices for a gripper's servo that is made: its lead at full force, its fingers' speed, the inertia of their drive.
GRIPPER_LEAD_M = 0.033
FINGER_SPEED_M_S = 0.16
FINGER_ARMATURE_KG = 0.1
# Contacts of the shipped arms' pads; MuJoCo's usual ones give way by millimetres under a gripper's force.
USUAL_SOLREF = (0.02, 1.0)
PAD_SOLREF, PAD_CONDIM, PAD_FRICTION = (0.008, 1.0), 4, (1.0, 0.02, 0.0001)
TOOL, GRIPPER = "ashore_tool", "ashore_gripper"


def fitting_faults(spec: ArmSpec, model: mujoco.MjModel) -> Iterator[str]:
    """Yield what of an arm's file does not fit its model as it is read, or itself."""
    bodies, geoms = _names(model, "body", model.nbody), _names(model, "geom", model.ngeom)
    joints, sites = _names(model, "joint", model.njnt), _names(model, "site", model.nsite)
    actuator = [] if spec.gripper.actuator is None else [spec.gripper.actuator]
    named: tuple[tuple[str, Sequence[str], list[str]], ...] = (
        ("base", [spec.base], bodies),
        ("tool", [spec.tool], sites + bodies),
        ("joints", spec.joints, joints),
        ("gripper.fingers", spec.gripper.fingers, joints),
        ("gripper.actuator", actuator, _names(model, "actuator", model.nu)),
        ("gripper.pads", spec.gripper.pads, geoms + bodies),
    )
    missing = [(key, name, known) for key, names, known in named for name in names if name not in known]
    for key, name, known in missing:
        yield f"{key}: the model has no {name!r}; valid: {quoted(known)}.{closest(name, known)}"
    yield from _number_faults(spec)
    if not missing:
        yield from _pad_faults(spec, model)
        yield from _chain_faults(spec, model)
        yield from _joint_faults(spec, model)


def complete(spec: ArmSpec, model: mujoco.MjSpec) -> ArmSpec:
    """Add to a model what its arm lacks; return what the file says, with the names that the model has now.

    Motors of the arm's joints make way for position servos, whose set-points Ashore's commands are.
    """
    plain = model.compile()
    servos = joint_servos(plain)
    lacking = [name for name in spec.joints if int(plain.joint(name).id) not in servos]
    for key in list(model.keys):
        model.delete(key)
    if spec.gravity_compensation:
        for body in model.bodies[1:]:
            body.gravcomp = 1.0
    if lacking:
        _add_servos(spec, model, plain, lacking)
    return replace(
        spec,
        tool=_tool_site(spec, model),
        gripper=replace(spec.gripper, actuator=_gripper(spec, model), pads=_pads(spec, model)),
    )


def joint_servos(model: mujoco.MjModel) -> dict[int, int]:
    """The position servos of single joints, {joint: actuator}."""
    on_joint, affine = int(mujoco.mjtTrn.mjTRN_JOINT), int(mujoco.mjtBias.mjBIAS_AFFINE)
    return {
        int(model.actuator_trnid[a, 0]): a
        for a in range(model.nu)
        if int(model.actuator_trntype[a]) == on_joint and int(model.actuator_biastype[a]) == affine
    }


def torque_limits(spec: ArmSpec, model: mujoco.MjModel) -> tuple[float, ...]:
    """The largest torque of each joint (J,) N m: the file's, else the model's; infinite where nobody says."""
    if spec.torque_n_m is not None:
        return spec.torque_n_m
    rows = [int(model.joint(name).id) for name in spec.joints]
    return tuple(float(model.jnt_actfrcrange[row, 1]) if model.jnt_actfrclimited[row] else np.inf for row in rows)


def servo_torques(model: mujoco.MjModel, joints: Sequence[int], actuators: Sequence[int]) -> Array:
    """Largest torque of each joint's servo (J,), N m; infinite where the model has no limit."""
    limits = []
    for joint, actuator in zip(joints, actuators, strict=True):
        own = float(model.actuator_forcerange[actuator, 1]) if model.actuator_forcelimited[actuator] else np.inf
        shared = float(model.jnt_actfrcrange[joint, 1]) if model.jnt_actfrclimited[joint] else np.inf
        limits.append(min(own, shared))
    return np.array(limits)


def _names(model: mujoco.MjModel, kind: str, count: int) -> list[str]:
    return [name for name in (getattr(model, kind)(i).name for i in range(count)) if name]


def _number_faults(spec: ArmSpec) -> Iterator[str]:
    n = len(spec.joints)
    if not spec.name.isidentifier():
        yield f"name: expected letters, digits and _, not a digit first, given {spec.name!r}"
    for key, names in (
        ("joints", spec.joints),
        ("gripper.fingers", spec.gripper.fingers),
        ("gripper.pads", spec.gripper.pads),
    ):
        if not names:
            yield f"{key}: names none; at least one is needed"
    for key in VALUES_A_JOINT:
        values = getattr(spec, key)
        if values is not None and len(values) != n:
            yield f"{key}: {len(values)} numbers for {n} joints"
        if values is not None and key != "home_rad" and min(values, default=1.0) <= 0.0:
            yield f"{key}: every number must be above 0, given {min(values):g}"
    for key, value in (
        ("servo_time_s", spec.servo_time_s),
        ("tool_turn_rad_s", spec.tool_turn_rad_s),
        ("gripper.width_m", spec.gripper.width_m),
        ("gripper.force_n", spec.gripper.force_n),
    ):
        if value <= 0.0:
            yield f"{key}: must be above 0, given {value:g}"
    if spec.keep_out_m is not None and spec.link_radius_m is None:
        yield "keep_out_m: needs link_radius_m, the links' radii"
    for box in spec.keep_out_m or ():
        if len(box.low) != 3 or len(box.high) != 3 or not all(a < b for a, b in zip(box.low, box.high, strict=True)):
            yield f"keep_out_m: expected three numbers each with low below high, given {box.low} and {box.high}"
    for key in ("workspace_m", "stop_outside_m"):
        box = getattr(spec, key)
        if not (len(box.low) == len(box.high) == 3 and np.all(np.array(box.low) < np.array(box.high))):
            yield f"{key}: expected three numbers each, low below high"
    if spec.tool_offset is not None and (len(spec.tool_offset.pos_m), len(spec.tool_offset.quat_wxyz)) != (3, 4):
        yield "tool_offset: expected pos_m of three and quat_wxyz of four numbers"


def _pad_faults(spec: ArmSpec, model: mujoco.MjModel) -> Iterator[str]:
    for name in spec.gripper.pads:
        owner = int(model.body(name).id) if name not in _names(model, "geom", model.ngeom) else -1
        shapes = [int(model.geom(name).id)] if owner < 0 else np.flatnonzero(model.geom_bodyid == owner)
        if not any(model.geom_contype[shape] or model.geom_conaffinity[shape] for shape in shapes):
            yield f"gripper.pads: {name!r} touches nothing; give it a shape that does (contype, or a URDF's collision)"


def _chain_faults(spec: ArmSpec, model: mujoco.MjModel) -> Iterator[str]:
    base = model.body(spec.base)
    if not (np.allclose(base.pos, 0.0) and np.allclose(np.abs(base.quat), [1.0, 0.0, 0.0, 0.0])) or base.parentid[0]:
        yield f"base: {spec.base!r} does not stand at the model's origin, unturned; put it there"
    sites = _names(model, "site", model.nsite)
    body = int(model.site(spec.tool).bodyid[0]) if spec.tool in sites else int(model.body(spec.tool).id)
    between: list[str] = []
    while body not in (0, int(base.id)):
        first, count = int(model.body_jntadr[body]), int(model.body_jntnum[body])
        between = [model.joint(first + i).name for i in range(count)] + between
        body = int(model.body_parentid[body])
    if body != int(base.id):
        yield f"tool: {spec.tool!r} does not hang on {spec.base!r}"
    elif between != list(spec.joints):
        yield f"joints: from base to tool there are {quoted(between)}, in this order; given {quoted(spec.joints)}"


def _joint_faults(spec: ArmSpec, model: mujoco.MjModel) -> Iterator[str]:
    servos, torques = joint_servos(model), torque_limits(spec, model)
    for name, home, torque in zip(spec.joints, spec.home_rad, torques, strict=False):
        joint = model.joint(name)
        low, high = joint.range
        if int(joint.type[0]) != int(mujoco.mjtJoint.mjJNT_HINGE):
            yield f"joints: {name!r} is no hinge"
        elif not model.jnt_limited[joint.id]:
            yield f"joints: {name!r} has no limits; give it a range in the model (limits are what the guard keeps)"
        elif not low + MARGIN_RAD <= home <= high - MARGIN_RAD:
            yield f"home_rad: {name!r} at {home:g} is not {MARGIN_RAD:g} inside its range of {low:g} to {high:g}"
        if int(joint.id) not in servos and not np.isfinite(torque):
            yield f"joints: {name!r} has neither a position servo nor a torque limit; say torque_n_m, and one is made"
    for name in spec.gripper.fingers:
        joint = model.joint(name)
        if int(joint.type[0]) != int(mujoco.mjtJoint.mjJNT_SLIDE) or not model.jnt_limited[joint.id]:
            yield f"gripper.fingers: {name!r} is no slide joint with limits"
    widest = sum(float(model.joint(name).range[1]) for name in spec.gripper.fingers)
    if spec.gripper.width_m > widest + 1e-6:
        yield f"gripper.width_m: {spec.gripper.width_m:g}, but the fingers' ranges add up to {widest:g}"


def _add_servos(spec: ArmSpec, model: mujoco.MjSpec, plain: mujoco.MjModel, lacking: Sequence[str]) -> None:
    for actuator in [each for each in model.actuators if each.target in lacking]:
        model.delete(actuator)
    data = mujoco.MjData(plain)
    for name, home in zip(spec.joints, spec.home_rad, strict=True):
        data.joint(name).qpos = home
    mujoco.mj_forward(plain, data)
    mass = np.zeros((plain.nv, plain.nv))
    mujoco.mj_fullM(plain, data, mass)
    torques = torque_limits(spec, plain)
    for row, name in enumerate(spec.joints):
        if name not in lacking:
            continue
        joint, dof = model.joint(name), int(plain.joint(name).dofadr[0])
        inertia = float(mass[dof, dof])
        if joint.armature == 0.0:
            joint.armature = ROTOR_SHARE * torques[row] * spec.servo_time_s / spec.velocity_rad_s[row]
            inertia += joint.armature
        damping, time_s = float(joint.damping[0]), spec.servo_time_s
        derived = STIFFNESS_SHARE * inertia / time_s**2 + DAMPING_SHARE * damping / time_s
        kp = derived if spec.servo_kp_n_m_rad is None else spec.servo_kp_n_m_rad[row]
        servo = model.add_actuator(name=f"{name}_servo", target=name, trntype=mujoco.mjtTrn.mjTRN_JOINT)
        servo.set_to_position(kp=kp, kv=max(0.0, kp * time_s - damping))
        servo.forcerange = [-torques[row], torques[row]]
        servo.ctrlrange = plain.joint(name).range


def _tool_site(spec: ArmSpec, model: mujoco.MjSpec) -> str:
    sites = {site.name: site for site in model.sites}
    if spec.tool in sites and spec.tool_offset is None:
        return spec.tool
    pos, quat = np.zeros(3), np.array([1.0, 0.0, 0.0, 0.0])
    body = model.body(spec.tool)
    if spec.tool in sites:
        site = sites[spec.tool]
        body, pos, quat = site.parent, np.array(site.pos), np.array(site.quat)
    if spec.tool_offset is not None:
        pos = pos + matrix_from_quat(quat) @ np.array(spec.tool_offset.pos_m)
        quat = quat_multiply(quat, np.array(spec.tool_offset.quat_wxyz))
    body.add_site(name=TOOL, pos=pos, quat=quat, group=4, size=[0.003] * 3, rgba=[0.0] * 4)
    return TOOL


def _gripper(spec: ArmSpec, model: mujoco.MjSpec) -> str:
    gripper = spec.gripper
    if gripper.actuator is not None:
        return gripper.actuator
    moving = _drivers(model, gripper.fingers)
    for actuator in [each for number, each in enumerate(model.actuators) if number in moving]:
        model.delete(actuator)
    tendon = model.add_tendon(name=GRIPPER)
    for name in gripper.fingers:
        tendon.wrap_joint(name, 1.0)
        joint = model.joint(name)
        if joint.damping[0] == 0.0:
            joint.damping[0] = gripper.force_n / FINGER_SPEED_M_S
        joint.armature = joint.armature or FINGER_ARMATURE_KG
    coupled = {each.name1 for each in model.equalities} | {each.name2 for each in model.equalities}
    for follower in [name for name in gripper.fingers[1:] if name not in coupled]:
        equality = model.add_equality(
            type=mujoco.mjtEq.mjEQ_JOINT,
            objtype=mujoco.mjtObj.mjOBJ_JOINT,
            name1=follower,
            name2=gripper.fingers[0],
            solref=[0.005, 1.0],
        )
        equality.data[1] = 1.0
    servo = model.add_actuator(name=GRIPPER, target=GRIPPER, trntype=mujoco.mjtTrn.mjTRN_TENDON)
    kp = gripper.force_n / GRIPPER_LEAD_M
    servo.set_to_position(kp=kp, kv=0.0125 * kp)
    servo.ctrlrange, servo.forcerange = [0.0, gripper.width_m], [-gripper.force_n, gripper.force_n]
    return GRIPPER


def _drivers(model: mujoco.MjSpec, joints: Sequence[str]) -> set[int]:
    """Numbers of the actuators that drive any of these joints, by themselves or by a tendon."""
    plain, found = model.compile(), set()
    moved = {int(plain.joint(name).id) for name in joints}
    for actuator in range(plain.nu):
        kind, target = int(plain.actuator_trntype[actuator]), int(plain.actuator_trnid[actuator, 0])
        reached: set[int] = {target} if kind == int(mujoco.mjtTrn.mjTRN_JOINT) else set()
        if kind == int(mujoco.mjtTrn.mjTRN_TENDON):
            first = int(plain.tendon_adr[target])
            wraps = range(first, first + int(plain.tendon_num[target]))
            joint_wrap = int(mujoco.mjtWrap.mjWRAP_JOINT)
            reached = {int(plain.wrap_objid[w]) for w in wraps if int(plain.wrap_type[w]) == joint_wrap}
        if reached & moved:
            found.add(actuator)
    return found


def _pads(spec: ArmSpec, model: mujoco.MjSpec) -> tuple[str, ...]:
    """The geoms that are meant, named where they had no name, and of rubber where the model leaves that open."""
    geoms = {geom.name: geom for geom in model.geoms if geom.name}
    chosen = []
    for name in spec.gripper.pads:
        body = None if name in geoms else model.body(name)
        within = [geoms[name]] if body is None else [geom for geom in body.geoms if geom.contype or geom.conaffinity]
        for number, geom in enumerate(within):
            geom.name = geom.name or f"{name}_pad_{number}"
            chosen.append(geom)
    for geom in (geom for geom in chosen if np.array_equal(geom.solref, USUAL_SOLREF)):
        geom.solref, geom.condim, geom.friction = PAD_SOLREF, PAD_CONDIM, PAD_FRICTION
    return tuple(geom.name for geom in chosen)
