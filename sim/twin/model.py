"""What the twin reads from a MuJoCo model beside the URDF: servos, site motors, friction, contacts, weights."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from ashore.sim.errors import UnsupportedModel
from ashore.sim.twin.urdf import HINGE, SLIDE, body_name, collides, geoms_of, joint_name, rotation

Array = NDArray[np.float64]

AFFINE = int(mujoco.mjtBias.mjBIAS_AFFINE)
TO_JOINT, TO_TENDON = int(mujoco.mjtTrn.mjTRN_JOINT), int(mujoco.mjtTrn.mjTRN_TENDON)
TO_SITE = int(mujoco.mjtTrn.mjTRN_SITE)
LAGGED = (int(mujoco.mjtDyn.mjDYN_FILTER), int(mujoco.mjtDyn.mjDYN_FILTEREXACT))
UNDELAYED = (*LAGGED, int(mujoco.mjtDyn.mjDYN_NONE))


@dataclass(frozen=True)
class Servo:
    """What drives one joint: force = kp * (scale * control + offset - q) - kv * v, clipped to the limits."""

    joint: str
    actuator: int
    kp: float
    kv: float
    scale: float
    offset: float
    force_low: float
    force_high: float


@dataclass(frozen=True)
class SiteMotor:
    """A motor at a site: wrench on its body = control after a first-order lag times this constant vector."""

    body: str
    actuator: int
    wrench_body: tuple[float, ...]
    """(6,): force N and torque N m about the body frame's origin, in body axes, for a control of one."""
    lag_s: float


@dataclass(frozen=True)
class Gear:
    """Two joints that move as one: q_follower = ratio * q_leader."""

    leader: str
    follower: str
    ratio: float


def read_gears(model: mujoco.MjModel) -> list[Gear]:
    """Read the linear joint couplings among the equality constraints."""
    joint_coupling = int(mujoco.mjtEq.mjEQ_JOINT)
    return [
        Gear(
            joint_name(model, int(model.eq_obj2id[i])),
            joint_name(model, int(model.eq_obj1id[i])),
            float(model.eq_data[i, 1]),
        )
        for i in range(model.neq)
        if int(model.eq_type[i]) == joint_coupling and int(model.eq_obj2id[i]) >= 0
    ]


def read_servos(model: mujoco.MjModel) -> list[Servo]:
    """Read the position servos; one that drives a coupled pair, by a joint or by a tendon, is shared out among both.

    Raises:
        UnsupportedModel: lists the actuators that are neither position servos nor motors at sites.
    """
    faults, servos = [], []
    gears = read_gears(model)
    for actuator in range(model.nu):
        kind = int(model.actuator_trntype[actuator])
        label = model.actuator(actuator).name or f"actuator_{actuator}"
        if kind == TO_SITE:
            continue
        if kind not in (TO_JOINT, TO_TENDON) or int(model.actuator_biastype[actuator]) != AFFINE:
            faults.append(f"actuator {label!r}: use a position servo of a joint or tendon, or a motor at a site")
            continue
        servos += _shared(model, actuator, _moment(model, actuator), gears)
    if faults:
        raise UnsupportedModel(faults)
    return servos


def read_site_motors(model: mujoco.MjModel) -> list[SiteMotor]:
    """Read the motors at sites, with their lags.

    Raises:
        UnsupportedModel: lists motors whose activation dynamics is neither none nor a first-order filter.
    """
    chosen = [a for a in range(model.nu) if int(model.actuator_trntype[a]) == TO_SITE]
    odd = [model.actuator(a).name for a in chosen if int(model.actuator_dyntype[a]) not in UNDELAYED]
    if odd:
        raise UnsupportedModel([f"motor {name!r}: dyntype must be none, filter or filterexact" for name in odd])
    return [_site_motor(model, actuator) for actuator in chosen]


def weights_n(model: mujoco.MjModel, mass_scale: Mapping[str, float]) -> dict[str, Array]:
    """What gravity compensation leaves of each moving body's weight (3,) N; a robot compensates its nominal mass."""
    found = {}
    for body in range(1, model.nbody):
        if int(model.body_weldid[body]) != 0:
            name = body_name(model, body)
            left = mass_scale.get(name, 1.0) - float(model.body_gravcomp[body])
            found[name] = left * float(model.body_mass[body]) * np.array(model.opt.gravity)
    return found


def colliding_pairs(model: mujoco.MjModel) -> Iterator[tuple[int, int]]:
    """Yield the pairs of bodies that may touch, by MuJoCo's rules on contype, conaffinity, parents and exclusions."""
    excluded = {int(signature) for signature in model.exclude_signature}
    solid = [b for b in range(model.nbody) if any(collides(model, g) for g in geoms_of(model, b))]
    for i, first in enumerate(solid):
        for second in solid[i + 1 :]:
            if (first << 16) + second in excluded or (second << 16) + first in excluded:
                continue
            if _may_touch(model, first, second):
                yield first, second


