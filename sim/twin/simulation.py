"""Make the twin of a task: the same Simulation as in training, on PyBullet, under a reality profile."""

from collections.abc import Iterator, Mapping

from ashore.datasets.errors import quoted
from ashore.sim.command_path import BACKLASH, DELAY, JITTER, LOSS
from ashore.sim.errors import InvalidProfile
from ashore.sim.randomization import Parameter, Randomization
from ashore.sim.randomization.distributions import Fixed
from ashore.sim.sensors import SensorSpec
from ashore.sim.simulation import Simulation
from ashore.sim.task import Task
from ashore.sim.twin.engine import TwinEngine
from ashore.sim.twin.profile import Bias, RealityProfile, matched
from ashore.sim.twin.settings import TwinSettings
from ashore.sim.twin.urdf import body_name


def make_twin_simulation(task_name: str, n: int, profile: RealityProfile) -> Simulation:
    """Make N episodes of a task on the twin.

    Draw its episodes from Simulation.randomization: start states vary as in the task, the rest is the profile's.

    Raises:
        UnknownName: there is no such task.
        InvalidProfile: the profile is for another robot, or names bodies or observations that are not there.
        UnsupportedModel: the task's scene cannot be built in PyBullet.
    """
    from ashore.sim.tasks import make_task

    return twin_of(make_task(task_name), n, profile)


def twin_of(task: Task, n: int, profile: RealityProfile) -> Simulation:
    """Put a task on the twin; make_twin_simulation for a task that is already made."""
    require_fit(profile, task)
    engine = TwinEngine(task.scene(), n, settings_of(profile, task))
    return Simulation(task, engine, twin_randomization(task, profile))


def require_fit(profile: RealityProfile, task: Task) -> None:
    """Check that a profile is for the task's robot and asks only for what the task has.

    Raises:
        InvalidProfile: lists every name or disturbance that does not fit.
    """
    bodies = _bodies(task)
    profile.require_names(task.robot.card.name, bodies, tuple(task.sensors()))
    wanted = list(_sensed(task, profile))
    faults = [f"{key}: {task.name} has no such disturbance; remove it" for key, name, _ in wanted if name is None]
    faults += _width_faults(profile, task)
    values: dict[str, Bias] = {}
    for key, name, value in wanted:
        if name is not None and values.setdefault(name, value) != value:
            faults.append(f"{key}: {value}, but what shares {name!r} with it has {values[name]}; give both one")
    if faults:
        raise InvalidProfile(f"for {quoted(profile.robots)}", faults)


def _bodies(task: Task) -> tuple[str, ...]:
    model = task.scene().compile()
    return tuple(body_name(model, body) for body in range(1, model.nbody))


def settings_of(profile: RealityProfile, task: Task) -> TwinSettings:
    """Take out of a profile what physics feels."""
    return TwinSettings(
        body_mass_scale=matched(profile.body_mass_scale, _bodies(task)),
        friction_scale=profile.friction_scale,
        position_gain_scale=profile.position_gain_scale,
        velocity_gain_scale=profile.velocity_gain_scale,
        joint_damping_n_m_s_rad=profile.joint_damping_n_m_s_rad,
        thrust_scale=profile.thrust_scale,
        motor_lag_scale=profile.motor_lag_scale,
    )


def twin_randomization(task: Task, profile: RealityProfile) -> Randomization:
    """Start states as the task varies them, every sensor as the profile says, and nothing of the model's fields."""
    sensed: dict[str, Bias] = {
        name: 0.0 for spec in task.sensors().values() for name in _parameters(spec).values() if name
    }
    sensed |= {name: value for _, name, value in _sensed(task, profile) if name is not None}
    starts = [p for p in task.randomization("none").parameters if p.name not in sensed and not p.targets]
    link = {
        DELAY: profile.command_delay_s,
        JITTER: profile.command_jitter_s,
        LOSS: profile.dropped_commands,
        BACKLASH: profile.command_backlash,
    }
    return Randomization(
        (
            *starts,
            *(Parameter(name, Fixed(value), "sensing") for name, value in sensed.items()),
            *(Parameter(name, Fixed(value), "timing") for name, value in link.items()),
        )
    )


def _sensed(task: Task, profile: RealityProfile) -> Iterator[tuple[str, str | None, Bias]]:
    """Yield what the profile asks of the sensors: its key, the task's parameter (None: there is none), the value."""
    for observation, spec in task.sensors().items():
        for table, parameter in _parameters(spec).items():
            asked: Mapping[str, Bias] = matched(getattr(profile, table), [observation])
            if observation in asked:
                yield f"{table}.{observation}", parameter, asked[observation]


def _width_faults(profile: RealityProfile, task: Task) -> Iterator[str]:
    sizes = {feature.name: feature.size for feature in task.contract.observations}
    for observation, value in matched(profile.observation_bias, task.sensors()).items():
        size = 3 if task.sensors()[observation].kind == "quaternion" else sizes[observation]
        if isinstance(value, tuple) and len(value) not in (1, size):
            yield f"observation_bias.{observation}: {len(value)} numbers, expected 1 or {size}"


def _parameters(spec: SensorSpec) -> dict[str, str | None]:
    return {"observation_noise": spec.noise, "observation_bias": spec.bias, "observation_delay_s": spec.delay}
