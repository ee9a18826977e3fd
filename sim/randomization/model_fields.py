"""Model fields that differ from simulation to simulation: found by name, checked, always set from nominal values."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import mujoco
import numpy as np
from mujoco import batch
from numpy.typing import NDArray

from ashore.datasets.errors import closest, quoted
from ashore.datasets.rotations import quat_from_vector, quat_multiply
from ashore.sim.errors import InvalidRandomization
from ashore.sim.randomization import Draw, Parameter, Randomization, Target, drawn
from ashore.sim.randomization.distributions import Categorical

Array = NDArray[Any]
OBJECTS = {
    "body": (mujoco.mjtObj.mjOBJ_BODY, "nbody"),
    "jnt": (mujoco.mjtObj.mjOBJ_JOINT, "njnt"),
    "dof": (mujoco.mjtObj.mjOBJ_JOINT, "njnt"),
    "geom": (mujoco.mjtObj.mjOBJ_GEOM, "ngeom"),
    "site": (mujoco.mjtObj.mjOBJ_SITE, "nsite"),
    "actuator": (mujoco.mjtObj.mjOBJ_ACTUATOR, "nu"),
    "cam": (mujoco.mjtObj.mjOBJ_CAMERA, "ncam"),
    "light": (mujoco.mjtObj.mjOBJ_LIGHT, "nlight"),
    "mat": (mujoco.mjtObj.mjOBJ_MATERIAL, "nmat"),
    "tendon": (mujoco.mjtObj.mjOBJ_TENDON, "ntendon"),
    "eq": (mujoco.mjtObj.mjOBJ_EQUALITY, "neq"),
}
"""First word of a model field to the kind of object that its rows are, and their count."""
OPTION = "opt"
TEXTURE_FIELD, TEXTURE_ROLE = "mat_texid", int(mujoco.mjtTextureRole.mjTEXROLE_RGB)
PLAIN_FREE_BODY = ("body_ipos", "body_iquat")
"""Fields that MuJoCo cannot vary for a free body whose frame is its centre of mass, but with simple="false"."""
ABOVE_ZERO = ("body_mass", "body_inertia", "cam_fovy", "geom_size")
"""Where 0 or less makes no sense."""
SIGNED = (
    "actuator_gainprm",
    "actuator_biasprm",
    "actuator_forcerange",
    "actuator_ctrlrange",
    "actuator_gear",
    "jnt_range",
)
"""Where a value that is not 0 keeps its sign: a servo would push away from its set-point, a range be upside down."""
AT_LEAST_ZERO = (
    "geom_friction",
    "dof_damping",
    "dof_armature",
    "dof_frictionloss",
    "jnt_stiffness",
    "tendon_damping",
    "tendon_stiffness",
    "tendon_frictionloss",
    "tendon_armature",
    "actuator_delay",
    "light_ambient",
    "light_diffuse",
    "light_specular",
    "opt.density",
    "opt.viscosity",
)
SHARES = ("geom_rgba", "mat_rgba")
"""Between 0 and 1."""
COMPUTED = ("body_subtreemass", "geom_rbound", "geom_aabb", "actuator_lengthrange")
"""What the compiler computes from other fields, beside those that end in 0."""
SHARED = ("opt.timestep",)
"""What all simulations of a world share: they could not be stepped together otherwise."""


@dataclass(frozen=True)
class Place:
    """Where a target lies in its field."""

    rows: Array | None
    """Objects (R,); None for an option, which has none."""
    columns: list[int] | None
    """Columns; None where the field has none."""


class ModelFields:
    """The fields of N simulations' models, expanded when they are first changed."""

    def __init__(self, model: mujoco.MjModel, simulations: batch.Batch) -> None:
        self._model = model
        self._batch = simulations
        self._nominal: dict[str, Array] = {}
        self._expanded: dict[str, Array] = {}

    def check(self, randomization: Randomization) -> None:
        """Find every field and object, and whether any value that can be drawn makes sense there.

        Raises:
            InvalidRandomization: lists each fault with the parameter, the value and what is valid.
        """
        faults = [
            f"{parameter.name}: {fault}"
            for parameter in randomization.parameters
            for target in parameter.targets
            for fault in self._faults(parameter, target)
        ]
        if faults:
            raise InvalidRandomization("the randomization does not fit the scene: it", faults)

    def set(self, rows: Array, draws: Sequence[Draw], randomization: Randomization) -> bool:
        """Set the fields of simulations rows (K,) from their draws; say whether there was anything to set."""
        changes = [(parameter, target) for parameter in randomization.parameters for target in parameter.targets]
        for _, target in changes:
            self._field(target.field)
        # All that was ever expanded: what another randomization changed shall not stay.
        for name, field in self._expanded.items():
            field[rows] = self._nominal[name]
        for parameter, target in changes:
            values = drawn(draws, parameter).reshape(len(draws), -1)
            if target.field == TEXTURE_FIELD:
                values = self._textures(parameter)[values.astype(int)]
            self._change(rows, values, target, parameter.how)
        return bool(self._expanded)

    def _change(self, rows: Array, values: Array, target: Target, how: str) -> None:
        """Put values (K, M) into one target; M is 1, or the number of objects, or of columns of a single object."""
        field, place = self._field(target.field), self._place(target)
        shape = (len(rows), 1 if place.rows is None else len(place.rows), len(place.columns or [0]))
        part = self._part(field, rows, place).reshape(shape)
        per_column = values.shape[1] > 1 and shape[1] == 1
        spread = values[:, None, :] if per_column else values[:, :, None]
        if target.field.endswith("quat") and how == "shift":
            turn = quat_from_vector(np.broadcast_to(spread, (*shape[:2], 3)).reshape(-1, 3))
            changed = quat_multiply(part.reshape(-1, 4), turn).reshape(shape)
        elif how == "scale":
            changed = part * spread
        else:
            changed = part + spread if how == "shift" else np.broadcast_to(spread, shape)
        self._put(field, rows, place, changed)

    def _part(self, field: Array, rows: Array, place: Place) -> Array:
        chosen = field[rows] if place.rows is None else field[rows[:, None], place.rows[None, :]]
        return np.asarray(chosen if place.columns is None else chosen[..., place.columns])

    def _put(self, field: Array, rows: Array, place: Place, values: Array) -> None:
        columns = slice(None) if place.columns is None else place.columns
        where: Any
        if place.rows is None:
            where = (rows,) if place.columns is None else (rows[:, None], np.array(place.columns)[None, :])
            field[where] = values.reshape(field[where].shape)
        elif place.columns is None:
            field[rows[:, None], place.rows[None, :]] = values[..., 0]
        else:
            field[rows[:, None, None], place.rows[None, :, None], np.array(columns)[None, None, :]] = values

    def _field(self, name: str) -> Array:
        if name not in self._expanded:
            self._nominal[name] = self._nominal_of(name)
            self._expanded[name] = self._batch.expand(name)
        return self._expanded[name]

    def _nominal_of(self, name: str) -> Array:
        owner = self._model.opt if name.startswith(f"{OPTION}.") else self._model
        return np.array(getattr(owner, name.removeprefix(f"{OPTION}.")))

    def _place(self, target: Target) -> Place:
        nominal = self._nominal_of(target.field)
        if target.field.startswith(f"{OPTION}."):
            return Place(None, None if nominal.ndim == 0 else list(target.columns or range(len(nominal))))
        kind = target.field.split("_")[0]
        rows = [row for name in target.names for row in self._rows(kind, name)]
        if kind == "dof":
            rows = [dof for row in rows for dof in np.flatnonzero(self._model.dof_jntid == row).tolist()]
        if nominal.ndim == 1:
            return Place(np.array(rows), None)
        columns = (TEXTURE_ROLE,) if target.field == TEXTURE_FIELD else target.columns
        return Place(np.array(rows), list(columns or range(nominal.shape[1])))

    def _rows(self, kind: str, pattern: str) -> list[int]:
        names = self._names(kind)
        return [row for row, name in enumerate(names) if name and fnmatchcase(name, pattern)]

    def _names(self, kind: str) -> list[str]:
        object_kind, count = OBJECTS[kind]
        return [mujoco.mj_id2name(self._model, object_kind, i) or "" for i in range(getattr(self._model, count))]

    def _textures(self, parameter: Parameter) -> Array:
        """Ids of the textures that a categorical parameter names, in its order."""
        distribution = parameter.distribution
        names = distribution.names if isinstance(distribution, Categorical) else ()
        return np.array([self._model.texture(name).id for name in names])

    def _faults(self, parameter: Parameter, target: Target) -> Iterator[str]:
        field = target.field
        known = [str(name) for name in batch.MODEL_FIELDS if self._can_vary(str(name))]
        kind = OPTION if field.startswith("opt.") else field.split("_")[0]
        if field not in known:
            alike = [name for name in known if name.startswith(f"{kind}{'.' if kind == OPTION else '_'}")]
            told = (
                f"fields of {kind!r}: {quoted(sorted(alike))}" if alike else f"fields begin with {quoted(OBJECTS)}, opt"
            )
            yield f"no model field {field!r} can vary; {told}.{closest(field, known)}"
            return
        missing = [name for name in target.names if kind != OPTION and not self._rows(kind, name)]
        there = [name for name in self._names(kind) if name] if kind != OPTION else []
        for name in missing:
            yield f"{field}: the scene has no {kind} {name!r}; valid: {quoted(there)}.{closest(name, there)}"
        if (kind == OPTION and target.names) or (kind != OPTION and not target.names):
            yield f"{field}: names: {'options have none' if kind == OPTION else 'missing; tell which objects vary'}"
        elif not missing:
            yield from self._value_faults(parameter, target)

    def _can_vary(self, name: str) -> bool:
        """Whether a field is a plain number of an object or an option: no address, no id, nothing computed."""
        if name == TEXTURE_FIELD:
            return True
        if name.split("_")[0] not in OBJECTS and not name.startswith("opt."):
            return False
        computed = name.endswith("0") or name in COMPUTED
        return not computed and name not in SHARED and np.issubdtype(self._nominal_of(name).dtype, np.floating)

    def _value_faults(self, parameter: Parameter, target: Target) -> Iterator[str]:
        nominal, place = self._nominal_of(target.field), self._place(target)
        width = 1 if nominal.ndim == 0 or (nominal.ndim == 1 and place.rows is not None) else nominal.shape[-1]
        odd = [column for column in place.columns or [] if not 0 <= column < width]
        if odd:
            yield f"{target.field}: columns {odd} of {width}"
            return
        if target.field == TEXTURE_FIELD:
            yield from self._texture_faults(parameter)
            return
        size = int(np.size(parameter.distribution.nominal()))
        n_rows = 1 if place.rows is None else len(place.rows)
        turns = target.field.endswith("quat") and parameter.how == "shift"
        sizes = {1, n_rows} if n_rows > 1 else {1, 3 if turns else len(place.columns or [0])}
        if size not in sizes:
            yield f"{target.field}: {size} numbers are drawn; expected {' or '.join(map(str, sorted(sizes)))}"
            return
        if target.field in PLAIN_FREE_BODY and any(self._is_plain(int(row)) for row in place.rows or ()):
            yield f'{target.field}: a free body\'s centre of mass varies only with simple="false" in its MJCF'
        yield from self._bound_faults(parameter, target, place)

    def _bound_faults(self, parameter: Parameter, target: Target, place: Place) -> Iterator[str]:
        """Yield whether the ends of what can be drawn leave the values that make sense, element by element."""
        field, how = target.field, parameter.how
        if field.endswith("quat"):
            if how == "scale":
                yield f"{field}: a quaternion cannot be scaled; shift it by a rotation vector, rad"
            return
        shape = (1 if place.rows is None else len(place.rows), len(place.columns or [0]))
        nominal = self._part(self._nominal_of(field)[None], np.array([0]), place).reshape(shape)
        ends = [self._end(np.reshape(bound, -1), nominal, how) for bound in parameter.distribution.support()]
        # What is 0 and only scaled stays 0, as the sizes that a shape does not use.
        counts = (nominal != 0) | (how != "scale")
        least, most = (
            float(pick(np.where(counts, found, other)))
            for pick, found, other in ((np.min, np.minimum(*ends), np.inf), (np.max, np.maximum(*ends), -np.inf))
        )
        strict = field in ABOVE_ZERO
        if (strict and least <= 0) or (field in (*AT_LEAST_ZERO, *SHARES) and least < 0):
            bound = "above 0" if strict else "at least 0"
            yield f"{field} could become {least:g}; it must stay {bound}. Raise the distribution's low end"
        if field in SHARES and most > 1:
            yield f"{field} could become {most:g}; it must stay at most 1. Lower the distribution's high end"
        if field in SIGNED and any(np.any((nominal != 0) & (end * nominal <= 0)) for end in ends):
            yield f"{field} could change its sign or become 0; keep every value on the side of its nominal one"

    def _end(self, bound: Array, nominal: Array, how: str) -> Array:
        """What one end (M,) of a distribution makes of nominal values (R, C)."""
        per_column = len(bound) > 1 and nominal.shape[0] == 1
        spread = bound[None, :] if per_column else bound[:, None]
        if how == "scale":
            return np.asarray(nominal * spread)
        return np.asarray(nominal + spread) if how == "shift" else np.broadcast_to(spread, nominal.shape)

    def _texture_faults(self, parameter: Parameter) -> Iterator[str]:
        names = [self._model.texture(i).name for i in range(self._model.ntex)]
        distribution = parameter.distribution
        if not isinstance(distribution, Categorical) or not distribution.names or parameter.how != "set":
            yield f"{TEXTURE_FIELD}: textures are set by a categorical distribution of their names: {quoted(names)}"
            return
        for name in [name for name in distribution.names if name not in names]:
            yield f"{TEXTURE_FIELD}: the scene has no texture {name!r}; valid: {quoted(names)}.{closest(name, names)}"

    def _is_plain(self, body: int) -> bool:
        free = int(mujoco.mjtJoint.mjJNT_FREE)
        joint = int(self._model.body_jntadr[body])
        return joint >= 0 and int(self._model.jnt_type[joint]) == free and bool(self._model.body_simple[body])
