"""Every kind of field varies by simulation as if it had been compiled so."""

from typing import Any

import mujoco
import numpy as np
import pytest
from numpy.typing import NDArray

from ashore.sim.errors import InvalidRandomization
from ashore.sim.randomization import Draw, Group, How, Parameter, Randomization, Target
from ashore.sim.randomization.distributions import Distribution, Fixed, Uniform
from ashore.sim.tasks import make_task
from ashore.sim.world import World

Array = NDArray[Any]
TASK = make_task("arm/pick-place")
ARM = ("panda_joint*",)


def _vary(field: str, names: tuple[str, ...], distribution: Distribution, how: How = "scale", **rest: Any) -> Parameter:
    group: Group = "dynamics"
    return Parameter(field, distribution, group, (Target(field, names, **rest),), how)


FIELDS = (
    _vary("body_mass", ("object", "panda_link*"), Uniform(0.5, 2.0)),
    _vary("body_inertia", ("object",), Uniform(0.8, 2.0)),
    _vary("body_ipos", ("object",), Uniform((-0.005,) * 3, (0.005,) * 3), "shift"),
    _vary("geom_friction", ("table", "panda_*_pad"), Uniform(0.4, 1.2), "set", columns=(0,)),
    _vary("dof_damping", ARM, Uniform((0.5,) * 7, (4.0,) * 7)),
    _vary("dof_armature", ARM, Uniform(0.8, 1.3)),
    _vary("dof_frictionloss", ARM, Uniform(0.0, 0.4), "set"),
    _vary("actuator_forcerange", ("panda_servo*",), Uniform(0.6, 1.0)),
    _vary("actuator_gainprm", ("panda_servo*",), Uniform(0.8, 1.1), columns=(0,)),
    _vary("tendon_damping", ("panda_gripper",), Uniform(0.0, 2.0), "set"),
    _vary("opt.gravity", (), Uniform(-0.2, 0.2), "shift", columns=(0, 1)),
)


def _drawn(parameters: tuple[Parameter, ...], n: int) -> tuple[World, list[Draw]]:
    randomization = Randomization(parameters)
    world = World(TASK.scene(), n, 2)
    world.check(randomization)
    draws = [randomization.draw(np.random.default_rng(i)) for i in range(n)]
    world.randomize(np.arange(n), draws, randomization)
    return world, draws


@pytest.mark.parametrize("parameter", FIELDS, ids=lambda parameter: parameter.name)
def test_one_simulation_moves_as_its_own_model_alone(parameter: Parameter) -> None:
    world, _ = _drawn((parameter,), 3)
    start = TASK.randomization("none")
    TASK.reset(world, np.arange(3), [start.draw(np.random.default_rng(7))] * 3)
    model, data = world.view(1)
    controls = np.tile([*np.array(TASK.arm.spec.home_rad) + 0.1, 0.02], (3, 1))
    world.actuate(controls)
    world.advance(150)
    data.ctrl[:] = controls[1]
    mujoco.mj_step(model, data, 150)
    alone, together = data.qpos, world.view(1)[1].qpos
    np.testing.assert_array_equal(together, alone)
    assert not np.array_equal(world.view(0)[1].qpos, together)


def test_values_go_to_objects_or_to_the_columns_of_one_and_start_from_nominal_each_time() -> None:
    each = _vary("dof_damping", ARM, Fixed(tuple(float(i) for i in range(1, 8))))
    column = _vary("opt.gravity", (), Fixed((0.0, 0.0, -1.6)), "set")
    world, draws = _drawn((each, column), 2)
    for _ in range(2):
        model, _ = world.view(1)
        dofs = [int(model.joint(f"panda_joint{i}").dofadr[0]) for i in range(1, 8)]
        np.testing.assert_array_equal(model.dof_damping[dofs], world.model.dof_damping[dofs] * np.arange(1.0, 8.0))
        np.testing.assert_array_equal(model.opt.gravity, [0.0, 0.0, -1.6])
        world.randomize(np.array([1]), draws[:1], Randomization((each, column)))


def test_a_shifted_quaternion_turns_about_the_objects_own_axes() -> None:
    turn = _vary("cam_quat", ("overview",), Fixed((0.0, 0.0, np.pi / 2)), "shift")
    world, _ = _drawn((turn,), 1)
    before, after = np.zeros(9), np.zeros(9)
    mujoco.mju_quat2Mat(before, world.model.camera("overview").quat)
    mujoco.mju_quat2Mat(after, world.view(0)[0].camera("overview").quat)
    np.testing.assert_allclose(after.reshape(3, 3)[:, 0], before.reshape(3, 3)[:, 1], atol=1e-12)


def test_a_plain_free_bodys_centre_of_mass_is_refused_and_not_silently_ignored() -> None:
    scene = TASK.scene()
    scene.body("object").simple = 2
    randomization = Randomization((FIELDS[2],))
    world = World(scene, 1, 1)
    if not world.model.body("object").simple:
        pytest.fail("the scene's object should be plain here")
    with pytest.raises(InvalidRandomization, match='only with simple="false"'):
        world.check(randomization)