def friction_factors(model: mujoco.MjModel) -> Array:
    """Friction to give each body (Nb,), so that products of two come near MuJoCo's larger of two.

    PyBullet multiplies the two coefficients of a pair, MuJoCo takes the larger. Least squares in logarithms over the
    pairs that may touch; pairs with a free body count most. Two alike get the square root each.
    """
    nominal = np.ones(model.nbody)
    for body in range(model.nbody):
        values = [model.geom_friction[g, 0] for g in geoms_of(model, body) if collides(model, g)]
        nominal[body] = max(max(values, default=1.0), 1e-3)
    pairs = list(colliding_pairs(model))
    if not pairs:
        return np.sqrt(nominal)
    rows, wanted = np.zeros((len(pairs), model.nbody)), np.zeros(len(pairs))
    for row, (first, second) in enumerate(pairs):
        weight = 100.0 if _is_free(model, first) or _is_free(model, second) else 1.0
        rows[row, first] += weight
        rows[row, second] += weight
        wanted[row] = weight * np.log(max(nominal[first], nominal[second]))
    return np.asarray(np.exp(np.linalg.lstsq(rows, wanted, rcond=None)[0]))


def _may_touch(model: mujoco.MjModel, first: int, second: int) -> bool:
    welds = model.body_weldid
    weld_a, weld_b = int(welds[first]), int(welds[second])
    if weld_a == weld_b:
        return False
    parent_a, parent_b = (int(welds[model.body_parentid[weld]]) for weld in (weld_a, weld_b))
    if weld_a and weld_b and (weld_a == parent_b or weld_b == parent_a):
        return False
    return any(
        (int(model.geom_contype[a]) & int(model.geom_conaffinity[b]))
        or (int(model.geom_contype[b]) & int(model.geom_conaffinity[a]))
        for a in geoms_of(model, first)
        for b in geoms_of(model, second)
    )


def _is_free(model: mujoco.MjModel, body: int) -> bool:
    joint = int(model.body_jntadr[model.body_rootid[body]])
    return joint >= 0 and int(model.jnt_type[joint]) not in (HINGE, SLIDE)


def _moment(model: mujoco.MjModel, actuator: int) -> dict[int, float]:
    """Length of the actuator's transmission as a linear form of the joints {joint: coefficient}."""
    gear, target = float(model.actuator_gear[actuator, 0]), int(model.actuator_trnid[actuator, 0])
    if int(model.actuator_trntype[actuator]) == TO_JOINT:
        return {target: gear}
    first, count = int(model.tendon_adr[target]), int(model.tendon_num[target])
    return {int(model.wrap_objid[w]): gear * float(model.wrap_prm[w]) for w in range(first, first + count)}


def _shared(model: mujoco.MjModel, actuator: int, moment: dict[int, float], gears: list[Gear]) -> list[Servo]:
    """Share one actuator out among the joints that move with it, so that the joints' forces add up to its own."""
    ratios = {joint_name(model, joint): 1.0 for joint in moment}
    if len(moment) == 1:
        lead = next(iter(ratios))
        for gear in gears:
            if gear.leader == lead:
                ratios[gear.follower] = gear.ratio
            elif gear.follower == lead:
                ratios[gear.leader] = 1.0 / gear.ratio
    reach = sum(moment.values())
    gain, bias = float(model.actuator_gainprm[actuator, 0]), model.actuator_biasprm[actuator]
    kp, kv = -float(bias[1]), -float(bias[2])
    low, high = -np.inf, np.inf
    if model.actuator_forcelimited[actuator]:
        low, high = (float(value) for value in model.actuator_forcerange[actuator])
    share = reach / len(ratios)
    return [
        Servo(
            joint=name,
            actuator=actuator,
            kp=kp * share * reach / ratio**2,
            kv=kv * share * reach / ratio**2,
            scale=ratio * gain / (kp * reach),
            offset=ratio * float(bias[0]) / (kp * reach),
            force_low=min(low * share / ratio, high * share / ratio),
            force_high=max(low * share / ratio, high * share / ratio),
        )
        for name, ratio in ratios.items()
    ]


def _site_motor(model: mujoco.MjModel, actuator: int) -> SiteMotor:
    site = int(model.actuator_trnid[actuator, 0])
    axes = rotation(model.site_quat[site])
    gear = model.actuator_gear[actuator] * float(model.actuator_gainprm[actuator, 0])
    force, torque = axes @ gear[:3], axes @ gear[3:]
    torque = torque + np.cross(model.site_pos[site], force)
    lagged = int(model.actuator_dyntype[actuator]) in LAGGED
    lag_s = float(model.actuator_dynprm[actuator, 0]) if lagged else 0.0
    body = body_name(model, int(model.site_bodyid[site]))
    return SiteMotor(body, actuator, tuple(np.concatenate((force, torque)).tolist()), lag_s)
